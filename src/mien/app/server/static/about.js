import { byId, element } from "./dom.js";

const HOSTS_HERE = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

/** Where the service is not on this computer, say so instead. */
export function tellWhere() {
  if (HOSTS_HERE.test(location.hostname)) return;
  const host = location.host;
  const texts = {
    ".where": `Pictures go to the mien server ${host} and nowhere else; none is stored.`,
    ".foot-where": `Nothing is stored; pictures go to ${host} only.`,
    ".where-long": `Frames go to the mien program on ${host}, which answers and forgets them, and nowhere else.`,
  };
  for (const [selector, text] of Object.entries(texts)) document.querySelector(selector).textContent = text;
}

/** Tell what the last server said about itself. */
export function fillAbout(hello) {
  byId("about-server").hidden = hello === null;
  if (hello === null) return;
  const facts = {
    "mien": hello.mien,
    "Model": hello.model.name,
    "SHA-256": hello.model.sha256,
    "Uncertain below": `${Math.round(100 * hello.model.uncertain_below)} %`,
    "Face detector": hello.detector,
  };
  byId("about-facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", String(value))]),
  );
  byId("about-notices").replaceChildren(...(hello.notices ?? []).map((notice) => element("li", "", notice)));
}
