// The lobby: who you are, which room, how you look, and the ways in. It opens devices for the preview, and hands them on; it
// never connects to the server.

import { cleanName, isRoomName } from "../crosspoint.js";
import { button, byId, icon, label, make, setIcon } from "./dom.js";
import { fillDevices } from "./media.js";
import { invitationTo, readInvitation } from "./invitation.js";
import { meter } from "./meter.js";
import { Secret } from "./secret.js";
import { recall, remember } from "./settings.js";
import { explainMediaError } from "./words.js";

/**
 * @typedef {import("./media.js").Device} Device
 * @typedef {{name: string, room: string, key: Uint8Array<ArrayBuffer> | null, how: "media" | "no-media" | "enter-only"}} Entry
 */

/** How long joining waits for a camera that is still starting. */
const DEVICE_PATIENCE_MS = 2500;

export class Lobby {
  #media;
  #enter;
  #element = byId("lobby", HTMLElement);
  #form = byId("entry", HTMLFormElement);
  #name = byId("name-input", HTMLInputElement);
  #room = byId("room-input", HTMLInputElement);
  #video = byId("preview-video", HTMLVideoElement);
  #off = byId("preview-off", HTMLElement);
  #problems = byId("preview-problems", HTMLElement);
  #selects = { microphone: byId("lobby-microphone", HTMLSelectElement), camera: byId("lobby-camera", HTMLSelectElement) };
  #secret = new Secret();
  #switches = { microphone: button("preview-mic"), camera: button("preview-cam") };
  /** @type {Promise<void>} */
  #opening = Promise.resolve();
  #busy = false;
  #stopMeter = () => {};

