// The colors of src/mien/engine/drawing/colors.py.
export const UNCERTAIN = "uncertain";

const COLORS = {
  angry: [214, 40, 24],
  disgust: [0, 150, 110],
  fear: [190, 110, 230],
  happy: [250, 232, 70],
  sad: [55, 85, 205],
  surprise: [236, 146, 40],
  neutral: [180, 222, 252],
  contempt: [150, 60, 110],
  [UNCERTAIN]: [178, 178, 178],
};
const OTHER = [178, 178, 178];
const INK = [14, 15, 18];
const PAPER = [255, 255, 255];

export const ink = css(INK);
export const paper = css(PAPER);

/** The color of an expression as CSS, with an opacity from 0 to 1. */
export function colorOf(expression, opacity = 1) {
  return css(COLORS[expression] ?? OTHER, opacity);
}

/** Near-black or white, whichever is read better on the color of an expression (WCAG 2.2). */
export function inkOn(expression) {
  const ground = COLORS[expression] ?? OTHER;
  return contrast(INK, ground) > contrast(PAPER, ground) ? ink : paper;
}

function css(color, opacity = 1) {
  return `rgb(${color.join(" ")} / ${opacity})`;
}

function contrast(first, second) {
  const [dark, light] = [luminance(first), luminance(second)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color) {
  const [red, green, blue] = color.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
