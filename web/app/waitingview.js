// What one sees who came and is not let in yet: what is waited for, and a way out. main.js shows it instead of the room.

import { announce, button, byId } from "./dom.js";
import { describeWaiting } from "./words.js";

/**
 * Shows it until one is let in.
 * @param {import("../crosspoint.js").Crosspoint} crosspoint
 * @returns {Promise<boolean>} false if that did not come to be
 */
export function waitToBeLetIn(crosspoint) {
  const element = byId("waiting-view", HTMLElement);
  const show = () => {
    const text = describeWaiting(crosspoint.waiting?.moderator ?? false);
    if (byId("waiting-text", HTMLElement).textContent !== text) byId("waiting-text", HTMLElement).textContent = text;
  };
  byId("waiting-room-name", HTMLElement).textContent = crosspoint.room;
  element.hidden = false;
  show();
  button("stop-waiting").focus();
  return new Promise((resolve) => {
    const stop = new AbortController();
    /** @param {boolean} admitted */
    const end = (admitted) => {
      stop.abort();
      element.hidden = true;
      if (admitted) announce("You were let in");
      resolve(admitted);
    };
    const { signal } = stop;
    crosspoint.addEventListener("waiting", () => {
      if (crosspoint.waiting === null) end(true);
      else show();
    }, { signal });
    crosspoint.addEventListener("state", () => {
      if (crosspoint.state === "closed") end(false);
    }, { signal });
    button("stop-waiting").addEventListener("click", () => crosspoint.close(), { signal });
  });
}
