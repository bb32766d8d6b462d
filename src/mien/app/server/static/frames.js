const LONG_SIDE_PX = 640;
const QUALITY = 0.8;
const MOST_PER_S = 30;
const SLOWEST_S = 1;

/** Sends the frames of a <video> one at a time: what comes while an answer is awaited is never sent. */
export class FrameSender {
  #video;
  #connection;
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  #clock = null;
  #newest = null; // [nowMs, metadata] of a frame that was not sent yet
  #intervalS = 1 / MOST_PER_S;
  #sentAtMs = -Infinity;
  #isEncoding = false;
  #run = 0;
  #scene = {};

  constructor(video, connection) {
    this.#video = video;
    this.#connection = connection;
    for (const name of ["hello", "result"]) connection.addEventListener(name, () => this.#offer());
  }

  /** Begin; `clock(takenAtMs, metadata)` gives the time of a frame in seconds. */
  start(clock) {
    this.#clock = clock;
    this.#next(++this.#run);
  }

  /** Another scene: what is answered to frames from before is no longer current. */
  cut() {
    this.#scene = {};
    this.#newest = null;
    this.#connection.cut();
  }

  /** Whether the label of a frame is one of this scene. */
  isCurrent(label) {
    return label?.scene === this.#scene;
  }

  stop() {
    this.#run++;
    this.cut();
  }

  /** Keep to what the server takes, in frames a second. */
  limit(framesPerSecond) {
    this.#intervalS = 1 / Math.min(MOST_PER_S, framesPerSecond);
  }

  /** The server said that frames come too fast. */
  slowDown() {
    this.#intervalS = Math.min(SLOWEST_S, this.#intervalS * 1.5);
  }

  #next(run) {
    const step = (nowMs, metadata) => {
      if (run !== this.#run) return;
      this.#newest = [nowMs, metadata];
      this.#offer();
      this.#next(run);
    };
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(step);
    else requestAnimationFrame((nowMs) => step(nowMs, { mediaTime: this.#video.currentTime }));
  }

  /** Send the newest frame if it is time and its turn. */
  async #offer() {
    // A frame that comes a hair early is this one's turn: half a frame of 30 a second.
    const isDue = performance.now() - this.#sentAtMs >= 1000 * this.#intervalS - 16;
    if (!this.#newest || !isDue || this.#isEncoding || !this.#connection.isFree) return;
    const [[takenAtMs, metadata], scene] = [this.#newest, this.#scene];
    [this.#newest, this.#isEncoding, this.#sentAtMs] = [null, true, performance.now()];
    try {
      const timeS = this.#clock(takenAtMs, metadata);
      const picture = await this.#encode();
      if (scene === this.#scene && this.#connection.isFree) this.#connection.send(picture, timeS, { takenAtMs, scene });
    } finally {
      this.#isEncoding = false;
    }
  }

  async #encode() {
    const { videoWidth, videoHeight } = this.#video;
    const [width, height] = fitted(videoWidth, videoHeight, LONG_SIDE_PX);
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      [this.#canvas.width, this.#canvas.height] = [width, height];
    }
    this.#context.drawImage(this.#video, 0, 0, width, height);
    return (await jpegOf(this.#canvas, QUALITY)).arrayBuffer();
  }
}

/** Width and height of a picture whose long side is at most `longSide`. */
export function fitted(width, height, longSide) {
  const scale = Math.min(1, longSide / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** The JPEG of a canvas as a Blob. */
export function jpegOf(canvas, quality) {
  return new Promise((resolve, reject) => {
    const settle = (blob) => (blob ? resolve(blob) : reject(new Error("the browser made no JPEG of the picture")));
    canvas.toBlob(settle, "image/jpeg", quality);
  });
}
