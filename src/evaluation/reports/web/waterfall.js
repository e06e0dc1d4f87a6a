// An image as lines, one for each frame: level over frequency, the last frame in front.
const RISE = 0.22; // of the figure's height, for the highest level
const MOST_LINES = 48;

function addWaterfall(parent, picture, axes, rise) {
  const { width, height, levels } = picture;
  const every = Math.ceil(width / MOST_LINES);
  const { x: time, y: frequency } = axes;
  const seconds = (column) => time.min + ((column + 0.5) / width) * (time.max - time.min);
  const plot = addPlot(parent, {
    title: `waterfall: a line for ${every > 1 ? `every ${every} frames` : "each frame"} rises by up to ${rise}`,
    label: `Levels of the ${data.sample} over frequency, a line for each frame, the last in front.`,
    x: frequency, y: { min: time.max, max: time.max - (time.max - time.min) / (1 - RISE), least: time.min, title: time.title },
    paint(pen) {
      const { context } = pen;
      context.strokeStyle = colours.point;
      context.fillStyle = colours.paper;
      for (let column = 0; column < width; column += every) {
        const base = pen.y(seconds(column));
        context.beginPath();
        context.moveTo(pen.left, base);
        for (let row = 0; row < height; row++) {
          const share = levels[(height - 1 - row) * width + column] / 255;
          context.lineTo(pen.left + ((row + 0.5) / height) * pen.wide, base - share * RISE * pen.high);
        }
        context.lineTo(pen.left + pen.wide, base);
        context.fill();
        context.stroke();
      }
    },
  });
  sample.plots.push(plot);
}
