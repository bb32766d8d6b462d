// The outlines of mien.face.regions: the same points, margins and hulls.
const MARGINS = { brows: 0.1, eyes: 0.08, nose: 0.08, mouth: 0.1 }; // in units of the eyes' outer corners' distance
const [RIGHT_EYE_CORNER, LEFT_EYE_CORNER] = [36, 45];

/** The polygons of the regions of a face, {brows: [polygon, polygon], ...}, from its 68 landmarks ([x, y] pairs). */
export function regionsOf(landmarks) {
  const [right, left] = [landmarks[RIGHT_EYE_CORNER], landmarks[LEFT_EYE_CORNER]];
  const axis = [left[0] - right[0], left[1] - right[1]];
  const group = (start, end) => landmarks.slice(start, end);
  const middle = [(landmarks[21][0] + landmarks[22][0]) / 2, (landmarks[21][1] + landmarks[22][1]) / 2];
  const shifted = (sign) => [middle[0] + sign * MARGINS.brows * axis[0], middle[1] + sign * MARGINS.brows * axis[1]];
  const parts = {
    brows: [[...group(17, 22), shifted(-1)], [...group(22, 27), shifted(1)]],
    eyes: [group(36, 42), group(42, 48)],
    nose: [group(27, 36)],
    mouth: [group(48, 60)],
  };
  return Object.fromEntries(
    Object.entries(parts).map(([name, groups]) => {
      return [name, groups.map((points) => hull(widened(points, axis, MARGINS[name])))];
    }),
  );
}

function widened(points, axis, margin) {
  const along = [axis[0] * margin, axis[1] * margin];
  const across = [-along[1], along[0]];
  const corners = [[1, 1], [1, -1], [-1, -1], [-1, 1]];
  return points.flatMap(([x, y]) =>
    corners.map(([a, b]) => [x + a * along[0] + b * across[0], y + a * along[1] + b * across[1]]),
  );
}

/** The convex hull by Andrew's monotone chain. */
function hull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (ordered) => {
    const chain = [];
    for (const point of ordered) {
      while (chain.length > 1 && turn(chain.at(-2), chain.at(-1), point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

function turn(origin, first, second) {
  return (first[0] - origin[0]) * (second[1] - origin[1]) - (first[1] - origin[1]) * (second[0] - origin[0]);
}
