// WAV files of 32-bit floats, one channel, as the server and the page exchange them.

export function writeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 4 * samples.length));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, view.byteLength - 8, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);          // bytes of this chunk
  view.setUint16(20, 3, true);           // format: float
  view.setUint16(22, 1, true);           // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 4 * rate, true);    // bytes a second
  view.setUint16(32, 4, true);           // bytes a frame
  view.setUint16(34, 32, true);          // bits a sample
  text(36, "data"); view.setUint32(40, 4 * samples.length, true);
  samples.forEach((sample, i) => view.setFloat32(44 + 4 * i, sample, true));
  return view.buffer;
}

export function readWav(buffer) {
  const view = new DataView(buffer);
  let rate = 0;
  for (let at = 12; at + 8 <= view.byteLength;) {
    const name = String.fromCharCode(...new Uint8Array(buffer, at, 4));
    const size = view.getUint32(at + 4, true);
    if (name === "fmt ") rate = view.getUint32(at + 12, true);
    if (name === "data") return {samples: new Float32Array(buffer.slice(at + 8, at + 8 + size)), rate};
    at += 8 + size + size % 2;
  }
  throw new Error("no samples in this WAV file");
}

export function fromBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);  // faster than Uint8Array.from
  return bytes.buffer;
}
