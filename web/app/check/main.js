// Where the page of the check begins: reads the address, and runs the check when the visitor asks for it, and not before.

import { isRoomName } from "../../crosspoint.js";
import { announce, button, byId } from "../dom.js";
import { invitationTo, readInvitation, takeInvitation } from "../invitation.js";
import { toast } from "../toast.js";
import { DeviceChecks } from "./devices.js";
import { judge } from "./judge.js";
import { report } from "./report.js";
import { run } from "./run.js";
import { View } from "./view.js";

const view = new View();
/** @type {AbortController | null} */
let running = null;
let told = "";

const invitedTo = takeInvitation();
const room = roomOfAddress() ?? invitedTo;

/** The room that one comes from. */
function roomOfAddress() {
  const name = new URLSearchParams(location.search).get("room") ?? "";
  return isRoomName(name) ? name : null;
}

async function check() {
  const stop = new AbortController();
  running = stop;
  button("begin").hidden = true;
  button("stop").hidden = false;
  button("stop").focus();
  byId("after", HTMLElement).hidden = true;
  view.find(null);
  view.clear();
  announce("The check begins");
  const token = invitationTo(room ?? "");
  const only = token === undefined ? null : readInvitation(token).room ?? null;
  const { outcomes, server } = await run({ room: only, token }, view, stop.signal);
  running = null;
  button("stop").hidden = true;
  button("begin").hidden = false;
  button("begin").textContent = "Check again";
  if (stop.signal.aborted) {
    announce("The check was stopped");
    button("begin").focus();
    return;
  }
  const finding = judge(outcomes, location.hostname);
  told = report(outcomes, finding, server);
  byId("report", HTMLTextAreaElement).value = told;
  byId("after", HTMLElement).hidden = false;
  view.find(finding);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(told);
    toast("The report is copied.");
  } catch {
    byId("report-text", HTMLDetailsElement).open = true;
    byId("report", HTMLTextAreaElement).select();
    toast("The browser does not let the page copy. Copy the marked text yourself.");
  }
}

/** Whether one hears something only oneself can say. */
async function playTone() {
  button("tone").disabled = true;
  try {
    await new DeviceChecks().playTone();
    byId("tone-answer", HTMLElement).textContent = "Did you hear it? If not, look at the volume, whether the sound is off, and which speaker is chosen in the settings of the system and of a call.";
  } catch {
    byId("tone-answer", HTMLElement).textContent = "The browser does not play it. Look whether a speaker or a headset is plugged in.";
  }
  button("tone").disabled = false;
}

button("begin").addEventListener("click", () => void check());
button("stop").addEventListener("click", () => running?.abort());
button("copy-report").addEventListener("click", () => void copy());
button("tone").addEventListener("click", () => void playTone());
window.addEventListener("pagehide", () => running?.abort());
const back = byId("back", HTMLAnchorElement);
button("begin").disabled = false; // until here a click would have been lost
back.href = `${room === null ? "/" : `/r/${room}`}${location.hash}`; // the fragment has the key of a room that is encrypted
