// Put the comparison together: what is selected at first, the figures, and what follows a change.
function addPair() {
  const form = document.getElementById("pair");
  for (const name of ["a", "b"]) {
    const field = form.elements[name];
    field.append(...data.methods.map((method, at) => element("option", { value: at }, method.name)));
    field.value = pair[name];
  }
  form.addEventListener("change", () => {
    for (const name of ["a", "b"]) {
      pair[name] = Number(form.elements[name].value);
      remember(name, pair[name]);
    }
    addHeads();
    document.getElementById("filter").dispatchEvent(new Event("input")); // the same filter finds other samples
    say(describe(selection.row));
  });
}

function start() {
  const asked = rowOfAddress();
  selection.row = asked >= 0 && asked < data.count ? asked : data.first;
  addForest(document.getElementById("forest"));
  if (data.costs.length) addCosts(document.getElementById("cost-figures"));
  addPair();
  addHeads();
  addFinder();
  addSample();
  if (data.curves.length) addCurves(document.getElementById("curves"));
  listeners.push(drawPlots);
  showSample();
  loadThumbnails().then(() => { if (!sample.example?.images) showPictures(selection.row); });
}
start();
markReady();
