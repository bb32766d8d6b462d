"""What a picture file claims about itself: format, size, pages. Reads bytes, decodes nothing.

A header is read before a decoder may allocate: a PNG of 300 kB can claim 2.5 gigapixels.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mien.core.errors import MediaError

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded; 300 MB as RGB, more than any camera of today."""

SIGNATURE_BYTES = 32
"""As many bytes from the start of a file tell its format."""

_JPEG_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_START_OF_SCAN = 0xDA
_JPEG_ASIDE = frozenset(range(0xE0, 0xF0)) - {0xEE} | {0xFE}  # 0xEE tells how CMYK is meant
_PNG_ESSENTIAL = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_NUMBERS = {3: "H", 4: "I", 16: "Q"}


class BrokenHeaderError(ValueError):
    """A header ends early or contradicts itself; never leaves ``mien.engine.video``."""


@dataclass(frozen=True)
class Header:
    """What a picture file claims.

    Parameters
    ----------
    format : str
        ``"JPEG"``, ``"PNG"``, ``"GIF"``, ``"WebP"``, ``"BMP"``, ``"TIFF"``, ``"AVIF"`` or ``"HEIC"``.
    sizes : tuple of (int, int)
        Width and height in pixels of each page: one entry but for TIFF, none for HEIC, which is not read.
    moves : bool
        Whether the file is an animation of several frames.
    is_whole : bool
        False where a TIFF breaks off after its first page.
    """

    format: str
    sizes: tuple[tuple[int, int], ...]
    moves: bool = False
    is_whole: bool = True


def picture_format(start: bytes) -> str | None:
    """Return the format of a picture file by its first bytes, None where they are none that is known here.

    Parameters
    ----------
    start : bytes
        The first :data:`SIGNATURE_BYTES` of the file, or all of it.
    """
    for signature, name in _SIGNATURES:
        if signature.match(start):
            return name
    return None


def read_header(content: bytes) -> Header | None:
    """Return what a picture file claims, None where it is no picture that is known here.

    Parameters
    ----------
    content : bytes
        The whole file.

    Raises
    ------
    BrokenHeaderError
        If the file starts as a picture but its header ends early.
    """
    name = picture_format(content[:SIGNATURE_BYTES])
    if name is None:
        return None
    try:
        return _READERS[name](content)
    except (struct.error, IndexError) as error:
        raise BrokenHeaderError(f"the {name} header ends early") from error


def check_pixels(source: str | Path, width: int, height: int) -> None:
    """Refuse a picture or video that would fill the memory, before it is decoded.

    Raises
    ------
    MediaError
        If it has more than :data:`MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS // 10**6} megapixels"
        raise MediaError(f"{source}: claims {width}x{height} pixels: expected at most {limit}; scale it down")


def _jpeg(content: bytes) -> Header:
    for marker, start, _ in _jpeg_segments(content):
        if marker in _JPEG_START_OF_FRAME:
            height, width = struct.unpack_from(">HH", content, start + 5)
            return Header("JPEG", ((width, height),))
    raise BrokenHeaderError("the JPEG has no frame header")


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the first scan."""
    start, marker = 2, 0
    while marker != _JPEG_START_OF_SCAN:
        while content[start : start + 2] == b"\xff\xff":  # fill bytes are legal before a marker
            start += 1
        if start + 4 > len(content):
            raise BrokenHeaderError("the JPEG header ends early")
        prefix, marker, length = struct.unpack_from(">BBH", content, start)
        if prefix != 0xFF or length < 2:
            raise BrokenHeaderError("the JPEG header is damaged")
        yield marker, start, start + 2 + length
        start += 2 + length


def jpeg_essence(content: bytes) -> bytes:
    """Return a JPEG without what cameras write beside the picture (Exif, profiles, comments, previews)."""
    kept = [content[:2]]
    end = 2
    for marker, start, end in _jpeg_segments(content):
        if marker not in _JPEG_ASIDE:
            kept.append(content[start:end])
    return b"".join([*kept, content[end:]])


def _png(content: bytes) -> Header:
    size = struct.unpack_from(">II", content, 16)
    before_pixels = content[: content.find(b"IDAT")]
    control = before_pixels.find(b"acTL")
    moves = control > 0 and struct.unpack_from(">I", content, control + 4)[0] > 1
    return Header("PNG", (size,), moves)


