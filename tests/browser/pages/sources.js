// Streams for the independent client: the browser's fake devices, or a picture of one colour, by which a receiver can
// see whose picture it got. Small and slow pictures: tests share two cores.

'use strict';

window.sources = {
  devices({ audio = true, video = true } = {}) {
    return navigator.mediaDevices.getUserMedia({
      audio,
      video: video && { width: { ideal: 320 }, height: { ideal: 240 }, frameRate: { ideal: 15, max: 15 } },
    });
  },

  /** A picture of one colour, redrawn so that frames keep coming. */
  colour(colour) {
    const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
    const context = canvas.getContext('2d');
    let tick = 0;
    setInterval(() => {
      context.fillStyle = colour;
      context.fillRect(0, 0, 160, 120);
      context.fillStyle = 'black';
      context.fillRect((tick += 1) % 160, 0, 1, 4);
    }, 50);
    return canvas.captureStream(20);
  },

  /**
   * A texture that sways. As rough as it is by itself it takes as much bitrate as there is, which a test pattern does
   * not; of few spots it takes little.
   */
  texture({ width = 1280, height = 720, rate = 30, spots = (width * height) / 30 } = {}) {
    const margin = 200;
    const texture = new OffscreenCanvas(width + margin, height + margin);
    const brush = texture.getContext('2d');
    let state = 1;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    for (let count = 0; count < spots; count += 1) {
      brush.fillStyle = `hsl(${random() * 360} 60% ${20 + random() * 60}%)`;
      brush.fillRect(random() * texture.width, random() * texture.height, 4 + random() * 30, 4 + random() * 30);
    }
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    let frame = 0;
    setInterval(() => {
      frame += 1;
      context.drawImage(texture, (Math.sin(frame / 17) - 1) * (margin / 2), (Math.cos(frame / 23) - 1) * (margin / 2));
    }, 1000 / rate);
    return canvas.captureStream(rate);
  },

  /** A steady tone. */
  async tone(frequency = 440) {
    const context = new AudioContext();
    const oscillator = new OscillatorNode(context, { frequency });
    const out = new MediaStreamAudioDestinationNode(context);
    oscillator.connect(out);
    oscillator.start();
    await context.resume();
    return out.stream;
  },

  /** The colour in the middle of what a participant's video element shows, as [red, green, blue]. */
  seen(participant) {
    const video = document.querySelector(`video[data-participant="${participant}"]`);
    if (!video?.videoWidth) return null;
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    const context = canvas.getContext('2d');
    context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  },
};
