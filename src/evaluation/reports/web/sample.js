// The selected sample: its spectrograms, its sounds, and its parameters. The page says which KINDS of sounds there are.
async function showPictures(row) {
  const place = clearPictures();
  place.classList.toggle("square", !data.axes);
  if (sample.example?.images) {
    const loaded = await Promise.all(Object.keys(KINDS).filter((kind) => sample.example.images[kind]).map(async (kind) => [kind, await loadColoured(sample.example.images[kind])]));
    if (row === selection.row) loaded.forEach(([kind, picture]) => addSpectrogram(place, KINDS[kind], picture, pictureAxes(data.axes)));
  } else if (sprite) addSpectrogram(place, KINDS.true, thumbnail(row), pictureAxes(data.axes));
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

function addSample() {
  const field = document.getElementById("sample-row");
  field.addEventListener("change", () => { select(rowOf(Number(field.value))); field.value = idOf(selection.row); });
  document.getElementById("examples").append(...data.examples.map(({ row, why }) =>
    element("button", { type: "button", onclick: () => select(row) }, `${why} (${idOf(row)})`)));
  addTransport();
  listeners.push((filtered) => { if (!filtered) showSample(); });
}
