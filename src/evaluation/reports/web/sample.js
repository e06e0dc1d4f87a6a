// The selected sample: its spectrograms, its sounds, and its parameters.
const KINDS = ["true", "predicted", "refined"];
const sample = { plots: [], example: null, frame: 0 };

function say(words) {
  document.getElementById("status").textContent = words;
}

const exampleOf = (row) => data.examples.find((example) => example.row === row);

function addSpectrogram(parent, kind, picture) {
  const plot = addPlot(parent, {
    title: kind, label: `Image of the ${kind} ${data.sample}. Arrow keys move the position in the sound.`,
    ...pictureAxes(data.axes),
    paint: (pen) => paintPicture(pen, picture),
    mark(pen) {
      if (!data.axes || !sample.example?.sounds) return;
      const at = Math.min(Math.max(playedSeconds(), plot.x.min), plot.x.max);
      pen.line([[at, plot.y.min], [at, plot.y.max]], "#ffffff");
    },
    pick(x, _, pen) {
      if (!data.axes) return;
      seek(plot.x.min + ((x - pen.left) / pen.wide) * (plot.x.max - plot.x.min));
      showPlaying();
    },
    key(name) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[name];
      if (!step || !sample.example?.sounds) return false;
      seek(playedSeconds() + (step * (plot.x.max - plot.x.min)) / 20);
      showPlaying();
      return true;
    },
  });
  sample.plots.push(plot);
}

async function showPictures(row) {
  const place = document.getElementById("pictures");
  removePlots(sample.plots);
  sample.plots = [];
  place.classList.toggle("square", !data.axes);
  if (sample.example?.images) {
    const loaded = await Promise.all(KINDS.filter((kind) => sample.example.images[kind]).map(async (kind) => {
      const picture = await loadPicture(sample.example.images[kind]);
      return [kind, coloured(picture, 0, 0, picture.width, picture.height)];
    }));
    if (row === selection.row) loaded.forEach(([kind, picture]) => addSpectrogram(place, kind, picture));
  } else if (sprite) addSpectrogram(place, "true", thumbnail(row));
}

function showBars(row) {
  const refined = sample.example?.refined;
  const lines = data.parameters.map((parameter, at) => {
    const axis = axisOf(at, "");
    const left = (value) => `${100 * Math.min(1, Math.max(0, position(axis, value)))}%`;
    const [low, high] = [samples.low[at][row], samples.high[at][row]];
    const bar = element("div", { class: "bar", "aria-hidden": "true" });
    if (Number.isFinite(low)) {
      const interval = element("i", { class: "interval" });
      [interval.style.left, interval.style.right] = [left(low), `calc(100% - ${left(high)})`];
      bar.append(interval);
    }
    const values = { true: samples.truth[at][row], predicted: samples.value[at][row], refined: refined ? refined[at] : NaN };
    for (const [kind, value] of Object.entries(values)) {
      if (!Number.isFinite(value)) continue;
      const mark = element("i", { class: `mark ${kind}` });
      mark.style.left = left(value);
      bar.append(mark);
    }
    const interval = Number.isFinite(low) ? `${digits(low)} .. ${digits(high)}` : "-";
    return [parameter.name, bar, shown(at, values.true), shown(at, values.predicted), interval, ...(refined ? [shown(at, values.refined)] : [])];
  });
  const headings = ["parameter", "place in the range", "true", "predicted", "90 % interval", ...(refined ? ["refined"] : [])];
  document.getElementById("bars").replaceChildren(table(headings, lines, `Parameters of ${data.sample} ${row}`));
}

function showSample() {
  const { row } = selection;
  forgetSounds();
  sample.example = exampleOf(row);
  const sounds = sample.example?.sounds;
  document.getElementById("sample-row").value = row;
  const kinds = sounds ? KINDS.filter((kind) => sounds[kind]) : [];
  if (!kinds.includes(player.kind)) player.kind = "true";
  document.getElementById("transport").hidden = !sounds;
  document.getElementById("heard").replaceChildren(element("legend", {}, "Hear"), ...kinds.map((kind) => {
    const input = element("input", { type: "radio", name: "heard", value: kind, onchange: () => hear(kind) });
    input.checked = kind === player.kind;
    return element("label", {}, input, kind);
  }));
  document.getElementById("sample-note").textContent = sample.example ? sample.example.note || "" : data.other_note;
  showBars(row);
  showPictures(row);
  showExplanation(row);
  showPlaying();
  say(`${data.sample} ${row}: mean error ${percent(samples.error[row])} of the range`);
}

function showPlaying() {
  const running = Boolean(player.running);
  document.getElementById("play").textContent = running ? "Stop" : "Play";
  document.getElementById("position").textContent = `${playedSeconds().toFixed(2)} s`;
  for (const plot of sample.plots) draw(plot);
  cancelAnimationFrame(sample.frame);
  if (running) sample.frame = requestAnimationFrame(showPlaying);
}

function addSample() {
  const field = document.getElementById("sample-row");
  addExplanation();
  field.addEventListener("change", () => { select(Number(field.value)); field.value = selection.row; });
  document.getElementById("examples").append(...data.examples.map(({ row, why }) =>
    element("button", { type: "button", onclick: () => select(row) }, `${why} (${row})`)));
  document.getElementById("play").addEventListener("click", async () => {
    if (player.running) stopPlaying();
    else {
      const { example } = sample;
      await loadSounds(example.sounds);
      if (example !== sample.example) return;
      startPlaying();
    }
    showPlaying();
  });
  document.getElementById("repeat").addEventListener("change", (event) => {
    const running = Boolean(player.running);
    stopPlaying();
    player.repeat = event.target.checked;
    if (running) startPlaying();
  });
  listeners.push((filtered) => { if (!filtered) showSample(); });
}
