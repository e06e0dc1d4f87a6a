// What the prediction for the selected sample depends on: the maps of one head over the true image.
async function showExplanation(row) {
  const place = document.getElementById("explained-maps");
  removePlots(place);
  const found = sample.example?.explained;
  document.getElementById("explained").hidden = !found;
  document.getElementById("not-explained").textContent = found ? "" : data.not_explained;
  if (!found) return;
  document.getElementById("cam-key").hidden = !found.cams;
  const picture = await loadPicture(sample.example.images.true);
  const at = document.getElementById("explained-head").selectedIndex;
  if (row !== selection.row || place.children.length) return; // another call was faster
  const { width, height } = picture, { name } = data.parameters[at], band = bandText(name, found.bands[at]);
  const maps = { ...found, gradients: unpack(found.gradients), cams: found.cams && unpack(found.cams) };
  for (const { title, layers } of headMaps({ ...maps, width, height, levels: levelsOf(picture, 0, 0, width, height) }, at)) {
    const paint = (pen) => layers.forEach((layer) => paintPicture(pen, layer));
    addPlot(place, { title, label: `${name}. ${band}`, ...pictureAxes(data.axes), paint });
  }
  place.classList.toggle("square", !data.axes);
  document.getElementById("explained-band").textContent = band;
}

function addExplanation() {
  const heads = document.getElementById("explained-head");
  heads.append(...data.parameters.map(({ name }) => element("option", {}, name)));
  heads.addEventListener("change", () => showExplanation(selection.row));
  listeners.push((filtered) => { if (!filtered) showExplanation(selection.row); });
}
