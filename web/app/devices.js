// The settings dialog: devices, the name, and switches of taste. Device changes reach the call without negotiation.

import { cleanName } from "../crosspoint.js";
import { byId } from "./dom.js";
import { fillDevices } from "./media.js";
import { recall, remember } from "./settings.js";
import { Sound } from "./sound.js";
import { toast } from "./toast.js";
import { explainMediaError } from "./words.js";

/** @typedef {import("./media.js").Device} Device */

export class Devices {
  #crosspoint;
  #media;
  #dialog = byId("settings-dialog", HTMLDialogElement);
  #selects = { microphone: byId("room-microphone", HTMLSelectElement), camera: byId("room-camera", HTMLSelectElement) };
  #speaker = byId("room-speaker", HTMLSelectElement);
  #rename = byId("rename", HTMLInputElement);
  #stop = new AbortController();

  /**
   * @param {import("../crosspoint.js").Crosspoint} crosspoint
   * @param {import("./media.js").LocalMedia} media
   * @param {Sound} sound
   */
  constructor(crosspoint, media, sound) {
    this.#crosspoint = crosspoint;
    this.#media = media;
    const { signal } = this.#stop;
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      this.#selects[device].addEventListener("change", () => void this.#choose(device), { signal });
    }
    this.#speaker.addEventListener("change", () => {
      sound.setSpeaker(this.#speaker.value).catch(() => toast("That speaker cannot be used.", { tone: "problem" }));
    }, { signal });
    this.#dialog.addEventListener("close", () => this.#takeName(), { signal });
    this.#wireSwitch("shortcuts-on", "shortcuts", signal);
    this.#wireSwitch("sounds-on", "sounds", signal);
    this.#stop.signal.addEventListener("abort", media.on("devices", () => this.#show()));
    byId("speaker-field", HTMLElement).hidden = !Sound.canChooseSpeaker();
  }

  open() {
    this.#rename.value = this.#crosspoint.name;
    this.#show();
    void this.#media.refresh();
    this.#dialog.showModal();
  }

  close() {
    this.#stop.abort();
    this.#dialog.close();
  }

  #show() {
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      fillDevices(this.#selects[device], this.#media.lists[device], this.#media.chosen(device), `No ${device} yet`);
    }
    fillDevices(this.#speaker, this.#media.speakers, Sound.speaker || "default", "The system’s own");
  }

  /** @param {Device} device */
  async #choose(device) {
    const id = this.#selects[device].value;
    const source = this.#crosspoint.sources.get(device);
    if (source === undefined || source.track === null) {
      remember(device, id); // it is off; the choice holds for when it is switched on
      return;
    }
    try {
      await this.#crosspoint.replaceTrack(device, await this.#media.open(device, id));
    } catch (error) {
      const { title, text } = explainMediaError(error, device);
      toast(text, { title, tone: "problem" });
      this.#show();
    }
  }

  #takeName() {
    const name = cleanName(this.#rename.value);
    if (name === null || name === this.#crosspoint.name) return;
    remember("name", name);
    this.#crosspoint.setName(name);
  }

  /**
   * @param {string} id
   * @param {string} key
   * @param {AbortSignal} signal
   */
  #wireSwitch(id, key, signal) {
    const input = byId(id, HTMLInputElement);
    input.checked = recall(key, "on") === "on";
    input.addEventListener("change", () => remember(key, input.checked ? "on" : "off"), { signal });
  }
}
