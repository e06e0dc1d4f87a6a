// The page: what it holds, what it asks the server, and what it shows. One sound (A) and one set of values (B).
import {bandText, headMaps} from "./maps.js";
import {difference, levelsOf, movePlayhead, showImage, showLayers} from "./picture.js";
import * as player from "./player.js";
import {startRecording} from "./recorder.js";
import {compareModels, showSegments} from "./tables.js";
import {addRows, rounded, showHeard, showValues} from "./values.js";
import {fromBase64, readWav, writeWav} from "./wav.js";

const $ = (id) => document.getElementById(id);
let models = [];         // as the server describes them
let sound = null;        // the file or recording (Blob) that is asked about
let answer = null;       // the network's answer for it, or the refined one
let network = null;      // the network's answer
let values = {};         // what the sliders say
let heard = null;        // what the network hears in the sound of the values
let wavB = null;         // that sound, as the server sent it
let explanation = null;  // what the network's answer depends on
const images = {a: null, b: null};

const model = () => models[$("model").selectedIndex];

// ---- the server

class Outdated extends Error {}  // an answer of a model that is no longer chosen

async function ask(path, body, options = {}) {
  const index = $("model").selectedIndex;
  const reply = await fetch(`${path}?${new URLSearchParams({model: index, ...options})}`, {method: "POST", body});
  if (index !== $("model").selectedIndex) throw new Outdated();
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply;
}

const channel = () => ({channel: $("channel").value});

// Returns a function that runs a task, never twice at a time: calls meanwhile are answered by one more run at the end.
function latest(task) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      try { await task(); } catch (error) { fail(error); }
    }
    running = false;
  };
}

function tell(text) { $("status").textContent = text; $("status").classList.remove("fault"); }

function fail(error) {
  if (error instanceof Outdated) return;
  const lost = error instanceof TypeError && /fetch|network/i.test(error.message);
  $("status").textContent = lost ? "The app does not answer; was it ended?" : error.message;
  $("status").classList.add("fault");
}

// ---- models

async function loadModels() {
  const before = models.length;
  models = await (await fetch("models")).json();
  if (!before) $("model").replaceChildren(...models.map(() => new Option()));
  models.forEach((one, index) => {
    $("model").options[index].text = one.ready ? one.name : `${one.name} (${one.fault ? "failed" : "loading"})`;
  });
  if (models.some((one) => !one.ready && !one.fault)) setTimeout(() => loadModels().catch(fail), 300);
  if (!$("parameters").children.length) chooseModel();
}

function chooseModel() {
  images.a = images.b = null;  // of another front end
  forgetExplanation();
  for (const id of ["switch", "reset", "refine", "explain"]) $(id).disabled = true;
  const {ready, parameters, middle, fixed, channels, not_rendered, not_refined} = model();
  if (!ready) {
    $("parameters").replaceChildren();
    if (model().fault) fail(new Error(model().fault)); else tell("The model is loading ...");
    return;
  }
  answer = network = heard = wavB = null;
  values = {...middle};
  addRows($("parameters"), parameters, values, edited);
  $("fixed").hidden = !Object.keys(fixed).length;
  $("fixed").querySelector("p").textContent = Object.entries(fixed).map(([name, value]) => `${name} ${rounded(value)}`).join(", ");
  $("view").replaceChildren(...channels.map((name) => new Option(name)));
  $("view-label").hidden = channels.length < 2;
  $("legend").textContent = "Values in the middle of their ranges; drop a sound to see its own.";
  $("refine").title = not_refined;
  $("explained").replaceChildren(...parameters.map(({name}) => new Option(name)));
  for (const id of ["play-b", "save-wav"]) $(id).disabled = Boolean(not_rendered);
  $("save-json").disabled = false;
  tell(`Ready: drop a sound${not_rendered ? "" : ", or move the sliders"}.`);
  $("levels").textContent = not_rendered && `The values cannot be heard: ${not_rendered}`;
  if (sound) predict(); else resynthesise();
}

// ---- a sound, and its answer

function take(blob) {
  sound = blob;
  $("segment").disabled = false;
  $("segments").hidden = true;
  return predict();
}

function requireSize(most, remedy) {  // of server.py, which may close the connection before the browser hears why
  const size = sound.size / 1e6;
  if (size > most) throw new Error(`This sound has ${size.toFixed(1)} MB, and the most is ${most}${remedy}.`);
}

const predict = latest(async () => {
  requireSize(5, "; cut a longer recording into segments");
  tell("Predicting ...");
  forgetExplanation();
  network = await (await ask("predict", sound, channel())).json();
  showAnswer(network);
  tell("The sliders show the network's answer.");
});

