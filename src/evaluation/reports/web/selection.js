// One sample is selected in all panels; its number is in the page's address. A filter keeps some of the samples.
const samples = data.predictions ? unpackSamples(data.predictions) : null;
const selection = { row: 0, kept: null, count: data.count };
const listeners = []; // called after each change, with true if the filter has changed

function unpackSamples(given) {
  const columns = (array) => {
    const all = unpack(array);
    return data.parameters.map((_, at) => all.subarray(at * data.count, (at + 1) * data.count));
  };
  return {
    truth: columns(given.truth), value: columns(given.value), low: columns(given.low), high: columns(given.high),
    trueBin: columns(given.true_bin), predictedBin: columns(given.predicted_bin), error: unpack(given.error),
  };
}

function select(row) {
  if (!(row >= 0 && row < data.count) || row === selection.row) return;
  selection.row = row;
  history.replaceState(null, "", `#sample=${row}`);
  listeners.forEach((listener) => listener(false));
}

// Keep the samples for which `test(row)` holds, or all without a test.
function keep(test) {
  selection.kept = test ? Uint8Array.from({ length: data.count }, (_, row) => (test(row) ? 1 : 0)) : null;
  selection.count = test ? selection.kept.reduce((sum, one) => sum + one, 0) : data.count;
  listeners.forEach((listener) => listener(true));
}

const isKept = (row) => !selection.kept || selection.kept[row] === 1;

// The error of one head: of a category 1 if it is wrong.
function headError(at, row) {
  const distance = Math.abs(samples.value[at][row] - samples.truth[at][row]);
  return data.parameters[at].names ? Number(!(distance < 0.5)) : distance;
}

function shown(at, value) {
  const parameter = data.parameters[at];
  if (!Number.isFinite(value)) return "-";
  if (parameter.names) return parameter.names[Math.min(parameter.names.length - 1, Math.max(0, Math.round(value - parameter.min)))];
  return `${digits(value)}${parameter.unit ? ` ${parameter.unit}` : ""}`;
}

function rowOfAddress() {
  const found = /^#sample=(\d+)$/.exec(location.hash);
  return found ? Number(found[1]) : NaN;
}
addEventListener("hashchange", () => select(rowOfAddress()));
