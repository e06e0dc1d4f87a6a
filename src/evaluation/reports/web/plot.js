// Figures on a canvas: a cached picture with axes, and marks above it. Each is also a table for those who prefer one.
const plots = [];

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
    paintAxes(pen, plot, colours);
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
