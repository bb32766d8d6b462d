const HELD_S = 1; // an expression is told once it has lasted
const EVERY_S = 4; // the least time between two utterances
const GONE_S = 2; // without a face
const MOST_PEOPLE = 4;

/** Speaks changes to a live region: what has lasted, and not more often than one can listen. */
export class Speaker {
  #region;
  #people = new Map();
  #waiting = "";
  #spokeS = -Infinity;
  #seenS = 0;
  #saidNobody = true;

  constructor(region) {
    this.#region = region;
  }

  /** Begin anew: another source. */
  forget() {
    this.#people.clear();
    this.#saidNobody = true;
    this.#waiting = this.#region.textContent = "";
  }

  /** Say something about the page itself, as soon as the last utterance is over. */
  say(text) {
    this.#waiting = text;
    this.tick(performance.now() / 1000);
  }

  /** Learn of the faces of an answer. */
  observe(faces, nowS) {
    if (faces.length) [this.#seenS, this.#saidNobody] = [nowS, false];
    for (const face of faces) {
      const known = this.#people.get(face.name);
      if (known?.expression === face.expression) known.seenS = nowS;
      else this.#people.set(face.name, { ...known, expression: face.expression, sinceS: nowS, seenS: nowS });
    }
    for (const [name, person] of this.#people) {
      if (nowS - person.seenS > GONE_S) this.#people.delete(name);
    }
  }

  /** Speak if there is something to say and it is time. */
  tick(nowS) {
    if (nowS - this.#spokeS < EVERY_S) return;
    const text = this.#waiting || this.#changes(nowS);
    if (!text) return;
    this.#waiting = "";
    this.#spokeS = nowS;
    this.#region.textContent = text;
  }

  #changes(nowS) {
    if (!this.#saidNobody && nowS - this.#seenS > GONE_S) {
      this.#saidNobody = true;
      return "No face in view.";
    }
    const changed = [...this.#people].filter(
      ([, person]) => person.spoken !== person.expression && person.seenS - person.sinceS >= HELD_S,
    );
    for (const [, person] of changed) person.spoken = person.expression;
    const told = changed.slice(0, MOST_PEOPLE).map(([name, { expression }]) => `${name}: ${expression}.`);
    const others = changed.length - told.length;
    return others > 0 ? `${told.join(" ")} And ${others} more.` : told.join(" ");
  }
}

