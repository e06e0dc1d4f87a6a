// Put the report together: what is selected at first, the figures, and what follows a change.
function start() {
  if (data.curves) addCurves(document.getElementById("curves"));
  if (!samples) return;
  const asked = rowOfAddress();
  selection.row = asked >= 0 && asked < data.count ? asked : data.first;
  addHeads();
  if (data.parameters.length > 1) addCorrelations(document.getElementById("correlations"));
  addFinder();
  addSample();
  addExplanation();
  listeners.push(drawPlots);
  showSample();
  showExplanation(selection.row);
  loadThumbnails().then(() => { if (!sample.example?.images) showPictures(selection.row); });
}
start();
markReady();
