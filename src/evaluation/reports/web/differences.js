// Figures of whole methods: differences with their intervals, error and cost, learning curves.
const ROW = 32; // pixels of one pair in a figure of differences

// The ends of an axis that shows all values, `log` if they are positive and differ much.
function axisAround(values, title, most = 5) {
  const known = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  if (low > 0 && high / low > most) return { min: low / 1.3, max: high * 1.3, log: true, title };
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return { min: low - room, max: high + room, title };
}

function addForest(parent) {
  for (const { name, unit, rows } of data.forest) {
    const ends = rows.flatMap((row) => [...row.interval, row.detectable, -row.detectable]);
    const names = rows.filter((row) => row.significant).map((row) => row.pair);
    const plot = addPlot(parent, {
      title: withUnit({ name, unit }),
      label: `Differences of errors with 95 % intervals. Told apart from 0: ${names.join("; ") || "none"}.`,
      x: axisAround([0, ...ends], "difference of errors", Infinity), y: { min: 0, max: rows.length, names: [], title: "" },
      paint(pen) {
        pen.context.textAlign = "left";
        rows.forEach((row, at) => {
          const place = rows.length - at - 0.7;
          const [left, right] = [pen.x(-row.detectable), pen.x(row.detectable)];
          pen.context.fillStyle = colours.dim;
          pen.context.globalAlpha = 0.5;
          pen.context.fillRect(left, pen.y(place) - 6, right - left, 12);
          pen.context.globalAlpha = 1;
          const colour = row.significant ? colours.point : colours.soft;
          pen.line(row.interval.map((end) => [end, place]), colour);
          pen.square(row.difference, place, 8, colour);
          pen.context.fillStyle = colours.ink;
          pen.context.fillText(row.pair, pen.left + 4, pen.y(place) - 10, pen.wide - 8);
        });
        pen.line([[0, 0], [0, rows.length]], colours.soft, [4, 4]);
      },
      rows: () => [["method - reference", "difference", "95 % interval", "change", "95 % interval", "p", "detectable", "error is"], rows.map((row) => [row.pair, ...row.cells])],
    });
    plot.canvas.style.height = `${ROW * rows.length + MARGIN.top + MARGIN.bottom}px`;
  }
}

function addCosts(parent) {
  const { name, unit } = data.errors[LAST];
  for (const { title, points } of data.costs) {
    addPlot(parent, {
      title: `Error against ${title}`, label: "A point for each method, with the 95 % interval of its error.",
      x: axisAround(points.map((point) => point.cost), title), y: axisAround(points.flatMap((point) => point.interval || [point.error]), withUnit({ name: "error", unit })),
      paint(pen) {
        for (const { method, cost, error, interval } of points) {
          const ink = colours[inkOf(method)];
          if (interval) pen.line(interval.map((end) => [cost, end]), ink);
          pen.square(cost, error, 8, ink);
          const right = pen.x(cost) > pen.left + pen.wide / 2;
          pen.context.textAlign = right ? "right" : "left";
          pen.context.fillStyle = colours.ink;
          pen.context.fillText(data.methods[method].name, pen.x(cost) + (right ? -8 : 8), pen.y(error) + 4, pen.wide / 2);
        }
      },
      rows: () => [["method", title, `error of ${name}`, "from", "to"], points.map((point) => [data.methods[point.method].name, digits(point.cost), digits(point.error, 3), ...(point.interval || [NaN, NaN]).map((end) => digits(end, 3))])],
    });
  }
}

function addCurves(parent) {
  for (const metric of new Set(data.curves.map((curve) => curve.metric))) {
    const lines = data.curves.filter((curve) => curve.metric === metric).map((curve) => ({ ...curve, ink: inkOf(curve.method), dashes: dashesOf(curve.method) }));
    const points = lines.flatMap((line) => line.points);
    addPlot(parent, {
      title: `${metric}; chosen epochs are squares`, label: "A line for each run, in the colour of its method.",
      x: axisOfEpochs(points), y: axisAround(points.map(([, value]) => value), metric),
      paint(pen) {
        for (const line of lines) pen.line(line.points, colours[line.ink], line.dashes);
        for (const line of lines) line.points.filter(([epoch]) => epoch === line.chosen).forEach(([x, y]) => pen.square(x, y, 9, colours[line.ink]));
      },
      rows: () => [["epoch", ...lines.map((line) => line.name)], tableOfLines(lines)],
    });
  }
}
