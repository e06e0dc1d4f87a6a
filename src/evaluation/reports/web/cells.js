// A matrix as coloured cells; arrow keys and clicks choose one.
function addCells(parent, { names, values, colour, text, title, label, axes, chosen, rows }) {
  const size = names.length;
  let cursor = null;
  const axis = (name) => ({ min: 0, max: size, names, title: name });
  const at = (x, y, pen) => [Math.floor((x - pen.left) / pen.wide * size), Math.floor((pen.top + pen.high - y) / pen.high * size)];
  const choose = (column, row) => {
    if (!(column >= 0 && column < size && row >= 0 && row < size)) return;
    cursor = [column, row];
    draw(plot);
    if (chosen) chosen(column, row);
  };
  const plot = addPlot(parent, {
    title, label, x: axis(axes[0]), y: axis(axes[1]), rows,
    paint(pen) {
      pen.context.textAlign = "center";
      for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
        const [name, share] = colour(column, row);
        pen.context.globalAlpha = share;
        pen.context.fillStyle = colours[name];
        pen.context.fillRect(pen.x(column), pen.y(row + 1), pen.wide / size, pen.high / size);
        pen.context.globalAlpha = 1;
        if (size <= 10 && text && pen.wide / size > 30) {
          pen.context.fillStyle = colours.ink;
          pen.context.fillText(text(values[row][column]), pen.x(column + 0.5), pen.y(row + 0.5) + 4);
        }
      }
    },
    mark(pen) {
      if (!cursor) return;
      pen.context.strokeStyle = colours.selected;
      pen.context.lineWidth = 2;
      pen.context.strokeRect(pen.x(cursor[0]), pen.y(cursor[1] + 1), pen.wide / size, pen.high / size);
    },
    pick: (x, y, pen) => choose(...at(x, y, pen)),
    key(name) {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[name];
      if (!step) return false;
      const [column, row] = cursor || [0, 0];
      choose(column + step[0], row + step[1]);
      return true;
    },
  });
}

// The correlations of each two parameters, `data.correlations`; null where there is none.
function addCorrelationCells(parent, cells) {
  const names = data.parameters.map((parameter) => parameter.name), values = data.correlations;
  addCells(parent, {
    names, values, text: (value) => correlationText(value, 2).replace("0.", "."), // room for ten
    colour: (column, row) => [values[row][column] > 0 ? "point" : "second", Math.abs(values[row][column] || 0) * 0.85],
    rows: () => [["parameter", ...names], values.map((row, at) => [names[at], ...row.map((value) => correlationText(value, 3))])],
    ...cells,
  });
}

const correlationText = (value, places) => (value === null ? "-" : value.toFixed(places));
