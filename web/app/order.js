// In which order tiles come when they do not fit on one page: as they came, with whoever speaks on the first page. A speaker
// changes places with the one of that page who was silent for longest, so that two tiles move and no more. The stage owns one;
// it knows keys, not tiles.

export class Order {
  /** @type {string[]} */
  #keys = [];
  /** The latest first. @type {string[]} */
  #heard = [];

  /**
   * Those that are new go to the end; the others keep their places.
   * @param {string[]} keys
   */
  reconcile(keys) {
    const present = new Set(keys);
    const known = new Set(this.#keys);
    this.#keys = [...this.#keys.filter((key) => present.has(key)), ...keys.filter((key) => !known.has(key))];
    this.#heard = this.#heard.filter((key) => present.has(key));
  }

  /** @param {string[]} keys loudest first */
  heard(keys) {
    this.#heard = [...keys, ...this.#heard.filter((key) => !keys.includes(key))];
  }

  /**
   * The order now, some of them in front.
   * @param {{first: (key: string) => boolean, except?: string}} how
   */
  keys({ first, except }) {
    const keys = this.#keys.filter((key) => key !== except);
    return [...keys.filter(first), ...keys.filter((key) => !first(key))];
  }

  /**
   * Brings speakers onto the first page.
   * @param {string[]} speaking
   * @param {string[]} front what is on the first page and may give way
   */
  bring(speaking, front) {
    const page = [...front];
    const rank = (/** @type {string} */ key) => (this.#heard.includes(key) ? this.#heard.indexOf(key) : Infinity);
    for (const key of speaking) {
      // Of those who never spoke, the last one.
      const silent = page.filter((one) => !speaking.includes(one))
        .reduce((/** @type {string | null} */ best, one) => (best === null || rank(one) >= rank(best) ? one : best), null);
      if (silent === null) return;
      page.splice(page.indexOf(silent), 1);
      const [from, to] = [this.#keys.indexOf(key), this.#keys.indexOf(silent)];
      [this.#keys[from], this.#keys[to]] = [this.#keys[to], this.#keys[from]];
    }
  }
}
