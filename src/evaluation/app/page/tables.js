// Tables: the answers of all models for one sound, and the segments of a recording.
import {bare, heading, interval} from "./values.js";
import {fromBase64} from "./wav.js";

function cell(tag, content) {
  const made = document.createElement(tag);
  made.append(content);
  if (tag === "th") made.scope = "col";
  return made;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

function show(container, headings, rows, label) {
  const table = document.createElement("table");
  table.createTHead().insertRow().append(...headings.map((heading) => cell("th", heading)));
  const body = table.createTBody();
  for (const row of rows) body.insertRow().append(...row.map((content) => cell("td", content)));
  container.tabIndex = 0;  // so that it scrolls by the keyboard
  container.setAttribute("role", "region");
  container.setAttribute("aria-label", label);
  container.replaceChildren(table);
}

// Asks every model that is ready for its answer, and shows a column of each.
export async function compareModels(container, models, sound, channel, use) {
  const columns = await Promise.all(models.map(async (model, index) => {
    const reply = model.ready && await fetch(`predict?${new URLSearchParams({model: index, ...channel})}`, {method: "POST", body: sound});
    return {model, index, answer: reply && reply.ok ? await reply.json() : null};
  }));
  const answered = columns.filter(({answer}) => answer);
  const headings = [...new Set(answered.flatMap(({model}) => model.parameters.map(heading)))];
  const rows = headings.map((title) => [title, ...answered.map(({model, answer}) => {
    const parameter = model.parameters.find((one) => heading(one) === title);
    return parameter ? `${bare(parameter, answer.values[parameter.name])} ${interval(parameter, answer)}` : "";
  })]);
  const uses = answered.map(({model, index}) => button(`Use ${model.name}`, () => use(index)));
  show(container, ["parameter", ...uses], rows, "Answers of all models");
}

const addresses = [];  // of the sounds of the recording before, to be freed

export function showSegments(found, parameters, choose) {
  addresses.splice(0).forEach(URL.revokeObjectURL);
  for (const [id, sound] of [["whole-a", found.sound], ["whole-b", found.predicted]]) {
    const audio = document.getElementById(id);
    audio.parentElement.hidden = !sound;
    if (!sound) continue;
    audio.src = URL.createObjectURL(new Blob([fromBase64(sound)], {type: "audio/wav"}));
    addresses.push(audio.src);
  }
  const rows = found.segments.map((one) => {
    const start = button(`${one.times[0].toFixed(3)} s`, () => choose(one.times));
    return [start, ...parameters.map((parameter) => bare(parameter, one.values[parameter.name]))];
  });
  show(document.getElementById("segment-table"), ["start", ...parameters.map(heading)], rows, "Table of segments");
}
