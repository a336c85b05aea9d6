// What there is to show of a call, read off the client's state: one entry for each camera and screen. The stage makes tiles of
// them; nothing here remembers anything.

import { explainLayers, explainSecrecy } from "./words.js";

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../crosspoint.js").RemoteTrack} RemoteTrack
 * @typedef {import("./tile.js").TileContent} TileContent
 */

/**
 * Screens first, then the others as they came, then ourselves.
 * @param {Crosspoint} crosspoint
 * @returns {TileContent[]}
 */
export function contentsOf(crosspoint) {
  const { call, participants, tracks, id } = crosspoint;
  if (call === null || call.state === "calling") return [];
  const remote = [...tracks.values()];
  const others = new Set([...participants.values()].filter((one) => (call.kind === "room" ? one.call === "room"
    : one.id === call.peer)).map((one) => one.id));
  for (const { participant } of remote) others.add(participant);
  /** @type {TileContent[]} */
  const screens = [];
  /** @type {TileContent[]} */
  const cameras = [];
  for (const other of others) {
    const known = participants.get(other);
    const name = known?.name ?? "Somebody";
    const microphone = known?.tracks.find(({ source }) => source === "microphone");
    const camera = remote.find((one) => one.participant === other && one.source === "camera");
    const voice = remote.find((one) => one.participant === other && one.source === "microphone");
    const withheld = withholding(crosspoint, camera);
    cameras.push({
      key: `camera ${other}`, participant: other, source: "camera", name, own: false, track: camera?.id ?? null,
      media: camera === undefined || camera.muted || camera.undecodable || withheld !== "" ? null : camera.mediaTrack,
      microphoneOff: microphone === undefined || microphone.muted, withheld: withheld !== "",
      note: withheld || withholding(crosspoint, voice) || noteOf(crosspoint, camera),
    });
    for (const screen of remote.filter((one) => one.participant === other && one.source === "screen")) {
      const kept = withholding(crosspoint, screen);
      screens.push({
        key: `screen ${screen.id}`, participant: other, source: "screen", name, own: false, track: screen.id,
        media: screen.undecodable || kept !== "" ? null : screen.mediaTrack, microphoneOff: false, withheld: kept !== "",
        note: kept || noteOf(crosspoint, screen),
      });
    }
  }
  return [...screens, ...cameras, ...ownContents(crosspoint, id ?? 0)];
}

/**
 * @param {Crosspoint} crosspoint
 * @param {number} participant
 * @returns {TileContent[]}
 */
function ownContents({ sources, name }, participant) {
  const screen = sources.get("screen");
  const camera = sources.get("camera");
  const own = { participant, name, own: true, track: null, withheld: false, note: "" };
  /** @type {TileContent[]} */
  const contents = [];
  if (screen?.track) contents.push({ ...own, key: "screen own", source: "screen", media: screen.track, microphoneOff: false });
  contents.push({
    ...own, key: "camera own", source: "camera", media: camera === undefined || camera.muted ? null : camera.track,
    microphoneOff: sources.get("microphone")?.muted ?? true,
  });
  return contents;
}

/**
 * Why end-to-end encryption keeps a track from us; empty where it does not.
 * @param {Crosspoint} crosspoint
 * @param {RemoteTrack | undefined} track
 */
function withholding(crosspoint, track) {
  return track === undefined ? "" : explainSecrecy(crosspoint.secrecyOf(track), track.kind);
}

/**
 * @param {Crosspoint} crosspoint
 * @param {RemoteTrack | undefined} track
 */
function noteOf({ layers }, track) {
  const said = track === undefined ? undefined : layers.get(track.id);
  return track === undefined || said === undefined ? "" : explainLayers(said, track.source);
}
