const SPAN_MS = 6000;
const MOST_ANSWERS = 30;

/** Frames a second and delay, over the last answers. */
export class Meters {
  #places;
  #answers = []; // [atMs, delayMs]

  constructor(fps, delay) {
    this.#places = { fps, delay };
  }

  clear() {
    this.#answers = [];
    this.write(0, false);
  }

  add(nowMs, delayMs) {
    this.#answers.push([nowMs, delayMs]);
  }

  /** Write both; return whether they are known. */
  write(nowMs, isLive) {
    this.#answers = this.#answers.slice(-MOST_ANSWERS).filter(([atMs]) => nowMs - atMs <= SPAN_MS);
    const count = this.#answers.length;
    const isKnown = isLive && count > 1;
    const spanMs = isKnown ? this.#answers.at(-1)[0] - this.#answers[0][0] : 0;
    const delays = this.#answers.map(([, delayMs]) => delayMs).sort((a, b) => a - b);
    put(this.#places.fps, isKnown ? (1000 * (count - 1)) / spanMs : null, "");
    put(this.#places.delay, isKnown ? delays[Math.floor(count / 2)] : null, " ms");
    return isKnown;
  }
}

function put(place, value, unit) {
  place.dataset.value = value === null ? "" : value.toFixed(1);
  const digits = !unit && value < 10 ? 1 : 0;
  const text = value === null ? "–" : `${value.toFixed(digits)}${unit}`;
  if (place.textContent !== text) place.textContent = text;
}
