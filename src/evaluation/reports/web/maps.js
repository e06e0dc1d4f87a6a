// Pictures of levels from 0 to 255 in colours. The report and the app use them.
const MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]; // as matplotlib's pictures
function heat(level) {
  const place = (level / 255) * (MAGMA.length - 1), low = Math.min(MAGMA.length - 2, Math.floor(place));
  return MAGMA[low].map((from, at) => from + (MAGMA[low + 1][at] - from) * (place - low));
}

// A colour scale: red, green, blue and opacity of each level, as one number, so that a picture is painted in no time.
function scaleOf(colour) {
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level++) bytes.set(colour(level), 4 * level);
  return new Uint32Array(bytes.buffer);
}
export const HEAT = scaleOf((level) => [...heat(level), 255]);
export const GREY = scaleOf((level) => [level, level, level, 255]);
const PALE = scaleOf((level) => [...[level, level, level].map((one) => (one + 255) / 2), 255]); // below a map
const SIGNED = scaleOf((level) => (level > 128 ? [200, 0, 0, 2 * (level - 128)] : [0, 0, 220, 2 * (128 - level)]));
const WARM = scaleOf((level) => [...heat(level), 150]);

// A canvas with the levels of a picture, row by row from the top.
export function pictureOf(levels, width, height, scale) {
  const canvas = document.createElement("canvas"), pixels = new ImageData(width, height);
  const colours = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < colours.length; at++) colours[at] = scale[levels[at]];
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

export function paintPicture(pen, picture) {
  pen.context.imageSmoothingEnabled = false;
  pen.context.drawImage(picture, pen.left, pen.top, pen.wide, pen.high);
}

// The maps of one head, as {title, layers}: pictures to be painted over each other. `levels` are those of the sound,
// `gradients` and `cams` those of all heads; `cams` may be missing.
export function headMaps({ levels, width, height, size, gradients, cams }, at) {
  const [high, wide] = size, pale = pictureOf(levels, width, height, PALE);
  const layers = (maps, scale) => [pale, pictureOf(maps.subarray(at * high * wide, (at + 1) * high * wide), wide, high, scale)];
  const found = [{ title: "Integrated gradients", layers: layers(gradients, SIGNED) }];
  if (cams) found.push({ title: "Grad-CAM++", layers: layers(cams, WARM) });
  return found;
}

export const bandText = (name, band) => `Half of what matters to ${name}: ${band}.`;
