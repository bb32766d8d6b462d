"""Stills, pages and animations: read right, or refused in one line."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import by_pillow, cut, difference, portrait, read_until_broken, shades, upright, write_animation, write_still
from PIL import Image

from mien.core.errors import MediaError
from mien.core.types import ByteArray
from mien.engine.video import frames, probe, read_picture
from mien.engine.video.pictures import open_picture, read_animation

LOSSLESS: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".avif": {"quality": 100}, ".jpg": {"quality": 95}}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")
UNWRITABLE = {".jpg": ("LA", "P", "RGBA"), ".bmp": ("LA", "CMYK"), ".png": ("CMYK",), ".gif": ("CMYK",)}  # by Pillow
FORMATS = (".jpg", ".png", ".webp", ".tiff", ".avif", ".bmp", ".gif")


def one_line(error: pytest.ExceptionInfo[MediaError], path: Path | str) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".avif"])
def test_every_orientation_is_read_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = write_still(tmp_path / f"turned{suffix}", portrait(), orientation=orientation, **LOSSLESS.get(suffix, {}))
    assert difference(read_picture(path), upright(portrait(), orientation)) < 3


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_read_upright_too(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = write_still(tmp_path / f"deep{suffix}", portrait(), mode="I;16", orientation=orientation)
    expected = upright(portrait()[..., 1:2].repeat(3, axis=2), orientation)
    low, high = int(expected.min()), int(expected.max())
    stretched = ((expected.astype(float) - low) * 255 / (high - low)).round().astype(np.uint8)
    np.testing.assert_array_equal(read_picture(path), stretched)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(suffix, mode) for suffix in FORMATS for mode in MODES if mode not in UNWRITABLE.get(suffix, ())],
)
def test_every_mode_is_read_as_pillow_reads_it(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write_still(path, portrait(), mode=mode)
    picture = read_picture(path)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert difference(picture, by_pillow(path)) < 2


@pytest.mark.parametrize("suffix", [".pgm", ".jp2"])
def test_what_libav_knows_besides_is_read(tmp_path: Path, suffix: str) -> None:
    path = write_still(tmp_path / f"picture{suffix}", portrait(), mode="L")
    assert probe(path).kind == "picture"
    assert difference(read_picture(path), by_pillow(path)) < 1


def test_a_progressive_jpeg_is_read(tmp_path: Path) -> None:
    path = write_still(tmp_path / "progressive.jpg", portrait(), progressive=True)
    assert difference(read_picture(path), portrait()) < 6


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = write_still(tmp_path / "picture.png", portrait()).rename(tmp_path / "-é 50% #1.mp4")
    assert probe(path).kind == "picture"
    np.testing.assert_array_equal(read_picture(path), portrait())


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1), kind=st.sampled_from([*FORMATS, "progressive.jpg", ".pgm"]))
def test_every_part_of_a_picture_is_refused(share: float, kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = cut(write_still(Path(folder, f"part{kind}"), portrait(), progressive="progressive" in kind), share)
        with pytest.raises(MediaError) as error:
            read_picture(path)
        one_line(error, path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_damage_in_the_middle_is_refused_in_silence(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_still(tmp_path / f"damaged{suffix}", portrait(300, 200))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(content)
    with pytest.raises(MediaError, match="truncated or damaged") as error:
        read_picture(path)
    one_line(error, path)
    assert capfd.readouterr() == ("", "")


def test_truncation_is_refused_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for suffix in FORMATS:
        path = cut(write_still(tmp_path / f"cut{suffix}", portrait()), 0.6)
        with pytest.raises(MediaError):
            read_picture(path)
    assert capfd.readouterr() == ("", "")


def png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def patched(suffix: str, find: bytes, offset: int, layout: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        content = bytearray(write_still(folder / f"small{suffix}", portrait()).read_bytes())
        struct.pack_into(layout, content, content.index(find) + offset, 60000, 60000)
        return bytes(content)

    return make


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: png_claiming(60000, 60000), id="png"),
        pytest.param(patched(".jpg", b"\xff\xc0", 5, ">HH"), id="jpeg"),
        pytest.param(patched(".gif", b"GIF", 6, "<HH"), id="gif"),
        pytest.param(patched(".bmp", b"BM", 18, "<ii"), id="bmp"),
        pytest.param(patched(".avif", b"ispe", 8, ">II"), id="avif"),
        pytest.param(lambda _: b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x5f\xea\0\x5f\xea\0", id="webp"),
        pytest.param(
            lambda _: b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHIII", 256, 4, 1, 60000, 257, 4, 1, 60000, 0),
            id="tiff",
        ),
    ],
)
def test_a_claim_of_gigapixels_is_refused_before_decoding(tmp_path: Path, make: Callable[[Path], bytes]) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(make(tmp_path))
    with pytest.raises(MediaError, match="claims 60000x60000 pixels: expected at most 100 megapixels") as error:
        read_picture(path)
    one_line(error, path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"this is only text\n", "holds no picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC.*convert it to JPEG"),
        (b"\xff\xd8\xff\xe0", "truncated or damaged"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "no picture.jpg"
    path.write_bytes(content)
    for read in (read_picture, probe, lambda name: list(frames(name))):
        with pytest.raises(MediaError, match=match) as error:
            read(path)
        one_line(error, path)


def test_a_float_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.zeros((8, 8), np.float32)).save(path)
    with pytest.raises(MediaError) as error:
        read_picture(path)
    one_line(error, path)


def test_a_missing_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file"):
        read_picture(tmp_path / "missing.jpg")


def test_several_threads_may_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write_still(tmp_path / "whole.png", portrait())
    broken = cut(write_still(tmp_path / "broken.tiff", portrait()), 0.5)

    def read(path: Path) -> bool:
        try:
            return read_picture(path).shape == portrait().shape
        except MediaError:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, [whole, broken] * 20)) == [True, False] * 20
    assert capfd.readouterr() == ("", "")


DURATIONS_MS = (100, 250, 40, 330, 90)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_an_animation_keeps_its_times(tmp_path: Path, suffix: str) -> None:
    pictures = shades(len(DURATIONS_MS))
    path = write_animation(tmp_path / f"moving{suffix}", pictures, DURATIONS_MS)
    read = list(frames(path))
    assert probe(path).kind == "animation"
    assert [frame.time_s for frame in read] == pytest.approx([0, 0.1, 0.35, 0.39, 0.72])
    assert [frame.index for frame in read] == list(range(5))
    for frame, picture in zip(read, pictures, strict=True):
        assert difference(frame.image, picture) < 3
    assert difference(read_picture(path), pictures[0]) < 3


def test_a_long_animated_webp_is_decoded_in_groups(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "moving.webp", shades(5), DURATIONS_MS)
    whole = list(read_animation(path, *open_picture(path)))
    parts = list(read_animation(path, *open_picture(path), pixels_at_once=2 * 48 * 64))
    assert [time_s for time_s, _ in parts] == [time_s for time_s, _ in whole]
    np.testing.assert_array_equal([image for _, image in parts], [image for _, image in whole])


def test_a_still_gif_is_a_picture(tmp_path: Path) -> None:
    assert probe(write_still(tmp_path / "still.gif", portrait())).kind == "picture"


def test_a_cut_gif_gives_its_whole_frames(tmp_path: Path) -> None:
    pictures = [np.roll(portrait(), 9 * i, axis=1) for i in range(5)]
    path = cut(write_animation(tmp_path / "cut.gif", pictures, DURATIONS_MS), 0.7)
    read, message = read_until_broken(path)
    assert "breaks off after 3 frames" in message
    assert [frame.time_s for frame in read] == [0, 0.1, 0.35]


def test_a_cut_webp_is_refused(tmp_path: Path) -> None:
    path = cut(write_animation(tmp_path / "cut.webp", shades(5), DURATIONS_MS), 0.7)
    read, message = read_until_broken(path)
    assert "truncated or damaged" in message
    assert read == []


def test_pages_follow_one_in_a_second(tmp_path: Path) -> None:
    pages = [portrait(40, 30), portrait(20, 50), portrait(60, 60)]
    path = write_animation(tmp_path / "pages.tiff", pages)
    source = probe(path)
    assert (source.kind, source.frame_count, source.length_s) == ("pages", 3, 3.0)
    read = list(frames(path))
    assert [(frame.index, frame.time_s) for frame in read] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    for frame, page in zip(read, pages, strict=True):
        np.testing.assert_array_equal(frame.image, page)
    np.testing.assert_array_equal(read_picture(path), pages[0])


def test_cut_pages_give_the_whole_ones(tmp_path: Path) -> None:
    path = cut(write_animation(tmp_path / "cut.tiff", [portrait()] * 4), 0.6)
    read, message = read_until_broken(path)
    assert "breaks off after 2 pages" in message
    assert len(read) == 2


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("exif_orient3.jpg", 3),
        ("exif_orient5.jpg", 3),
        ("exif_orient6.jpg", 3),
        ("exif_orient8.jpg", 3),
        ("cmyk.jpg", 3),
        ("palette.png", 20),
        ("rgb16.png", 0),
        ("rgba_half.png", 0),
        ("lossy.webp", 6),
        ("lossless.webp", 0),
        ("photo.avif", 6),
        ("photo.tiff", 0),
        ("photo.bmp", 0),
        ("png_named.jpg", 0),
        ("progressive.jpg", 6),
    ],
)
def test_hard_pictures_are_read_as_their_source(media_dir: Path, astronaut: ByteArray, name: str, limit: float) -> None:
    assert difference(read_picture(media_dir / "hard" / name), astronaut) <= limit


@pytest.mark.data
@pytest.mark.parametrize("name", ["gray8.jpg", "gray16.png", "gray16_dark.png", "la.png"])
def test_hard_gray_pictures_are_read_as_their_source(media_dir: Path, astronaut: ByteArray, name: str) -> None:
    gray = np.asarray(Image.fromarray(astronaut).convert("L").convert("RGB"))
    assert difference(read_picture(media_dir / "hard" / name), gray) < 3


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("truncated.jpg", "truncated or damaged"),
        ("truncated_header.jpg", "truncated or damaged"),
        ("corrupt_mid.jpg", "truncated or damaged"),
        ("zero.jpg", "is empty"),
        ("text.jpg", "holds no picture"),
        ("bomb_50000x50000.png", "claims 50000x50000"),
        ("truncated.mp4", "breaks off before its index"),
        ("zero.mp4", "is empty"),
        ("text.mp4", "holds no picture"),
    ],
)
def test_hard_files_are_refused_in_one_line(
    media_dir: Path, name: str, match: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = media_dir / "hard" / name
    with pytest.raises(MediaError, match=match) as error:
        list(frames(path))
    one_line(error, path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.data
def test_photos_are_read_as_pillow_reads_them(media_dir: Path) -> None:
    for path in sorted((media_dir / "photos").iterdir()):
        assert difference(read_picture(path), by_pillow(path)) < 1, path.name
