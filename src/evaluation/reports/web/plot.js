// Figures on a canvas: axes, a cached picture, and marks above it. Each is also a table for those who prefer one.
const plots = [];
const MARGIN = { right: 18, top: 8, bottom: 38 };

// Where a value lies on an axis {min, max}, linear, `log` or, in Hz, `mel`, from 0 to 1.
function position(axis, value) {
  if (axis.log) return Math.log(value / axis.min) / Math.log(axis.max / axis.min);
  if (axis.mel) {
    const mel = (hz) => Math.log1p(hz / 700);
    return (mel(value) - mel(axis.min)) / (mel(axis.max) - mel(axis.min));
  }
  return (value - axis.min) / (axis.max - axis.min || 1);
}

function ticks(axis, room) {
  if (axis.names) {
    const every = Math.ceil(axis.names.length / room);
    return axis.names.map((name, at) => [at + 0.5, name]).filter((_, at) => at % every === 0);
  }
  if (axis.log) {
    const factors = axis.max / axis.min > 20 ? [1] : [1, 2, 5];
    const found = [];
    for (let power = Math.floor(Math.log10(axis.min)); power <= Math.log10(axis.max) + 1e-9; power++) found.push(...factors.map((factor) => factor * 10 ** power));
    const inside = found.filter((value) => value >= axis.min * (1 - 1e-9) && value <= axis.max * (1 + 1e-9));
    if (inside.length > 1) return inside.map((value) => [value, digits(value)]);
  }
  const low = Math.min(axis.min, axis.max), high = Math.max(axis.min, axis.max); // an axis may also go down
  const raw = (high - low) / room;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push([at * step, digits(at * step)]);
  return found;
}

// What paints: pixels of values, and the context.
function makePen(context, plot, width, height) {
  const left = plot.y.names?.length ? 84 : plot.y.names ? 12 : 54; // names are longer than numbers
  const wide = width - left - MARGIN.right, high = height - MARGIN.top - MARGIN.bottom;
  return {
    context, wide, high, left, top: MARGIN.top,
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

function paintAxes(pen, plot) {
  const { context } = pen;
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colours.soft;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.strokeRect(pen.left - 0.5, pen.top - 0.5, pen.wide + 1, pen.high + 1);
  context.textAlign = "center";
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  for (const [value, name] of ticks(plot.x, Math.max(2, Math.floor(pen.wide / 55)))) context.fillText(cut(name, 9), pen.x(value), pen.top + pen.high + 15);
  context.fillText(cut(plot.x.title, Math.floor(pen.wide / 6)), pen.left + pen.wide / 2, pen.top + pen.high + 32);
  context.textAlign = "right";
  for (const [value, name] of ticks(plot.y, Math.max(2, Math.floor(pen.high / 32)))) context.fillText(cut(name, plot.y.names ? 10 : 7), pen.left - 5, pen.y(value) + 4);
  context.save();
  context.translate(10, pen.top + pen.high / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(cut(plot.y.title, Math.floor(pen.high / 6)), 0, 0);
  context.restore();
}

function draw(plot) {
  const { canvas } = plot, scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return;
  const size = [Math.round(width * scale), Math.round(height * scale)];
  if (!plot.base || plot.base.width !== size[0] || plot.base.height !== size[1]) {
    plot.base = element("canvas", { width: size[0], height: size[1] });
    const context = plot.base.getContext("2d");
    context.scale(scale, scale);
    const pen = makePen(context, plot, width, height);
    paintAxes(pen, plot);
    context.save();
    context.beginPath();
    context.rect(pen.left, pen.top, pen.wide, pen.high);
    context.clip();
    plot.paint(pen);
    context.restore();
  }
  [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d");
  context.drawImage(plot.base, 0, 0);
  context.scale(scale, scale);
  plot.pen = makePen(context, plot, width, height);
  if (plot.mark) plot.mark(plot.pen);
}

// Draw the figures that are on the screen; `anew` forgets the cached pictures.
function drawPlots(anew = false) {
  for (const plot of plots) {
    if (anew) plot.base = null;
    if (plot.visible) draw(plot);
  }
}

// Add a figure to `parent`: {title, label, x, y, paint(pen), mark(pen), pick(x, y), key(name), rows() -> [headings, rows]}.
function addPlot(parent, plot) {
  plot.canvas = element("canvas", { role: "img", tabindex: 0, "aria-label": `${plot.title}. ${plot.label}` });
  const caption = element("figcaption", {}, plot.title);
  const figure = element("figure", {}, caption, plot.canvas);
  if (plot.rows) {
    const details = element("details", { ontoggle: () => {
      if (details.open && details.children.length === 1) details.append(table(...plot.rows(), plot.title));
    } }, element("summary", {}, "Table"));
    figure.append(details);
  }
  parent.append(figure);
  plots.push(plot);
  watcher.observe(plot.canvas);
  plot.canvas.plot = plot;
  if (plot.pick) plot.canvas.addEventListener("click", (event) => {
    const bounds = plot.canvas.getBoundingClientRect();
    plot.pick(event.clientX - bounds.left, event.clientY - bounds.top, plot.pen);
  });
  if (plot.key) plot.canvas.addEventListener("keydown", (event) => {
    if (plot.key(event.key)) event.preventDefault();
  });
  return plot;
}

// Remove all figures of an element.
function removePlots(parent) {
  for (const canvas of parent.querySelectorAll("figure > canvas")) {
    watcher.unobserve(canvas);
    plots.splice(plots.indexOf(canvas.plot), 1);
  }
  parent.replaceChildren();
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.plot.visible = isIntersecting;
    if (isIntersecting) draw(target.plot);
  }
});

addEventListener("resize", () => drawPlots());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); drawPlots(true); });
addEventListener("beforeprint", () => {
  document.documentElement.dataset.theme = "light";
  readColours();
  for (const plot of plots) { plot.base = null; draw(plot); }
});
addEventListener("afterprint", () => {
  delete document.documentElement.dataset.theme;
  readColours();
  drawPlots(true);
});
