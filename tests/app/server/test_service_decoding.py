"""From bytes to pictures: what would cost too much is refused before it is decoded."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running_service import jpeg, plain

from mien.app.server import decoding
from mien.app.server.decoding import MAX_PARTS, MAX_SCANS, decode
from mien.app.server.protocol import RefusedError
from mien.core.types import ByteArray

PIXELS = 4_000_000


def refusal(content: bytes, pixels: int = PIXELS) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        decode(content, pixels)
    return error.value


def png(width: int, height: int, body: bytes = b"", chunks: int = 0) -> bytes:
    """Return a PNG that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *[chunk(b"IDAT", b"")] * chunks, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
def test_pictures_are_decoded(astronaut: ByteArray, extension: str) -> None:
    done, content = cv2.imencode(extension, cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR))
    assert done
    picture = decode(content.tobytes(), PIXELS)
    assert picture.shape == astronaut.shape
    assert np.abs(picture.astype(int) - astronaut).mean() < 8


@pytest.mark.parametrize("extension", [".bmp", ".tiff"])
def test_other_formats_are_refused_by_name(astronaut: ByteArray, extension: str) -> None:
    done, content = cv2.imencode(extension, astronaut)
    assert done
    error = refusal(content.tobytes())
    assert (error.code, error.status) == ("bad_frame", 415)
    assert extension[1:].upper() in str(error)


def test_a_bomb_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(decoding, "decode_picture")
    rows = zlib.compress(bytes(9000))
    for side in (9000, 50_000):
        error = refusal(png(side, side, rows))
        assert (error.code, error.status) == ("too_many_pixels", 413)
        assert f"{side}x{side}" in str(error)


def test_a_form_is_told_how_a_picture_is_sent() -> None:
    error = refusal(b'--boundary\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
    assert (error.code, error.status) == ("bad_frame", 415)
    assert "picture is a form" in str(error)
    assert "--data-binary" in str(error)


def test_a_jpeg_that_is_built_up_over_and_over_is_refused(astronaut: ByteArray) -> None:
    done, content = cv2.imencode(".jpg", astronaut, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    progressive = content.tobytes()
    assert decode(progressive, PIXELS).shape == astronaut.shape
    start, end = progressive.rfind(b"\xff\xda"), progressive.rfind(b"\xff\xd9")
    again = progressive[:end] + progressive[start:end] * (MAX_SCANS + 1) + progressive[end:]
    assert refusal(again).code == "too_many_pixels"


def test_a_file_of_endless_parts_is_refused() -> None:
    many = png(8, 8, zlib.compress(bytes(72)), chunks=MAX_PARTS + 1)
    assert "parts" in str(refusal(many))
    few = png(8, 8, zlib.compress(bytes(72)), chunks=10)
    assert decode(few, PIXELS).shape == (8, 8, 3)
    comments = b"\xff\xfe\0\2" * (MAX_PARTS + 1)
    assert "parts" in str(refusal(plain()[:2] + comments + plain()[2:]))
    length = 0xFFDA  # a length that is like the mark of the last part
    disguise = b"\xff\xfe" + length.to_bytes(2) + bytes(length - 2)
    assert "parts" in str(refusal(plain()[:2] + disguise + comments + plain()[2:]))
    fill = b"\xff" * (MAX_PARTS + 1)
    assert "parts" in str(refusal(plain()[:2] + fill + plain()[2:]))
    assert decode(plain()[:2] + fill[:3] + plain()[2:], PIXELS).size


@settings(max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "]))
def test_garbage_is_refused_whatever_it_is(tail: bytes, start: bytes) -> None:
    assert refusal(start + tail).code in ("bad_frame", "too_many_pixels")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_picture_with_wrong_bytes_is_decoded_or_refused(data: st.DataObject) -> None:
    content = bytearray(jpeg(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3)))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RefusedError):
        picture = decode(bytes(content), PIXELS)
        assert picture.dtype == np.uint8
        assert picture.size <= 3 * PIXELS


@pytest.mark.data
def test_hard_files_are_read_or_refused(media_dir: Path) -> None:
    for path in sorted((media_dir / "hard").iterdir()):
        with suppress(RefusedError):
            assert decode(path.read_bytes(), 20_000_000).ndim == 3
