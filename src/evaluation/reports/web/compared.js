// The figures of each parameter: the errors of two methods against each other, and errors by true value.
function addVersus(parent, at) {
  const names = [pair.a, pair.b].map((method) => data.methods[method].name);
  const [a, b] = [samples.error[pair.a][at], samples.error[pair.b][at]];
  const sorted = Float64Array.from([...a, ...b].filter((error) => error > 0)).sort();
  const most = sorted.at(-1) || 1, least = Math.max(sorted[Math.floor(sorted.length / 200)] || most / 1e3, most / 1e5);
  const axis = (title) => ({ min: least / 1.2, max: most * 1.2, log: true, title });
  const place = (error) => Math.max(error, least);
  addPoints(parent, {
    title: `Error of B (${names[1]}) against A (${names[0]})`,
    label: `A point for each of ${data.count} ${data.samples}; below the line B is better. Arrow keys select them, the largest difference first.`,
    x: axis(`A: ${names[0]}`), y: axis(`B: ${names[1]}`),
    below: (pen) => pen.line([[least / 1.2, least / 1.2], [most * 1.2, most * 1.2]], colours.soft, [4, 4]),
  }, (row) => place(a[row]), (row) => place(b[row]), (row) => Math.abs(difference(at, row)));
}

function addVersusOfCategory(parent, at) {
  const words = ["right", "wrong"], wrong = (method, row) => Number(errorOf(method, at, row) >= 50);
  const counts = [[0, 0], [0, 0]];
  for (let row = 0; row < data.count; row++) counts[wrong(pair.b, row)][wrong(pair.a, row)] += 1;
  const names = [pair.a, pair.b].map((method) => data.methods[method].name);
  addCells(parent, {
    names: words, values: counts, text: String,
    title: `Right and wrong: B (${names[1]}) against A (${names[0]})`,
    label: `Counts of ${data.samples}; with several seeds, those of most. Arrow keys and clicks choose a cell and keep its ${data.samples}.`,
    axes: [`A: ${names[0]}`, `B: ${names[1]}`],
    colour: (column, row) => ["point", (counts[row][column] / data.count) * 0.85],
    chosen: (column, row) => {
      keep((sample) => wrong(pair.a, sample) === column && wrong(pair.b, sample) === row);
      say(`${selection.count} ${data.samples}: A ${words[column]}, B ${words[row]}`);
    },
    rows: () => [["B \\ A", ...words], counts.map((row, which) => [words[which], ...row.map(String)])],
  });
}

// The mean error of each method in parts of the range; the selected sample is where the vertical line is.
function addByValue(parent, at) {
  const rows = data.by_value[at], { names } = data.parameters[at];
  const lines = data.methods.map((_, method) => ({ points: rows.map((row) => [row.at, row.errors[method]]), ink: inkOf(method), dashes: dashesOf(method) }));
  const most = Math.max(...rows.flatMap((row) => row.errors)) * 1.08 || 1;
  const x = names ? { min: 0, max: names.length, names, title: "true" } : axisOf(at, "true");
  const label = (value) => (names ? names[Math.floor(value)] : digits(value, 3));
  addLines(parent, {
    title: "Error by true value", label: "The mean error of each method in parts of the range. The line is the selected sample.",
    x, y: { min: 0, max: most, title: withUnit({ name: "error", unit: data.errors[at].unit }) },
    mark(pen) {
      const value = samples.truth[at][selection.row];
      const place = names ? Math.round(value - data.parameters[at].min) + 0.5 : value;
      pen.line([[place, 0], [place, most]], colours.selected);
      data.methods.forEach((_, method) => {
        const error = Math.min(most, errorOf(method, at, selection.row));
        pen.square(place, error, 11, colours.paper);
        pen.square(place, error, 8, colours[inkOf(method)]);
      });
    },
    rows: () => [["true about", data.samples, ...data.methods.map(({ name }) => name)], rows.map((row) => [label(row.at), String(row.count), ...row.errors.map((error) => digits(error, 3))])],
  }, lines, () => {});
}

function addHeads() {
  data.errors.forEach((_, at) => {
    const parent = document.getElementById(`head-${at}`);
    removePlots(parent);
    const isMean = at === data.parameters.length;
    if (!isMean && data.parameters[at].names) addVersusOfCategory(parent, at);
    else addVersus(parent, at);
    if (!isMean) addByValue(parent, at);
  });
}
