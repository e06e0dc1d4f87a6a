// The figures of each head: predicted against true, error by value, classes, reliability, PIT.
function addScatter(parent, at) {
  const [truth, value] = [samples.truth[at], samples.value[at]];
  const { min, max } = data.parameters[at];
  addPoints(parent, {
    title: "Predicted against true",
    label: `A point for each of ${data.count} ${data.samples}. Arrow keys select them, the largest error first.`,
    x: axisOf(at, "true"), y: axisOf(at, "predicted"),
    below: (pen) => pen.line([[min, min], [max, max]], colours.soft, [4, 4]),
  }, (row) => truth[row], (row) => Math.min(max, Math.max(min, value[row])), (row) => headError(at, row));
}

function addErrors(parent, at) {
  const [truth, value] = [samples.truth[at], samples.value[at]];
  const x = axisOf(at, "true");
  let most = 0;
  for (let row = 0; row < data.count; row++) most = Math.max(most, Math.abs(value[row] - truth[row]) || 0);
  const bins = data.heads[at].by_value;
  addPoints(parent, {
    title: "Error by true value",
    label: "Predicted minus true of each sample, and their mean in each part of the range.",
    x, y: { min: -most || -1, max: most || 1, title: "error" },
    below: (pen) => pen.line([[x.min, 0], [x.max, 0]], colours.soft, [4, 4]),
    above: (pen) => pen.line(bins.map(([middle, mean]) => [middle, mean]), colours.second),
    rows: () => [["true about", "mean error", "mean absolute error", data.samples], bins.map((bin) => bin.map((one) => digits(one, 3)))],
  }, (row) => truth[row], (row) => value[row] - truth[row], (row) => headError(at, row));
}

function addConfusion(parent, at) {
  const { names, counts } = data.heads[at].confusion; // counts[predicted][true]
  const totals = names.map((_, column) => counts.reduce((sum, row) => sum + row[column], 0));
  const parameter = data.parameters[at];
  addCells(parent, {
    names, values: counts, text: String,
    title: "Predicted class by true class",
    label: `Counts of ${names.length} classes of ${parameter.name}. Arrow keys and clicks choose a cell and keep its ${data.samples}.`,
    axes: ["true", "predicted"],
    colour: (column, row) => ["point", totals[column] ? (counts[row][column] / totals[column]) * 0.85 : 0],
    chosen: (column, row) => {
      keep((sample) => samples.trueBin[at][sample] === column && samples.predictedBin[at][sample] === row);
      say(`${selection.count} ${data.samples}: true ${names[column]}, predicted ${names[row]}`);
    },
    rows: () => [["predicted \\ true", ...names], counts.map((row, which) => [names[which], ...row.map(String)])],
  });
}

function addCorrelations(parent) {
  addCorrelationCells(parent, {
    title: "Correlation of the heads' errors",
    label: "Rank correlation of the signed errors of each two heads.",
    axes: ["head", "head"],
  });
}

function addReliability(parent, at) {
  const points = data.heads[at].reliability;
  if (!points.length) return;
  const nominal = data.parameters[at].names;
  addLines(parent, {
    title: nominal ? "Reliability of the probabilities" : "Reliability of +-",
    label: nominal ? "Share of correct predictions by their stated probability." : "Share of true values inside value +- z sd by its stated probability.",
    x: { min: 0, max: 1, title: "stated" }, y: { min: 0, max: 1, title: "actual" },
    rows: () => [["stated", "actual", data.samples], points.map(([stated, actual, count]) => [percent(stated), percent(actual), String(count)])],
  }, [{ points, ink: "point" }], (pen) => pen.line([[0, 0], [1, 1]], colours.soft, [4, 4]));
}

function addPit(parent, at) {
  const counts = data.heads[at].pit;
  if (!counts.length) return;
  const total = counts.reduce((sum, one) => sum + one, 0), even = total / counts.length;
  const spread = 2 * Math.sqrt(even * (1 - 1 / counts.length)); // two standard deviations of a binomial count
  addPlot(parent, {
    title: "Probability integral transform",
    label: "Histogram of where the true values lie in the predicted distributions. It is even if these are right.",
    x: { min: 0, max: 1, title: "probability below" },
    y: { min: 0, max: Math.max(...counts, even + spread) * 1.08, title: data.samples },
    paint(pen) {
      counts.forEach((count, at) => {
        const [left, right] = [pen.x(at / counts.length), pen.x((at + 1) / counts.length)];
        pen.context.fillStyle = colours.point;
        pen.context.fillRect(left + 0.5, pen.y(count), right - left - 1, pen.y(0) - pen.y(count));
      });
      for (const level of [even - spread, even + spread]) pen.line([[0, level], [1, level]], colours.second, [4, 4]);
    },
    rows: () => [["from", data.samples], counts.map((count, at) => [trimmed(at / counts.length), String(count)])],
  });
}

function addHeads() {
  data.parameters.forEach((parameter, at) => {
    const parent = document.getElementById(`head-${at}`);
    if (!parameter.names) {
      addScatter(parent, at);
      addErrors(parent, at);
    }
    addConfusion(parent, at);
    addReliability(parent, at);
    addPit(parent, at);
  });
}

function addCurves(parent) {
  const { curves } = data;
  for (const { title, lines } of curves.groups) {
    const points = lines.flatMap((line) => line.points);
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    lines.forEach((line, at) => { line.ink = ["point", "second"][at]; });
    const names = lines.map((line, at) => `${line.name} ${["blue", "amber"][at]}`).join(", ");
    const chosen = curves.chosen === null ? "" : `; chosen epoch, dashed: ${curves.chosen}`;
    addLines(parent, {
      title: `${lines.length > 1 ? names : title}${chosen}`, label: "By epoch.",
      x: axisOfEpochs(points), y: { min: low, max: high > low ? high : low + 1, log: low > 0, title },
      rows: () => [["epoch", ...lines.map((line) => line.name)], tableOfLines(lines)],
    }, lines, (pen) => {
      if (curves.chosen !== null) pen.line([[curves.chosen, low], [curves.chosen, high]], colours.selected, [4, 4]);
    });
  }
}
