// Pictures in the page's data: their levels, and the levels in colours.
async function loadPicture(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}

// The levels of a part of a grey picture, row by row.
function levelsOf(picture, x, y, width, height) {
  const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, x, y, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data.filter((_, at) => at % 4 === 0);
}

// That part as a canvas, with its `levels`; `data.grey` says that it is shown as it is.
function coloured(picture, x, y, width, height) {
  const levels = levelsOf(picture, x, y, width, height);
  const canvas = pictureOf(levels, width, height, data.grey ? GREY : HEAT);
  canvas.levels = levels;
  return canvas;
}
