// One row for each parameter: a slider or a choice, its value, the interval, and what the network hears.

export function rounded(value, digits = 4) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : "unknown";
}

// The scale of a parameter, linear or logarithmic: [0, 1] and its values. Classes are evenly spaced on it.
function valueAt({min, max, scale}, unit) {
  return scale === "log" ? min * (max / min) ** unit : min + unit * (max - min);
}

function unitOf({min, max, scale}, value) {
  const unit = scale === "log" ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  return Math.min(1, Math.max(0, unit));
}

function classValue(parameter, index) {
  return parameter.scale === "log" ? valueAt(parameter, index / (parameter.num_classes - 1)) : parameter.min + index * parameter.step;
}

export function bare(parameter, value) {
  if (parameter.kind === "categorical" && parameter.values) return parameter.values[Math.round(value - parameter.min)];
  return rounded(value);
}

export function written(parameter, value) {
  return `${bare(parameter, value)} ${parameter.unit}`.trim();
}

export function heading({name, unit}) { return unit ? `${name} [${unit}]` : name; }

export function interval(parameter, {low_90, high_90, uncertainties}) {
  const low = low_90[parameter.name];
  const high = high_90[parameter.name];
  if (low !== null) {
    const share = (high - low) / Math.max(Math.abs(low), Math.abs(high));
    const digits = Math.min(9, Math.max(4, 2 - Math.floor(Math.log10(share || 1))));  // so that the ends differ
    return `[${rounded(low, digits)}, ${rounded(high, digits)}]`;
  }
  return uncertainties[parameter.name] === null ? "" : `(wrong with probability ${rounded(uncertainties[parameter.name], 2)})`;
}

const steps = (parameter) => parameter.kind === "continuous" ? 1000 : parameter.num_classes - 1;
const row = (at) => document.getElementById(`row-${at}`);
const part = (at, name) => row(at).querySelector(name);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function addRows(container, parameters, values, edited) {
  container.replaceChildren(...parameters.map((parameter, at) => {
    const id = `value-${at}`;
    const label = element("label", {htmlFor: id, textContent: parameter.name, title: parameter.description});
    const output = element("output", {htmlFor: id});
    const about = element("div", {className: "about"}, element("span", {className: "interval"}), element("span", {className: "heard"}));
    let control, shown;
    if (parameter.kind === "categorical") {
      control = shown = element("select", {id});
      for (let index = 0; index < parameter.num_classes; index++) control.append(new Option(written(parameter, parameter.min + index)));
      control.addEventListener("change", () => edit(parameter.min + control.selectedIndex));
    } else {
      const count = steps(parameter);
      control = element("input", {id, type: "range", min: 0, max: count, step: 1});
      const marks = element("div", {className: "marks"}, element("span", {className: "band"}), element("span", {className: "mark"}));
      shown = element("div", {className: "track"}, marks, control);
      control.addEventListener("input", () => {
        const index = Number(control.value);
        edit(parameter.kind === "continuous" ? valueAt(parameter, index / count) : classValue(parameter, index));
      });
    }
    function edit(value) { showValue(parameter, at, value); edited(parameter.name, value); }
    return element("div", {id: `row-${at}`, className: "parameter"}, label, shown, output, about);
  }));
  parameters.forEach((parameter, at) => { setControl(parameter, at, values[parameter.name]); showValue(parameter, at, values[parameter.name]); });
}

export function showValues(parameters, values, answer) {
  parameters.forEach((parameter, at) => {
    const {name} = parameter;
    setControl(parameter, at, values[name]);
    showValue(parameter, at, values[name]);
    part(at, ".interval").textContent = `${answer.refinement ? "refined" : "network"} ${written(parameter, answer.values[name])} ${interval(parameter, answer)}`;
    const band = part(at, ".band");
    if (!band || answer.low_90[name] === null) return;
    const low = unitOf(parameter, answer.low_90[name]);
    const high = unitOf(parameter, answer.high_90[name]);
    band.style.left = `${100 * low}%`;
    band.style.width = `${100 * (high - low)}%`;
    band.style.display = "block";
  });
}

export function showHeard(parameters, heard) {
  parameters.forEach((parameter, at) => {
    const value = heard.values[parameter.name];
    part(at, ".heard").textContent = `in B the network hears ${written(parameter, value)}`;
    const mark = part(at, ".mark");
    if (!mark) return;
    mark.style.left = `${100 * unitOf(parameter, value)}%`;
    mark.style.display = "block";
  });
}

function showValue(parameter, at, value) {
  part(at, "output").textContent = parameter.kind === "categorical" ? "" : written(parameter, value);
  part(at, "input, select").setAttribute("aria-valuetext", written(parameter, value));
}

function setControl(parameter, at, value) {
  const control = part(at, "input, select");
  if (parameter.kind === "categorical") control.selectedIndex = Math.round(value - parameter.min);
  else control.value = Math.round(unitOf(parameter, value) * steps(parameter));
}
