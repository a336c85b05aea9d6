// A hand on the page's WebSocket: what the page says is kept, and it can be made to hear what a server would say, beside what the
// real one says. For what takes a crowd, a bad network or a broken camera to make a server say it.

export class Wiretap {
  /** Before the page is loaded. Messages of the `ignored` types it hears only from here, not from the real server. */
  static async on(page, ignored = []) {
    await page.evaluateOnNewDocument(install, ignored);
    return new Wiretap(page);
  }

  constructor(page) {
    this.page = page;
  }

  /** What the page said so far, of one type. */
  sent(type) {
    return this.page.evaluate((wanted) => window.wiretap.sent.filter((message) => message.type === wanted), type);
  }

  /** The page hears these messages, one after another, at once. */
  hears(...messages) {
    return this.page.evaluate((all) => all.forEach((message) => window.wiretap.hear(message)), messages);
  }

  /** From now on, messages of this type do not reach the server; the page hears this answer, with the `track` it asked about. */
  answers(type, answer) {
    return this.page.evaluate((asked, said) => window.wiretap.answers.set(asked, said), type, answer);
  }

  /** So many others come into the call, without camera and microphone. Returns their ids. */
  async crowd(count, first = 9001) {
    const ids = Array.from({ length: count }, (_, index) => first + index);
    await this.hears(...ids.map((id, index) => ({ type: 'participant', id, name: `Guest ${index + 1}`, state: 'joined', call: 'room', tracks: [] })));
    return ids;
  }
}

// Runs in the page.
function install(ignored) {
  const wiretap = { sent: [], answers: new Map(), socket: null };
  wiretap.hear = (message) => wiretap.socket.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
  window.wiretap = wiretap;
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      wiretap.socket = this;
      this.addEventListener('message', (event) => {
        if (event.isTrusted && ignored.includes(JSON.parse(event.data).type)) event.stopImmediatePropagation();
      });
    }

    send(text) {
      const message = JSON.parse(text);
      wiretap.sent.push(message);
      const answer = wiretap.answers.get(message.type);
      if (answer === undefined) super.send(text);
      else queueMicrotask(() => wiretap.hear({ ...answer, track: message.track }));
    }
  };
}
