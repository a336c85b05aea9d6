// Crosspoint's client library: calls through a Crosspoint server, without any DOM. The page in app/ is built on it, and
// so can other pages be:
//
//     import { Crosspoint } from "/crosspoint.js";
//
//     const crosspoint = new Crosspoint({ room: "demo", name: "Ada" });
//     crosspoint.on("track", ({ track }) => {
//       const element = document.createElement(track.kind);
//       element.autoplay = true;
//       element.srcObject = new MediaStream([track.mediaTrack]);
//       document.body.append(element);
//       const stop = crosspoint.on("trackremoved", (gone) => {
//         if (gone.track === track) { element.remove(); stop(); }
//       });
//     });
//     crosspoint.on("message", ({ name, text }) => console.log(`${name}: ${text}`));
//
//     const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
//     await crosspoint.publish("microphone", stream.getAudioTracks()[0]);
//     await crosspoint.publish("camera", stream.getVideoTracks()[0]);
//     await crosspoint.connect();
//     // Where the server asks for a token: new Crosspoint({ room, name, token }). `crosspoint.grants` then says what it allows; while
//     // `crosspoint.waiting` is not null, a moderator has yet to let us in, of which the event "waiting" tells.
//     crosspoint.joinRoom();          // or crosspoint.ringUp(id), and accept() or decline() on a "ring"
//     crosspoint.say("Hello.");
//
// Everything that can happen is an event, listed at `CrosspointEvents` in client/client.js. The socket comes back by
// itself, and so does the media path. The modules, each one idea:
//
//     client/client.js         the class to use: session, calls, what is sent and received
//     client/socket.js         the WebSocket, back-off and resume
//     client/call.js           one call: a peer connection and what belongs to it
//     client/negotiation.js    perfect negotiation, polite
//     client/publication.js    which transceiver carries which source of ours
//     client/encodings.js      layers and limits of what is sent
//     client/layerswitch.js    which of our layers are encoded
//     client/subscriptions.js  which mid carries whose track
//     client/channels.js       data channels with senders
//     client/recovery.js       ICE restarts
//     client/roster.js         who is in the room
//     client/wants.js          what is needed of each track
//     client/health.js         what the server says of connections and tracks
//     client/stats.js          numbers for people, from both ends
//     client/way.js            calls that are held to one way of their media, for checks
//     client/inspect.js        one received track in the browser's numbers
//     client/protocol.js       message shapes and limits
//     client/sdp.js            the little SDP that is read
//     client/e2ee/             end-to-end encryption: encryption.js is the way in, worker.js the worker, sframe.js RFC 9605
//     client/emitter.js        typed EventTarget

export { Crosspoint } from "./client/client.js";
export { Encryption } from "./client/e2ee/encryption.js";
export { newKey, readKey } from "./client/e2ee/key.js";
export { inspectTrack } from "./client/inspect.js";
export { LIMITS, SOURCES, cleanName, isRoomName, kindOf } from "./client/protocol.js";
export { RemoteTrack } from "./client/subscriptions.js";
export { StatsSampler } from "./client/stats.js";
export { WAYS, endpointsOf, isRelayed, serversFor } from "./client/way.js";