def png_essence(content: bytes) -> bytes:
    """Return a PNG of only the chunks that make its picture, each found whole.

    libpng writes to stderr, past every log level, about profiles that it dislikes and about files that end early.

    Raises
    ------
    BrokenHeaderError
        If a chunk is cut or its checksum is wrong, or the end is missing.
    """
    kept, start, kind = [content[:8]], 8, b""
    while kind != b"IEND":
        if start + 12 > len(content):
            raise BrokenHeaderError("the PNG ends early")
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if kind in _PNG_ESSENTIAL:
            if zlib.crc32(content[start + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
                raise BrokenHeaderError("the PNG ends early or is damaged")
            kept.append(content[start:end])
        start = end
    return b"".join(kept)


def _gif(content: bytes) -> Header:
    width, height = struct.unpack_from("<HH", content, 6)
    count, _ = gif_frames(content)
    return Header("GIF", ((width, height),), count > 1)


def gif_frames(content: bytes) -> tuple[int, bool]:
    """Return the number of whole frames of a GIF, and whether the file is whole; libav tells neither."""
    count, start = 0, 13 + _gif_palette(content[10])
    try:
        while content[start] != 0x3B:
            is_frame = content[start] == 0x2C
            start += 11 + _gif_palette(content[start + 9]) if is_frame else 2
            while content[start]:
                start += 1 + content[start]
            start += 1
            count += is_frame
    except IndexError:
        return count, False
    return count, True


def _gif_palette(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> Header:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[i : i + 3], "little") + 1 for i in (24, 27))
        return Header("WebP", ((width, height),), moves=bool(content[20] & 2))
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 21)[0]
        return Header("WebP", (((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1),))
    width, height = struct.unpack_from("<HH", content, 26)
    return Header("WebP", ((width & 0x3FFF, height & 0x3FFF),))


def _bmp(content: bytes) -> Header:
    is_old = struct.unpack_from("<I", content, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if is_old else "<ii", content, 18)
    return Header("BMP", ((abs(width), abs(height)),))  # a negative height means top row first


def _tiff(content: bytes) -> Header:
    order = "<" if content[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", content, 2)[0] == 43
    address = order + ("Q" if is_big else "I")
    start = struct.unpack_from(address, content, 8 if is_big else 4)[0]
    sizes: list[tuple[int, int]] = []
    seen: set[int] = set()
    while start and start not in seen:
        seen.add(start)
        try:
            size, end = _tiff_page(content, start, order, is_big)
            start = struct.unpack_from(address, content, end)[0]
        except (struct.error, KeyError) as error:
            if not sizes:
                raise BrokenHeaderError("the TIFF ends early or has a page without size") from error
            return Header("TIFF", tuple(sizes), is_whole=False)
        sizes.append(size)
    return Header("TIFF", tuple(sizes))


def _tiff_page(content: bytes, start: int, order: str, is_big: bool) -> tuple[tuple[int, int], int]:
    """Return width and height of the page whose directory starts here, and where that directory ends."""
    count_type, entry_bytes, value_at = ("Q", 20, 12) if is_big else ("H", 12, 8)
    count = struct.unpack_from(order + count_type, content, start)[0]
    first = start + struct.calcsize(order + count_type)
    end = first + count * entry_bytes
    values = {}
    for entry in range(first, min(end, len(content)), entry_bytes):
        tag, kind = struct.unpack_from(order + "HH", content, entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            values[tag] = struct.unpack_from(order + _TIFF_NUMBERS[kind], content, entry + value_at)[0]
    return (values[_TIFF_WIDTH], values[_TIFF_HEIGHT]), end


def _avif(content: bytes) -> Header:
    sizes = [struct.unpack(">II", value[4:12]) for value in _avif_properties(content, b"ispe")]
    if not sizes:
        raise BrokenHeaderError("the AVIF has no size")
    brands = content[8 : int.from_bytes(content[:4])]
    return Header("AVIF", (max(sizes),), moves=b"avis" in brands)


def _avif_properties(content: bytes, name: bytes) -> list[bytes]:
    """Return the contents of the item properties of this name: ``ispe`` size, ``irot`` turn, ``imir`` mirror."""
    found = content.find(b"ipco")
    end = found - 4 + int.from_bytes(content[found - 4 : found])
    start, values = found + 4, []
    while found > 0 and start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", content, start)
        if kind == name and length > 8:
            values.append(content[start + 8 : start + length])
        start += max(length, 8)
    return values


def avif_orientation(content: bytes) -> tuple[int, int | None]:
    """Return quarter turns to the left, then the axis to flip (0 rows, 1 columns, or None); OpenCV applies neither."""
    turns = _avif_properties(content, b"irot")
    mirrors = _avif_properties(content, b"imir")
    return turns[0][0] & 3 if turns else 0, mirrors[0][0] & 1 if mirrors else None


_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"\xff\xd8\xff", "JPEG"),
        (rb"\x89PNG\r\n\x1a\n", "PNG"),
        (rb"GIF8[79]a", "GIF"),
        (rb"RIFF....WEBPVP8", "WebP"),
        (rb"BM.{4}\0\0\0\0", "BMP"),
        (rb"II[*+]\0|MM\0[*+]", "TIFF"),
        (rb"....ftyp(avi[fs]|m[is]f1.*avif)", "AVIF"),
        (rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", "HEIC"),
    )
)
_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WebP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
    "HEIC": lambda _: Header("HEIC", ()),
}