  /**
   * @param {import("./media.js").LocalMedia} media
   * @param {(entry: Entry) => Promise<string | null>} enter resolves with what went wrong, if anything
   */
  constructor(media, enter) {
    this.#media = media;
    this.#enter = enter;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit("media");
    });
    button("join-no-media").addEventListener("click", () => void this.#submit("no-media"));
    button("enter-only").addEventListener("click", () => void this.#submit("enter-only"));
    this.#room.addEventListener("change", () => {
      this.#room.value = this.#room.value.trim().replace(/\s+/g, "-");
    });
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      this.#switches[device].addEventListener("click", () => this.#toggle(device));
      this.#selects[device].addEventListener("change", () => {
        void this.#open(device, this.#selects[device].value);
      });
    }
    media.on("changed", () => this.#show());
    media.on("devices", () => this.#showDevices());
  }

  /**
   * @param {string} room
   * @param {string} [problem]
   */
  open(room, problem = "") {
    this.#element.hidden = false;
    document.title = `${room} · Crosspoint`;
    const invitation = invitationTo(room);
    const invited = invitation === undefined ? {} : readInvitation(invitation);
    this.#name.value ||= invited.name ?? recall("name");
    byId("lobby-foot", HTMLElement).textContent = `${invitation === undefined
      ? "Anyone with the room’s link can join it." : "You have an invitation to this room."} Media passes through this server, which records nothing.`;
    this.#room.value = room;
    this.#secret.read();
    this.#say("room", problem);
    (this.#name.value === "" ? this.#name : button("join")).focus();
    this.#opening = this.#openBoth();
  }

  close() {
    this.#element.hidden = true;
    this.#stopMeter();
    this.#stopMeter = () => {};
    this.#video.srcObject = null;
  }

  /** @param {Entry["how"]} how */
  async #submit(how) {
    if (this.#busy) return;
    const name = cleanName(this.#name.value);
    const room = this.#room.value.trim().replace(/\s+/g, "-");
    this.#say("name", name === null ? "Say who you are, in up to 64 characters." : "");
    this.#say("room", isRoomName(room) ? "" : "A room’s name has 1 to 64 letters, digits, hyphens, underscores or dots.");
    if (name === null) return this.#name.focus();
    if (!isRoomName(room)) return this.#room.focus();
    const secret = this.#secret.state;
    if (secret.problem !== "") return this.#secret.focus(); // never unencrypted by accident
    remember("name", name);
    this.#setBusy(true);
    if (how === "media") {
      await Promise.race([this.#opening, new Promise((resolve) => setTimeout(resolve, DEVICE_PATIENCE_MS))]);
    }
    const problem = await this.#enter({ name, room, key: secret.key, how });
    this.#setBusy(false);
    if (problem !== null) this.#say("room", problem);
  }

  /** @param {boolean} busy */
  #setBusy(busy) {
    this.#busy = busy;
    this.#form.setAttribute("aria-busy", String(busy));
    button("join").textContent = busy ? "Joining…" : "Join the call";
  }

  async #openBoth() {
    this.#off.textContent = "Starting camera and microphone…";
    const problems = await this.#media.openBoth();
    const [first, second] = problems;
    const same = second !== undefined && explainMediaError(first.error, "both").text === explainMediaError(second.error, "both").text;
    const told = same ? [{ ...first, device: /** @type {const} */ ("both") }] : problems;
    this.#showProblems(told.map(({ device, error }) => explainMediaError(error, device)));
    this.#show();
  }

  /**
   * @param {Device} device
   * @param {string} [id]
   */
  async #open(device, id) {
    try {
      await this.#media.open(device, id);
      this.#showProblems([]);
    } catch (error) {
      this.#showProblems([explainMediaError(error, device)]);
    }
  }

  /** @param {Device} device */
  #toggle(device) {
    if (this.#media.tracks[device] === null) this.#opening = this.#open(device);
    else this.#media.close(device);
  }

  #show() {
    if (this.#element.hidden) return;
    const { microphone, camera } = this.#media.tracks;
    const playing = this.#video.srcObject instanceof MediaStream ? this.#video.srcObject.getVideoTracks()[0] : null;
    if (playing !== camera) this.#video.srcObject = camera === null ? null : new MediaStream([camera]);
    this.#video.hidden = camera === null;
    this.#off.hidden = camera !== null;
    this.#off.textContent = microphone === null ? "Camera and microphone are off" : "Camera is off";
    this.#stopMeter();
    const bar = byId("preview-level", HTMLElement);
    this.#stopMeter = microphone === null ? () => {} : meter(microphone, (level) => {
      bar.style.transform = `scaleX(${level.toFixed(3)})`;
    });
    this.#showSwitch("microphone", "mic", microphone !== null);
    this.#showSwitch("camera", "cam", camera !== null);
    this.#showDevices();
  }

  /**
   * @param {Device} device
   * @param {string} symbol
   * @param {boolean} on
   */
  #showSwitch(device, symbol, on) {
    const element = this.#switches[device];
    element.setAttribute("aria-pressed", String(on));
    element.classList.toggle("off", !on);
    setIcon(element, on ? symbol : `${symbol}-off`);
    label(element, `${device === "camera" ? "Camera" : "Microphone"} ${on ? "on" : "off"}`);
  }

  #showDevices() {
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      fillDevices(this.#selects[device], this.#media.lists[device], this.#media.chosen(device), `No ${device} yet`);
    }
  }

  /** @param {import("./words.js").Problem[]} problems */
  #showProblems(problems) {
    const boxes = problems.map(({ title, text }) => make("div", "problem", icon("warning"),
      make("div", "", make("strong", "", title), make("p", "", text))));
    if (boxes.length > 0) {
      const again = make("button", "secondary", "Try again");
      again.type = "button";
      again.addEventListener("click", () => { this.#opening = this.#openBoth(); });
      boxes[boxes.length - 1].lastElementChild?.append(again);
    }
    this.#problems.replaceChildren(...boxes);
  }

  /**
   * @param {"name" | "room"} field
   * @param {string} problem
   */
  #say(field, problem) {
    byId(`${field}-problem`, HTMLElement).textContent = problem;
    (field === "name" ? this.#name : this.#room).setAttribute("aria-invalid", String(problem !== ""));
  }
}
