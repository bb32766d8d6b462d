import { fitted, jpegOf } from "./frames.js";

const PHOTO_LONG_SIDE_PX = 2048; // small faces of a group want more than a frame of a stream has
const QUALITY = 0.92;

/** What went wrong with a file or its analysis: `state` is that of the page. */
export class FileProblem extends Error {
  constructor(state, message) {
    super(message);
    this.state = state;
  }
}

function unreadable(file) {
  return new FileProblem("unreadable", `“${file.name}” is no photo or video that this browser can read.`);
}

/** Draw a photo, upright, on a canvas; raise FileProblem where the browser cannot read it. */
export async function drawPhoto(file, canvas) {
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw unreadable(file);
  }
  const [width, height] = fitted(picture.width, picture.height, PHOTO_LONG_SIDE_PX);
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  picture.close();
}

/** The answer of the service to the photo on a canvas; `asked` is {landmarks, why}. */
export async function analyzePhoto(canvas, asked) {
  const address = new URL("analyze", document.baseURI);
  address.searchParams.set("landmarks", asked.landmarks || asked.why); // regions lie on landmarks
  address.searchParams.set("why", asked.why);
  const body = await jpegOf(canvas, QUALITY);
  let response;
  try {
    response = await fetch(address, { method: "POST", body, headers: { "Content-Type": "image/jpeg" } });
  } catch {
    throw new FileProblem("reconnecting");
  }
  if (response.ok) return response.json();
  const states = { 401: "unauthorized", 403: "forbidden", 429: "full", 503: "full" };
  const state = states[response.status] ?? "unreadable";
  throw new FileProblem(state, state === "unreadable" ? await messageOf(response) : undefined);
}

async function messageOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status} and gave no reason.`;
  }
}

/** Load a video file into a <video>, not yet playing; raise FileProblem where it cannot be read. */
export async function loadVideo(file, video) {
  if (file.size === 0) throw unreadable(file); // the browser would complain in its console, too
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  await new Promise((resolve, reject) => {
    const settle = (isRead) => {
      video.onloadeddata = video.onerror = null;
      if (isRead && video.videoWidth > 0) resolve();
      else reject(unreadable(file));
    };
    video.onloadeddata = () => settle(true);
    video.onerror = () => settle(false);
  });
}

/** Take whatever plays out of a <video>. */
export function unloadVideo(video) {
  video.pause();
  if (video.src) URL.revokeObjectURL(video.src);
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
}
