// Grey pictures in the colours of a spectrogram.
const INFERNO = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164]];
function heat(level) {
  const place = (level / 255) * (INFERNO.length - 1), low = Math.min(INFERNO.length - 2, Math.floor(place));
  return INFERNO[low].map((from, at) => from + (INFERNO[low + 1][at] - from) * (place - low));
}
const HEAT = Array.from({ length: 256 }, (_, level) => heat(level));

// A part of a grey picture as a canvas; `data.grey` says that a picture is shown as it is.
function coloured(picture, x, y, width, height) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, x, y, width, height, 0, 0, width, height);
  if (data.grey) return canvas;
  const pixels = context.getImageData(0, 0, width, height);
  for (let at = 0; at < pixels.data.length; at += 4) [pixels.data[at], pixels.data[at + 1], pixels.data[at + 2]] = HEAT[pixels.data[at]];
  context.putImageData(pixels, 0, 0);
  return canvas;
}
