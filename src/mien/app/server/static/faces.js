import { UNCERTAIN } from "./colors.js";

const LANDMARKS = 68;
const SURE_LANDMARKS = 0.5; // mien.face.landmarks.MEASURABLE
const PARTS = ["brows", "eyes", "nose", "mouth", "elsewhere"];
const LEAST_WORDED = 0.05; // as in mien.engine.explain
const LEAST_ELSEWHERE = 0.25; // it is most of the crop and no place that one could point at

/**
 * The faces of an answer: {id, index, name, box, expression, confidence, probabilities, landmarks, shares}.
 *
 * `idShift` is added to the server's ids, which begin again with each connection. `landmarks` ([x, y] pairs) and
 * `shares` are null where they are missing or not sure.
 */
export function facesOf(rows, labels, idShift = 0) {
  return rows
    .filter((row) => row.x1 !== null && row.x1 !== undefined)
    .map((row, index) => {
      const id = row.track_id === null || row.track_id === undefined ? null : row.track_id + idShift;
      return {
        id,
        index,
        name: id === null ? `Face ${index + 1}` : `Person ${id}`,
        box: [row.x1, row.y1, row.x2, row.y2],
        expression: row.expression ?? UNCERTAIN,
        confidence: row.confidence ?? 0,
        probabilities: labels.map((label) => row[label] ?? 0),
        landmarks: landmarksOf(row),
        shares: sharesOf(row),
      };
    });
}

/** The number that is written beside a face. */
export function numberOf(face) {
  return String(face.id ?? face.index + 1);
}

/** A probability as text: "83 %". */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** Why, in words, the largest part first; null where it was not asked for. */
export function reasonOf(face) {
  if (face.shares === null) return null;
  const least = (part) => (part === "elsewhere" ? LEAST_ELSEWHERE : LEAST_WORDED);
  const named = PARTS.filter((part) => face.shares[part] >= least(part));
  named.sort((first, second) => face.shares[second] - face.shares[first]);
  return named.map((part) => `${part} ${percent(face.shares[part])}`).join(", ");
}

function landmarksOf(row) {
  if (!((row.landmark_confidence ?? 0) >= SURE_LANDMARKS)) return null;
  const point = (_, index) => [row[`landmark_${index}_x`], row[`landmark_${index}_y`]];
  const points = Array.from({ length: LANDMARKS }, point);
  return points.every(([x, y]) => Number.isFinite(x) && Number.isFinite(y)) ? points : null;
}

function sharesOf(row) {
  const shares = PARTS.map((part) => row[`why_${part}`]);
  return shares.every(Number.isFinite) ? Object.fromEntries(PARTS.map((part, index) => [part, shares[index]])) : null;
}
