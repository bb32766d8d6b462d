import { colorOf, UNCERTAIN } from "./colors.js";
import { byId, clockText, element, setIcon } from "./dom.js";
import { History } from "./history.js";
import { Meters } from "./meters.js";
import { Overlay } from "./overlay.js";
import { PeopleList } from "./people.js";
import { lostText } from "./states.js";
import { Timeline } from "./timeline.js";
import { fillTable } from "./timetable.js";

const STALE_MS = 1200; // an answer older than this is drawn faintly,
const GONE_MS = 4000; // and then no more
const NOBODY_MS = 1000;
const TABLE_EVERY_MS = 2000; // a table that changes faster cannot be read
const FAINT = 0.4;
const STILL = ["paused", "photo", "ended", "background", "analyzing"]; // states in which the picture stands

/** All that shows answers: boxes, cards, timeline, meters. */
export class Views {
  #stage = byId("stage");
  #overlay = new Overlay(byId("overlay"));
  #people = new PeopleList(byId("people"));
  #history = new History();
  #timeline = new Timeline(this.#history, {
    lanes: byId("lanes"),
    axis: byId("axis"),
    tip: byId("timeline-tip"),
    empty: byId("lanes-empty"),
  });
  #meters = new Meters(byId("fps"), byId("delay"));
  #answer = null; // {faces, size, atMs}
  #opacity = 1;
  #asked = { landmarks: false, why: false };
  #labels = [];
  #seenMs = 0;
  #tableMs = 0;
  isMirrored = false;

  constructor() {
    new ResizeObserver(() => this.redraw()).observe(this.#stage);
    new ResizeObserver(() => this.#timeline.draw()).observe(byId("lanes"));
    byId("timeline-table").addEventListener("toggle", () => this.#fillTable());
  }

  setLabels(labels, uncertainBelow) {
    this.#overlay.setLabels(labels);
    this.#timeline.setLabels(labels, uncertainBelow ?? 0);
    if (labels.join() === this.#labels.join()) return this.#people.setThreshold(uncertainBelow);
    this.#labels = labels;
    this.#people.setLabels(labels, uncertainBelow);
    byId("legend").replaceChildren(...[...labels, UNCERTAIN].map(legendEntry));
  }

  setAsked(asked) {
    this.#asked = asked;
    this.redraw();
  }

  setMirrored(isMirrored) {
    this.isMirrored = isMirrored;
    this.#stage.dataset.mirrored = isMirrored;
    byId("mirror").setAttribute("aria-pressed", isMirrored);
    this.redraw();
  }

  setPaused(isPaused, hasEnded) {
    byId("pause-label").textContent = hasEnded ? "Play again" : isPaused ? "Resume" : "Pause";
    setIcon(byId("pause-icon"), hasEnded ? "again" : isPaused ? "play" : "pause");
  }

  /** Make room for a source: "camera", "video" or "photo". */
  showStage(kind, name = "") {
    const isPhoto = kind === "photo";
    this.#stage.dataset.source = kind;
    byId("video").hidden = isPhoto;
    byId("photo").hidden = !isPhoto;
    byId("photo").setAttribute("aria-label", `Photo ${name}`.trim());
    byId("seek-row").hidden = kind !== "video";
    byId("timeline").hidden = byId("pause").hidden = isPhoto;
    byId("mirror").hidden = kind !== "camera";
    byId("camera-choice").hidden = kind !== "camera";
    this.#seenMs = performance.now();
  }

  clear() {
    this.#answer = null;
    this.#overlay.clear();
    this.#people.clear();
    this.#history.clear();
    this.#timeline.draw();
    this.#meters.clear();
    this.#count(0);
    for (const name of ["frame", "timeS"]) delete this.#stage.dataset[name];
    byId("no-face").hidden = byId("banner").hidden = true;
  }

  /** Show the faces of an answer to a picture of `size`; `result` has frame, time_s, and a label if it was streamed. */
  show(faces, size, result) {
    const nowMs = performance.now();
    this.#answer = { faces, size, atMs: nowMs };
    this.#opacity = 1;
    this.#stage.dataset.frame = result.frame;
    this.#stage.dataset.timeS = result.time_s;
    this.#count(faces.length);
    if (faces.length) this.#seenMs = nowMs;
    this.#people.update(faces, nowMs / 1000, this.#asked.why);
    byId("people-empty").hidden = byId("people").childElementCount > 0;
    this.redraw();
    if (!result.label) return;
    this.#meters.add(nowMs, nowMs - result.label.takenAtMs);
    this.#history.add(faces, result.time_s);
    this.#timeline.draw();
  }

  redraw() {
    if (!this.#answer) return;
    const { faces, size } = this.#answer;
    this.#overlay.draw(faces, size, { isMirrored: this.isMirrored, ...this.#asked, opacity: this.#opacity });
  }

  /** Say over the picture why no answers come; with null and no message, nothing. */
  showTrouble(lost, message) {
    byId("banner").hidden = lost === null && !message;
    byId("banner-action").hidden = lost === null;
    if (lost) this.#writeBanner(lost);
    else byId("banner-text").textContent = message;
  }

  /** What changes with time, four times a second. */
  tick(state, records, lost) {
    const nowMs = performance.now();
    this.#fade(state, nowMs);
    this.#tellNobody(state, nowMs);
    byId("people-empty").hidden = byId("people").childElementCount > 0;
    byId("meters").hidden = !this.#meters.write(nowMs, state === "live");
    if (lost) this.#writeBanner(lost);
    if (byId("timeline-table").open && nowMs - this.#tableMs > TABLE_EVERY_MS) this.#fillTable();
    writeRowCount(records);
    writeSeek();
  }

  #tellNobody(state, nowMs) {
    const hasNobody = this.#answer?.faces.length === 0;
    const isTold = state === "photo" || (state === "live" && nowMs - this.#seenMs > NOBODY_MS);
    byId("no-face").textContent = state === "photo" ? "No face found in this photo" : "No face in view";
    byId("no-face").hidden = !(hasNobody && isTold);
  }

  /** Boxes that nobody answers for any more fade away; a picture that stands still keeps them. */
  #fade(state, nowMs) {
    if (STILL.includes(state)) return this.#people.removeAbsent();
    if (!this.#answer) return;
    const ageMs = nowMs - this.#answer.atMs;
    const opacity = ageMs > GONE_MS ? 0 : ageMs > STALE_MS ? FAINT : 1;
    if (opacity === this.#opacity) return;
    this.#opacity = opacity;
    this.redraw();
    if (opacity > 0) return;
    this.#people.update([], nowMs / 1000, false);
    this.#count(0);
  }

  #count(faces) {
    this.#stage.dataset.faces = faces;
    byId("people-count").textContent = faces;
  }

  #writeBanner({ reason, waitS, untilMs }) {
    const leftS = Math.max(0, Math.ceil((untilMs - performance.now()) / 1000));
    const when = waitS === null ? "" : leftS > 0 ? ` Trying again in ${leftS} s.` : " Trying again.";
    byId("banner-text").textContent = lostText(reason) + when;
  }

  #fillTable() {
    this.#tableMs = performance.now();
    fillTable(byId("timeline-table").querySelector("tbody"), this.#history);
  }
}

function legendEntry(label) {
  const swatch = element("span", "swatch");
  swatch.style.backgroundColor = colorOf(label);
  const entry = element("li");
  entry.append(swatch, label);
  return entry;
}

function writeRowCount(records) {
  const place = byId("row-count");
  if (place.dataset.rows === String(records.count)) return;
  place.dataset.rows = records.count;
  const words = `${records.count.toLocaleString("en")} ${records.count === 1 ? "row" : "rows"}`;
  place.textContent = records.count ? `${words}${records.isTrimmed ? ", older ones gone" : ""}` : "";
  byId("download").disabled = byId("clear-rows").disabled = records.count === 0;
}

function writeSeek() {
  const [video, seek] = [byId("video"), byId("seek")];
  if (byId("seek-row").hidden || !Number.isFinite(video.duration)) return;
  seek.max = video.duration;
  if (document.activeElement !== seek || !video.paused) seek.value = video.currentTime;
  byId("seek-time").textContent = `${clockText(video.currentTime)} / ${clockText(video.duration)}`;
  seek.setAttribute("aria-valuetext", `${clockText(video.currentTime)} of ${clockText(video.duration)}`);
}
