// Two sounds that play in step, A and B; one of them is heard. Switching, or a new B, keeps the position.

const FADE = 0.005;  // s: a shorter one clicks
const sides = {a: {buffer: null, playing: null}, b: {buffer: null, playing: null}};
let context = null;  // browsers let it start only after a click or a key
let volume = null;
let started = null;  // the context's time at the start of the sound; null while nothing plays
let loop = false;
let level = 0.7;
let changed = () => {};

export let heard = "b";

export function onChange(listener) { changed = listener; }
export function isPlaying() { return started !== null; }
export function has(side) { return sides[side].buffer !== null; }

export function position() {  // s, or null while nothing plays
  if (started === null) return null;
  const passed = Math.max(0, context.currentTime - started);
  return loop ? passed % sides[heard].buffer.duration : passed;
}

export function length() { return sides[heard].buffer ? sides[heard].buffer.duration : 0; }  // s

function prepare() {
  if (context) return;
  context = new AudioContext({latencyHint: "interactive"});
  volume = context.createGain();
  volume.gain.value = level;
  volume.connect(context.destination);
}

export function setSound(side, {samples, rate}) {
  const buffer = new AudioBuffer({length: samples.length, sampleRate: rate, numberOfChannels: 1});
  buffer.copyToChannel(samples, 0);
  sides[side].buffer = buffer;
  if (started !== null && side === heard) begin(side);
}

export function setVolume(value) { level = value; if (volume) volume.gain.value = value; }

export function setLoop(value) {
  const at = position();
  loop = value;
  if (at === null) return;
  started = context.currentTime - at;
  begin(heard);
}

export function play(side) {  // from the start
  stop();
  prepare();
  context.resume();
  heard = side;
  started = context.currentTime;
  begin(side);
}

export function listenTo(side) {  // from where the other one is
  if (started === null || side === heard) { heard = side; changed(); return; }
  release(sides[heard]);
  heard = side;
  begin(side);
}

export function stop() {
  Object.values(sides).forEach(release);
  started = null;
  changed();
}

function begin(name) {
  const side = sides[name];
  const offset = position();
  release(side);
  if (!loop && offset >= side.buffer.duration) { stop(); return; }
  const source = context.createBufferSource();
  const fade = context.createGain();
  source.buffer = side.buffer;
  source.loop = loop;
  if (offset > 0) {  // not at the start, where it would soften the attack
    fade.gain.setValueAtTime(0, context.currentTime);
    fade.gain.linearRampToValueAtTime(1, context.currentTime + FADE);
  }
  source.connect(fade).connect(volume);
  source.onended = () => { if (side.playing && side.playing.source === source) stop(); };
  side.playing = {source, fade};
  source.start(0, offset);
  changed();
}

function release(side) {
  if (!side.playing) return;
  const {source, fade} = side.playing;
  side.playing = null;
  fade.gain.cancelScheduledValues(context.currentTime);
  fade.gain.setValueAtTime(fade.gain.value, context.currentTime);
  fade.gain.linearRampToValueAtTime(0, context.currentTime + FADE);
  source.stop(context.currentTime + FADE);
}
