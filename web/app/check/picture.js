// A picture that moves and a tone that sounds, to be sent in a check: it needs neither camera nor microphone, and shows nobody.

const WIDTH = 320;
const HEIGHT = 240;
const RATE = 15;
const SPOTS = 60;

/**
 * @returns {{picture: MediaStreamTrack, tone: MediaStreamTrack | null, close: () => void}} no tone where the browser makes none
 */
export function startPicture() {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const brush = canvas.getContext("2d");
  let frame = 0;
  const draw = () => {
    if (brush === null) return;
    frame += 1;
    brush.fillStyle = `hsl(${frame % 360} 30% 20%)`;
    brush.fillRect(0, 0, WIDTH, HEIGHT);
    // Enough that a packet that gets lost is missed, and little enough for a slow network.
    for (let spot = 0; spot < SPOTS; spot += 1) {
      brush.fillStyle = `hsl(${spot * 37} 60% 55%)`;
      brush.fillRect((spot * 83 + frame * (1 + spot % 5)) % WIDTH, (spot * 47 + frame * (spot % 3)) % HEIGHT, 10 + spot % 17, 10 + spot % 11);
    }
  };
  draw();
  const timer = setInterval(draw, 1000 / RATE);
  const [picture] = canvas.captureStream(RATE).getVideoTracks();
  const sound = startTone();
  return {
    picture,
    tone: sound?.track ?? null,
    close() {
      clearInterval(timer);
      picture.stop();
      sound?.close();
    },
  };
}

/** A tone for a track, which nobody hears here. */
function startTone() {
  if (globalThis.AudioContext === undefined) return null;
  const context = new AudioContext();
  const out = new MediaStreamAudioDestinationNode(context);
  const oscillator = new OscillatorNode(context, { frequency: 440 });
  oscillator.connect(new GainNode(context, { gain: 0.2 })).connect(out);
  oscillator.start();
  const [track] = out.stream.getAudioTracks();
  return {
    track,
    close() {
      track.stop();
      void context.close();
    },
  };
}
