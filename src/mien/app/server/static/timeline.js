import { colorOf, inkOn, UNCERTAIN } from "./colors.js";
import { element } from "./dom.js";
import { percent } from "./faces.js";
import { runsOf, SPAN_S, toldOf } from "./history.js";

const KEYS_S = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageUp: 10, PageDown: -10 };
const MOST_LANES = 6; // of the people seen last
const MOST_TOLD = 3;
const LEAST_RUN_PX = 2;
const WORD_PX = 14; // height of a word and its margin
const FONT = "600 11px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** Draws the last minute of each person, and tells any moment of it to pointer and keyboard. */
export class Timeline {
  #history;
  #places;
  #labels = [];
  #uncertainBelow = 0;
  #lanes = new Map();
  #cursor = null; // {id, agoS}

  /** `places`: {lanes, axis, tip, empty}, elements of the page. */
  constructor(history, places) {
    this.#history = history;
    this.#places = places;
    places.lanes.addEventListener("pointermove", (event) => this.#point(event));
    places.lanes.addEventListener("pointerdown", (event) => this.#point(event));
    places.lanes.addEventListener("pointerleave", () => this.#setCursor(null));
    places.lanes.addEventListener("keydown", (event) => this.#key(event));
    places.lanes.addEventListener("focusout", () => this.#setCursor(null));
    places.lanes.addEventListener("focusin", (event) => this.#focus(event));
  }

  setLabels(labels, uncertainBelow) {
    this.#labels = labels;
    this.#uncertainBelow = uncertainBelow;
  }

  draw() {
    const people = this.#history.people
      .sort((a, b) => b.samples.at(-1).timeS - a.samples.at(-1).timeS || a.id - b.id)
      .slice(0, MOST_LANES)
      .sort((a, b) => a.id - b.id);
    this.#keepLanes(people);
    this.#places.empty.hidden = people.length > 0;
    this.#places.axis.hidden = people.length === 0;
    for (const { id, samples } of people) {
      const lane = this.#lanes.get(id);
      const cursorS = this.#cursor?.agoS ?? null;
      paintLane(lane.canvas, samples, this.#history.nowS, this.#uncertainBelow, cursorS);
      this.#tellSlider(id, lane);
    }
    this.#drawTip();
  }

  #keepLanes(people) {
    const ids = people.map(({ id }) => id);
    for (const [id, lane] of this.#lanes) {
      if (ids.includes(id)) continue;
      lane.root.remove();
      this.#lanes.delete(id);
      if (this.#cursor?.id === id) this.#cursor = null;
    }
    for (const { id, name } of people) {
      if (this.#lanes.has(id)) continue;
      const lane = makeLane(id, name);
      this.#lanes.set(id, lane);
      const after = [...this.#places.lanes.children].find((other) => Number(other.dataset.trackId) > id);
      this.#places.lanes.insertBefore(lane.root, after ?? null);
    }
  }

  #point(event) {
    const track = event.target.closest(".lane-track");
    if (!track) return;
    const { left, width } = track.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    this.#setCursor({ id: Number(track.parentElement.dataset.trackId), agoS: SPAN_S * (1 - share) });
  }

  #key(event) {
    const id = Number(event.target.parentElement?.dataset.trackId);
    const at = this.#cursor?.agoS ?? 0;
    const wanted = { Home: SPAN_S, End: 0 }[event.key] ?? Math.round(at) - KEYS_S[event.key];
    if (Number.isNaN(wanted)) return; // another key
    event.preventDefault();
    this.#setCursor({ id, agoS: Math.min(SPAN_S, Math.max(0, wanted)) });
  }

  #focus(event) {
    if (!event.target.matches(":focus-visible")) return;
    const id = Number(event.target.parentElement.dataset.trackId);
    this.#lanes.get(id).told.agoS = null;
    this.#setCursor({ id, agoS: this.#cursor?.agoS ?? 0 });
  }

  #setCursor(cursor) {
    this.#cursor = cursor;
    this.draw();
  }

  /** Screen readers speak a slider whose text changes: it does so only where its own cursor was moved. */
  #tellSlider(id, { track, told }) {
    const agoS = this.#cursor?.id === id ? this.#cursor.agoS : 0;
    if (told.agoS === agoS) return;
    told.agoS = agoS;
    const sample = this.#history.at(id, this.#history.nowS - agoS);
    const what = sample ? toldOf(sample) : "not in view";
    track.setAttribute("aria-valuenow", String(Math.round(-agoS)));
    track.setAttribute("aria-valuetext", agoS === 0 ? `now: ${what}` : `${Math.round(agoS)} seconds ago: ${what}`);
  }

  #drawTip() {
    const { tip, lanes } = this.#places;
    const lane = this.#cursor && this.#lanes.get(this.#cursor.id);
    tip.hidden = !lane;
    if (!lane) return;
    const { id, agoS } = this.#cursor;
    const sample = this.#history.at(id, this.#history.nowS - agoS);
    const name = lane.root.querySelector(".lane-name").textContent;
    tip.replaceChildren(element("p", "tip-when", `${name} · ${agoS < 0.05 ? "now" : `${agoS.toFixed(1)} s ago`}`));
    tip.append(...(sample ? this.#told(sample) : [element("p", "tip-line", "not in view")]));
    const box = lanes.parentElement.getBoundingClientRect();
    const track = lane.track.getBoundingClientRect();
    const at = track.left - box.left + track.width * (1 - agoS / SPAN_S);
    const left = Math.min(Math.max(at - tip.offsetWidth / 2, 8), box.width - tip.offsetWidth - 8);
    const top = track.top - box.top - tip.offsetHeight - 8;
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  #told(sample) {
    const order = this.#labels.map((label, index) => [label, sample.probabilities[index]]);
    order.sort((a, b) => b[1] - a[1]);
    const first = sample.expression === UNCERTAIN ? [element("p", "tip-line", "uncertain")] : [];
    return [...first, ...order.slice(0, MOST_TOLD).map(([label, share]) => tipLine(label, share))];
  }
}

function tipLine(label, share) {
  const line = element("p", "tip-line");
  const swatch = element("span", "swatch");
  swatch.style.backgroundColor = colorOf(label);
  line.append(swatch, element("span", "", label), element("span", "number", percent(share)));
  return line;
}

function makeLane(id, name) {
  const track = element("div", "lane-track", "", {
    "role": "slider",
    "tabindex": "0",
    "aria-label": `Last minute of ${name}`,
    "aria-describedby": "timeline-help",
    "aria-valuemin": String(-SPAN_S),
    "aria-valuemax": "0",
    "aria-valuenow": "0",
  });
  const canvas = element("canvas", "", "", { "aria-hidden": "true" });
  track.append(canvas);
  const root = element("div", "lane");
  root.dataset.trackId = id;
  root.append(element("span", "lane-name", name), track);
  return { root, track, canvas, told: { agoS: null } };
}

function paintLane(canvas, samples, nowS, uncertainBelow, cursorS) {
  const context = canvas.getContext("2d");
  const sharpness = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * sharpness)) canvas.width = Math.round(width * sharpness);
  if (canvas.height !== Math.round(height * sharpness)) canvas.height = Math.round(height * sharpness);
  context.setTransform(sharpness, 0, 0, sharpness, 0, 0);
  context.clearRect(0, 0, width, height);
  const x = (timeS) => width * (1 - (nowS - timeS) / SPAN_S);
  const ink = getComputedStyle(canvas).color;
  for (const run of runsOf(samples)) paintRun(context, run, x, height, ink);
  paintLevel(context, width, height * (1 - uncertainBelow), ink);
  if (cursorS === null) return;
  context.fillStyle = ink;
  context.fillRect(Math.min(width - 1.5, Math.max(0, width * (1 - cursorS / SPAN_S) - 0.75)), 0, 1.5, height);
}

/** One expression: a hill as high as it was sure, and its word where there is room. */
function paintRun(context, run, x, height, ink) {
  const right = x(run.endS);
  const left = Math.min(x(run.startS), right - LEAST_RUN_PX);
  context.beginPath();
  context.moveTo(left, height);
  context.lineTo(left, height * (1 - run.samples[0].confidence));
  for (const { timeS, confidence } of run.samples) context.lineTo(x(timeS), height * (1 - confidence));
  context.lineTo(right, height * (1 - run.samples.at(-1).confidence));
  context.lineTo(right, height);
  context.closePath();
  context.fillStyle = colorOf(run.expression);
  context.fill();
  context.globalAlpha = 0.35;
  context.strokeStyle = ink;
  context.lineWidth = 1;
  context.stroke();
  context.globalAlpha = 1;
  context.font = FONT;
  const room = Math.min(right, context.canvas.clientWidth) - Math.max(left, 0);
  const lowest = height * Math.min(...run.samples.map(({ confidence }) => confidence));
  if (lowest < WORD_PX || room < context.measureText(run.expression).width + 10) return;
  context.fillStyle = inkOn(run.expression);
  context.fillText(run.expression, Math.max(left, 0) + 5, height - 5);
}

function paintLevel(context, width, y, ink) {
  context.globalAlpha = 0.3;
  context.strokeStyle = ink;
  context.setLineDash([2, 4]);
  context.beginPath();
  context.moveTo(0, Math.round(y) + 0.5);
  context.lineTo(width, Math.round(y) + 0.5);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}
