import { colorOf, inkOn, UNCERTAIN } from "./colors.js";
import { element } from "./dom.js";
import { numberOf, percent, reasonOf } from "./faces.js";

const STAYS_S = 2; // a card waits for a person who was lost
const LEAST_SHOWN = 0.005; // a probability below has no bar
const NUMBERS_EVERY_S = 0.2; // numbers that change faster cannot be read

/** A card for each face in view: its expression, and the probability of every one. */
export class PeopleList {
  #list;
  #labels = [];
  #uncertainBelow = 0;
  #cards = new Map();

  constructor(list) {
    this.#list = list;
  }

  setLabels(labels, uncertainBelow) {
    this.#labels = labels;
    this.#uncertainBelow = uncertainBelow;
    this.clear();
  }

  setThreshold(uncertainBelow) {
    this.#uncertainBelow = uncertainBelow;
  }

  clear() {
    this.#cards.clear();
    this.#list.replaceChildren();
  }

  /** Show the faces of an answer; `nowS` is any clock, `showsWhy` whether reasons were asked for. */
  update(faces, nowS, showsWhy) {
    for (const face of faces) {
      const key = numberOf(face);
      if (!this.#cards.has(key)) this.#add(key, face);
      this.#cards.get(key).show(face, nowS, showsWhy, this.#uncertainBelow);
    }
    for (const [key, card] of this.#cards) {
      card.mark(card.seenS === nowS);
      if (nowS - card.seenS > STAYS_S) this.#remove(key);
    }
  }

  /** Take away the cards of people who are not in view. */
  removeAbsent() {
    for (const [key, card] of this.#cards) if (card.root.dataset.present === "false") this.#remove(key);
  }

  #add(key, face) {
    const card = new Card(face, this.#labels);
    const after = [...this.#cards.entries()].find(([other]) => Number(other) > Number(key));
    this.#list.insertBefore(card.root, after ? after[1].root : null);
    this.#cards.set(key, card);
    this.#cards = new Map([...this.#cards.entries()].sort((a, b) => Number(a[0]) - Number(b[0])));
  }

  #remove(key) {
    this.#cards.get(key).root.remove();
    this.#cards.delete(key);
  }
}

class Card {
  #numbersS = -Infinity;

  constructor(face, labels) {
    this.seenS = -Infinity;
    this.badge = element("span", "person-badge", numberOf(face), { "aria-hidden": "true" });
    this.expression = element("p", "person-expression");
    this.confidence = element("p", "person-confidence number");
    this.note = element("span", "person-note");
    this.why = element("p", "person-why");
    this.bars = labels.map((label) => new Bar(label));
    const words = element("div", "person-words");
    const name = element("h3", "person-name", face.name);
    name.append(this.note);
    words.append(name, this.expression);
    const head = element("div", "person-head");
    head.append(this.badge, words, this.confidence);
    const bars = element("ul", "bars", "", { "aria-label": `Probabilities, ${face.name}` });
    bars.append(...this.bars.map((bar) => bar.root));
    this.root = element("li", "person card");
    this.root.append(head, bars, this.why);
  }

  show(face, nowS, showsWhy, uncertainBelow) {
    this.seenS = nowS;
    const data = this.root.dataset;
    data.trackId = face.id ?? "";
    data.face = face.index;
    data.confidence = face.confidence;
    data.box = face.box.map((value) => value.toFixed(1)).join(",");
    const isNew = data.expression !== face.expression;
    data.expression = face.expression;
    this.bars.forEach((bar, index) => bar.move(face.probabilities[index]));
    if (!isNew && nowS - this.#numbersS < NUMBERS_EVERY_S && nowS >= this.#numbersS) return;
    this.#numbersS = nowS;
    this.#write(face, showsWhy, uncertainBelow);
  }

  #write(face, showsWhy, uncertainBelow) {
    const isUncertain = face.expression === UNCERTAIN;
    const best = Math.max(...face.probabilities);
    this.badge.style.backgroundColor = colorOf(face.expression);
    this.badge.style.color = inkOn(face.expression);
    write(this.expression, face.expression);
    write(this.confidence, percent(face.confidence));
    const level = uncertainBelow === null ? "threshold" : percent(uncertainBelow);
    write(this.note, isUncertain ? ` · none reaches ${level}` : "");
    write(this.why, showsWhy ? whyText(face) : "");
    this.bars.forEach((bar, index) => bar.write(face.probabilities[index], face.probabilities[index] === best));
  }

  mark(isPresent) {
    this.root.dataset.present = isPresent;
  }
}

class Bar {
  constructor(label) {
    this.fill = element("span", "bar-fill");
    this.fill.style.backgroundColor = colorOf(label);
    this.number = element("span", "bar-number number");
    const groove = element("span", "bar-groove", "", { "aria-hidden": "true" });
    groove.append(this.fill);
    this.root = element("li", "bar");
    this.root.dataset.label = label;
    this.root.append(element("span", "bar-label", label), groove, this.number);
  }

  move(probability) {
    this.root.dataset.value = probability;
    this.fill.style.width = probability < LEAST_SHOWN ? "0" : `${(100 * probability).toFixed(1)}%`;
  }

  write(probability, isBest) {
    this.root.dataset.best = isBest;
    write(this.number, percent(probability));
  }
}

function whyText(face) {
  const reason = reasonOf(face);
  if (reason === null) return "Why: unknown, the landmarks are not sure enough";
  return `Why: ${reason || "no single part made it"}`;
}

/** Touch the page only where a text has changed. */
function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
