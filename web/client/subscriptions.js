// What this participant receives in one call: the server's list of mids, turned into tracks with an owner and a source.
// The call owns one and feeds it each description of the server's. It never plays anything.

/**
 * @typedef {import("./protocol.js").TrackLine} TrackLine
 * @typedef {import("./protocol.js").Source} Source
 */

/** Somebody's track, as it arrives here. */
export class RemoteTrack {
  /** The server could not send it, because this browser did not offer its codec. */
  undecodable = false;
  /**
   * In a call that is encrypted from end to end: what its frames turned out to be, null before the first. All but `good` are
   * dropped.
   * @type {import("./e2ee/witness.js").Verdict | null}
   */
  verdict = null;

  /**
   * @param {TrackLine} line
   * @param {RTCRtpTransceiver} transceiver
   */
  constructor(line, transceiver) {
    /** @readonly The server's name for it, unique while the server runs. */
    this.id = line.track;
    /** @readonly */
    this.participant = line.participant;
    /** @readonly */
    this.kind = line.kind;
    /** @readonly @type {Source} */
    this.source = line.source;
    this.muted = line.muted;
    /** @readonly */
    this.mid = line.mid;
    /** @readonly */
    this.transceiver = transceiver;
    /**
     * What to play. An m-line is used again when its track went, so the browser's track can be the same object for one
     * RemoteTrack and the next: take it out of the element when `trackremoved` fires.
     * @readonly
     */
    this.mediaTrack = transceiver.receiver.track;
  }

  get receiver() {
    return this.transceiver.receiver;
  }
}

export class Subscriptions {
  #pc;
  #hooks;
  /** By the server's track id. @type {Map<string, RemoteTrack>} */
  tracks = new Map();

  /**
   * @param {RTCPeerConnection} pc
   * @param {{added: (track: RemoteTrack) => void, removed: (track: RemoteTrack) => void,
   *   changed: (track: RemoteTrack) => void}} hooks
   */
  constructor(pc, hooks) {
    this.#pc = pc;
    this.#hooks = hooks;
  }

  /**
   * Makes `tracks` what the server's last description says.
   * @param {import("./sdp.js").MediaSection[]} sections
   * @param {TrackLine[] | null} lines
   */
  reconcile(sections, lines) {
    const sending = new Set(sections.filter(({ sends }) => sends).map(({ mid }) => mid));
    /** @type {Map<string, TrackLine>} */
    const wanted = new Map();
    for (const line of lines ?? linesOf(sections)) {
      if (sending.has(line.mid)) wanted.set(line.track, line);
    }
    for (const track of [...this.tracks.values()]) {
      if (wanted.get(track.id)?.mid !== track.mid) this.#remove(track);
    }
    for (const line of wanted.values()) {
      const track = this.tracks.get(line.track);
      if (track === undefined) this.#add(line);
      else this.setMuted(track.id, line.muted);
    }
  }

  /**
   * @param {string} id
   * @param {boolean} muted
   */
  setMuted(id, muted) {
    const track = this.tracks.get(id);
    if (track === undefined || track.muted === muted) return;
    track.muted = muted;
    this.#hooks.changed(track);
  }

  /**
   * @param {string} id
   * @param {boolean} undecodable
   */
  setUndecodable(id, undecodable) {
    const track = this.tracks.get(id);
    if (track === undefined || track.undecodable === undecodable) return;
    track.undecodable = undecodable;
    this.#hooks.changed(track);
  }

  /**
   * @param {RemoteTrack} track
   * @param {import("./e2ee/witness.js").Verdict} verdict
   */
  setVerdict(track, verdict) {
    if (this.tracks.get(track.id) !== track) return;
    track.verdict = verdict;
    this.#hooks.changed(track);
  }

  clear() {
    for (const track of [...this.tracks.values()]) this.#remove(track);
  }

  /** @param {TrackLine} line */
  #add(line) {
    const transceiver = this.#pc.getTransceivers().find(({ mid }) => mid === line.mid);
    if (transceiver === undefined) return;
    const track = new RemoteTrack(line, transceiver);
    this.tracks.set(track.id, track);
    this.#hooks.added(track);
  }

  /** @param {RemoteTrack} track */
  #remove(track) {
    this.tracks.delete(track.id);
    this.#hooks.removed(track);
  }
}

/**
 * A server that lists no tracks still says who is who in a=msid.
 * @param {import("./sdp.js").MediaSection[]} sections
 * @returns {TrackLine[]}
 */
function linesOf(sections) {
  /** @type {TrackLine[]} */
  const lines = [];
  for (const { mid, kind, stream, track } of sections) {
    if (track === null || stream === null || !/^\d+$/.test(stream) || (kind !== "audio" && kind !== "video")) continue;
    const source = kind === "audio" ? "microphone" : "camera";
    lines.push({ mid, track, participant: Number(stream), kind, source, muted: false });
  }
  return lines;
}
