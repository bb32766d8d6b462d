"""Draws faces on a frame: a box, a label with expression and confidence, and a small panel of probabilities.

All sizes follow one unit, the height of the label's capitals, which follows picture and face: what is drawn reads
alike on 240 lines and on 4K. Labels and panels go where they cover no face, if there is such a place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.labels import UNCERTAIN
from mien.core.preprocess import as_rgb
from mien.core.types import ByteArray, Faces, FloatArray, FrameResult
from mien.engine.blurring import blurred

Color: TypeAlias = tuple[int, int, int]

# Any two differ by 13 or more (CIEDE2000) for normal sight and for protan, deutan and tritan color blindness;
# the palette of Okabe and Ito falls to 6 once gray is among it.
COLORS: dict[str, Color] = {
    "angry": (214, 40, 24),
    "disgust": (0, 150, 110),
    "fear": (190, 110, 230),
    "happy": (250, 232, 70),
    "sad": (55, 85, 205),
    "surprise": (236, 146, 40),
    "neutral": (180, 222, 252),
    "contempt": (150, 60, 110),
    UNCERTAIN: (178, 178, 178),
}
"""RGB color of each expression."""

OTHER_COLOR: Color = (178, 178, 178)
INK: Color = (14, 15, 18)
PAPER: Color = (255, 255, 255)
FADED: Color = (176, 180, 188)
GROOVE: Color = (84, 88, 98)

SHADE_OPACITY = 0.72
SMALLEST_CAPITALS_PX = 8.0  # the strokes of a Hershey font merge below 7
LARGEST_COVER = 0.2  # share of a face that a panel may hide
LARGEST_PANEL = 0.16  # share of the picture
SMALLEST_SHOWN = 0.005  # a probability below has no bar
SUBPIXEL_BITS = 4
OVERSAMPLING = 4
HERSHEY_CAPITALS_PX = 21.0  # at font scale 1


def color_of(expression: str) -> Color:
    """Return the RGB color of an expression; gray for any other name."""
    return COLORS.get(expression, OTHER_COLOR)


def ink_on(background: Color) -> Color:
    """Return near-black or white, whichever has the higher contrast on `background` (WCAG 2.2)."""
    return max((INK, PAPER), key=lambda ink: contrast(ink, background))


def contrast(first: Color, second: Color) -> float:
    """Return the contrast ratio of two RGB colors as WCAG 2.2 defines it, in [1, 21]."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    shares = [value / 255 for value in color]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def annotated(result: FrameResult, *, bars: bool, blur: bool) -> ByteArray:
    """Return the picture of a frame as :func:`draw` makes it; a frame without one is an ``OptionError``."""
    if result.image is None:
        raise OptionError(f"{result.source}: frame {result.frame} has no picture to draw on: ask for pictures")
    return draw(result.image, result.faces, bars=bars, blur=blur)


def draw(picture: ByteArray, faces: Faces, *, bars: bool = True, blur: bool = False) -> ByteArray:
    """Draw faces on a copy of a picture.

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

    Returns
    -------
    (H, W, 3) ndarray of uint8
        A new RGB picture.
    """
    canvas = blurred(picture, faces.boxes_xyxy) if blur else as_rgb(picture)
    marks = _plan(faces, canvas.shape[1], canvas.shape[0], bars=bars)
    if not marks:
        return canvas
    shade = canvas.copy()
    for mark in marks:
        _paint_shade(shade, mark)
    canvas = np.asarray(cv2.addWeighted(canvas, 1 - SHADE_OPACITY, shade, SHADE_OPACITY, 0), np.uint8)
    for paint in (_paint_box, _paint_panel, _paint_label):
        for mark in marks:
            paint(canvas, mark)
    return canvas


