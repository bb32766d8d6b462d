"""Draws faces on a frame: a box, a label with expression and confidence, and a small panel of probabilities.

All sizes follow one unit, the height of the label's capitals, which follows picture and face: what is drawn reads
alike on 240 lines and on 4K. Labels and panels go where they cover no face, if there is such a place. What was measured
besides is drawn where it is known: why the answer is what it is, and, on request, regions and landmarks.
"""

from __future__ import annotations

import cv2
import numpy as np

from mien.core.errors import OptionError
from mien.core.preprocess import as_rgb
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.blurring import blurred
from mien.engine.drawing.colors import COLORS, OTHER_COLOR, color_of, contrast, ink_on
from mien.engine.drawing.layout import plan
from mien.engine.drawing.marks import paint_box, paint_label, paint_panel, paint_shade
from mien.engine.drawing.regions import heat_map, paint_regions
from mien.engine.explain import shares_of

__all__ = ["COLORS", "OTHER_COLOR", "annotated", "color_of", "contrast", "draw", "heat_map", "ink_on"]

SHADE_OPACITY = 0.72


def annotated(result: FrameResult, *, bars: bool, blur: bool, regions: bool = False) -> ByteArray:
    """Return the picture of a frame as :func:`draw` makes it; a frame without one is an ``OptionError``."""
    if result.image is None:
        raise OptionError(f"{result.source}: frame {result.frame} has no picture to draw on: ask for pictures")
    return draw(result.image, result.faces, bars=bars, blur=blur, regions=regions)


def draw(
    picture: ByteArray, faces: Faces, *, bars: bool = True, blur: bool = False, regions: bool = False
) -> ByteArray:
    """Draw faces on a copy of a picture.

    Faces that have the features ``why_...`` of :data:`mien.engine.explain.WHY_NAMES` get a line that says them, and,
    where their landmarks are sure, the outlines of their regions, tinted by their shares in the answer.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W) ndarray of uint8
        RGB if it has channels.
    faces : Faces
        Boxes in pixels of `picture`. Track ids are shown where there are any. Faces that are not recognized yet get
        the detector's score for a label, and no bars.
    bars : bool
        Draw a panel with the probability of every expression beside each face, in the order of the labels; where
        one has no room without hiding a face, each face has a stacked bar below it instead.
    blur : bool
        Make the faces unrecognizable first; see :func:`mien.engine.blurring.blurred` for what that does not hide.
    regions : bool
        Draw the outlines of the regions and the 68 landmarks, where these are sure.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        A new RGB picture.
    """
    canvas = blurred(picture, faces.boxes_xyxy) if blur else as_rgb(picture)
    marks = plan(faces, canvas.shape[1], canvas.shape[0], bars=bars)
    if not marks:
        return canvas
    for mark in marks:
        if regions or shares_of(mark.face):
            paint_regions(canvas, mark, points=regions)
    shade = canvas.copy()
    for mark in marks:
        paint_shade(shade, mark)
    canvas = np.asarray(cv2.addWeighted(canvas, 1 - SHADE_OPACITY, shade, SHADE_OPACITY, 0), np.uint8)
    for paint in (paint_box, paint_panel, paint_label):
        for mark in marks:
            paint(canvas, mark)
    return canvas
