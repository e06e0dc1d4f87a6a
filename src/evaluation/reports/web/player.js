// One transport for the true, the predicted and the refined sound: they run together, and one is heard.
const player = { context: null, buffers: {}, running: null, kind: "true", from: 0, repeat: true };
const FADE = 0.005; // s, so that switching does not click

function stopPlaying() {
  if (!player.running) return;
  player.from = playedSeconds();
  for (const { source } of Object.values(player.running.voices)) {
    source.onended = null;
    source.stop();
  }
  player.running = null;
}

function lengthSeconds() {
  return Math.max(0, ...Object.values(player.buffers).map((buffer) => buffer.duration));
}

// Where in the sound the transport is, in s.
function playedSeconds() {
  if (!player.running) return player.from;
  const passed = player.from + player.context.currentTime - player.running.began, length = lengthSeconds();
  return player.repeat ? passed % length : Math.min(passed, length);
}

async function loadSounds(sounds) {
  player.context ||= new AudioContext();
  player.context.resume(); // not awaited: without a sound card, Firefox never says that it has done so
  for (const [kind, base64] of Object.entries(sounds)) {
    const bytes = unpack({ type: "Uint8Array", base64 });
    player.buffers[kind] ||= await player.context.decodeAudioData(bytes.buffer);
  }
}

function startPlaying() {
  const { context } = player, began = context.currentTime, voices = {};
  if (player.from >= lengthSeconds()) player.from = 0;
  for (const [kind, buffer] of Object.entries(player.buffers)) {
    const source = new AudioBufferSourceNode(context, { buffer, loop: player.repeat });
    const gain = new GainNode(context, { gain: kind === player.kind ? 1 : 0 });
    source.connect(gain).connect(context.destination);
    source.start(began, player.from);
    voices[kind] = { source, gain };
  }
  player.running = { began, voices };
  Object.values(voices)[0].source.onended = () => { player.running = null; player.from = 0; showPlaying(); };
}

// Hear another of the three from the same position on.
function hear(kind) {
  player.kind = kind;
  if (!player.running) return;
  const now = player.context.currentTime;
  for (const [name, { gain }] of Object.entries(player.running.voices)) gain.gain.setTargetAtTime(name === kind ? 1 : 0, now, FADE);
}

function seek(seconds) {
  const running = Boolean(player.running);
  stopPlaying();
  player.from = Math.min(Math.max(0, seconds), lengthSeconds() || Infinity);
  if (running) startPlaying();
}

function forgetSounds() {
  stopPlaying();
  player.buffers = {};
  player.from = 0;
}
