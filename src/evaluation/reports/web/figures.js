// Figures of points, one for each sample, of lines, and of one value in its range.
function axisOf(at, title) {
  const { min, max, scale } = data.parameters[at];
  return { min, max, log: scale === "log", title };
}

// A figure with a point for each sample: x, y and `rank` are functions of the row. Arrow keys go from the largest rank on.
function addPoints(parent, plot, xOf, yOf, rank) {
  let order = null;
  const largestFirst = () => {
    order ||= Uint32Array.from({ length: data.count }, (_, row) => row).sort((a, b) => rank(b) - rank(a));
    return order;
  };
  return addPlot(parent, {
    ...plot,
    paint(pen) {
      if (plot.below) plot.below(pen);
      const size = data.count > 4000 ? 2 : 3;
      for (const kept of selection.kept ? [false, true] : [true]) {
        const colour = kept ? colours.point : colours.dim;
        for (let row = 0; row < data.count; row++) if (isKept(row) === kept) pen.square(xOf(row), yOf(row), size, colour);
      }
      if (plot.above) plot.above(pen);
    },
    mark(pen) {
      pen.square(xOf(selection.row), yOf(selection.row), 11, colours.paper);
      pen.square(xOf(selection.row), yOf(selection.row), 8, colours.selected);
    },
    pick(x, y, pen) {
      let best = -1, least = Infinity;
      for (let row = 0; row < data.count; row++) {
        if (!isKept(row)) continue;
        const distance = (pen.x(xOf(row)) - x) ** 2 + (pen.y(yOf(row)) - y) ** 2;
        if (distance < least) [best, least] = [row, distance];
      }
      select(best);
    },
    key(name) {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[name];
      if (!step && name !== "Home") return false;
      const rows = largestFirst().filter(isKept);
      const now = rows.indexOf(selection.row);
      select(rows[name === "Home" || now < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, now + step))]);
      return true;
    },
  });
}

// The range of a parameter as a bar, with an interval [low, high] and with marks of values by their class.
function rangeBar(at, interval, marks) {
  const left = (value) => `${100 * Math.min(1, Math.max(0, position(axisOf(at, ""), value)))}%`;
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const [low, high] = interval;
  if (Number.isFinite(low)) {
    const grey = element("i", { class: "interval" });
    [grey.style.left, grey.style.right] = [left(low), `calc(100% - ${left(high)})`];
    bar.append(grey);
  }
  for (const [kind, value] of marks) {
    if (!Number.isFinite(value)) continue;
    const mark = element("i", { class: `mark ${kind}` });
    mark.style.left = left(value);
    bar.append(mark);
  }
  return bar;
}

// The axis of epochs, with room for the marks of the first and the last.
function axisOfEpochs(points) {
  return { min: 0.5, max: Math.max(2, ...points.map(([epoch]) => epoch)) + 0.5, whole: true, title: "epoch" };
}

// A figure of lines through points; `below` paints what lies below them.
function addLines(parent, plot, lines, below) {
  addPlot(parent, {
    ...plot,
    paint(pen) {
      below(pen);
      for (const { points, ink, dashes } of lines) {
        pen.line(points, colours[ink], dashes);
        points.forEach(([x, y]) => pen.square(x, y, 5, colours[ink]));
      }
    },
  });
}

function tableOfLines(lines) {
  const epochs = [...new Set(lines.flatMap((line) => line.points.map(([epoch]) => epoch)))].sort((a, b) => a - b);
  const maps = lines.map((line) => new Map(line.points));
  return epochs.map((epoch) => [String(epoch), ...maps.map((map) => digits(map.get(epoch)))]);
}
