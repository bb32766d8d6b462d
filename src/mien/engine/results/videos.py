"""Annotated video: pictures with the sound of their source, and parts that become one."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mien.core.errors import MediaError, OptionError, OutputError
from mien.core.types import ByteArray, FrameResult
from mien.engine.blurring import LastSeen, blurred
from mien.engine.drawing import annotated
from mien.engine.results.sound import has_sound, sound_of, time_of
from mien.engine.results.writer import PartialFile, Writer, as_output_error, whole_file

logger = logging.getLogger("mien")

VIDEO_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
BT709, LIMITED_RANGE = 1, 1  # in ITU-T H.273, of matrix, primaries and transfer; in FFmpeg
TICKS_PER_S = 90_000  # MPEG's clock: a frame of 24, 25, 30 or 30000/1001 a second is a whole number of ticks
TICK_S = Fraction(1, TICKS_PER_S)


class AnnotatedVideo(Writer):
    """A video (H.264) of the frames with their faces drawn on them, each at its true time, with the source's sound.

    The first frame sets the size; odd sizes grow by one pixel, frames of another size are fitted in between black bars.
    The sound of a file, from the first frame written to the last, is added in a second pass at the end, so that the
    pictures are whole whatever becomes of it; for that time the video takes its room on the disk twice.
    A video that could not be written to its end, as when the disk is full, is removed: an older one stays.

    Parameters
    ----------
    path : path_like
        One of :data:`VIDEO_FORMATS`. Times are kept to 1/90000 s, in ``.mkv`` to 1/1000 s.
    bars : bool
        Draw probabilities.
    blur : bool
        Make the faces unrecognizable; see :func:`mien.engine.blurring.blurred` for what that does not hide.
    regions : bool
        Draw the regions and landmarks of each face, where these are sure.
    sound : bool
        Add the sound; parts for :func:`join_videos` need none.
    start_s : float
        Time in the source that is 0 in the video: where a range of it starts. Players show a video whose first frame
        comes late in different ways.
    size : (int, int), optional
        Width and height in pixels, instead of those of the first frame: all parts of one video need the same.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bars: bool = True,
        blur: bool = False,
        regions: bool = False,
        sound: bool = True,
        start_s: float = 0.0,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.path, self._bars, self._blur, self._regions = Path(path), bars, blur, regions
        self._has_sound, self._start_s, self._size = sound, start_s, size
        self._last_seen = LastSeen()
        self._place = PartialFile(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._last_tick = -(2**62)
        self._source = ""
        self._frames = 0

    def write(self, result: FrameResult) -> None:  # noqa: D102
        if self._blur and result.image is not None:
            result = replace(result, image=blurred(result.image, self._last_seen.update(result.faces, result.time_s)))
        picture = annotated(result, bars=self._bars, blur=self._blur, regions=self._regions)
        with self._place.writing(av.FFmpegError):
            if self._stream is None:
                self._stream = self._open(picture)
                self._source = result.source
            fitted = _fitted(picture, self._stream.width, self._stream.height)
            frame = VideoFrame.from_ndarray(fitted, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            # Two frames of the same time, as cameras give them, would be refused.
            tick = max(round((result.time_s - self._start_s) * TICKS_PER_S), self._last_tick + 1)
            if self._frames:  # how long the last frame is shown is not known: as long as the one before
                frame.duration = tick - self._last_tick
            frame.pts = self._last_tick = tick
            frame.time_base = TICK_S
            self._mux(frame)
        self._frames += 1

    def close(self) -> None:  # noqa: D102
        try:
            if self._container:
                with self._place.writing(av.FFmpegError), self._container:
                    if self._frames:
                        self._mux(None)
            if self._frames and self._place.is_whole and self._has_sound and has_sound(self._source):
                self._add_sound()
        finally:
            self._place.finish(keep=self._frames > 0)

    def _open(self, picture: ByteArray) -> VideoStream:
        self._container = _created(self._place.partial, self.path)
        # Without B-frames: with them the length of a video of variable frame rate comes out wrong.
        stream = self._container.add_stream("libx264", options={"crf": "20", "preset": "veryfast", "bf": "0"})
        width, height = self._size or picture.shape[1::-1]
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.flags |= Flags.frame_duration  # else the last frame lasts 1/24 s
        stream.time_base = codec.time_base = TICK_S
        # Untagged, players guess BT.601 or BT.709 by the size of the picture, and colors shift.
        codec.colorspace = codec.color_primaries = codec.color_trc = BT709
        codec.color_range = LIMITED_RANGE
        return stream

    def _mux(self, frame: VideoFrame | None) -> None:
        assert self._container is not None
        assert self._stream is not None
        self._container.mux(self._stream.encode(frame))

    def _add_sound(self) -> None:
        silent = self._place.partial
        try:
            with whole_file(silent) as partial:
                _join([silent], partial, self.path, sound=self._source, start_s=self._start_s)
        except (av.FFmpegError, MediaError, OutputError) as error:
            logger.warning("%s: is without sound (%s)", self.path, error)


def _fitted(picture: ByteArray, width: int, height: int) -> ByteArray:
    """Return a picture of the given even size: one pixel is repeated, any other difference becomes black bars."""
    missing = (height - picture.shape[0], width - picture.shape[1])
    if all(count in (0, 1) for count in missing):
        return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = tuple(max(1, round(length * scale)) for length in picture.shape[1::-1])
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return canvas


def join_videos(
    parts: Sequence[str | Path], path: str | Path, *, sound: str | None = None, start_s: float = 0.0
) -> None:
    """Join parts of an annotated video into one; their pictures are copied, not encoded anew.

    Parameters
    ----------
    parts : sequence of path_like
        What :class:`AnnotatedVideo` wrote, in order of time, all of the same size and `start_s`, with or without sound,
        which is not used.
    path : path_like
        One of :data:`VIDEO_FORMATS`.
    sound : str, optional
        The source, whose sound is added from the first frame of the parts to the last.
    start_s : float
        Time in the source that is 0 in the parts.

    Raises
    ------
    OptionError
        If there are no parts, or one differs in size or coding from the first.
    MediaError
        If a part cannot be read.
    OutputError
        If the video cannot be written.
    """
    if not parts:
        raise OptionError(f"{path}: has no parts to be joined: expected one or more videos")
    heard = sound if sound is not None and has_sound(sound) else None
    with whole_file(Path(path)) as partial, as_output_error(path, av.FFmpegError):
        try:
            _join(parts, partial, Path(path), sound=heard, start_s=start_s)
        except av.FFmpegError as error:
            if heard is None:
                raise
            logger.warning("%s: is without sound (%s)", path, error)
            _join(parts, partial, Path(path))


def _join(
    parts: Sequence[str | Path], partial: Path, path: Path, *, sound: str | None = None, start_s: float = 0.0
) -> None:
    """Write what will be `path` to `partial`, one packet in memory at a time."""
    with ExitStack() as opened:
        target = opened.enter_context(_created(partial, path))
        with _opened(parts[0]) as first, _opened(parts[-1]) as last:
            stream = target.add_stream_from_template(first.streams.video[0], time_base=TICK_S)
            first_s, end_s = _start_s(first), _end_s(last)
        tracks = [_pictures(parts, stream)]
        if sound is not None:
            tracks.append(opened.enter_context(sound_of(sound, target, start_s=start_s, first_s=first_s, end_s=end_s)))
        for packet in heapq.merge(*tracks, key=time_of):
            target.mux(packet)


def _pictures(parts: Sequence[str | Path], stream: VideoStream) -> Iterator[Packet[Any]]:
    """Yield the pictures of all parts for one stream, in ticks that advance."""
    coding, last_tick = stream.codec_context.extradata, -(2**62)
    for part in parts:
        with _opened(part) as container:
            if container.streams.video[0].codec_context.extradata != coding:
                raise OptionError(f"{part}: differs in size or coding from {parts[0]}: give all parts the same size")
            for packet in container.demux(video=0):
                if packet.pts is None:  # the last one is empty
                    continue
                packet.duration = round((packet.duration or 0) * packet.time_base / TICK_S)
                packet.pts = last_tick = max(round(packet.pts * packet.time_base / TICK_S), last_tick + 1)
                packet.dts, packet.time_base, packet.stream = packet.pts, TICK_S, stream
                yield packet


def _start_s(container: InputContainer) -> float:
    stream = container.streams.video[0]
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _end_s(container: InputContainer) -> float:
    stream = container.streams.video[0]
    if stream.duration is None:  # Matroska has only that of the whole, from 0
        return (container.duration or 0) / 1e6
    return _start_s(container) + float(stream.duration * (stream.time_base or 0))


def _created(partial: Path, path: Path) -> OutputContainer:
    suffix = path.suffix.lower()
    if suffix not in VIDEO_FORMATS:
        raise OptionError(f"{path}: unknown kind of video {suffix!r}: expected one of {', '.join(VIDEO_FORMATS)}")
    # MP4 keeps when a track starts in these, 1/1000 s by default.
    return av.open(partial, "w", format=VIDEO_FORMATS[suffix], container_options={"movie_timescale": str(TICKS_PER_S)})


@contextmanager
def _opened(part: str | Path) -> Iterator[InputContainer]:
    try:
        with av.open(f"file:{part}") as container:
            yield container
    except av.FFmpegError as error:
        raise MediaError(f"{part}: cannot be read ({error.strerror}): expected an annotated video") from error
