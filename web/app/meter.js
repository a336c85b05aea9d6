// How loud a track is, for the bar in the lobby and in the check. Reads an analyser a few times a second while it lives, and says
// nothing where the browser does not let sound be looked at.

const EVERY_MS = 80;

/**
 * @param {MediaStreamTrack} track
 * @param {(level: number) => void} show 0 to 1
 * @returns {() => void} stops it
 */
export function meter(track, show) {
  if (globalThis.AudioContext === undefined) return () => {};
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 512 });
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) });
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    if (context.state !== "running") return;
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((total, sample) => total + sample * sample, 0) / samples.length;
    // -60 dB to 0 dB, which is how ears count.
    show(track.enabled && power > 0 ? Math.min(1, Math.max(0, 1 + Math.log10(power) / 6)) : 0);
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    void context.close();
    show(0);
  };
}
