// The selected sample of a dataset: its images with their axes, its sound, its labels.

// What the levels of an image mean: dB, or bytes where its range is not known.
function levelRange(row) {
  const known = samples.high[row] > samples.low[row];
  return known ? { min: samples.low[row], max: samples.high[row], title: "dB re full scale" } : { min: 0, max: 255, title: "level" };
}

function addColours(parent, levels) {
  const place = element("div", { class: "scale" });
  parent.append(place);
  sample.plots.push(addPlot(place, {
    title: "colours", label: `From ${trimmed(levels.min)} to ${trimmed(levels.max)} ${levels.title}.`,
    x: levels, y: { min: 0, max: 1, names: [], title: "" },
    paint: (pen) => paintPicture(pen, pictureOf(Uint8Array.from({ length: 256 }, (_, at) => at), 256, 1, data.grey ? GREY : HEAT)),
  }));
}

async function showPictures(row) {
  const axes = data.axes[samples.shape[row]], levels = levelRange(row);
  const { example } = sample;
  const pictures = example ? await Promise.all(data.channels.map((channel) => loadColoured(example.images[channel]))) : [thumbnail(row)];
  if (row !== selection.row) return;
  const place = clearPictures();
  place.classList.toggle("square", !axes.x.seconds);
  pictures.forEach((picture, at) => {
    const cell = element("div");
    place.append(cell);
    addSpectrogram(cell, data.channels[at], picture, axes);
    if (at === 0) addColours(cell, levels);
  });
  const range = trimmed(levels.max - levels.min, 3);
  if (!data.grey) addWaterfall(place, pictures[0], axes, levels.title === "level" ? `${range} levels` : `${range} dB`);
}

function showLabels(row) {
  const lines = data.parameters.map((parameter, at) => [withUnit(parameter), shown(at, samples.values[at][row], false), rangeBar(at, [NaN, NaN], [["true", samples.values[at][row]]])]);
  document.getElementById("bars").replaceChildren(table(["parameter", "value", "place in the range"], lines, `Parameters of ${idOf(row)}`));
}

function showSample() {
  const { row } = selection;
  forgetSounds();
  sample.example = exampleOf(row);
  document.getElementById("sample-name").value = idOf(row);
  document.getElementById("examples").value = sample.example ? row : "";
  document.getElementById("transport").hidden = !sample.example?.sounds;
  const note = sample.example ? sample.example.note : data.other_note;
  document.getElementById("sample-note").textContent = [data.missing, note].filter(Boolean).join(" ");
  showLabels(row);
  if (sample.example || sprite) showPictures(row);
  showPlaying();
  say(`${idOf(row)}: ${data.parameters.slice(0, 3).map((parameter, at) => `${parameter.name} ${shown(at, samples.values[at][row])}`).join(", ")}`);
}

function addSample() {
  const name = document.getElementById("sample-name"), examples = document.getElementById("examples");
  name.addEventListener("change", () => {
    const row = rowOf(name.value.trim());
    if (row < 0) say(`${name.value} is not among the ${data.count} samples of this page`);
    select(row);
  });
  examples.addEventListener("change", () => { if (examples.value) select(Number(examples.value)); });
  const step = (by) => () => select(selection.row + by);
  document.getElementById("before").addEventListener("click", step(-1));
  document.getElementById("after").addEventListener("click", step(1));
  addTransport();
  listeners.push((filtered) => { if (!filtered) showSample(); });
}
