const WAITS_S = [0.5, 1, 2, 4, 8, 15];
const FULL_WAIT_S = 4; // a server at its limit is not asked as often as one that is starting
const SILENCE_S = 10; // without a greeting, or an answer to a frame: the connection is taken as lost
const REASONS = { 1012: "restarting", 1013: "full", 4401: "unauthorized", 4403: "forbidden", 4408: "idle" };
const HOPELESS = ["unauthorized", "forbidden"]; // trying again by itself would change nothing

/**
 * The stream of the service: one frame in flight at a time; lost, it comes back by itself while it is wanted.
 *
 * Events (detail): `hello` (message), `result` (message with the frame's `label`), `problem` (message), `lost`
 * ({reason, waitS}; waitS is null where nobody tries again).
 */
export class Connection extends EventTarget {
  #url;
  #socket = null;
  #isWanted = false;
  #isReady = false;
  #failures = 0;
  #retryTimer = 0;
  #silenceTimer = 0;
  #inFlight = null;
  #options = {};

  constructor(url) {
    super();
    this.#url = url;
  }

  /** Whether a frame may be sent now. */
  get isFree() {
    return this.#isReady && this.#inFlight === null && this.#socket.readyState === WebSocket.OPEN;
  }

  get isReady() {
    return this.#isReady;
  }

  /** Open the stream and keep it open; or, with false, let the server close it when it likes. */
  want(isWanted) {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    if (isWanted) this.retry();
    else clearTimeout(this.#retryTimer);
  }

  /** Try now instead of when the wait is over. */
  retry() {
    clearTimeout(this.#retryTimer);
    if (this.#socket === null) this.#open();
  }

  setOptions(options) {
    this.#options = { ...this.#options, ...options };
    if (this.#isReady) this.#tell({ type: "options", ...this.#options });
  }

  /** Say that another scene or source follows. */
  cut() {
    if (this.#isReady) this.#tell({ type: "cut" });
  }

  /** Send a frame: the bytes of a JPEG (ArrayBuffer) at `timeS` of its source; its answer brings the `label` back. */
  send(picture, timeS, label) {
    const message = new Uint8Array(8 + picture.byteLength);
    new DataView(message.buffer).setFloat64(0, timeS);
    message.set(new Uint8Array(picture), 8);
    this.#socket.send(message);
    this.#inFlight = { label };
    this.#await(this.#socket);
  }

  #await(socket) {
    this.#silenceTimer = setTimeout(() => this.#lose(socket, "silent"), SILENCE_S * 1000);
  }

  #open() {
    const socket = new WebSocket(this.#url, ["mien.v1"]);
    this.#socket = socket;
    this.#await(socket);
    socket.addEventListener("message", (event) => this.#hear(socket, event.data));
    socket.addEventListener("close", (event) => this.#lose(socket, REASONS[event.code] ?? "gone"));
  }

  #tell(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #hear(socket, data) {
    if (socket !== this.#socket || typeof data !== "string") return;
    const message = JSON.parse(data);
    if (message.type === "hello") {
      this.#landed();
      this.#isReady = true;
      this.#tell({ type: "options", ...this.#options });
      this.#emit("hello", message);
    } else if (message.type === "result") {
      this.#failures = 0;
      this.#emit("result", { ...message, label: this.#landed()?.label ?? null });
    } else if (message.type === "dropped") {
      this.#landed();
    } else if (message.type === "error") {
      if (message.code !== "bad_message") this.#landed();
      this.#emit("problem", message);
    }
  }

  #landed() {
    clearTimeout(this.#silenceTimer);
    const frame = this.#inFlight;
    this.#inFlight = null;
    return frame;
  }

  #lose(socket, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#isReady = false;
    this.#landed();
    socket.close();
    if (!this.#isWanted) return;
    if (HOPELESS.includes(reason)) {
      this.#emit("lost", { reason, waitS: null });
      return;
    }
    const growing = WAITS_S[Math.min(this.#failures++, WAITS_S.length - 1)] * (0.85 + 0.3 * Math.random());
    const waitS = reason === "full" ? Math.max(FULL_WAIT_S, growing) : growing;
    this.#retryTimer = setTimeout(() => this.retry(), waitS * 1000);
    this.#emit("lost", { reason, waitS });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
