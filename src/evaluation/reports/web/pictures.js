// Grey pictures in the colours of a spectrogram.
const MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]; // as matplotlib's pictures
function heat(level) {
  const place = (level / 255) * (MAGMA.length - 1), low = Math.min(MAGMA.length - 2, Math.floor(place));
  return MAGMA[low].map((from, at) => from + (MAGMA[low + 1][at] - from) * (place - low));
}
const HEAT = Array.from({ length: 256 }, (_, level) => heat(level));

// A part of a grey picture as a canvas, with its `levels`; `data.grey` says that a picture is shown as it is.
function coloured(picture, x, y, width, height) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, x, y, width, height, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  canvas.levels = Uint8Array.from({ length: width * height }, (_, at) => pixels.data[4 * at]);
  if (data.grey) return canvas;
  for (let at = 0; at < pixels.data.length; at += 4) [pixels.data[at], pixels.data[at + 1], pixels.data[at + 2]] = HEAT[pixels.data[at]];
  context.putImageData(pixels, 0, 0);
  return canvas;
}
