// Records the microphone as it is: no processing of the browser, which would change level and decay.

const MOST_SECONDS = 30;

export async function startRecording(ended) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1},
  });
  const context = new AudioContext();
  await context.audioWorklet.addModule("capture.js");
  const capture = new AudioWorkletNode(context, "capture", {numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit"});
  const blocks = [];
  let count = 0;
  let done = false;
  const finish = () => {
    if (done) return;
    done = true;
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    const samples = new Float32Array(count);
    let at = 0;
    for (const block of blocks) { samples.set(block, at); at += block.length; }
    ended({samples, rate: context.sampleRate});
  };
  capture.port.onmessage = ({data}) => {
    blocks.push(data);
    count += data.length;
    if (count >= MOST_SECONDS * context.sampleRate) finish();
  };
  context.createMediaStreamSource(stream).connect(capture);
  return finish;
}
