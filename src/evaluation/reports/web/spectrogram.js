// The pictures of the selected sample, and the position in its sound.
const sample = { plots: [], example: null, frame: 0 };

function say(words) {
  document.getElementById("status").textContent = words;
}

const exampleOf = (row) => data.examples.find((example) => example.row === row);

// A picture with `axes` {x, y}; a position in the sound moves over it if the x axis is in s.
function addSpectrogram(parent, title, picture, axes) {
  const plot = addPlot(parent, {
    title, label: `Image of the ${data.sample}. Arrow keys move the position in the sound.`,
    ...axes,
    paint: (pen) => paintPicture(pen, picture),
    mark(pen) {
      if (!axes.x.seconds || !sample.example?.sounds) return;
      const at = Math.min(Math.max(playedSeconds(), plot.x.min), plot.x.max);
      pen.line([[at, plot.y.min], [at, plot.y.max]], "#ffffff");
    },
    pick(x, _, pen) {
      if (!axes.x.seconds) return;
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

async function loadColoured(url) {
  const picture = await loadPicture(url);
  return coloured(picture, 0, 0, picture.width, picture.height);
}

function clearPictures() {
  const place = document.getElementById("pictures");
  removePlots(place);
  sample.plots = [];
  return place;
}

function showPlaying() {
  const running = Boolean(player.running);
  document.getElementById("play").textContent = running ? "Stop" : "Play";
  document.getElementById("position").textContent = `${playedSeconds().toFixed(2)} s`;
  for (const plot of sample.plots) draw(plot);
  cancelAnimationFrame(sample.frame);
  if (running) sample.frame = requestAnimationFrame(showPlaying);
}

function addTransport() {
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
}
