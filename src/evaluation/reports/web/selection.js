// One sample is selected in all panels; it is in the page's address. A filter keeps some of the samples.
const selection = { row: 0, kept: null, count: data.count };
const listeners = []; // called after each change, with true if the filter has changed

// Where a page holds some of the samples only, `data.ids` are their numbers or their names.
const idOf = (row) => (data.ids ? data.ids[row] : row);
const rowOf = (id) => (data.ids ? data.ids.findIndex((one) => String(one) === String(id)) : Number(id));

function select(row) {
  if (!(row >= 0 && row < data.count) || row === selection.row) return;
  selection.row = row;
  remember("sample", idOf(row));
  listeners.forEach((listener) => listener(false));
}

// Keep the samples for which `test(row)` holds, or all without a test.
function keep(test) {
  selection.kept = test ? Uint8Array.from({ length: data.count }, (_, row) => (test(row) ? 1 : 0)) : null;
  selection.count = test ? selection.kept.reduce((sum, one) => sum + one, 0) : data.count;
  listeners.forEach((listener) => listener(true));
}

const isKept = (row) => !selection.kept || selection.kept[row] === 1;

function shown(at, value, hasUnit = true) {
  const parameter = data.parameters[at];
  if (!Number.isFinite(value)) return "-";
  if (parameter.names) return parameter.names[Math.min(parameter.names.length - 1, Math.max(0, Math.round(value - parameter.min)))];
  return `${digits(value)}${parameter.unit && hasUnit ? ` ${parameter.unit}` : ""}`;
}

const address = () => new URLSearchParams(location.hash.slice(1));

function remember(name, value) {
  const found = address();
  found.set(name, value);
  history.replaceState(null, "", `#${found}`);
}

function rowOfAddress() {
  const id = address().get("sample");
  return id === null ? NaN : rowOf(id);
}
addEventListener("hashchange", () => select(rowOfAddress()));
