// An independent client of the signalling protocol (version 1), written from the protocol page alone: the server is
// tested against this, so that it is not only tested against its own page. Classic script, everything in `Peer`.
//
// It keeps every message (`heard`), hands each out once (`next`), and negotiates as the polite side of W3C's perfect
// negotiation. Tests reach into `pc` and `socket` as they like.

'use strict';

class Peer {
  constructor({ url, name, protocols = ['crosspoint.v1'] }) {
    Object.assign(this, { url, name, protocols });
    this.heard = [];
    this.inbox = [];
    this.waiting = new Set();
    this.participants = new Map();
    this.tracks = [];
    this.events = [];
    this.channels = [];
    this.errors = [];
    this.glares = 0;
    this.target = undefined;
    this.pc = null;
    this.work = Promise.resolve();
  }

  // --- The socket ---------------------------------------------------------------------------------------------------

  /** Opens the socket, and takes the name; resolves with the server's `id`. */
  async connect(url = this.url) {
    const socket = new WebSocket(url, this.protocols);
    this.socket = socket;
    this.closed = new Promise((resolve) => (socket.onclose = ({ code, reason }) => resolve({ code, reason })));
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`no socket at ${url}`));
    });
    const id = await this.next('id');
    this.id = id.id;
    this.resumeToken = id.resume;
    this.iceServers = id.iceServers ?? [];
    if (!id.resumed && this.name) this.send({ type: 'username', name: this.name, id: id.id, date: Date.now() });
    return id;
  }

  /** Takes the session up again on a new socket, as the protocol's "Resume" says. */
  async resume() {
    const url = new URL(this.url);
    url.search = new URLSearchParams({ resume: this.resumeToken });
    const id = await this.connect(url.href);
    if (this.pc?.signalingState === 'have-local-offer') this.sendDescription('video-offer');
    return id;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  hear(message) {
    this.heard.push(message);
    this.inbox.push(message);
    for (const waiter of [...this.waiting]) waiter();
    if (message.tracks && message.type.startsWith('video-')) this.tracks = message.tracks;
    if (message.type === 'participant') {
      if (message.state === 'left') this.participants.delete(message.id);
      else this.participants.set(message.id, message);
    }
    const handle = { 'video-offer': 'handleOffer', 'video-answer': 'handleAnswer', 'new-ice-candidate': 'handleCandidate', 'hang-up': 'handleHangUp', wanted: 'handleWanted' }[message.type];
    if (handle) this.work = this.work.then(() => this[handle](message)).catch((error) => this.errors.push(`${message.type}: ${error}`));
  }

  /** The next message of a type whose fields are those of `match`; it is handed out only once. */
  next(type, match = {}, timeout = 15_000) {
    const fits = (message) => message.type === type && Object.entries(match).every(([key, value]) => message[key] === value);
    return new Promise((resolve, reject) => {
      const look = () => {
        const index = this.inbox.findIndex(fits);
        if (index < 0) return;
        this.waiting.delete(look);
        clearTimeout(timer);
        resolve(this.inbox.splice(index, 1)[0]);
      };
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        const kinds = this.inbox.map((message) => JSON.stringify({ ...message, sdp: undefined }));
        reject(new Error(`${this.name}: no '${type}' ${JSON.stringify(match)} in ${timeout} ms; unread are:\n${kinds.slice(-20).join('\n')}`));
      }, timeout);
      this.waiting.add(look);
      look();
    });
  }

  /** The id of the participant so named, once the server has announced it. */
  async idOf(name) {
    for (const { id, name: its } of this.participants.values()) if (its === name) return id;
    return (await this.next('participant', { name })).id;
  }

  // --- The call -----------------------------------------------------------------------------------------------------

  createConnection() {
    const pc = new RTCPeerConnection({ iceServers: this.iceServers, bundlePolicy: 'max-bundle' });
    this.pc = pc;
    pc.onnegotiationneeded = () => this.offer().catch((error) => this.errors.push(`offer: ${error}`));
    pc.onicecandidate = ({ candidate }) => this.send({ type: 'new-ice-candidate', candidate: candidate?.toJSON() ?? null, target: this.target });
    pc.ondatachannel = ({ channel }) => this.keepChannel(channel);
    pc.ontrack = (event) => this.play(event);
    return pc;
  }

  play({ track, streams, transceiver }) {
    const element = document.createElement(track.kind);
    Object.assign(element, { autoplay: true, playsInline: true, srcObject: new MediaStream([track]) });
    element.dataset.participant = streams[0]?.id;
    document.body.append(element);
    this.events.push({ type: 'track', kind: track.kind, mid: transceiver.mid, stream: streams[0]?.id });
    for (const stream of streams) {
      stream.onremovetrack ??= (removed) => {
        this.events.push({ type: 'removetrack', kind: removed.track.kind, stream: stream.id });
        for (const old of document.querySelectorAll(removed.track.kind)) if (old.srcObject?.getTracks().includes(removed.track)) old.remove();
      };
    }
  }

  /**
   * Joins the room's call with a stream, or, without one, only to receive. With `encodings` the pictures are sent in
   * these layers; with `heeds` only those that the server says are wanted.
   */
  join(stream, { encodings, heeds = false } = {}) {
    this.encodings = encodings;
    this.heeds = heeds;
    return this.start(undefined, stream);
  }

  /** Rings a user. */
  call(target, stream) {
    return this.start(target, stream);
  }

  async start(target, stream) {
    this.target = target;
    const pc = this.createConnection();
    this.add(stream);
    if (!stream) for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
    // A test's chance to do something before the first offer.
    this.prepared?.(this);
    if (target === undefined) await this.connected();
  }

  add(stream) {
    for (const track of stream?.getTracks() ?? []) {
      if (track.kind === 'video' && this.encodings) this.pc.addTransceiver(track, { streams: [stream], sendEncodings: this.encodings });
      else this.pc.addTrack(track, stream);
    }
  }

  /** Accepts the call that rings: adds the own tracks to the offered m-lines, and answers. */
  async accept(stream) {
    const ringing = this.ringing;
    this.ringing = undefined;
    this.target = ringing.name;
    this.createConnection();
    await this.pc.setRemoteDescription(ringing.sdp);
    this.add(stream);
    await this.pc.setLocalDescription();
    this.sendDescription('video-answer');
    await this.connected();
  }

  decline() {
    const { name } = this.ringing;
    this.ringing = undefined;
    this.send({ type: 'hang-up', target: name, name: this.name });
  }

  hangUp() {
    this.close();
    this.send({ type: 'hang-up', name: this.name });
  }

  close() {
    this.pc?.close();
    this.pc = null;
    this.target = undefined;
    this.tracks = [];
    document.body.replaceChildren();
  }

  connected(timeout = 15_000) {
    const { pc } = this;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.name}: still '${pc.connectionState}' after ${timeout} ms; errors: ${this.errors}`)), timeout);
      const look = () => {
        if (pc.connectionState !== 'connected') return;
        clearTimeout(timer);
        resolve();
      };
      pc.addEventListener('connectionstatechange', look);
      look();
    });
  }

  // --- Negotiation, the polite side ---------------------------------------------------------------------------------

  async offer(options) {
    const { pc } = this;
    try {
      this.makingOffer = true;
      if (options?.iceRestart) pc.restartIce();
      await pc.setLocalDescription();
      if (pc.localDescription?.type === 'offer') this.sendDescription('video-offer');
    } finally {
      this.makingOffer = false;
    }
  }

  sendDescription(type) {
    const { pc, target, name } = this;
    this.send({ type, name, target, sdp: pc.localDescription.toJSON() });
  }

  async handleOffer(message) {
    if (!this.pc) {
      this.ringing = message;
      return;
    }
    const { pc } = this;
    if (this.makingOffer || pc.signalingState !== 'stable') this.glares += 1;
    await pc.setRemoteDescription(message.sdp);
    await pc.setLocalDescription();
    this.sendDescription('video-answer');
  }

  async handleAnswer({ sdp }) {
    await this.pc?.setRemoteDescription(sdp);
  }

  async handleCandidate({ candidate }) {
    await this.pc?.addIceCandidate(candidate ?? undefined);
  }

  async handleWanted({ mid, rids }) {
    if (!this.heeds) return;
    const { sender } = this.pc.getTransceivers().find((transceiver) => transceiver.mid === mid);
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.active = rids.includes(encoding.rid);
    await sender.setParameters(parameters);
  }

  handleHangUp() {
    this.ringing = undefined;
    this.close();
  }

  // --- Data channels ------------------------------------------------------------------------------------------------

  openChannel(label, options) {
    const channel = this.pc.createDataChannel(label, options);
    this.keepChannel(channel);
    return channel;
  }

  keepChannel(channel) {
    const kept = { channel, label: channel.label, protocol: channel.protocol, ordered: channel.ordered, maxRetransmits: channel.maxRetransmits, messages: [] };
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => kept.messages.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
    this.channels.push(kept);
  }

  // --- What it wants to receive -------------------------------------------------------------------------------------

  /** Tells the size at which it shows a track, or that it does not show it: `{ paused: true }`. */
  receive(track, wanted) {
    this.send({ type: 'receive', track, ...wanted });
  }

  // --- What tests ask -----------------------------------------------------------------------------------------------

  get sections() {
    return (this.pc?.currentLocalDescription?.sdp.match(/^m=/gm) ?? []).length;
  }

  /** Sections of the server's description that carry a track, by `tracks`. */
  tracksOf(participant) {
    return this.tracks.filter((track) => track.participant === participant);
  }
}

window.Peer = Peer;
