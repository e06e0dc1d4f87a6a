"use strict";
// The page's data, and what every script needs: elements, arrays, numbers as text, colours.
const data = JSON.parse(document.getElementById("data").textContent);

function unpack(array) {
  const raw = atob(array.base64);
  const bytes = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
  return new { Float32Array, Uint8Array }[array.type](bytes.buffer);
}

// The rows of an array [which][sample], or of a part of one.
function rowsOf(all) {
  return Array.from({ length: all.length / data.count }, (_, at) => all.subarray(at * data.count, (at + 1) * data.count));
}

// An element with attributes and children; a string becomes text, never markup.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function table(headings, rows, label) {
  const head = element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)));
  const lines = rows.map(([first, ...rest]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, cell))));
  const inner = element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
  return element("div", { class: "scroll", role: "group", tabindex: 0, "aria-label": `Table: ${label}` }, inner);
}

// A value with at least so many digits, zeros at the end included; a whole number has none after the point.
function digits(value, count = 4) {
  if (!Number.isFinite(value)) return "-";
  if (Number.isInteger(value) || Math.abs(value) >= 10 ** (count - 1)) return value.toFixed(0);
  return value.toPrecision(count);
}

// A place on an axis, without zeros at the end.
const trimmed = (value, count = 4) => String(Number(value.toPrecision(count)));

const withUnit = ({ name, unit }) => (unit ? `${name}, ${unit}` : name);
const percent = (share) => (Number.isFinite(share) ? `${digits(100 * share, 3)} %` : "-");

// Colours are read from the style sheet, so that light, dark and paper need no second list.
let colours = {};
const COLOUR_NAMES = ["paper", "ink", "soft", "line", "point", "dim", "selected", "second"];
for (let at = 0; at < (data.colours || 0); at++) COLOUR_NAMES.push(`method-${at}`);
function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(COLOUR_NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
readColours();

// Say, to tests, when the page can be used: ms since it was asked for.
function markReady() {
  requestAnimationFrame(() => setTimeout(() => { document.documentElement.dataset.ready = performance.now().toFixed(0); }));
}