const refine = latest(async () => {
  tell("Refining ...");
  const found = await (await ask("refine", sound, channel())).json();
  showAnswer(found);
  tell(found.refinement ? "The sliders show the refined answer." : "The answer could not be refined.");
});

function showAnswer(found) {
  answer = found;
  values = {...found.values};
  showValues(model().parameters, values, found);
  images.a = picture(found.image);
  player.setSound("a", readWav(fromBase64(found.sound)));
  list("notes", found.notes);
  list("refinement", found.refinement ? refinementNotes(found.refinement) : []);
  $("legend").textContent = legend(found);
  for (const id of ["play-a", "reset", "explain"]) $(id).disabled = false;
  $("switch").disabled = Boolean(model().not_rendered);
  $("refine").disabled = Boolean(model().not_refined);
  drawPictures();
  resynthesise();
  if ($("compare").open) compare();
}

function legend(found) {
  if (found.refinement) return "Band and brackets: 90 % interval of the fit to the image.";
  const {calibrated_on} = model();
  const how = calibrated_on ? `fitted to the errors on ${calibrated_on.toLocaleString("en")} validation sounds` : "rough, since the model is not calibrated";
  return `Band and brackets: 90 % interval, ${how}.`;
}

function refinementNotes(how) {
  const notes = [`${how.iterations} steps: the images differ by ${rounded(how.rms_after, 2)} levels instead of ${rounded(how.rms_before, 2)} (RMS; 255 levels in all).`];
  notes.push(...how.alike.map(([one, other]) => `Hardly told apart in this sound: ${one} and ${other}.`));
  if (how.ambiguous) notes.push("Another answer fits as well.");
  return notes;
}

function list(id, lines) {
  $(id).replaceChildren(...lines.map((line) => { const item = document.createElement("li"); item.textContent = line; return item; }));
}

// ---- values, their sound, and what the network hears in it

function edited(name, value) {  // called while a slider is dragged
  values[name] = value;
  const unheard = !player.isPlaying() || player.heard !== "b";
  if (unheard && player.has("b")) player.play("b");
  resynthesise();
}

const render = latest(async () => {
  wavB = await (await ask("render", JSON.stringify({values}))).arrayBuffer();
  const {samples, rate} = readWav(wavB);
  player.setSound("b", {samples, rate});
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  $("levels").textContent = `B peaks at ${rounded(peak, 2)} of full scale${peak * $("volume").value > 1 ? " and is distorted: lower the volume" : ""}.`;
  hear();  // only now, so that the sound does not wait for it
});

const hear = latest(async () => {
  heard = await (await ask("hear", JSON.stringify({values}))).json();
  images.b = picture(heard.image);
  showHeard(model().parameters, heard);
  drawPictures();
});

function resynthesise() { if (!model().not_rendered) render(); }

// ---- pictures

function picture(image) { return {...image, bytes: new Uint8Array(fromBase64(image.levels))}; }

let drawing = 0;

function drawPictures() {  // after the sliders and the sound, which a user waits for
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(paintPictures);
}

function paintPictures() {
  const channel = Math.max(0, $("view").selectedIndex);
  const {visible_seconds, channels, axes} = model();
  for (const side of ["a", "b"]) {
    if (images[side]) showImage($(`picture-${side}`), images[side], channel, axes, `Image of sound ${side.toUpperCase()}: ${channels[channel]}, ${rounded(visible_seconds)} s`);
  }
  $("difference").textContent = images.a && images.b ? `The images of A and B differ by ${rounded(difference(images.a, images.b), 2)} levels (RMS; 255 in all).` : "";
  movePlayheads();
}

function movePlayheads() {
  for (const side of ["a", "b"]) movePlayhead($(`playhead-${side}`), $(`picture-${side}`), player.position(), player.length(), $("loop").checked);
}

// ---- what the answer depends on

const explain = latest(async () => {
  tell("Explaining ...");
  const explained = network;
  const found = await (await ask("explain", sound, channel())).json();
  if (explained !== network) return;  // another sound was given meanwhile
  const bytes = ({base64}) => new Uint8Array(fromBase64(base64));
  explanation = {...found, gradients: bytes(found.gradients), cams: found.cams && bytes(found.cams)};
  $("explanation").hidden = false;
  showExplanation();
  tell(["The maps show what the network's answer for A depends on.", ...found.notes].join(" "));
});

