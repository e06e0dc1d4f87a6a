// The selected sample: its spectrograms, its sounds, and its parameters. The page says which KINDS of sounds there are.
const sample = { plots: [], example: null, frame: 0 };

function say(words) {
  document.getElementById("status").textContent = words;
}

const exampleOf = (row) => data.examples.find((example) => example.row === row);

function addSpectrogram(parent, kind, picture) {
  const plot = addPlot(parent, {
    title: KINDS[kind], label: `Image of the ${data.sample}. Arrow keys move the position in the sound.`,
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
  removePlots(place);
  sample.plots = [];
  place.classList.toggle("square", !data.axes);
  if (sample.example?.images) {
    const loaded = await Promise.all(Object.keys(KINDS).filter((kind) => sample.example.images[kind]).map(async (kind) => {
      const picture = await loadPicture(sample.example.images[kind]);
      return [kind, coloured(picture, 0, 0, picture.width, picture.height)];
    }));
    if (row === selection.row) loaded.forEach(([kind, picture]) => addSpectrogram(place, kind, picture));
  } else if (sprite) addSpectrogram(place, "true", thumbnail(row));
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

function showSample() {
  const { row } = selection;
  forgetSounds();
  sample.example = exampleOf(row);
  const sounds = sample.example?.sounds;
  document.getElementById("sample-row").value = idOf(row);
  const kinds = sounds ? Object.keys(KINDS).filter((kind) => sounds[kind]) : [];
  if (!kinds.includes(player.kind)) player.kind = "true";
  document.getElementById("transport").hidden = !sounds;
  document.getElementById("heard").replaceChildren(element("legend", {}, "Hear"), ...kinds.map((kind) => {
    const input = element("input", { type: "radio", name: "heard", value: kind, onchange: () => hear(kind) });
    input.checked = kind === player.kind;
    return element("label", {}, input, KINDS[kind]);
  }));
  document.getElementById("sample-note").textContent = sample.example ? sample.example.note || "" : data.other_note;
  showBars(row);
  showPictures(row);
  showPlaying();
  say(describe(row));
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
  field.addEventListener("change", () => { select(rowOf(Number(field.value))); field.value = idOf(selection.row); });
  document.getElementById("examples").append(...data.examples.map(({ row, why }) =>
    element("button", { type: "button", onclick: () => select(row) }, `${why} (${idOf(row)})`)));
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
