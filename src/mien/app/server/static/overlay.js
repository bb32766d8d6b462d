import { colorOf, ink, inkOn, paper, UNCERTAIN } from "./colors.js";
import { numberOf, percent } from "./faces.js";
import { regionsOf } from "./regions.js";

const FONT = "600 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const STROKE_PX = 2.5;
const CHIP_PX = 22;
const STRIP_PX = 5;
const LEAST_WORDED_PX = 72; // width of a face: smaller ones get their number only
const LEAST_DOTTED_PX = 64; // on smaller faces 68 points run into each other
const MOST_TINT = 0.6;
const LEAST_SHARE = 0.05;

/** Draws what was answered over the picture: boxes, numbers, expressions, and what was asked for besides. */
export class Overlay {
  #canvas;
  #context;
  #labels = [];

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
  }

  /** The labels of the model, in their order. */
  setLabels(labels) {
    this.#labels = labels;
  }

  clear() {
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /**
   * Draw the faces of a picture of `size` ([width, height] in the faces' pixels) that fills the canvas as
   * object-fit: contain does. Positions are mirrored, text never is.
   */
  draw(faces, size, { isMirrored, landmarks, why, opacity = 1 }) {
    const place = this.#fit(size, isMirrored);
    this.clear();
    this.#context.globalAlpha = opacity;
    const marks = faces.map((face) => ({ face, area: place.area(face.box) }));
    for (const { face, area } of marks) {
      if (why && face.shares && face.landmarks) this.#paintRegions(face, place);
      if (landmarks && face.landmarks && area.width >= LEAST_DOTTED_PX) this.#paintPoints(face, area, place);
      this.#paintBox(face, area);
    }
    for (const { face, area } of marks) this.#paintChip(face, area);
    this.#context.globalAlpha = 1;
  }

  /** Match the canvas to its place and pixels; return how points of the picture come to lie on it. */
  #fit([width, height], isMirrored) {
    const canvas = this.#canvas;
    const sharpness = devicePixelRatio || 1;
    const [across, down] = [canvas.clientWidth, canvas.clientHeight];
    const wanted = [Math.round(across * sharpness), Math.round(down * sharpness)];
    if (canvas.width !== wanted[0] || canvas.height !== wanted[1]) [canvas.width, canvas.height] = wanted;
    this.#context.setTransform(sharpness, 0, 0, sharpness, 0, 0);
    const scale = Math.min(across / width, down / height);
    const [left, top] = [(across - width * scale) / 2, (down - height * scale) / 2];
    const point = ([x, y]) => [left + scale * (isMirrored ? width - x : x), top + scale * y];
    const area = ([x1, y1, x2, y2]) => {
      const [start, end] = [point([isMirrored ? x2 : x1, y1]), point([isMirrored ? x1 : x2, y2])];
      return { left: start[0], top: start[1], width: end[0] - start[0], height: end[1] - start[1] };
    };
    return { point, area };
  }

  #paintBox(face, area) {
    const context = this.#context;
    const color = colorOf(face.expression);
    const radius = Math.min(10, area.width / 6);
    context.beginPath();
    context.roundRect(area.left, area.top, area.width, area.height, radius);
    context.strokeStyle = "rgb(14 15 18 / 0.5)";
    context.lineWidth = STROKE_PX + 3;
    context.stroke();
    context.strokeStyle = color;
    context.lineWidth = STROKE_PX;
    context.setLineDash(face.expression === UNCERTAIN ? [7, 5] : []);
    context.stroke();
    context.setLineDash([]);
    if (area.width >= LEAST_WORDED_PX) this.#paintStrip(face, area);
  }

  /** All probabilities as one strip under the box. */
  #paintStrip(face, area) {
    const context = this.#context;
    const [top, width] = [area.top + area.height + 6, area.width - 8];
    let left = area.left + 4;
    context.fillStyle = "rgb(14 15 18 / 0.6)";
    context.beginPath();
    context.roundRect(left - 2, top - 2, width + 4, STRIP_PX + 4, (STRIP_PX + 4) / 2);
    context.fill();
    context.save();
    context.beginPath();
    context.roundRect(left, top, width, STRIP_PX, STRIP_PX / 2);
    context.clip();
    face.probabilities.forEach((probability, index) => {
      context.fillStyle = colorOf(this.#labels[index]);
      context.fillRect(left, top, probability * width, STRIP_PX);
      left += probability * width;
    });
    context.restore();
  }

  #paintChip(face, area) {
    const context = this.#context;
    const number = numberOf(face);
    const isWorded = area.width >= LEAST_WORDED_PX;
    const text = isWorded ? `${number}  ${face.expression} ${percent(face.confidence)}` : number;
    context.font = FONT;
    context.textBaseline = "middle";
    const width = context.measureText(text).width + 16;
    const left = Math.min(Math.max(area.left - STROKE_PX / 2, 2), this.#canvas.clientWidth - width - 2);
    const above = area.top - CHIP_PX - 5;
    const top = above >= 2 ? above : Math.max(area.top + 5, 2);
    context.fillStyle = "rgb(14 15 18 / 0.5)";
    context.beginPath();
    context.roundRect(left - 1.5, top - 1.5, width + 3, CHIP_PX + 3, 7.5);
    context.fill();
    context.fillStyle = colorOf(face.expression);
    context.beginPath();
    context.roundRect(left, top, width, CHIP_PX, 6);
    context.fill();
    context.fillStyle = inkOn(face.expression);
    context.fillText(text, left + 8, top + CHIP_PX / 2 + 0.5);
  }

  #paintRegions(face, place) {
    const context = this.#context;
    for (const [name, polygons] of Object.entries(regionsOf(face.landmarks))) {
      const share = face.shares[name];
      for (const polygon of polygons) {
        context.beginPath();
        for (const point of polygon) context.lineTo(...place.point(point));
        context.closePath();
        context.fillStyle = colorOf(face.expression, MOST_TINT * share);
        context.fill();
        context.lineWidth = 1.5;
        context.strokeStyle = share >= LEAST_SHARE ? colorOf(face.expression) : "rgb(255 255 255 / 0.45)";
        context.stroke();
      }
    }
  }

  #paintPoints(face, area, place) {
    const context = this.#context;
    const radius = Math.max(1.1, 0.008 * area.width);
    const points = face.landmarks.map(place.point);
    for (const [color, size] of [[ink, 1.7 * radius], [paper, radius]]) {
      context.fillStyle = color;
      context.beginPath();
      for (const [x, y] of points) {
        context.moveTo(x + size, y);
        context.arc(x, y, size, 0, 2 * Math.PI);
      }
      context.fill();
    }
  }
}
