"""Draws what was measured on a face: its regions, tinted by their shares in the answer, its landmarks, a heat map."""

from __future__ import annotations

import cv2
import numpy as np

from mien.core.types import ByteArray
from mien.engine.drawing.colors import FADED, INK, PAPER
from mien.engine.drawing.layout import Mark
from mien.engine.drawing.strokes import dot, line_around, tint
from mien.engine.explain import LEAST_WORDED, Explanation, shares_of
from mien.face.landmarks import are_sure
from mien.face.regions import polygons

MOST_TINT = 0.6  # opacity of a region that made the whole answer: the face is to be seen through it
LEAST_DOT_PX, DOT_SHARE = 0.6, 0.006  # radius of a point; share of the face's width
LEAST_DOTTED_PX = 64  # width of a face: on smaller ones 68 points run into each other
MAP_PX = 384  # side of a heat map
MOST_HEAT = 0.75  # opacity of a heat map where it is highest


def paint_regions(canvas: ByteArray, mark: Mark, *, points: bool) -> None:
    """Paint the regions of a face in the color of its answer, the stronger, the more they made it.

    Nothing where the landmarks are not sure. `points` are the landmarks themselves, on faces large enough for them.
    """
    face = mark.face
    if face.landmarks is None or not are_sure(face)[0]:
        return
    shares, thin_px = shares_of(face), max(1, mark.stroke_px // 2)
    for name, outlines in polygons(face.landmarks[0]).items():
        share = shares.get(name, 0.0)
        tint(canvas, outlines, mark.color, MOST_TINT * share)
        for outline in outlines:
            line_around(canvas, outline, mark.color if share >= LEAST_WORDED else FADED, thin_px)
    if points and mark.box.width >= LEAST_DOTTED_PX:
        radius = max(LEAST_DOT_PX, DOT_SHARE * mark.box.width)
        for x, y in face.landmarks[0].tolist():
            dot(canvas, x, y, 1.7 * radius, INK)
            dot(canvas, x, y, radius, PAPER)


def heat_map(explanation: Explanation) -> ByteArray:
    """Return the crop of an explanation, glowing where the answer falls when that is hidden.

    Parameters
    ----------
    explanation : Explanation

    Returns
    -------
    (384, 384, 3) ndarray of uint8
        RGB; plain gray where nothing made the answer less sure.
    """
    size = (MAP_PX, MAP_PX)
    crop = cv2.resize(explanation.crop, size, interpolation=cv2.INTER_CUBIC)
    saliency = cv2.resize(explanation.saliency, size, interpolation=cv2.INTER_CUBIC).clip(0)
    strength = saliency / max(float(saliency.max()), 1e-6)
    heat = cv2.applyColorMap((255 * strength).round().astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    opacity = MOST_HEAT * strength[:, :, None]
    return np.asarray((crop[:, :, None] * (1 - opacity) + heat * opacity).round(), np.uint8)