function showExplanation() {
  const at = $("explained").selectedIndex;
  const {name} = model().parameters[at];
  const [, height, width] = images.a.shape;
  const levels = levelsOf(images.a, Math.max(0, $("view").selectedIndex));
  const maps = headMaps({...explanation, levels, width, height}, at);
  $("band").textContent = bandText(name, explanation.bands[at]);
  ["gradients", "cams"].forEach((id, which) => {
    $(id).closest("figure").hidden = !maps[which];
    if (maps[which]) showLayers($(id), maps[which].layers, model().axes, `${maps[which].title} of ${name}. ${$("band").textContent}`);
  });
}

function forgetExplanation() {
  explanation = null;
  $("explanation").hidden = true;
}

// ---- several models, and longer recordings

async function compare() {
  if (!sound) { $("comparison").textContent = "Drop a sound first."; return; }
  await compareModels($("comparison"), models, sound, channel(), (index) => { $("model").selectedIndex = index; chooseModel(); });
}

async function segment() {
  requireSize(50, "");
  tell("Cutting and predicting ...");
  const found = await (await ask("segment", sound, {...channel(), segment: $("how").value})).json();
  const {samples, rate} = readWav(fromBase64(found.sound));
  $("segments").hidden = false;
  list("notes", found.notes);
  showSegments(found, model().parameters, ([start, end]) => {
    sound = new Blob([writeWav(samples.slice(Math.round(start * rate), Math.round(end * rate)), rate)]);
    return predict();
  });
  tell(`Segments: ${found.segments.length}. Choose one to see and edit it.`);
}

// ---- controls

function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function saveJson() {
  const own = ({values, uncertainties, low_90, high_90}) => ({values, uncertainties, low_90, high_90});
  const {name, parameters, fixed} = model();
  save("parameters.json", "application/json", JSON.stringify({
    checkpoint: name, values, fixed,
    units: Object.fromEntries(parameters.map((one) => [one.name, one.unit])),
    network: network && own(network),
    refined: answer && answer.refinement ? {...own(answer), ...answer.refinement} : null,
    heard_in_the_sound_of_the_values: heard && own(heard),
  }, null, 2) + "\n");
}

let finishRecording = null;

async function record() {
  if (finishRecording) { finishRecording(); return; }
  finishRecording = await startRecording(async ({samples, rate}) => {
    finishRecording = null;
    $("record").textContent = "Record";
    $("record").setAttribute("aria-pressed", "false");
    $("file").value = "";
    sound = new Blob([writeWav(samples, rate)]);
    await segment().catch(predict);  // a recording begins before its first note; without an onset its start is used
    document.querySelector("#segment-table button")?.click();
  });
  $("record").textContent = "Stop recording";
  $("record").setAttribute("aria-pressed", "true");
  tell("Recording: play one note, then stop.");
}

$("file").addEventListener("change", () => { if ($("file").files[0]) take($("file").files[0]); });  // none: cancelled
$("record").addEventListener("click", () => record().catch(fail));
$("segment").addEventListener("click", () => segment().catch(fail));
$("model").addEventListener("change", chooseModel);
$("channel").addEventListener("change", () => { if (sound) predict(); });
$("view").addEventListener("change", () => { drawPictures(); if (explanation) showExplanation(); });
$("explain").addEventListener("click", explain);
$("explained").addEventListener("change", showExplanation);
$("refine").addEventListener("click", refine);
$("reset").addEventListener("click", () => showAnswer(network));
$("save-json").addEventListener("click", saveJson);
$("save-wav").addEventListener("click", () => { if (wavB) save("resynthesis.wav", "audio/wav", wavB); });
$("play-a").addEventListener("click", () => player.play("a"));
$("play-b").addEventListener("click", () => player.play("b"));
$("switch").addEventListener("click", () => {
  const other = player.heard === "a" ? "b" : "a";
  if (!player.has(other)) return;
  if (player.isPlaying()) player.listenTo(other); else player.play(other);
});
$("stop").addEventListener("click", player.stop);
$("loop").addEventListener("change", () => player.setLoop($("loop").checked));
$("volume").addEventListener("input", () => player.setVolume(Number($("volume").value)));
$("compare").addEventListener("toggle", () => { if ($("compare").open) compare().catch(fail); });

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
}
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});

addEventListener("resize", movePlayheads);

player.onChange(() => {
  $("stop").disabled = !player.isPlaying();
  for (const side of ["a", "b"]) $(`play-${side}`).setAttribute("aria-pressed", String(player.isPlaying() && player.heard === side));
  movePlayheads();
});

loadModels().catch(fail);
