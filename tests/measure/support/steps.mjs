// What a script does one after the other, and how long each part takes.

export class Steps {
  rows = [];

  /** Does something under a heading, and notes how long it took; `more` is noted with it. Returns what it returned. */
  async take(what, does, more = {}) {
    console.log(`== ${what}`);
    const began = performance.now();
    const result = await does();
    this.rows.push({ step: what, seconds: Number(((performance.now() - began) / 1000).toFixed(1)), ...more });
    return result;
  }
}
