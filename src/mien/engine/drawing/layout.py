"""Where labels, panels and strips of faces go: where they cover no face, if there is such a place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mien.core.types import Faces
from mien.engine.drawing.colors import Color, color_of
from mien.engine.drawing.strokes import Area, text_width
from mien.engine.explain import shares_of, worded

SMALLEST_CAPITALS_PX = 8.0  # the strokes of a Hershey font merge below 7
LARGEST_COVER = 0.2  # share of a face that a panel may hide
WIDEST_REASON = 1.6  # width of the label, in widths of the face, for the sake of its second line
LARGEST_PANEL = 0.16  # share of the picture

NOWHERE = Area(0, 0, 0, 0)


@dataclass
class Mark:
    """Everything that is drawn for one face, and where; bars are a panel or, where there is no room, a strip."""

    face: Faces
    box: Area
    text: str
    reason: str
    capitals_px: float
    label: Area = NOWHERE
    panel: Area = NOWHERE
    strip: Area = NOWHERE

    @property
    def color(self) -> Color:
        """Color of the expression."""
        return color_of(self.face.expressions[0])

    @property
    def stroke_px(self) -> int:
        """Thickness of the box."""
        return max(1, round(0.16 * self.capitals_px))

    @property
    def radius(self) -> float:
        """Radius of the box's corners."""
        return 0.09 * min(self.box.width, self.box.height)

    @property
    def small_px(self) -> float:
        """Height of the capitals in the panel, and of the reason in the label."""
        return max(7.0, 0.8 * self.capitals_px)

    @property
    def label_size(self) -> tuple[float, float]:
        """Width and height of the label in pixels: one line, two with a reason."""
        width, height = text_width(self.text) * self.capitals_px, 2.1 * self.capitals_px
        if self.reason:
            width, height = max(width, text_width(self.reason) * self.small_px), height + 1.7 * self.small_px
        return width + 1.5 * self.capitals_px, height


def plan(faces: Faces, width: int, height: int, *, bars: bool) -> list[Mark]:
    """Return a mark for each face inside the picture: all with panels, or all with strips where one has no room."""
    frame = Area(0, 0, width, height)
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


def _mark(face: Faces, frame: Area) -> Mark:
    expression = face.expressions[0]
    share = face.confidences[0] if expression else face.scores[0]
    text = f"{expression or 'face'} {share:.0%}"
    if face.track_ids is not None:
        text = f"#{face.track_ids[0]} {text}"
    # A border that lies outside stays outside; beyond that, coordinates only risk an overflow in OpenCV.
    box = Area(*face.boxes_xyxy[0].tolist()).common(frame.grown(frame.width + frame.height))
    capitals_px = _capitals_px(text, box.common(frame).width, frame)
    reason = worded(shares_of(face))
    marks = [Mark(face, box, text, line, capitals_px) for line in (reason, reason.partition(",")[0], "")]
    widest = min(frame.width, max(marks[-1].label_size[0], WIDEST_REASON * box.width))
    # Smaller it could not be read; wider it would lie over others' faces.
    return next((mark for mark in marks if mark.label_size[0] <= widest), marks[-1])


def _capitals_px(text: str, face_width: float, frame: Area) -> float:
    """Return the height of the label's capitals: 8 px up to 640x480, 18 at 1080p, 35 at 4K, less on small faces."""
    for_frame = 3 + 0.011 * math.sqrt(frame.width * frame.height)
    for_face = max(0.16 * face_width, 0.55 * for_frame)
    capitals = max(SMALLEST_CAPITALS_PX, min(for_frame, for_face))
    longest = 0.94 * frame.width / (text_width(text) + 1.5)
    return min(capitals, longest)


def _panel_size(mark: Mark) -> tuple[float, float]:
    names_width = max(text_width(name) for name in mark.face.labels)
    return (names_width + 8.6) * mark.small_px, (1.9 * len(mark.face.labels) + 1.2) * mark.small_px


def _place_labels(marks: list[Mark], frame: Area) -> None:
    taken: list[Area] = []
    faces = [area for mark in marks for area in (mark.box, mark.strip)]
    for mark in marks:
        width, height = mark.label_size
        box, gap = mark.box.common(frame), 2.0 * mark.stroke_px
        above, below = box.top - gap - height, max(box.bottom, mark.strip.bottom) + gap
        left, right = box.left - mark.stroke_px / 2, box.right + mark.stroke_px / 2 - width
        corners = [(left, above), (right, above), (left, below), (right, below), (box.left + gap, box.top + gap)]
        places = [_moved_inside(x, y, width, height, frame) for x, y in corners]
        # A label under a label cannot be read, so that weighs more than part of a face.
        mark.label = min(places, key=lambda place: _covered(place, faces) + 4 * _covered(place, taken))
        taken.append(mark.label)


def _place_for_strip(mark: Mark, frame: Area) -> Area:
    """Return the place of a stacked bar: just below the box, or inside it where the picture ends."""
    box, height = mark.box.common(frame), 0.55 * mark.capitals_px
    return _moved_inside(box.left, box.bottom + 1.5 * mark.stroke_px, box.width, height, frame)


def _place_for_panel(mark: Mark, marks: list[Mark], frame: Area) -> Area:
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


def _moved_inside(left: float, top: float, width: float, height: float, frame: Area) -> Area:
    left = max(0.0, min(left, frame.width - width))
    top = max(0.0, min(top, frame.height - height))
    return Area(left, top, left + width, top + height)


def _covered(place: Area, areas: Iterable[Area]) -> float:
    return sum(place.common(area).size for area in areas)
