import { byId, element, setIcon } from "./dom.js";

/** What the page is doing, in the words of the header. */
const WORDS = {
  "start": "Ready",
  "requesting": "Opening camera",
  "connecting": "Connecting",
  "live": "Live",
  "paused": "Paused",
  "background": "In the background",
  "reconnecting": "Reconnecting",
  "full": "Server full",
  "unauthorized": "No access",
  "forbidden": "No access",
  "refused": "Camera not allowed",
  "no-camera": "No camera",
  "busy": "Camera in use",
  "insecure": "No camera here",
  "analyzing": "Reading the photo",
  "photo": "Photo",
  "unreadable": "Unreadable file",
  "ended": "Video ended",
};

/** States that are told to a screen reader; a panel has the focus instead. */
const SPOKEN = ["live", "paused", "reconnecting", "full", "unauthorized", "forbidden", "ended"];

const NO_ENTRY = "The server does not let this page in";
const TOKEN_TEXT =
  "The token is missing or wrong. Open the whole address that “mien serve” printed; it ends with “/?token=…”.";

const FOREIGN_TEXT = "The server answers only pages that it gave out itself. Open the address that it printed.";

/** States that have a page of their own: {title, text, action, icon}. */
const PANELS = {
  "requesting": {
    title: "Allow the camera",
    text: "The browser asks whether this page may use the camera. Frames are read by mien and forgotten.",
    icon: "camera",
  },
  "refused": {
    title: "The camera is not allowed",
    text: "This page may not use the camera. Allow it in the browser, then try again; photos and videos work without.",
    action: "Try again",
    icon: "lock",
  },
  "no-camera": {
    title: "No camera found",
    text: "Plug one in and try again, or open a photo or a video.",
    action: "Try again",
    icon: "camera",
  },
  "busy": {
    title: "The camera is in use",
    text: "Another program seems to hold it, often a video call. Close that, then try again.",
    action: "Try again",
    icon: "camera",
  },
  "insecure": {
    title: "No camera at this address",
    text: "Browsers give it only to pages of this computer (127.0.0.1) or over HTTPS. Photos and videos work here.",
    action: "Choose a photo or video",
    icon: "lock",
  },
  "unreadable": {
    title: "This file cannot be read",
    text: "",
    action: "Choose another file",
    icon: "file",
  },
  "unauthorized": { title: NO_ENTRY, text: TOKEN_TEXT, action: "Try again", icon: "lock" },
  "forbidden": { title: NO_ENTRY, text: FOREIGN_TEXT, action: "Try again", icon: "lock" },
  "full": {
    title: "The server is full",
    text: "It already serves as many pages as it can. Try again in a moment.",
    action: "Try again",
    icon: "plug",
  },
  "reconnecting": {
    title: "The server does not answer",
    text: "Start it again with “mien live” or “mien serve”, then try again.",
    action: "Try again",
    icon: "plug",
  },
};

/** What a banner over the picture says, by the reason for which the stream was lost. */
const LOST = {
  full: "The server is full: it already serves as many pages as it can.",
  unauthorized: TOKEN_TEXT,
  forbidden: FOREIGN_TEXT,
  restarting: "The server is restarting.",
  silent: "The server does not answer.",
};
const GONE = "The connection to the server is lost. If it was stopped, start it again with “mien live”.";

export function lostText(reason) {
  return LOST[reason] ?? GONE;
}

const CAMERA_HELP = [
  ["Edge", /Edg\//, "Click the lock left of the address, set Camera to “Allow”, then try again."],
  ["Firefox", /Firefox\//, "Click the crossed-out camera left of the address, remove “Blocked”, then try again."],
  ["Chrome on Android", /Android.*Chrome\//, "Tap the icon left of the address, then Permissions, Camera, “Allow”."],
  ["Chrome", /Chrome\//, "Click the icon left of the address, switch Camera on, then try again."],
  ["Safari on iPhone", /(iPhone|iPad).*Safari\//, "Tap the page menu by the address, Website Settings, Camera, “Allow”."],
  ["Safari", /Safari\//, "Open Safari, Settings for this Website, set Camera to “Allow”, then try again."],
];

/** The state of the page: what header, panel and views show. */
export class States {
  #speaker;
  #spoken = "";
  current = "start";

  constructor(speaker) {
    this.#speaker = speaker;
  }

  /** Change to a state; `view` is "start", "session" or "panel", `text` replaces the panel's own. */
  set(state, view, text) {
    this.current = state;
    byId("status").dataset.state = document.body.dataset.state = state;
    if (byId("status-text").textContent !== WORDS[state]) byId("status-text").textContent = WORDS[state];
    byId("start-view").hidden = view !== "start";
    byId("session-view").hidden = view !== "session";
    byId("panel").hidden = view !== "panel";
    if (view === "panel") this.#fillPanel(state, text);
    if (!SPOKEN.includes(state) || state === this.#spoken) return;
    this.#spoken = state;
    this.#speaker.say(`${WORDS[state]}.`);
  }

  #fillPanel(state, text) {
    const panel = PANELS[state];
    byId("panel").dataset.state = state;
    byId("panel-title").textContent = panel.title;
    byId("panel-text").textContent = text ?? panel.text;
    byId("panel-action").textContent = panel.action ?? "";
    byId("panel-action").hidden = !panel.action;
    setIcon(byId("panel-icon"), panel.icon);
    byId("panel-help").hidden = state !== "refused";
    if (state === "refused") byId("panel-help").replaceChildren(...cameraHelp(navigator.userAgent));
    byId("panel-title").focus();
  }
}

/** How to allow the camera: this browser's way, and the others' folded away. */
function cameraHelp(agent) {
  const own = CAMERA_HELP.find(([, pattern]) => pattern.test(agent)) ?? CAMERA_HELP[3];
  const details = element("details");
  const list = element("dl");
  for (const way of CAMERA_HELP.filter((other) => other !== own)) {
    list.append(element("dt", "", way[0]), element("dd", "", way[2]));
  }
  details.append(element("summary", "", "Another browser"), list);
  const first = element("p");
  first.append(element("strong", "", `${own[0]}: `), own[2]);
  return [first, details];
}