class _Area(NamedTuple):
    """A rectangle in pixels; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def size(self) -> float:
        return max(self.width, 0.0) * max(self.height, 0.0)

    def common(self, other: _Area) -> _Area:
        return _Area(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def grown(self, margin: float) -> _Area:
        return _Area(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)


NOWHERE = _Area(0, 0, 0, 0)


@dataclass
class _Mark:
    """Everything that is drawn for one face, and where; bars are a panel or, where there is no room, a strip."""

    box: _Area
    color: Color
    text: str
    capitals_px: float
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    label: _Area = NOWHERE
    panel: _Area = NOWHERE
    strip: _Area = NOWHERE

    @property
    def stroke_px(self) -> int:
        return max(1, round(0.16 * self.capitals_px))

    @property
    def radius(self) -> float:
        return 0.09 * min(self.box.width, self.box.height)

    @property
    def small_px(self) -> float:
        """Height of the capitals in the panel."""
        return max(7.0, 0.8 * self.capitals_px)


# ---------------------------------------------------------------------------------------------------------- layout


def _plan(faces: Faces, width: int, height: int, *, bars: bool) -> list[_Mark]:
    """Return a mark for each face inside the picture: all with panels, or all with strips where one has no room."""
    frame = _Area(0, 0, width, height)
    marks = [mark for face in faces if (mark := _mark(face, frame)).box.common(frame).size > 0]
    _place_labels(marks, frame)
    if not bars or not faces.labels:
        return marks
    for mark in marks:
        mark.panel = _place_for_panel(mark, marks, frame)
    if any(mark.panel == NOWHERE for mark in marks):
        for mark in marks:
            mark.panel, mark.strip = NOWHERE, _place_for_strip(mark, frame)
        _place_labels(marks, frame)
    return marks


def _mark(face: Faces, frame: _Area) -> _Mark:
    expression = face.expressions[0]
    share = face.confidences[0] if expression else face.scores[0]
    text = f"{expression or 'face'} {share:.0%}"
    if face.track_ids is not None:
        text = f"#{face.track_ids[0]} {text}"
    # A border that lies outside stays outside; beyond that, coordinates only risk an overflow in OpenCV.
    box = _Area(*face.boxes_xyxy[0].tolist()).common(frame.grown(frame.width + frame.height))
    return _Mark(
        box=box,
        color=color_of(expression),
        text=text,
        capitals_px=_capitals_px(text, box.common(frame).width, frame),
        names=face.labels,
        probabilities=tuple(face.probabilities[0].tolist()) if face.labels else (),
    )


def _capitals_px(text: str, face_width: float, frame: _Area) -> float:
    """Return the height of the label's capitals: 8 px up to 640x480, 18 at 1080p, 35 at 4K, less on small faces."""
    for_frame = 3 + 0.011 * math.sqrt(frame.width * frame.height)
    for_face = max(0.16 * face_width, 0.55 * for_frame)
    capitals = max(SMALLEST_CAPITALS_PX, min(for_frame, for_face))
    longest = 0.94 * frame.width / _label_size(text, 1.0)[0]
    return min(capitals, longest)


def _label_size(text: str, capitals_px: float) -> tuple[float, float]:
    return (_text_width(text) + 1.5) * capitals_px, 2.1 * capitals_px


def _panel_size(mark: _Mark) -> tuple[float, float]:
    names_width = max(_text_width(name) for name in mark.names)
    return (names_width + 8.6) * mark.small_px, (1.9 * len(mark.names) + 1.2) * mark.small_px


def _place_labels(marks: list[_Mark], frame: _Area) -> None:
    taken: list[_Area] = []
    faces = [area for mark in marks for area in (mark.box, mark.strip)]
    for mark in marks:
        width, height = _label_size(mark.text, mark.capitals_px)
        box, gap = mark.box.common(frame), 2.0 * mark.stroke_px
        above, below = box.top - gap - height, max(box.bottom, mark.strip.bottom) + gap
        left, right = box.left - mark.stroke_px / 2, box.right + mark.stroke_px / 2 - width
        corners = [(left, above), (right, above), (left, below), (right, below), (box.left + gap, box.top + gap)]
        places = [_moved_inside(x, y, width, height, frame) for x, y in corners]
        # A label under a label cannot be read, so that weighs more than part of a face.
        mark.label = min(places, key=lambda place: _covered(place, faces) + 4 * _covered(place, taken))
        taken.append(mark.label)


