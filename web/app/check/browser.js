// What the browser itself can: whether it may use devices here, and which parts of WebRTC it has.

import { Encryption } from "../../crosspoint.js";

/** @typedef {import("./run.js").Outcome} Outcome */

/** @returns {Outcome} */
export function checkBrowser() {
  if (typeof RTCPeerConnection !== "function" || typeof WebSocket !== "function" || !("RTCRtpTransceiver" in globalThis)) {
    return {
      verdict: "failed", text: "This browser cannot make calls: it has no WebRTC, or a setting or an add-on has switched it off.",
      fix: "Try a current Chrome, Edge, Firefox or Safari. In one of those, look whether an add-on for privacy blocks WebRTC.",
    };
  }
  const facts = `${simulcasts() ? "Simulcast" : "No simulcast"}; ${Encryption.supported ? "" : "no "}end-to-end encryption`;
  if (!window.isSecureContext) {
    return {
      verdict: "failed", text: "This address is not secure, so that browsers give it neither camera nor microphone. One can only watch and listen.",
      fix: "Open the page by https://. If that does not work, ask whoever runs this server for its https:// address.", facts,
    };
  }
  return { verdict: "good", text: "It can make calls, and the connection to the page is secure.", facts };
}

/** Whether the camera can be sent in several sizes at once. */
function simulcasts() {
  const pc = new RTCPeerConnection();
  try {
    const { sender } = pc.addTransceiver("video", { direction: "sendonly", sendEncodings: [{ rid: "a" }, { rid: "b" }] });
    return sender.getParameters().encodings?.length === 2;
  } catch {
    return false;
  } finally {
    pc.close();
  }
}
