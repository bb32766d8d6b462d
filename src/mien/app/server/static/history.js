import { UNCERTAIN } from "./colors.js";

export const SPAN_S = 60;
const GAP_S = 0.5; // answers farther apart are joined only if none came between them
const LONGEST_GAP_S = 3;

/** The answers of the last minute, for each person. */
export class History {
  #people = new Map();
  #nowS = 0;
  #answers = 0;

  get nowS() {
    return this.#nowS;
  }

  /** [{id, name, samples}]; samples are {timeS, answer, expression, confidence, probabilities}. */
  get people() {
    return [...this.#people.values()];
  }

  clear() {
    this.#people.clear();
    this.#nowS = 0;
  }

  add(faces, timeS) {
    this.#nowS = timeS;
    this.#answers++;
    for (const { id, name, expression, confidence, probabilities } of faces) {
      if (id === null) continue;
      if (!this.#people.has(id)) this.#people.set(id, { id, name, samples: [] });
      this.#people.get(id).samples.push({ timeS, answer: this.#answers, expression, confidence, probabilities });
    }
    for (const [id, { samples }] of this.#people) {
      const first = samples.findIndex((sample) => sample.timeS >= timeS - SPAN_S);
      if (first === -1) this.#people.delete(id);
      else if (first > 0) samples.splice(0, first);
    }
  }

  /** The answer for a person that was true at a time; null where there was none. */
  at(id, timeS) {
    const samples = this.#people.get(id)?.samples ?? [];
    const index = samples.findLastIndex((sample) => sample.timeS <= timeS + 0.02);
    if (index === -1) return null;
    const sample = samples[index];
    const following = samples[index + 1];
    const isJoined = following ? areJoined(sample, following) : sample.answer === this.#answers;
    return isJoined || timeS - sample.timeS <= GAP_S ? sample : null;
  }
}

/** Runs of one expression without a gap: [{expression, startS, endS, samples}]. */
export function runsOf(samples) {
  const runs = [];
  for (const sample of samples) {
    const last = runs.at(-1);
    const isJoined = last && areJoined(last.samples.at(-1), sample);
    if (isJoined) last.endS = sample.timeS;
    if (isJoined && last.expression === sample.expression) last.samples.push(sample);
    else runs.push({ expression: sample.expression, startS: sample.timeS, endS: sample.timeS, samples: [sample] });
  }
  return runs;
}

/** Whether a person was there all the time from one answer to another. */
function areJoined(first, second) {
  const gapS = second.timeS - first.timeS;
  return gapS <= GAP_S || (gapS <= LONGEST_GAP_S && second.answer === first.answer + 1);
}

/** What is told of an answer: "uncertain, at most 41 %" or "happy 83 %". */
export function toldOf({ expression, confidence }) {
  const share = `${Math.round(100 * confidence)} %`;
  return expression === UNCERTAIN ? `uncertain, at most ${share}` : `${expression} ${share}`;
}
