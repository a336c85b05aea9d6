// The client: one session in one room, and at most one call in it. Applications use this class and its events; it uses the
// other modules of client/ and never touches the DOM.

import { Call } from "./call.js";
import { Encryption } from "./e2ee/encryption.js";
import { Emitter } from "./emitter.js";
import { Health } from "./health.js";
import { ENCRYPTED, KNOWN_TYPES, LIMITS, SOURCES, cleanName, isRoomName, readGrants, readRoomState } from "./protocol.js";
import { Roster } from "./roster.js";
import { Socket } from "./socket.js";
import { Wants } from "./wants.js";
import { configurationOf } from "./way.js";

/**
 * @typedef {import("./protocol.js").Source} Source
 * @typedef {import("./protocol.js").Participant} Participant
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./subscriptions.js").RemoteTrack} RemoteTrack
 * @typedef {import("./publication.js").LocalSource} LocalSource
 */

/**
 * @typedef {object} CrosspointOptions
 * @property {string} room
 * @property {string} name the name to take; the server may append a number
 * @property {string | URL} [url] of the WebSocket; by default `/ws` where the page came from
 * @property {string} [token] where the server asks for one
 * @property {RTCConfiguration} [configuration] added to what the server says (its iceServers)
 * @property {Uint8Array<ArrayBuffer>} [key] encrypt the media of all calls from end to end with this key, of 16 bytes or more, and
 *   play nothing else; the server never sees it. `readKey` and `newKey` know it as text.
 * @property {boolean} [simulcast] send the camera in up to three sizes, of which each viewer gets what fits; on unless false
 */

/**
 * The call as an application sees it. `peer` is the other one's id, where known, and `name` the other one's name, in a
 * one-to-one call. `reason` is there when it ended: `left`, `declined`, `busy`, `gone`, `timeout`, `kicked`, or the
 * code of the server's error; `hung-up` when we did it.
 * @typedef {{kind: "room" | "direct", peer: number | null, name: string | null,
 *   state: import("./call.js").CallState, reason?: string}} CallView
 */

/**
 * Somebody rings. Answer with `accept()` or `decline()`; an `end` in the detail says that it is over unanswered.
 * @typedef {{id: number | null, name: string, ended?: string}} Ring
 */

/**
 * @typedef {object} CrosspointEvents
 * @property {{state: import("./socket.js").SocketState, reason: string, words: string}} state the session with the server; `words` of
 *   the server's for people, where it ended the session
 * @property {{name: string, rejected: string | null}} name our name; `rejected` is the one that was taken
 * @property {{participant: Participant, change: "joined" | "updated" | "left"}} participant
 * @property {import("./protocol.js").ChatMessage} message
 * @property {Message} app any message whose type is not the protocol's, passed through
 * @property {Ring} ring
 * @property {CallView} call each change of our own call
 * @property {{state: RTCPeerConnectionState}} media the media path of our call
 * @property {{track: RemoteTrack}} track
 * @property {{track: RemoteTrack}} trackremoved
 * @property {{track: RemoteTrack}} trackchanged
 * @property {{source: Source}} local one of our own sources came, went, or was muted
 * @property {{source: Source}} ended the device or the browser ended a track that we publish
 * @property {{speakers: {id: number, level: number}[]}} speakers loudest first
 * @property {import("./health.js").Quality} quality how well a connection does: ours every 2 s, others' when it changes
 * @property {import("./health.js").Layers} layers what of a track the server forwards to us
 * @property {{mid: string, source: Source | null, rids: string[]}} wanted which of our layers anyone receives
 * @property {{channel: RTCDataChannel, from: number}} channel
 * @property {{from: number, label: string, data: string | ArrayBuffer}} data
 * @property {import("./protocol.js").RoomState} room whether the room is locked, and for moderators who waits for it
 * @property {{waiting: boolean}} waiting we wait to be let in, or have been
 * @property {{action: string, source: Source | null, by: string | null}} moderated what a moderator did to us (`mute`, `stop-screen`), and
 *   that one's name, null for the server's operator
 * @property {import("./protocol.js").ServerError} error
 * @property {{error: unknown, doing: string}} failure something here failed that should not; for a log
 */

