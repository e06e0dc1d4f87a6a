// What a comparison knows of each sample: the true values, those of each run, and the errors of each method.
const KINDS = { true: "true" };
data.methods.forEach(({ name }, at) => { KINDS[`method-${at}`] = name; });
const inkOf = (method) => `method-${method % data.colours}`;
const dashesOf = (method) => [[], [6, 3], [2, 3]][Math.floor(method / data.colours) % 3];
const samples = unpackMethods(data.predictions);
const pair = pairOfAddress() || { a: data.pair[0], b: data.pair[1] }; // the methods compared sound by sound

function pairOfAddress() {
  const [a, b] = ["a", "b"].map((name) => Number(address().get(name) ?? NaN));
  return data.methods[a] && data.methods[b] ? { a, b } : null;
}

// `truth` is [parameter][row], `value` [run][parameter][row], `error` [method][parameter or their mean][row].
function unpackMethods(given) {
  const { count, parameters } = data;
  const truth = rowsOf(unpack(given.truth)), every = unpack(given.value), value = [], runs = [], error = [];
  for (const { runs: number } of data.methods) {
    const own = [];
    for (let run = 0; run < number; run++) {
      const from = value.length * parameters.length * count;
      own.push(value.length);
      value.push(rowsOf(every.subarray(from, from + parameters.length * count)));
    }
    runs.push(own);
    error.push(methodErrors(truth, own.map((run) => value[run])));
  }
  return { truth, value, runs, error };
}

// The errors of a method, means over its runs; the last ones are the means over parameters in % of the range.
function methodErrors(truth, values) {
  const { count, parameters } = data;
  const found = data.errors.map(() => new Float64Array(count));
  parameters.forEach(({ names, min, max }, at) => {
    const range = names ? 100 : max - min;
    for (let row = 0; row < count; row++) {
      let sum = 0;
      for (const value of values) {
        const distance = Math.abs(value[at][row] - truth[at][row]);
        sum += names ? 100 * !(distance < 0.5) : distance;
      }
      found[at][row] = sum / values.length;
      if (parameters.length > 1) found[parameters.length][row] += 100 * sum / values.length / range / parameters.length;
    }
  });
  return found;
}

const LAST = data.errors.length - 1; // the mean of all parameters, if there are several
const errorOf = (method, at, row) => samples.error[method][at][row];
const difference = (at, row) => errorOf(pair.b, at, row) - errorOf(pair.a, at, row);

const quantities = () => {
  const found = [];
  for (const at of [LAST, ...data.errors.keys()].slice(0, data.errors.length)) {
    const name = withUnit(data.errors[at]);
    found.push([`B - A, error of ${name}`, (row) => difference(at, row)]);
    found.push([`distance of A and B, error of ${name}`, (row) => Math.abs(difference(at, row))]);
    found.push([`A, error of ${name}`, (row) => errorOf(pair.a, at, row)]);
    found.push([`B, error of ${name}`, (row) => errorOf(pair.b, at, row)]);
  }
  data.parameters.forEach((parameter, at) => found.push([`true ${withUnit(parameter)}`, (row) => samples.truth[at][row]]));
  return found;
};
const brief = (row) => `${idOf(row)}: ${digits(difference(LAST, row), 3)}`;
const describe = (row) => {
  const errors = [pair.a, pair.b].map((method) => `${data.methods[method].name} ${digits(errorOf(method, LAST, row), 3)}`);
  return `${data.sample} ${idOf(row)}: error of ${withUnit(data.errors[LAST])}: ${errors.join(", ")}`;
};

function showBars(row) {
  const lines = data.parameters.map((parameter, at) => {
    const marks = [["true", samples.truth[at][row]]];
    samples.runs.forEach((runs, method) => runs.forEach((run) => marks.push([inkOf(method), samples.value[run][at][row]])));
    const values = samples.runs.map((runs) => runs.map((run) => shown(at, samples.value[run][at][row], false)).join(", "));
    return [withUnit(parameter), rangeBar(at, [], marks), shown(at, samples.truth[at][row], false), ...values];
  });
  const headings = ["parameter", "place in the range", "true", ...data.methods.map(({ name }) => name)];
  document.getElementById("bars").replaceChildren(table(headings, lines, `Parameters of ${data.sample} ${idOf(row)}`));
}
