// Pictures with axes: the image that the network sees, and what its answer depends on.
import {makePen, paintAxes, pictureAxes} from "./axes.js";
import {HEAT, paintPicture, pictureOf} from "./maps.js";

const shown = new Map();  // {layers, axes} of each canvas

// The levels of one channel of an image, row by row from the top; the image has the lowest frequency first.
export function levelsOf(image, channel) {
  const [, height, width] = image.shape;
  const rows = Array.from({length: height}, (_, row) => (channel * height + height - 1 - row) * width);
  const levels = new Uint8Array(height * width);
  rows.forEach((start, row) => levels.set(image.bytes.subarray(start, start + width), row * width));
  return levels;
}

export function showImage(canvas, image, channel, axes, label) {
  const [, height, width] = image.shape;
  showLayers(canvas, [pictureOf(levelsOf(image, channel), width, height, HEAT)], axes, label);
}

// Shows pictures over each other; `axes` are {x, y} in s and Hz.
export function showLayers(canvas, layers, axes, label) {
  shown.set(canvas, {layers, axes: pictureAxes(axes)});
  canvas.setAttribute("aria-label", label);
  paint(canvas);
}

function penOf(canvas, context) { return makePen(context, shown.get(canvas).axes, canvas.clientWidth, canvas.clientHeight); }

function paint(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const {layers, axes} = shown.get(canvas);
  const style = getComputedStyle(document.documentElement);
  const pen = penOf(canvas, context);
  paintAxes(pen, axes, {soft: style.getPropertyValue("--quiet"), line: style.getPropertyValue("--line")});
  layers.forEach((layer) => paintPicture(pen, layer));
}

const paintAll = () => [...shown.keys()].filter((canvas) => canvas.clientWidth).forEach(paint);
addEventListener("resize", paintAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);

const STEPS = 25;  // of a playhead in a second: drawing it more often would delay the sounds on a slow machine

// Moves a playhead over a picture from a time, or null, on, without the page's scripts: they are free for new sounds.
export function movePlayhead(line, canvas, seconds, length, repeats) {
  line.getAnimations().forEach((one) => one.cancel());
  line.hidden = seconds === null || !shown.has(canvas);
  if (line.hidden) return;
  const pen = penOf(canvas);
  const area = {left: pen.left, top: pen.top, width: pen.wide, height: pen.high};
  for (const [side, pixels] of Object.entries(area)) line.parentElement.style[side] = `${pixels}px`;
  const frames = [0, length].map((time) => ({transform: `translateX(${pen.x(time) - pen.left}px)`}));
  const timing = {duration: 1000 * length, easing: `steps(${Math.ceil(STEPS * length)})`, iterations: repeats ? Infinity : 1};
  line.animate(frames, timing).currentTime = 1000 * seconds;
}

// The RMS difference of two images in levels, all channels.
export function difference(one, other) {
  if (one.bytes.length !== other.bytes.length) return NaN;
  let sum = 0;
  one.bytes.forEach((level, i) => { sum += (level - other.bytes[i]) ** 2; });
  return Math.sqrt(sum / one.bytes.length);
}
