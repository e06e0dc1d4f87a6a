// What a report knows of each sample: true and predicted values, intervals, errors.
const KINDS = { true: "true", predicted: "predicted", refined: "refined" };
const samples = data.predictions ? unpackSamples(data.predictions) : null;

function unpackSamples(given) {
  const columns = (array) => rowsOf(unpack(array));
  return {
    truth: columns(given.truth), value: columns(given.value), low: columns(given.low), high: columns(given.high),
    trueBin: columns(given.true_bin), predictedBin: columns(given.predicted_bin), error: unpack(given.error),
  };
}

// The error of one head: of a category 1 if it is wrong.
function headError(at, row) {
  const distance = Math.abs(samples.value[at][row] - samples.truth[at][row]);
  return data.parameters[at].names ? Number(!(distance < 0.5)) : distance;
}

const quantities = () => {
  const found = [["mean error, % of the range", (row) => 100 * samples.error[row]]];
  data.parameters.forEach((parameter, at) => {
    const name = withUnit(parameter);
    found.push([`error of ${name}`, (row) => headError(at, row)]);
    found.push([`true ${name}`, (row) => samples.truth[at][row]]);
    found.push([`predicted ${name}`, (row) => samples.value[at][row]]);
  });
  return found;
};

const brief = (row) => `${row}: ${percent(samples.error[row])}`;
const describe = (row) => `${data.sample} ${row}: mean error ${percent(samples.error[row])} of the range`;

function showBars(row) {
  const refined = sample.example?.refined;
  const lines = data.parameters.map((parameter, at) => {
    const [low, high] = [samples.low[at][row], samples.high[at][row]];
    const values = { true: samples.truth[at][row], predicted: samples.value[at][row], refined: refined ? refined[at] : NaN };
    const bar = rangeBar(at, [low, high], Object.entries(values));
    const interval = Number.isFinite(low) ? `${digits(low)}..${digits(high)}` : "-";
    return [withUnit(parameter), ...["true", "predicted"].map((kind) => shown(at, values[kind], false)), interval, ...(refined ? [shown(at, values.refined, false)] : []), bar];
  });
  const headings = ["parameter", "true", "predicted", "90 % interval", ...(refined ? ["refined"] : []), "place in the range"];
  document.getElementById("bars").replaceChildren(table(headings, lines, `Parameters of ${data.sample} ${row}`));
}