def _place_for_strip(mark: _Mark, frame: _Area) -> _Area:
    """Return the place of a stacked bar: just below the box, or inside it where the picture ends."""
    box, height = mark.box.common(frame), 0.55 * mark.capitals_px
    return _moved_inside(box.left, box.bottom + 1.5 * mark.stroke_px, box.width, height, frame)


def _place_for_panel(mark: _Mark, marks: list[_Mark], frame: _Area) -> _Area:
    width, height = _panel_size(mark)
    if width * height > LARGEST_PANEL * frame.size or width > frame.width or height > frame.height:
        return NOWHERE
    box, gap = mark.box.common(frame), 3.0 * mark.stroke_px
    above, below = min(box.top, mark.label.top) - gap - height, max(box.bottom, mark.label.bottom) + gap
    left, right = box.left - gap - width, box.right + gap
    corners = [
        *((right, box.top), (left, box.top), (right, box.bottom - height), (left, box.bottom - height)),
        *((box.left, below), (box.right - width, below), (box.left, above), (box.right - width, above)),
    ]
    places = [_moved_inside(x, y, width, height, frame) for x, y in corners]
    written = [area for other in marks for area in (other.label, other.panel)]
    faces = [other.box.common(frame) for other in marks]
    free = [place for place in places if _covered(place, written) == 0]
    best = min(free, key=lambda place: _covered(place, faces), default=NOWHERE)
    hides_a_face = any(best.common(face).size > LARGEST_COVER * face.size for face in faces)
    return NOWHERE if hides_a_face else best


def _moved_inside(left: float, top: float, width: float, height: float, frame: _Area) -> _Area:
    left = max(0.0, min(left, frame.width - width))
    top = max(0.0, min(top, frame.height - height))
    return _Area(left, top, left + width, top + height)


def _covered(place: _Area, areas: Iterable[_Area]) -> float:
    return sum(place.common(area).size for area in areas)


# ------------------------------------------------------------------------------------------------------------ paint


def _paint_shade(shade: ByteArray, mark: _Mark) -> None:
    """Paint what shines through: a dark edge around box and strip, for bright backgrounds, and the panel's ground."""
    _outline(shade, mark.box, mark.radius, INK, 3 * mark.stroke_px)
    _fill(shade, mark.panel, 0.8 * mark.small_px, INK)
    if mark.strip.size:
        _fill(shade, mark.strip.grown(mark.stroke_px), mark.strip.height, INK)


def _paint_box(canvas: ByteArray, mark: _Mark) -> None:
    _outline(canvas, mark.box, mark.radius, mark.color, mark.stroke_px)
    ends = np.cumsum(mark.probabilities) * mark.strip.width + mark.strip.left
    # From the last label to the first, each over the rest: every color ends round.
    for name, end in reversed(list(zip(mark.names, ends.tolist(), strict=True))):
        _fill(canvas, mark.strip._replace(right=end), mark.strip.height / 2, color_of(name))


def _paint_label(canvas: ByteArray, mark: _Mark) -> None:
    capitals = mark.capitals_px
    _fill(canvas, mark.label, 0.5 * capitals, mark.color)
    baseline = mark.label.top + 1.55 * capitals
    _write(canvas, mark.text, mark.label.left + 0.75 * capitals, baseline, capitals, ink_on(mark.color))