const STATS_PATIENCE_MS = 4000;
/** In a call the server says something every 2 s; after this long without a word the socket is probed. */
const SILENCE_MS = 12_000;
const SILENCE_CHECK_MS = 5000;

/** @extends {Emitter<CrosspointEvents>} */
export class Crosspoint extends Emitter {
  #options;
  #socket;
  #roster;
  #wants;
  #health;
  /** @type {Encryption | null} */
  #encryption = null;
  /** @type {Call | null} */
  #call = null;
  /** An offer that waits for accept or decline. @type {Message | null} */
  #ringOffer = null;
  /** @type {Map<Source, LocalSource>} */
  #sources = new Map();
  /** @type {Map<string, RTCDataChannelInit | undefined>} */
  #channels = new Map();
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** @type {{resolve: (stats: any[] | null) => void, promise: Promise<any[] | null>} | null} */
  #statsRequest = null;
  #lastError = "";
  #lastWords = "";
  /** A new session has to wait, and the old one was in the room's call. */
  #joinsOnceIn = false;
  /** Kept after the other one left. @type {string | null} */
  #peerName = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watch;
  #checkNow = () => void this.#probe();

  /** Our id in the room; null before the first connection. @type {number | null} */
  id = null;
  name;
  /** The server's version. */
  server = "";
  /** What we may do here, from the first connection on. */
  grants = readGrants(null);
  /** Whether the server admitted us by a token, and so nobody without one. */
  admittedByToken = false;
  /** How the room is ordered. @type {import("./protocol.js").RoomState} */
  roomState = readRoomState({});
  /** What we wait for, until we are let in; null once we are in the room. @type {{moderator: boolean} | null} */
  waiting = null;
  /** Who rings now. @type {Ring | null} */
  ring = null;
  /**
   * The only way that the media of calls that begin from now on may take; null leaves that to ICE, as calls should. For checks of a
   * network.
   * @type {import("./way.js").Way | null}
   */
  way = null;

