// Put a dataset's page together: its samples, a histogram of each parameter, correlations, and what is selected first.
const samples = unpackSamples();

function unpackSamples() {
  const rows = (array) => rowsOf(unpack(array));
  const [low, high] = rows(data.ranges);
  return { values: rows(data.values), bars: rows(data.bars), shape: unpack(data.shapes), low, high };
}

const quantities = () => data.parameters.map((parameter, at) => [withUnit(parameter), (row) => samples.values[at][row]]);
const brief = idOf;

let barKept = null; // the bar whose samples are kept: {at, bar, kept}, until something else is kept

// The counts of all samples; a bar keeps those of its samples that the page shows.
function addHistogram(parent, at) {
  const { name, unit, bars } = data.parameters[at];
  const { counts, names, edges } = bars;
  const title = withUnit(data.parameters[at]);
  const most = Math.max(...counts);
  const chosen = () => (barKept && barKept.at === at && barKept.kept === selection.kept ? barKept.bar : -1);
  const nameOfBar = (bar) => (names ? names[bar] : `${trimmed(edges[bar])}..${trimmed(edges[bar + 1])}`);
  const ends = (pen, bar) => (edges ? [pen.x(edges[bar]), pen.x(edges[bar + 1])] : [pen.x(bar), pen.x(bar + 1)]);
  const box = (pen, bar) => {
    const [left, right] = ends(pen, bar);
    return [left + 0.5, pen.y(counts[bar]), right - left - 1, pen.y(0) - pen.y(counts[bar])];
  };
  const choose = (bar) => {
    if (!(bar >= 0 && bar < counts.length)) return;
    const { low, high } = document.getElementById("filter").elements;
    low.value = high.value = ""; // the range that was kept before
    keep((row) => samples.bars[at][row] === bar);
    barKept = { at, bar, kept: selection.kept };
    drawPlots();
    say(`${name} ${nameOfBar(bar)}: ${counts[bar]} of ${data.total} samples, ${selection.count} of the ${data.count} shown`);
  };
  addPlot(parent, {
    title, label: `Counts of ${counts.length} parts of its range. Arrow keys choose one and keep its samples.`,
    x: names ? { min: 0, max: names.length, names, title: "" } : axisOf(at, unit || "value"),
    y: { min: 0, max: most * 1.08, title: "samples" },
    paint(pen) {
      pen.context.fillStyle = colours.point;
      counts.forEach((_, bar) => pen.context.fillRect(...box(pen, bar)));
    },
    mark(pen) {
      const [left, right] = ends(pen, samples.bars[at][selection.row]);
      pen.context.fillStyle = colours.selected;
      pen.context.fillRect(left + 0.5, pen.y(0) - 4, right - left - 1, 4);
      if (chosen() < 0) return;
      pen.context.strokeStyle = colours.selected;
      pen.context.lineWidth = 2;
      pen.context.strokeRect(...box(pen, chosen()));
    },
    pick: (x, _, pen) => choose(counts.findIndex((_, bar) => { const [left, right] = ends(pen, bar); return x >= left && x < right; })),
    key(key) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (!step) return false;
      choose(chosen() < 0 ? 0 : Math.min(counts.length - 1, Math.max(0, chosen() + step)));
      return true;
    },
    rows: () => [[title, "samples"], counts.map((count, bar) => [nameOfBar(bar), String(count)])],
  });
}

// Where a parameter's values lie on an axis: categories have names there.
function placesOf(at) {
  const { name, names, min } = data.parameters[at];
  if (!names) return [axisOf(at, name), (row) => samples.values[at][row]];
  return [{ min: 0, max: names.length, names, title: name }, (row) => samples.values[at][row] - min + 0.5];
}

function addPairs() {
  const parent = document.getElementById("pairs");
  const names = data.parameters.map((parameter) => parameter.name);
  const beside = element("div");
  const show = (column, row) => {
    removePlots(beside);
    const [x, xOf] = placesOf(column), [y, yOf] = placesOf(row);
    addPoints(beside, {
      title: `${names[row]} by ${names[column]}: correlation ${correlationText(data.correlations[row][column], 3)}`,
      label: `A point for each of ${data.count} samples. Arrow keys select them by ${names[column]}.`,
      x, y,
    }, xOf, yOf, (each) => -xOf(each));
  };
  addCorrelationCells(parent, {
    title: "Correlation of the labels, on their scales",
    label: "Arrow keys and clicks choose two parameters.",
    axes: ["", ""], chosen: show,
  });
  parent.append(beside);
  show(0, 1);
}

const asked = rowOfAddress();
selection.row = asked >= 0 ? asked : 0;
data.parameters.forEach((_, at) => addHistogram(document.getElementById("distributions"), at));
if (document.getElementById("pairs")) addPairs();
addFinder();
addSample();
listeners.push((filtered) => drawPlots(filtered));
showSample();
loadThumbnails().then(() => { if (!sample.example) showPictures(selection.row); });
markReady();
