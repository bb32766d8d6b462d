"""Makers of files for the command: photos, videos, and what is no model."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import onnx
from av.video.stream import VideoStream
from onnx import TensorProto, helper
from PIL import Image
from skimage import data

from mien.core.types import ByteArray

HEAD = np.ascontiguousarray(data.astronaut()[20:220, 130:320], np.uint8)  # type: ignore[no-untyped-call]
DARK = np.zeros_like(HEAD)
GLIMPSES = [HEAD, HEAD, DARK, DARK, HEAD, HEAD]
"""Frames of a video in which nobody is seen for a moment."""

FERPLUS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF")


def write_photo(path: Path, picture: ByteArray = HEAD) -> Path:
    """Write a still, the format by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def write_video(path: Path, pictures: Sequence[ByteArray] = GLIMPSES, *, rate: int = 10) -> Path:
    """Write a video of whole pictures (motion JPEG); without pictures it has no frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = HEAD.shape[:2]
        stream.pix_fmt = "yuvj420p"
        container.start_encoding()
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    """Keep this share of a file's bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


def write_bomb(path: Path) -> Path:
    """Write a PNG of a hundred bytes that claims 60000x60000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def write_cardless_model(path: Path) -> Path:
    """Write an ONNX file that is sound, and not of mien."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "any", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def write_fer2013(folder: Path, *, faces_a_split: int = 14, short_row: int | None = None) -> Path:
    """Write ``fer2013.csv`` and ``fer2013new.csv`` of random faces, every expression in turn.

    The votes of FER+ agree with the label; the pixels of `short_row` are three.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    lines, votes = ["emotion,pixels,Usage"], [",".join(("Usage", "Image name", *FERPLUS))]
    for split in ("Training", "PublicTest", "PrivateTest"):
        for number in range(faces_a_split):
            pixels = generator.integers(0, 256, 3 if len(lines) - 1 == short_row else 48 * 48)
            lines.append(f"{number % 7},{' '.join(map(str, pixels))},{split}")
            votes.append(",".join((split, "", *("10" if column == number % 7 else "0" for column in range(10)))))
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "fer2013new.csv").write_text("\n".join(votes) + "\n", "utf-8")
    return folder