def _paint_panel(canvas: ByteArray, mark: _Mark) -> None:
    if not mark.panel.size:
        return
    unit = mark.small_px
    top_name = mark.names[int(np.argmax(mark.probabilities))]
    bar_left, bar_right = mark.panel.right - 6.9 * unit, mark.panel.right - 0.9 * unit
    for index, (name, probability) in enumerate(zip(mark.names, mark.probabilities, strict=True)):
        baseline = mark.panel.top + (1.9 * index + 2.05) * unit
        ink = PAPER if name == top_name else FADED
        _write(canvas, name, mark.panel.left + 0.9 * unit, baseline, unit, ink)
        bar = _Area(bar_left, baseline - 0.8 * unit, bar_right, baseline - 0.2 * unit)
        _fill(canvas, bar, bar.height / 2, GROOVE)
        if probability >= SMALLEST_SHOWN:
            # A bar shorter than it is thick would lose its round ends.
            length = max(probability * bar.width, bar.height)
            _fill(canvas, bar._replace(right=bar.left + length), bar.height / 2, color_of(name))


def _outline(canvas: ByteArray, area: _Area, radius: float, color: Color, thickness: int) -> None:
    # A line of one pixel between two rows of pixels would be half as bright and twice as wide.
    centered = _Area(*(round(value) + 0.5 for value in area))
    cv2.polylines(canvas, [_rounded(centered, radius)], True, color, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _fill(canvas: ByteArray, area: _Area, radius: float, color: Color) -> None:
    if area.size:
        cv2.fillPoly(canvas, [_rounded(area, radius)], color, cv2.LINE_AA, SUBPIXEL_BITS)


def _rounded(area: _Area, radius: float) -> npt.NDArray[np.int32]:
    """Return the outline of a rectangle with round corners as fixed-point coordinates of OpenCV, (32, 2) int32."""
    radius = max(0.0, min(radius, area.width / 2, area.height / 2))
    angles = np.linspace(0, np.pi / 2, 8) + np.arange(4)[:, None] * np.pi / 2
    centers_x = np.array([area.right, area.left, area.left, area.right]) + np.array([-1, 1, 1, -1]) * radius
    centers_y = np.array([area.bottom, area.bottom, area.top, area.top]) + np.array([-1, -1, 1, 1]) * radius
    x = centers_x[:, None] + radius * np.cos(angles)
    y = centers_y[:, None] + radius * np.sin(angles)
    # OpenCV puts the center of pixel 0 at 0, boxes have its left edge there.
    points = np.stack([x.ravel(), y.ravel()], axis=1) - 0.5
    return np.asarray((points * 2**SUBPIXEL_BITS).round(), np.int32)


def _write(canvas: ByteArray, text: str, left: float, baseline: float, capitals_px: float, color: Color) -> None:
    mask, rise = _text_mask(text, capitals_px)
    x, y = round(left), round(baseline - rise)
    x0, y0 = max(x, 0), max(y, 0)
    window = canvas[y0 : y + mask.shape[0], x0 : x + mask.shape[1]]
    if window.size == 0:
        return
    opacity = mask[y0 - y :, x0 - x :][: window.shape[0], : window.shape[1], None]
    window[:] = (window + opacity * (np.array(color, np.float32) - window)).round()


@lru_cache(maxsize=512)
def _text_mask(text: str, capitals_px: float) -> tuple[FloatArray, float]:
    """Return the opacity of a line of text, (h, w) float32 in [0, 1], and how far its top lies above the baseline.

    OpenCV draws Hershey fonts in whole pixels of thickness; drawn larger and averaged they become even.
    """
    capitals = OVERSAMPLING * capitals_px
    scale = capitals / HERSHEY_CAPITALS_PX
    width = OVERSAMPLING * (int(_text_width(text) * capitals_px) + 2)
    rise = OVERSAMPLING * (int(1.2 * capitals_px) + 1)
    height = rise + OVERSAMPLING * (int(0.5 * capitals_px) + 1)
    large = np.zeros((height, width), np.uint8)
    thickness = max(1, round(0.135 * capitals))
    cv2.putText(large, text, (0, rise), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    size = (width // OVERSAMPLING, height // OVERSAMPLING)
    mask = np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    mask.setflags(write=False)
    return mask, rise / OVERSAMPLING


@lru_cache(maxsize=512)
def _text_width(text: str) -> float:
    """Return the width of a line of text in heights of its capitals."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 4.0, 1)
    return width / (4.0 * HERSHEY_CAPITALS_PX)