  /** @param {CrosspointOptions} options */
  constructor(options) {
    super();
    const name = cleanName(options.name);
    if (name === null) throw new RangeError("a name has 1 to 64 characters");
    if (!isRoomName(options.room)) throw new RangeError("a room's name has 1 to 64 of letters, digits, - _ .");
    this.#options = options;
    this.name = name;
    this.room = options.room;
    this.#roster = new Roster((participant, change) => this.#participantChanged(participant, change));
    this.#wants = new Wants((message) => this.#socket.send(message));
    this.#health = new Health((message) => this.#socket.send(message));
    this.#socket = new Socket((resume) => this.#address(resume), {
      received: (message) => this.#receive(message),
      stateChanged: (state, reason) => this.#socketChanged(state, reason),
    });
  }

  /** @returns {import("./socket.js").SocketState} */
  get state() {
    return this.#socket.state;
  }

  /** Everybody else in the room, by id. @returns {ReadonlyMap<number, Participant>} */
  get participants() {
    return this.#roster.participants;
  }

  /** The tracks we receive, by the server's id. @returns {ReadonlyMap<string, RemoteTrack>} */
  get tracks() {
    return this.#call?.subscriptions.tracks ?? new Map();
  }

  /** How well each connection did last, by participant. @returns {ReadonlyMap<number, import("./health.js").Quality>} */
  get qualities() {
    return this.#health.qualities;
  }

  /** What the server forwards to us, by track. @returns {ReadonlyMap<string, import("./health.js").Layers>} */
  get layers() {
    return this.#health.layers;
  }

  /** Whether our media is encrypted from end to end. */
  get encrypted() {
    return this.#options.key !== undefined;
  }

  /**
   * How a track that we receive is encrypted from end to end: `good` with our key, so that it can be played; null where nothing
   * is known, or nobody speaks of encryption. What is `clear` or of an `other-key` is not played where we have a key, and
   * cannot be played where we have none (`no-key`).
   * @param {RemoteTrack} track
   * @returns {import("./e2ee/witness.js").Verdict | "no-key" | null}
   */
  secrecyOf({ participant, verdict }) {
    if (this.encrypted) return verdict;
    return this.participants.get(participant)?.encrypted === true ? "no-key" : null;
  }

  /** What we publish. @returns {ReadonlyMap<Source, LocalSource>} */
  get sources() {
    return this.#sources;
  }

  /** What the server told of STUN and TURN, with our credentials. @returns {readonly RTCIceServer[]} */
  get iceServers() {
    return this.#iceServers;
  }

  /** The peer connection of the call we are in. Look, do not touch. */
  get pc() {
    return this.#call?.pc ?? null;
  }

  /** How many descriptions went each way in this call. */
  get negotiation() {
    return this.#call?.negotiation.counts ?? null;
  }

  /** @returns {CallView | null} */
  get call() {
    return this.#call === null ? null : this.#view(this.#call);
  }

  // The session.

  /**
   * Connects and takes the name. From then on the socket is kept up until `close`.
   * @returns {Promise<void>} rejected with an Error whose message is the reason, if the first connection fails; its cause is what the
   *   server said to people, if anything
   */
  async connect() {
    const { key } = this.#options;
    if (key !== undefined) this.#encryption = await Encryption.start(key);
    if (this.state === "closed") {
      this.#encryption?.close();
      throw new Error("left");
    }
    await this.#open();
  }

  /** @returns {Promise<void>} */
  #open() {
    return new Promise((resolve, reject) => {
      const stop = this.on("state", ({ state, reason, words }) => {
        if (state !== "open" && state !== "closed") return;
        stop();
        if (state === "open") resolve();
        else reject(new Error(reason, { cause: words }));
      });
      this.#watch = setInterval(() => {
        if (performance.now() - this.#socket.lastHeard > SILENCE_MS) void this.#probe();
      }, SILENCE_CHECK_MS);
      globalThis.addEventListener?.("online", this.#checkNow);
      this.#socket.open();
    });
  }

  /** Leaves the call and the room. The object is of no use afterwards. */
  close() {
    this.hangUp();
    this.#socket.close();
    this.#encryption?.close();
  }

  /** Breaks the socket as a bad network would; the session resumes by itself. For tests. */
  breakSocket() {
    this.#socket.drop();
  }

  /** @param {string} name */
  setName(name) {
    const clean = cleanName(name);
    if (clean === null) throw new RangeError("a name has 1 to 64 characters");
    this.name = clean;
    this.#sayName();
    this.emit("name", { name: clean, rejected: null });
  }

  /**
   * Says something in the chat, to the room or to one participant. It is shown when it comes back as a `message`.
   * @param {string} text
   * @param {number} [target]
   */
  say(text, target) {
    if ([...text].length > LIMITS.chatCharacters) throw new RangeError("a message has at most 4096 characters");
    this.#socket.send({ type: "message", text, ...(target === undefined ? {} : { target }) });
  }

  /**
   * Sends a message of the application's own, to the room or to one participant; it arrives as an `app` event.
   * @param {Message} message
   */
  sendApp(message) {
    if (KNOWN_TYPES.has(message.type)) throw new TypeError(`${message.type} is the protocol's own`);
    this.#socket.send(message);
  }

  /**
   * Moderates the room, where that is granted. The actions and their members are those of the protocol's `moderate`: `mute`, `stop-screen`,
   * `remove`, `ban`, `unban`, `lock`, `waiting-room`, `admit`, `refuse`.
   * @param {string} action
   * @param {{target?: number, source?: Source, on?: boolean, ban?: number}} members
   */
  moderate(action, members) {
    this.#socket.send({ type: "moderate", action, ...members });
  }

  // Calls.

  /** Joins the call of the room. */
  joinRoom() {
    this.#start("room", null, "joining");
  }

  /**
   * Rings one participant; whoever rings us already is answered.
   * @param {number} target
   */
  ringUp(target) {
    if (this.ring !== null && this.ring.id === target) this.accept();
    else this.#start("direct", target, "calling");
  }

  accept() {
    const offer = this.#ringOffer;
    const ring = this.ring;
    if (offer === null || ring === null) return;
    this.#ringOffer = this.ring = null;
    this.#answer(offer, ring.id ?? ring.name);
  }

  decline() {
    if (this.ring === null) return;
    this.#socket.send({ type: "hang-up", target: this.ring.id ?? this.ring.name });
    this.#endRing("declined");
  }

  /** Leaves the call, whatever its kind and state; the session and the chat go on. */
  hangUp() {
    if (this.#call === null) return;
    // Without a target: that ends whatever call we are in, and cannot miss.
    this.#socket.send({ type: "hang-up" });
    this.#end("hung-up");
  }

  // What we send.

  /**
   * Publishes a track, now if a call is on, and in every later call until `unpublish`. Publishing a source that is there
   * replaces its track.
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {{muted?: boolean}} [options]
   */
  async publish(source, track, { muted = false } = {}) {
    track.enabled = !muted;
    prefer(source, track);
    this.#sources.set(source, { track, muted });
    track.addEventListener("ended", () => {
      if (this.#sources.get(source)?.track !== track) return;
      if (source === "screen" || source === "screen-audio") void this.unpublish(source);
      this.emit("ended", { source });
    });
    await this.#call?.publication.add(source, track);
    this.#call?.syncMutes();
    this.emit("local", { source });
  }

  /** @param {Source} source */
  async unpublish(source) {
    if (!this.#sources.delete(source)) return;
    await this.#call?.publication.remove(source);
    this.emit("local", { source });
  }

  /**
   * Sends another track in place of a source's own, without negotiation: a device change. null sends nothing, so that
   * a muted camera can be switched off. The old track is not stopped.
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async replaceTrack(source, track) {
    const local = this.#sources.get(source);
    if (local === undefined) {
      if (track !== null) await this.publish(source, track);
      return;
    }
    local.track = track;
    if (track !== null) {
      track.enabled = !local.muted;
      prefer(source, track);
      track.addEventListener("ended", () => {
        if (this.#sources.get(source)?.track === track) this.emit("ended", { source });
      });
    }
    await this.#call?.publication.replace(source, track);
    this.emit("local", { source });
  }

  /**
   * @param {Source} source
   * @param {boolean} muted
   */
  setMuted(source, muted) {
    const local = this.#sources.get(source);
    if (local === undefined) return;
    local.muted = muted;
    if (local.track !== null) local.track.enabled = !muted;
    this.#call?.syncMutes();
    this.emit("local", { source });
  }

  /**
   * What our transceiver of this mid carries.
   * @param {string} mid
   * @returns {Source | null}
   */
  sourceOf(mid) {
    return this.#call?.publication.sourceOf(mid) ?? null;
  }

  /**
   * Sends touch tones on the microphone's track.
   * @param {string} tones 0-9 A-D * # and , for a pause
   * @param {number} [duration] of each, in ms
   * @param {number} [gap] between them, in ms
   * @returns {boolean} whether the call can carry them
   */
  sendDtmf(tones, duration, gap) {
    const dtmf = this.#call?.publication.sender("microphone")?.dtmf;
    if (!dtmf?.canInsertDTMF) return false;
    dtmf.insertDTMF(tones, duration, gap);
    return true;
  }

  // What we receive.

  /**
   * Tells the server what the viewer needs of a track, so that it forwards no more than that. Members that are left out stay
   * as they were. Only changes are sent, sizes once they rest; a resume and the next call say all of it again.
   * @param {string} track
   * @param {import("./wants.js").Want} want
   */
  receive(track, want) {
    if (this.tracks.has(track)) this.#wants.set(track, want);
  }

  /**
   * What happened to a track, as the server saw it, the oldest first; null if it does not tell.
   * @param {string} track
   */
  requestTimeline(track) {
    if (this.#call?.state !== "active" || this.state !== "open") return Promise.resolve(null);
    return this.#health.askTimeline(track);
  }

  /**
   * Opens a data channel of this label, in this call and in each later one. Others in the call who opened the same label
   * get what is sent on it.
   * @param {string} label
   * @param {RTCDataChannelInit} [init] ordered, maxRetransmits and so on
   */
  openChannel(label, init) {
    this.#channels.set(label, init);
    return this.#call?.channels.open(label, init) ?? null;
  }

  /**
   * @param {string} label
   * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data at most 65,536 bytes
   * @returns {boolean} whether it was sent
   */
  sendData(label, data) {
    return this.#call?.channels.send(label, data) ?? false;
  }

  /**
   * The server's view of this connection, in the names of W3C's webrtc-stats; null if it does not answer.
   * @returns {Promise<any[] | null>}
   */
  requestStats() {
    if (this.#call?.state !== "active" || this.state !== "open") return Promise.resolve(null);
    if (this.#statsRequest !== null) return this.#statsRequest.promise;
    /** @type {(stats: any[] | null) => void} */
    let resolve = () => {};
    /** @type {Promise<any[] | null>} */
    const promise = new Promise((done) => { resolve = done; });
    const request = { resolve, promise };
    this.#statsRequest = request;
    setTimeout(() => {
      if (this.#statsRequest === request) this.#answerStats(null);
    }, STATS_PATIENCE_MS);
    this.#socket.send({ type: "stats" });
    return promise;
  }

  /** @param {any[] | null} stats */
  #answerStats(stats) {
    this.#statsRequest?.resolve(stats);
    this.#statsRequest = null;
  }

  // Messages of the server's: one handler each.

  /** @type {Record<string, (message: Message) => void>} */
  #handlers = {
    id: (message) => this.#receiveId(message),
    "ice-servers": (message) => this.#receiveIceServers(message),
    rejectusername: ({ name }) => this.#receiveRejection(String(name ?? "")),
    participant: (message) => this.#roster.receive(message),
    message: (message) => this.#receiveChat(message),
    error: (message) => this.#receiveError(message),
    "video-offer": (message) => this.#receiveOffer(message),
    "video-answer": (message) => this.#call?.receiveAnswer(message),
    "new-ice-candidate": ({ candidate }) => this.#call?.receiveCandidate(candidate ?? null),
    "hang-up": (message) => this.#receiveHangUp(message),
    layers: (message) => this.#receiveLayers(message),
    wanted: (message) => this.#receiveWanted(message),
    speakers: (message) => this.#receiveSpeakers(message),
    quality: (message) => this.#receiveQuality(message),
    timeline: (message) => this.#health.receiveTimeline(message),
    [ENCRYPTED]: ({ id }) => this.#receiveEncrypted(Number(id)),
    moderated: (message) => this.#receiveModerated(message),
    "room-state": (message) => this.#receiveRoomState(message),
    waiting: (message) => this.#receiveWaiting(message),
    stats: ({ stats }) => this.#answerStats(Array.isArray(stats) ? stats : null),
  };

  /** @param {Message} message */
  #receive(message) {
    const handler = Object.hasOwn(this.#handlers, message.type) ? this.#handlers[message.type] : undefined;
    if (handler !== undefined) handler(message);
    else if (!KNOWN_TYPES.has(message.type)) this.emit("app", message);
  }

  /** @param {Message} message */
  #receiveId(message) {
    this.id = Number(message.id);
    this.server = String(message.server ?? "");
    this.admittedByToken = message.grants !== undefined;
    this.grants = readGrants(message.grants);
    this.#receiveIceServers(message);
    if (message.waiting === true) this.waiting ??= { moderator: false };
    else this.#letIn();
    if (message.resumed === true) {
      this.#roster.startRollCall();
      if (message.inCall === false && this.#call?.begun) this.#startOver();
      else this.#call?.resumed();
      this.#wants.repeat();
      return;
    }
    // A new session: nothing of an older one is left at the server.
    const old = this.#call;
    this.#roster.clear();
    this.#receiveRoomState({ type: "room-state" });
    this.#endRing("gone");
    this.#sayName();
    if (old !== null) {
      this.#end("gone", old.kind === "room");
      if (old.kind === "room" && this.waiting === null) this.joinRoom();
      else this.#joinsOnceIn = old.kind === "room";
    }
  }

  /**
   * Those of before will run out; a call that goes on uses these when it looks for another way.
   * @param {Message} message
   */
  #receiveIceServers({ iceServers }) {
    this.#iceServers = Array.isArray(iceServers) ? iceServers : [];
    const pc = this.pc;
    if (pc === null || pc.signalingState === "closed") return;
    pc.setConfiguration({ ...pc.getConfiguration(), ...this.#configuration });
  }

  /** @param {string} given */
  #receiveRejection(given) {
    const rejected = this.name;
    this.name = given;
    this.emit("name", { name: given, rejected });
  }

  /** @param {Message} message */
  #receiveChat({ text, name, id, date, target }) {
    if (typeof text !== "string") return;
    const when = Number.isFinite(date) ? Number(date) : Date.now();
    this.emit("message", {
      text, name: String(name ?? ""), id: Number(id), date: when, ...(target === undefined ? {} : { target }),
    });
  }

  /** @param {Message} message */
  #receiveWaiting({ state, moderator }) {
    if (state !== "waiting") this.#letIn();
    else {
      this.waiting = { moderator: moderator === true };
      this.emit("waiting", { waiting: true });
    }
  }

  #letIn() {
    if (this.waiting === null) return;
    this.waiting = null;
    this.emit("waiting", { waiting: false });
    if (this.#joinsOnceIn && this.#call === null) this.joinRoom();
    this.#joinsOnceIn = false;
  }

  /** @param {Message} message */
  #receiveRoomState(message) {
    this.roomState = readRoomState(message);
    this.emit("room", this.roomState);
  }

  /**
   * What a moderator took away stays taken away until we give it again ourselves.
   * @param {Message} message
   */
  #receiveModerated({ action, source, by }) {
    const what = SOURCES.find((one) => one === source) ?? null;
    if (action === "mute" && what !== null) this.setMuted(what, true);
    if (action === "stop-screen") {
      for (const shared of /** @type {const} */ (["screen", "screen-audio"])) {
        const track = this.#sources.get(shared)?.track;
        void this.unpublish(shared).then(() => track?.stop());
      }
    }
    this.emit("moderated", { action: String(action), source: what, by: typeof by?.name === "string" ? by.name : null });
  }

  /** @param {Message} message */
  #receiveError(message) {
    const code = String(message.code ?? "");
    const request = String(message.request ?? "");
    const error = { code, message: String(message.message ?? ""), request, fatal: message.fatal === true };
    if (error.fatal) {
      this.#lastError = code;
      this.#lastWords = error.message;
    }
    if (request === "stats") this.#answerStats(null);
    if (request === "timeline") this.#health.refuseTimelines();
    if (request === "video-offer" && this.#call !== null && !error.fatal) {
      if (this.#call.state === "active") void this.#call.negotiation.receiveRefusal();
      else this.#end(code);
    }
    // Resuming too late is our own business: the socket starts a new session. Who asked for a timeline has the answer.
    if (code !== "resume-failed" && request !== "timeline") this.emit("error", error);
  }

  /** @param {Message} message */
  #receiveOffer(message) {
    if (this.#call?.state === "calling" && this.#isCalling(message.name)) {
      // We rang each other up, and the server took the other's call. Ours goes with its connection: rolled back while it
      // still gathers, Chromium (156) now and then never gathers again. And on a fresh one, one answer is enough.
      const { peer } = this.#call;
      this.#end("crossed", true);
      this.#answer(message, peer);
    } else if (this.#call !== null && (message.name === undefined || (this.#call.kind === "direct" && this.#call.begun))) {
      this.#call.receiveOffer(message);
    } else if (this.#call?.kind === "room") {
      // Somebody rang while our offer to join the room was on its way.
      this.#socket.send({ type: "hang-up", target: message.name });
    } else if (typeof message.name === "string") {
      const again = this.#ringOffer !== null; // after a resume
      this.#ringOffer = message;
      this.ring = { id: this.#roster.byName(message.name)?.id ?? null, name: message.name };
      if (!again) this.emit("ring", this.ring);
    }
  }

  /** @param {unknown} name Whether this is the one that rings, who may have taken another name meanwhile. */
  #isRinging(name) {
    if (this.ring === null || typeof name !== "string") return false;
    return name === this.ring.name || (this.ring.id !== null && this.#roster.byName(name)?.id === this.ring.id);
  }

  /** @param {unknown} name Whether this is the one that we ring up. */
  #isCalling(name) {
    if (typeof name !== "string" || this.#call === null) return false;
    const { peer } = this.#call;
    return typeof peer === "number" ? this.#roster.byName(name)?.id === peer : name === peer;
  }

  /** @param {Message} message */
  #receiveHangUp({ name, reason }) {
    const why = typeof reason === "string" ? reason : "left";
    if (this.ring !== null && (name === undefined || this.#isRinging(name))) {
      this.#endRing(why);
      return;
    }
    if (this.#call !== null && !this.#isStale(this.#call, name, why)) this.#end(why);
  }

  /**
   * Whether a hang-up is about a call before this one. The protocol does not say which call it means, but the server answers
   * before it ends anything, and names the other one of a one-to-one call.
   * @param {Call} call
   * @param {unknown} name
   * @param {string} why
   */
  #isStale({ kind, peer, begun }, name, why) {
    if (kind === "direct" && typeof name === "string") {
      const from = this.#roster.byName(name);
      return from === undefined || typeof peer !== "number" ? name !== this.#peerName : from.id !== peer;
    }
    return !begun && why !== "kicked";
  }

  /** @param {number} id */
  #receiveEncrypted(id) {
    const participant = this.participants.get(id);
    if (participant === undefined) return;
    participant.encrypted = true;
    this.emit("participant", { participant, change: "updated" });
  }

  /** @param {Message} message */
  #receiveQuality(message) {
    const quality = this.#health.receiveQuality(message);
    if (quality !== null) this.emit("quality", quality);
  }

  /** @param {Message} message */
  #receiveLayers(message) {
    const layers = this.#health.receiveLayers(message);
    if (layers === null) return;
    this.#call?.subscriptions.setUndecodable(layers.track, isUndecodable(layers));
    this.emit("layers", layers);
  }

  /** @param {Message} message */
  #receiveWanted(message) {
    if (!Array.isArray(message.rids) || this.#call === null) return;
    const mid = String(message.mid);
    const rids = message.rids.map(String);
    void this.#call.publication.encodeOnly(mid, rids);
    this.emit("wanted", { mid, source: this.sourceOf(mid), rids });
  }

  /** @param {Message} message */
  #receiveSpeakers({ ids, levels }) {
    if (!Array.isArray(ids)) return;
    const level = (/** @type {number} */ index) => Number(Array.isArray(levels) ? levels[index] : 0) || 0;
    this.emit("speakers", { speakers: ids.map((id, index) => ({ id: Number(id), level: level(index) })) });
  }

  // What happens here.

  /** @returns {RTCConfiguration} */
  get #configuration() {
    const way = this.#call?.way ?? this.way;
    return {
      bundlePolicy: "max-bundle", iceServers: this.#iceServers, ...this.#options.configuration,
      ...(way === null ? {} : configurationOf(way, this.#iceServers)),
    };
  }

  /**
   * @param {"room" | "direct"} kind
   * @param {number | string | null} peer
   * @param {"joining" | "calling" | "accepting"} state
   */
  #start(kind, peer, state) {
    if (this.#call !== null) throw new Error("already in a call");
    if (this.encrypted && this.#encryption === null) throw new Error("not connected yet"); // and never unencrypted
    this.#peerName = typeof peer === "string" ? peer : null;
    this.#call = new Call({
      send: (message) => this.#socket.send(message),
      sources: this.#sources,
      channels: this.#channels,
      configuration: this.#configuration,
      way: this.way,
      simulcast: this.#options.simulcast ?? true,
      encryption: this.#encryption,
      stateChanged: () => this.#callChanged(),
      mediaChanged: () => this.emit("media", { state: this.pc?.connectionState ?? "closed" }),
      hopeless: () => this.#renew(),
      failed: (error, doing) => this.emit("failure", { error, doing }),
      trackAdded: (track) => {
        track.undecodable = isUndecodable(this.#health.layers.get(track.id));
        this.#wants.present(track.id);
        this.emit("track", { track });
      },
      trackRemoved: (track) => {
        this.#health.forgetTrack(track.id);
        if (this.#call !== null) this.#wants.delete(track.id); // otherwise the next call may bring it back
        this.emit("trackremoved", { track });
      },
      trackChanged: (track) => this.emit("trackchanged", { track }),
      dataReceived: (message) => this.emit("data", message),
      channelOpened: (channel, from) => this.emit("channel", { channel, from }),
    }, kind, peer, state);
    this.#callChanged();
    return this.#call;
  }

  /**
   * Takes a call of two.
   * @param {Message} offer
   * @param {number | string | null} peer
   */
  #answer(offer, peer) {
    this.#start("direct", peer, "accepting").receiveOffer(offer);
  }

  #callChanged() {
    if (this.#call === null || this.#call.state === "ended") return;
    if (this.#call.state === "active" && this.encrypted && this.grants.chat) this.#socket.send({ type: ENCRYPTED });
    this.emit("call", this.#view(this.#call));
  }

  /**
   * @param {string} reason
   * @param {boolean} [silent] when another call follows at once
   */
  #end(reason, silent = false) {
    const call = this.#call;
    if (call === null) return;
    const view = this.#view(call);
    this.#call = null;
    call.close();
    this.#wants.rest();
    this.#health.clear();
    this.#answerStats(null);
    if (!silent) this.emit("call", { ...view, state: "ended", reason });
  }

  /** @param {string} why */
  #endRing(why) {
    if (this.ring === null) return;
    const ring = this.ring;
    this.ring = this.#ringOffer = null;
    this.emit("ring", { ...ring, ended: why });
  }

  /** ICE restarts brought nothing. */
  #renew() {
    this.#socket.send({ type: "hang-up" });
    this.#startOver();
  }

  /** The server has given the call up. A room call gets a new connection; one-to-one, the other would have to ring again. */
  #startOver() {
    const kind = this.#call?.kind;
    this.#end("gone", kind === "room");
    if (kind === "room") this.joinRoom();
  }

  /** @param {Call} call @returns {CallView} */
  #view({ kind, peer, state }) {
    const other = typeof peer === "number" ? this.participants.get(peer) : undefined;
    if (other !== undefined) this.#peerName = other.name;
    return { kind, state, peer: typeof peer === "number" ? peer : null, name: kind === "direct" ? this.#peerName : null };
  }

  /**
   * @param {Participant} participant
   * @param {"joined" | "updated" | "left"} change
   */
  #participantChanged(participant, change) {
    if (change === "left") this.#health.forgetParticipant(participant.id);
    // Those who were there before us heard it when our call began.
    if (change === "joined" && this.encrypted && this.grants.chat && this.#call?.state === "active") {
      this.#socket.send({ type: ENCRYPTED, target: participant.id });
    }
    for (const { track, muted } of participant.tracks) this.#call?.subscriptions.setMuted(track, muted);
    this.emit("participant", { participant, change });
  }

  /**
   * @param {import("./socket.js").SocketState} state
   * @param {string} reason
   */
  #socketChanged(state, reason) {
    if (state === "closed") {
      clearInterval(this.#watch);
      globalThis.removeEventListener?.("online", this.#checkNow);
      this.#endRing("gone");
      this.#end("gone");
      this.#roster.clear();
    }
    const ended = state === "closed" && reason !== "left";
    this.emit("state", { state, reason: ended ? this.#lastError || reason : reason, words: ended ? this.#lastWords : "" });
  }

  /** A socket can be dead for minutes before the browser knows; in a call the server answers `stats` at once. */
  async #probe() {
    if (this.#call?.state !== "active" || this.state !== "open") return;
    const asked = performance.now();
    await this.requestStats();
    if (this.state === "open" && this.#socket.lastHeard < asked && this.#call !== null) this.#socket.drop();
  }

  #sayName() {
    this.#socket.send({ type: "username", name: this.name, id: this.id, date: Date.now() });
  }

  /** @param {string | null} resume */
  #address(resume) {
    const url = new URL(this.#options.url ?? "/ws", globalThis.location?.href);
    url.protocol = url.protocol.replace(/^http/, "ws");
    url.hash = "";
    if (resume !== null) {
      url.search = new URLSearchParams({ resume }).toString();
    } else {
      url.searchParams.set("room", this.room);
      if (this.#options.token !== undefined) url.searchParams.set("token", this.#options.token);
    }
    return url;
  }
}

/**
 * A screen is read: it keeps its size, and gives up pictures instead.
 * @param {Source} source
 * @param {MediaStreamTrack} track
 */
function prefer(source, track) {
  if (source === "screen" && track.contentHint === "") track.contentHint = "detail";
}

/** @param {import("./health.js").Layers | undefined} layers */
function isUndecodable(layers) {
  return layers !== undefined && layers.rid === null && layers.spatial === null && layers.reason === "codec";
}
