// Draws the image that the network sees: time to the right, frequency upwards, bright is loud.

const STOPS = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];  // matplotlib's magma
const COLOURS = Array.from({length: 256}, (_, level) => {
  const at = level / 255 * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((start, i) => start + (at - low) * (STOPS[low + 1][i] - start));
});

export function draw(canvas, image, channel, label) {
  const [, height, width] = image.shape;
  const levels = image.bytes.subarray(channel * height * width, (channel + 1) * height * width);
  const pixels = new ImageData(width, height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const colour = COLOURS[levels[row * width + column]];
      pixels.data.set([...colour, 255], 4 * ((height - 1 - row) * width + column));
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.setAttribute("aria-label", label);
}

// The RMS difference of two images in levels, all channels.
export function difference(one, other) {
  if (one.bytes.length !== other.bytes.length) return NaN;
  let sum = 0;
  one.bytes.forEach((level, i) => { sum += (level - other.bytes[i]) ** 2; });
  return Math.sqrt(sum / one.bytes.length);
}
