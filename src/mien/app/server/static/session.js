import { cameraProblem, closeCamera, looksAtUser, openCamera } from "./camera.js";
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { facesOf, percent } from "./faces.js";
import { analyzePhoto, drawPhoto, FileProblem, loadVideo, unloadVideo } from "./files.js";
import { FrameSender } from "./frames.js";
import { Records } from "./records.js";
import { Speaker } from "./speech.js";
import { States } from "./states.js";
import { Views } from "./views.js";

const PATIENCE_MS = 400; // a browser that already allows the camera answers sooner: then nothing is shown

const MOST_REFUSED = 3; // frames in a row: then the page says what the server does
const OWN_STATES = ["full", "unauthorized", "forbidden"];

/** What the page reads at the moment, from the press of a button to the answers on the screen. */
export class Session {
  #speaker = new Speaker(byId("live-region"));
  #states = new States(this.#speaker);
  #video = byId("video");
  #connection = new Connection(streamAddress());
  #sender = new FrameSender(this.#video, this.#connection);
  #source = null; // {kind, name, stream?}
  #turn = 0; // of what was asked for last: an answer to what came before is late
  #isPaused = false;
  #hasAnswer = false;
  #lost = null; // {reason, waitS, untilMs}
  #refused = { count: 0, message: "" }; // frames in a row
  #idShift = 0;
  #asked = { landmarks: false, why: false };
  #photoRows = null;

  records = new Records();
  views = new Views();
  server = null; // the last hello

