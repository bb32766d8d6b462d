"""Small pictures of faces at the apex of their events, read from the video if it is still there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from mien.app.report.seen import Seen
from mien.core.errors import MediaError
from mien.core.types import ByteArray, FloatArray
from mien.engine.events import Event
from mien.engine.video import frames, timeline

MOST = 200  # of one page: one megabyte
SIDE_PX = 112
AROUND = 1.5  # side of what is shown, in sides of the face
SAME_S = 0.05  # a frame farther from the apex is of another video
QUALITY = 82


def thumbnails(seen: Seen, folders: Sequence[Path]) -> tuple[dict[Event, bytes], str]:
    """Return the face at the apex of each event, of those with the highest peaks.

    Parameters
    ----------
    seen : Seen
    folders : sequence of Path
        Where a source with a relative path may lie.

    Returns
    -------
    dict of Event to bytes
        JPEG pictures.
    str
        Why some are missing, empty if none is.
    """
    if not seen.events:
        return {}, ""
    places = (folder / seen.source for folder in folders)
    place = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113 - Path's refuses long names
    if place is None:
        return {}, "The source is not where it was, so there are no pictures of faces here."
    chosen = sorted(seen.events, key=lambda event: -event.peak)[:MOST]
    boxes = seen.boxes.of(chosen)
    pictures: dict[Event, bytes] = {}
    try:
        for event, image in _apexes(place, sorted(boxes, key=lambda event: event.apex_s)):
            if picture := _picture(image, boxes[event]):
                pictures[event] = picture
    except MediaError:
        pass  # what breaks off has been told of when it was read
    if len(pictures) < len(chosen):
        return pictures, "Some pictures of faces are missing: the source has changed since, or cannot be read there."
    if len(chosen) < len(seen.events):
        return pictures, f"Pictures are shown of the {MOST} events with the highest peaks."
    return pictures, ""


def _apexes(place: Path, events: Sequence[Event]) -> Iterator[tuple[Event, ByteArray]]:
    """Yield the frame at the apex of each event; where a file can be entered, without reading what lies between."""
    if timeline(place) is not None:
        for event in events:
            with closing(frames(place, start_s=event.apex_s)) as some:
                frame = next(some, None)
            if frame and abs(frame.time_s - event.apex_s) < SAME_S:
                yield event, frame.image
        return
    waiting = list(events)
    with closing(frames(place)) as every:
        for frame in every:
            while waiting and frame.time_s >= waiting[0].apex_s:
                event = waiting.pop(0)
                if frame.time_s - event.apex_s < SAME_S:
                    yield event, frame.image
            if not waiting:
                return


def _picture(image: ByteArray, box_xyxy: FloatArray) -> bytes:
    """Return a square around a face as JPEG, its edges repeated where it leaves the picture."""
    left, top, right, bottom = box_xyxy.tolist()
    side = AROUND * max(right - left, bottom - top)
    if side < 1:
        return b""
    scale = SIDE_PX / side
    middle = np.array([left + right, top + bottom]) / 2
    shift = SIDE_PX / 2 - scale * middle
    transform = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    if scale < 1:  # as small at once as it will be, or fine lines flicker
        shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        transform = np.array([[1.0, 0, shift[0]], [0, 1.0, shift[1]]])
    else:
        shrunk = image
    cut = cv2.warpAffine(shrunk, transform, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
    _, content = cv2.imencode(".jpg", cut[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return content.tobytes()
