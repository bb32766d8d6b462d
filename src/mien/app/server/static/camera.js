/** Open a camera (any front camera without an id); raises what the browser raises. */
export async function openCamera(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("no camera without HTTPS", "InsecureError");
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  const video = { ...which, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  return navigator.mediaDevices.getUserMedia({ video, audio: false });
}

/** The state of the page that tells why a camera did not open. */
export function cameraProblem(error) {
  const states = {
    NotAllowedError: "refused",
    SecurityError: "refused",
    InsecureError: "insecure",
    NotFoundError: "no-camera",
    OverconstrainedError: "no-camera",
  };
  return states[error.name] ?? "busy";
}

/** Cameras of this device as [{id, name}]; names are known once one has been opened. */
export async function listCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const cameras = devices.filter((device) => device.kind === "videoinput");
  return cameras.map((camera, index) => ({ id: camera.deviceId, name: camera.label || `Camera ${index + 1}` }));
}

/** Whether a camera looks at who uses it; those of computers do not say, and do. */
export function looksAtUser(stream) {
  return stream.getVideoTracks()[0].getSettings().facingMode !== "environment";
}

export function closeCamera(stream) {
  for (const track of stream.getTracks()) track.stop();
}