  constructor() {
    const on = (name, act) => this.#connection.addEventListener(name, (event) => act(event.detail));
    on("hello", (hello) => this.#greet(hello));
    on("result", (result) => this.#show(result));
    on("problem", (problem) => this.#hearProblem(problem));
    on("lost", (lost) => this.#lose(lost));
    for (const name of ["play", "pause", "ended"]) this.#video.addEventListener(name, () => this.#settle());
    this.#video.addEventListener("seeking", () => this.#source?.kind === "video" && this.#cut());
    document.addEventListener("visibilitychange", () => this.#hide());
    addEventListener("online", () => this.retry());
    setInterval(() => this.#tick(), 250);
  }

  get source() {
    return this.#source;
  }

  get state() {
    return this.#states.current;
  }

  async startCamera(deviceId) {
    const turn = this.#leave();
    const patience = setTimeout(() => this.#states.set("requesting", "panel"), PATIENCE_MS);
    let stream;
    try {
      stream = await openCamera(deviceId);
    } catch (error) {
      if (turn === this.#turn) this.#states.set(cameraProblem(error), "panel");
      return;
    } finally {
      clearTimeout(patience);
    }
    if (turn !== this.#turn) {
      closeCamera(stream);
      return;
    }
    this.#video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => this.#unplugged(stream));
    const startMs = performance.now();
    this.#enter({ kind: "camera", name: "camera", stream }, looksAtUser(stream));
    this.#sender.start((takenAtMs) => Math.max(0, takenAtMs - startMs) / 1000);
    await this.#play();
  }

  async openFile(file) {
    const turn = this.#leave();
    this.views.showStage("photo");
    const isVideo = !file.type.startsWith("image/"); // systems do not know all kinds of videos
    try {
      if (isVideo) await loadVideo(file, this.#video);
      else await drawPhoto(file, byId("photo"));
    } catch (problem) {
      if (turn === this.#turn) this.#fail(problem);
      return;
    }
    if (turn !== this.#turn) return;
    if (isVideo) {
      this.#enter({ kind: "video", name: file.name }, false);
      this.#sender.start((_, metadata) => metadata.mediaTime);
      await this.#play();
    } else {
      this.#enter({ kind: "photo", name: file.name }, false);
      await this.#readPhoto(turn);
    }
  }

  /** Camera off, back to the start. */
  stop() {
    this.#leave();
    this.#states.set("start", "start");
  }

  togglePause() {
    if (this.#source?.kind === "photo") return;
    this.#isPaused = !this.#video.paused;
    if (this.#isPaused) this.#video.pause();
    else this.#play();
  }

  toggleMirror() {
    this.views.setMirrored(!this.views.isMirrored);
  }

  /** Ask for "landmarks" or "why", or no longer. */
  toggleAsked(name) {
    this.#asked = { ...this.#asked, [name]: !this.#asked[name] };
    byId(name).setAttribute("aria-pressed", this.#asked[name]);
    this.views.setAsked(this.#asked);
    // Regions are drawn where landmarks lie.
    this.#connection.setOptions({ landmarks: this.#asked.landmarks || this.#asked.why, why: this.#asked.why });
    if (this.#source?.kind === "photo") this.#readPhoto(this.#turn);
  }

  /** Try now what is waited for. */
  retry() {
    if (this.#lost === null) return;
    this.#lost = null;
    this.#settle();
    this.#connection.retry();
  }

  seek(timeS) {
    this.#video.currentTime = timeS;
  }

  /** Leave whatever was read, and return the turn of what is asked for now. */
  #leave() {
    this.#sender.stop();
    this.#connection.want(false);
    if (this.#source?.stream) closeCamera(this.#source.stream);
    unloadVideo(this.#video);
    this.#source = this.#lost = this.#photoRows = null;
    this.#isPaused = this.#hasAnswer = false;
    this.#refused.count = 0;
    this.#speaker.forget();
    this.views.clear();
    return ++this.#turn;
  }

  #enter(source, isMirrored) {
    this.#source = source;
    this.views.showStage(source.kind, source.name);
    this.views.setMirrored(isMirrored);
    this.#settle();
    // What had the focus may be gone with the view before; a control of this view keeps it.
    if (!byId("session-view").contains(document.activeElement)) byId("stage").focus({ preventScroll: true });
  }

  async #play() {
    try {
      await this.#video.play();
    } catch {
      this.#settle(); // interrupted by a newer source, or the browser wants a press of the button first
    }
  }

  #fail(problem) {
    if (!(problem instanceof FileProblem)) throw problem;
    this.#leave();
    this.#states.set(problem.state, "panel", problem.message || undefined);
  }

  #unplugged(stream) {
    if (this.#source?.stream !== stream) return;
    this.#leave();
    this.#states.set("no-camera", "panel", "The camera was unplugged or switched off. Plug it in and try again.");
  }

  #greet(hello) {
    this.server = hello;
    this.#lost = null;
    this.#idShift = this.records.largestId;
    this.#sender.limit(hello.limits.frames_per_second);
    this.records.setColumns(hello.columns);
    this.views.setLabels(hello.model.labels, hello.model.uncertain_below);
    this.#settle();
  }

  #show(result) {
    if (!this.#source || !this.#sender.isCurrent(result.label)) return;
    const faces = facesOf(result.rows, this.server.model.labels, this.#idShift);
    const rows = result.rows.map((row) => this.#ownRow(row));
    this.records.add(rows, this.#asked);
    this.#hasAnswer = true;
    this.#refused.count = 0;
    this.views.show(faces, [result.width, result.height], result);
    this.#speaker.observe(faces, performance.now() / 1000);
    if (this.state !== "live") this.#settle();
  }

  #lose(lost) {
    this.#lost = { ...lost, untilMs: performance.now() + 1000 * (lost.waitS ?? 0) };
    this.#settle();
  }

  #hearProblem({ code, message }) {
    if (code === "too_fast") return this.#sender.slowDown();
    this.#refused = { count: this.#refused.count + 1, message };
    if (this.#refused.count === MOST_REFUSED) this.#hasAnswer = false;
    if (this.#refused.count >= MOST_REFUSED) this.#settle();
  }

  async #readPhoto(turn) {
    this.#states.set("analyzing", "session");
    const asked = this.#asked;
    let answer;
    try {
      answer = await analyzePhoto(byId("photo"), asked);
    } catch (problem) {
      if (turn === this.#turn) this.#fail(problem);
      return;
    }
    if (turn !== this.#turn || asked !== this.#asked) return; // another answer is on its way
    const labels = this.records.setColumns(answer.columns);
    this.views.setLabels(labels, this.server?.model.uncertain_below ?? null);
    const rows = answer.rows.map((row) => this.#ownRow(row));
    this.#photoRows = this.records.put(this.#photoRows, rows, asked);
    const faces = facesOf(answer.rows, labels);
    this.views.show(faces, [answer.width, answer.height], { frame: 0, time_s: 0 });
    this.#states.set("photo", "session");
    this.#speaker.say(photoText(faces));
  }

  #ownRow(row) {
    const hasId = row.track_id !== null && row.track_id !== undefined;
    return { ...row, source: this.#source.name, track_id: hasId ? row.track_id + this.#idShift : null };
  }

  #cut() {
    this.#sender.cut();
    this.#speaker.forget();
    this.views.clear();
  }

  #hide() {
    if (this.#source?.kind === "video" && !this.#isPaused && !this.#video.ended) {
      if (document.hidden) this.#video.pause();
      else this.#play();
    }
    this.#settle();
  }

  /** Bring state, views and connection into line with what is so. */
  #settle() {
    if (!this.#source || this.#source.kind === "photo") return;
    const isRunning = !document.hidden && !this.#video.paused && !this.#video.ended;
    if (!isRunning) [this.#lost, this.#hasAnswer] = [null, false];
    this.#connection.want(isRunning);
    this.#states.set(this.#streamState(), "session");
    this.views.setPaused(this.#video.paused, this.#video.ended);
    this.views.showTrouble(this.#lost, this.#refused.count >= MOST_REFUSED ? this.#refused.message : "");
  }

  #streamState() {
    if (document.hidden) return "background";
    if (this.#video.ended) return "ended";
    if (this.#video.paused) return this.#isPaused ? "paused" : "connecting";
    if (this.#lost) return OWN_STATES.includes(this.#lost.reason) ? this.#lost.reason : "reconnecting";
    return this.#hasAnswer && this.#connection.isReady ? "live" : "connecting";
  }

  #tick() {
    this.#speaker.tick(performance.now() / 1000);
    this.views.tick(this.state, this.records, this.#lost);
  }
}

function streamAddress() {
  const address = new URL("stream", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  return address;
}

function photoText(faces) {
  if (!faces.length) return "No face found in the photo.";
  const told = faces.slice(0, 4).map((face) => `${face.name}: ${face.expression} ${percent(face.confidence)}.`);
  return `${faces.length} ${faces.length === 1 ? "face" : "faces"}. ${told.join(" ")}`;
}
