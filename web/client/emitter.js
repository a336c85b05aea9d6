// A typed EventTarget. The client's classes extend it; `on` is the short way to listen, and addEventListener works as
// everywhere. It never catches what a listener throws: the browser reports it, and the next listener still runs.

/** @template {Record<string, any>} Events */
export class Emitter extends EventTarget {
  /**
   * Calls `listener` with the event's detail, until the returned function is called.
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(detail: Events[Type]) => void} listener
   * @returns {() => void}
   */
  on(type, listener) {
    const handler = (/** @type {Event} */ event) => listener(/** @type {CustomEvent} */ (event).detail);
    this.addEventListener(type, handler);
    return () => this.removeEventListener(type, handler);
  }

  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
