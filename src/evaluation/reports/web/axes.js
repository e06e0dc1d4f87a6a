// Axes of a figure on a canvas: ticks, titles, and where values lie. The report and the app use them.
const MARGIN = { right: 18, top: 8, bottom: 38 };

const short = (value) => String(Number(value.toPrecision(4)));

// Where a value lies on an axis {min, max}, linear, `log` or, in Hz, `mel`, from 0 to 1.
export function position(axis, value) {
  if (axis.log) return Math.log(value / axis.min) / Math.log(axis.max / axis.min);
  if (axis.mel) {
    const mel = (hz) => Math.log1p(hz / 700);
    return (mel(value) - mel(axis.min)) / (mel(axis.max) - mel(axis.min));
  }
  return (value - axis.min) / (axis.max - axis.min || 1);
}

// The values and the texts of at most about `room` ticks.
function ticks(axis, room) {
  if (axis.names) {
    const every = Math.ceil(axis.names.length / room);
    return axis.names.map((name, at) => [at + 0.5, name]).filter((_, at) => at % every === 0);
  }
  if (axis.log) {
    const factors = axis.max / axis.min > (room < 5 ? 20 : 100) ? [1] : [1, 2, 5];
    const found = [];
    for (let power = Math.floor(Math.log10(axis.min)); power <= Math.log10(axis.max) + 1e-9; power++) found.push(...factors.map((factor) => factor * 10 ** power));
    const inside = found.filter((value) => value >= axis.min * (1 - 1e-9) && value <= axis.max * (1 + 1e-9));
    if (inside.length > 1) return inside.map((value) => [value, short(value)]);
  }
  const low = Math.min(axis.min, axis.max), high = Math.max(axis.min, axis.max); // an axis may also go down
  const raw = (high - low) / room;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(axis.whole ? 1 : 0, power * [1, 2, 5, 10].find((factor) => factor * power >= raw)); // no part of an epoch
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push([at * step, short(at * step)]);
  return found.filter(([value]) => !(value < axis.least)); // above it, a figure may have room without values
}

// How many letters of an axis's names a figure of `width` pixels has room for.
function lettersOf({ names = [] }, width) {
  return Math.min(Math.floor(width / 20), Math.max(0, ...names.map((name) => name.length)));
}

// A text of at most `most` letters. Its middle is left out, since names of parameters often begin alike.
function cut(text, most) {
  if (text.length <= most) return text;
  const kept = Math.max(2, most - 1), ending = Math.floor(kept / 2);
  return `${text.slice(0, kept - ending)}…${text.slice(-ending)}`;
}

// What paints a figure of `width` x `height` pixels with the axes plot.x and plot.y: pixels of values, and the context.
export function makePen(context, plot, width, height) {
  const letters = lettersOf(plot.y, width);
  const left = letters ? 20 + 7 * letters : plot.y.names ? 12 : 54; // names are longer than numbers
  const wide = width - left - MARGIN.right, high = height - MARGIN.top - MARGIN.bottom;
  return {
    context, letters, wide, high, left, top: MARGIN.top,
    x: (value) => left + wide * position(plot.x, value),
    y: (value) => MARGIN.top + high * (1 - position(plot.y, value)),
    line(points, colour, dashes = []) {
      context.strokeStyle = colour;
      context.setLineDash(dashes);
      context.lineWidth = 1.5;
      context.beginPath();
      points.forEach(([x, y]) => context.lineTo(this.x(x), this.y(y)));
      context.stroke();
      context.setLineDash([]);
    },
    square(x, y, size, colour) {
      context.fillStyle = colour;
      context.fillRect(Math.round(this.x(x) - size / 2), Math.round(this.y(y) - size / 2), size, size); // whole pixels
    },
  };
}

export function paintAxes(pen, plot, colours) {
  const { context } = pen;
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colours.soft;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.strokeRect(pen.left - 0.5, pen.top - 0.5, pen.wide + 1, pen.high + 1);
  context.textAlign = "center";
  const below = ticks(plot.x, Math.max(2, Math.floor(pen.wide / 55)));
  const most = plot.x.names ? Math.floor(pen.wide / below.length / 8) : 9;
  for (const [value, name] of below) context.fillText(cut(name, most), pen.x(value), pen.top + pen.high + 15);
  context.fillText(cut(plot.x.title, Math.floor(pen.wide / 6)), pen.left + pen.wide / 2, pen.top + pen.high + 32);
  context.textAlign = "right";
  for (const [value, name] of ticks(plot.y, Math.max(2, Math.floor(pen.high / 32)))) context.fillText(cut(name, pen.letters || 7), pen.left - 5, pen.y(value) + 4);
  context.save();
  context.translate(10, pen.top + pen.high / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(cut(plot.y.title, Math.floor(pen.high / 6)), 0, 0);
  context.restore();
}

// The axes of a picture, {x, y}; those of an image without a scale have neither ticks nor titles.
export function pictureAxes(known) {
  const none = { min: 0, max: 1, names: [], title: "" };
  return known || { x: none, y: none };
}
