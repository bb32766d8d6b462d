"""From the bytes that a client sends to a picture: what it would cost is known before anything is decoded."""

from __future__ import annotations

import struct
from contextlib import suppress

from mien.app.server.protocol import RefusedError
from mien.core.errors import MediaError
from mien.core.types import ByteArray
from mien.engine.video.headers import SIGNATURE_BYTES, BrokenHeaderError, picture_format, read_header
from mien.engine.video.pictures import check_content, decode_picture

FORMATS = ("JPEG", "PNG", "WebP")  # what browsers make; each further decoder is a further door
MAX_PARTS = 10_000  # of a file; Python walks over them at 2 million a second
MAX_SCANS = 30  # of a JPEG, cameras write up to 12: 0.2 s for the largest frame, 3.6 s for the largest picture
_SCAN = b"\xff\xda"
_FORM = b"--"  # of multipart/form-data, as curl -F sends it
_FILL = 0xFFFF  # bytes that may stand before a part of a JPEG
# Where the parts begin, their header (kind and length), which field is the length, what it leaves out, the last kind.
_PARTS: dict[str, tuple[int, struct.Struct, int, int, int | bytes]] = {
    "JPEG": (2, struct.Struct(">HH"), 1, 2, 0xFFDA),
    "PNG": (8, struct.Struct(">I4s"), 0, 12, b"IEND"),
}


def decode(content: bytes, max_pixels: int) -> ByteArray:
    """Return the picture in the bytes of a file, upright.

    Parameters
    ----------
    content : bytes
        JPEG, PNG or WebP; of an animation, the first frame is read.
    max_pixels : int

    Returns
    -------
    (H, W, 3) ndarray of uint8
        RGB.

    Raises
    ------
    RefusedError
        ``bad_frame`` if it is no such picture, or is damaged; ``too_many_pixels`` if it claims too many, or would be
        decoded over and over.
    """
    kind = picture_format(content[:SIGNATURE_BYTES])
    if kind not in FORMATS:
        found = kind or ("a form" if content.startswith(_FORM) else "nothing known")
        message = (
            f"picture is {found}: expected the bytes of a JPEG, PNG or WebP file, as curl --data-binary sends them"
        )
        raise RefusedError("bad_frame", message, 415)
    try:
        _refuse_many_parts(content, kind)
        with suppress(BrokenHeaderError):  # check_content says it better
            _refuse_work(content, kind, max_pixels)
        return decode_picture("picture", content, check_content("picture", content))
    except MediaError as error:
        raise RefusedError("bad_frame", str(error), 422) from error


def _refuse_many_parts(content: bytes, kind: str) -> None:
    """Refuse a file of so many parts that looking at their headers alone would take seconds."""
    if kind not in _PARTS:
        return
    start, layout, which, extra, last = _PARTS[kind]
    for _ in range(MAX_PARTS):
        if start + layout.size > len(content):
            return
        fields = layout.unpack_from(content, start)
        kind_of_part = fields[1 - which]
        if kind_of_part == last:
            return
        start += 1 if kind_of_part == _FILL else extra + fields[which]
    raise RefusedError("bad_frame", f"picture has more than {MAX_PARTS} parts: save it again, as a plain JPEG", 422)


def _refuse_work(content: bytes, kind: str, max_pixels: int) -> None:
    header = read_header(content)
    width, height = header.sizes[0] if header else (0, 0)
    if width * height > max_pixels:
        message = f"picture claims {width}x{height} pixels: expected at most {max_pixels}; send it smaller"
        raise RefusedError("too_many_pixels", message, 413)
    scans = content.count(_SCAN) if kind == "JPEG" else 1
    if scans > MAX_SCANS:
        message = f"picture is built up in {scans} scans: expected at most {MAX_SCANS}; save it as a baseline JPEG"
        raise RefusedError("too_many_pixels", message, 413)
