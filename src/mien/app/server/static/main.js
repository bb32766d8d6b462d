import { listCameras } from "./camera.js";
import { byId, element } from "./dom.js";
import { Session } from "./session.js";
import { followTheme } from "./settings.js";
import { fillAbout, tellWhere } from "./about.js";

const session = new Session();
const click = (id, act) => byId(id).addEventListener("click", act);

followTheme(byId("theme-toggle"));
tellWhere();

click("start-camera", () => startCamera());
click("pause", () => session.togglePause());
click("mirror", () => session.toggleMirror());
click("landmarks", () => session.toggleAsked("landmarks"));
click("why", () => session.toggleAsked("why"));
click("banner-action", () => session.retry());
click("download", () => session.records.download());
click("clear-rows", () => session.records.clear());
click("about-close", () => byId("about").close());
for (const id of ["about-open", "about-open-footer"]) click(id, openAbout);
for (const id of ["stop", "panel-home"]) click(id, goHome);
click("brand", (event) => {
  event.preventDefault(); // the page would be loaded anew, and the rows be gone
  goHome();
});
for (const id of ["choose-file", "other-file"]) click(id, () => byId("file-input").click());
click("panel-action", () => {
  const wantsFile = ["unreadable", "insecure"].includes(session.state);
  if (wantsFile) byId("file-input").click();
  else if (lastFile) session.openFile(lastFile);
  else startCamera();
});
byId("camera").addEventListener("change", (event) => startCamera(event.target.value));
byId("seek").addEventListener("input", (event) => session.seek(Number(event.target.value)));
byId("about").addEventListener("click", (event) => event.target === byId("about") && byId("about").close());
navigator.mediaDevices?.addEventListener("devicechange", fillCameras);

let lastFile = null; // what "Try again" reads again; null is the camera
byId("file-input").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // so that the same file can be chosen again
  if (file) openFile(file);
});
followDrops();

async function startCamera(deviceId) {
  lastFile = null;
  await session.startCamera(deviceId);
  await fillCameras();
}

function openFile(file) {
  lastFile = file;
  return session.openFile(file);
}

function goHome() {
  session.stop();
  byId("start-camera").focus();
}

async function fillCameras() {
  const track = session.source?.stream?.getVideoTracks()[0];
  if (!track) return;
  const current = track.getSettings().deviceId;
  const options = (await listCameras()).map(({ id, name }) => {
    const option = element("option", "", name, { value: id });
    option.selected = id === current;
    return option;
  });
  byId("camera").replaceChildren(...options);
}

function openAbout() {
  fillAbout(session.server);
  byId("about").showModal();
}

/** Take files that are dropped anywhere on the page. */
function followDrops() {
  let depth = 0; // dragenter and dragleave come for every element that is crossed
  const mark = (isOver) => {
    if (isOver) document.body.dataset.drop = "true";
    else delete document.body.dataset.drop;
  };
  addEventListener("dragenter", (event) => mark(event.dataTransfer.types.includes("Files") && ++depth > 0));
  addEventListener("dragleave", () => mark(--depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark(false);
    const [file] = event.dataTransfer.files;
    if (file) openFile(file);
  });
}
