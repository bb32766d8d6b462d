export const byId = (id) => document.getElementById(id);

/** A new element with a class, a text and attributes. */
export function element(name, className = "", text = "", attributes = {}) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Show another symbol of icons.svg. */
export function setIcon(use, symbol) {
  const wanted = `static/icons.svg#${symbol}`;
  if (use.getAttribute("href") !== wanted) use.setAttribute("href", wanted);
}

/** Seconds as a clock shows them: "1:05". */
export function clockText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
