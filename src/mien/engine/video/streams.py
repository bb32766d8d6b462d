"""Videos, URLs and animations, decoded by libav: true times, upright, square pixels."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mien.core.errors import MediaError
from mien.core.types import ByteArray
from mien.engine.video.headers import MAX_PIXELS, check_pixels
from mien.engine.video.live import Course, in_time
from mien.engine.video.seeking import STAMPED, Entry, Numbering, Selection, Timeline, beyond, scan, zero_s

logger = logging.getLogger("mien")

FALLBACK_RATE = Fraction(25)
"""Frames per second where a stream states none."""

EVERYTHING = Selection()

CUT_S = 0.5
"""A file whose last frame ends this much before the time that its index promises has been cut."""

_UNREADABLE = "holds no picture that can be read: expected an image or video file"
_NO_INDEX = "is an MP4 without pictures, or breaks off before its index: copy or record it again"


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Parameters
    ----------
    index : int
        Number of the frame in its source, from 0.
    time_s : float
        Presentation time in seconds, as a player shows it: from the start of the source, sound included, so the
        first frame of a video whose sound starts earlier is later than 0.
    image : (H, W, 3) ndarray of uint8
        RGB, upright, contiguous.
    is_live : bool
        Whether it comes from a camera or live URL, which do not wait for who reads them.
    """

    index: int
    time_s: float
    image: ByteArray
    is_live: bool = False


@contextmanager
def open_stream(source: str, *, timeout_s: float | None = None) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video and choose its picture track; closed when the block ends.

    Parameters
    ----------
    source : str
        Path or URL.
    timeout_s : float, optional
        For a URL: seconds to wait for an answer.

    Raises
    ------
    MediaError
        If it cannot be opened, or has no pictures.
    """
    is_url = timeout_s is not None
    # The prefix, since a colon in a name makes a protocol of what stands before it; the list, since a playlist on
    # disk must not reach into the network.
    name = source if is_url else f"file:{source}"
    options = {"rtsp_transport": "tcp"} if is_url else {"protocol_whitelist": "file"}
    started = time.monotonic()
    try:
        container = av.open(name, timeout=timeout_s, options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if timeout_s is None:
            raise MediaError(f"{source}: {_why_unreadable(source)}") from error
        if time.monotonic() - started >= timeout_s:  # RTSP calls it invalid data when the time is up
            raise unanswered(source, timeout_s) from error
        raise MediaError(f"{source}: cannot be opened ({error.strerror}): check the address and network") from error
    with container:
        tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
        if not any(getattr(track, "width", 0) for track in tracks):  # no attribute where libav knows no decoder
            raise MediaError(f"{source}: {_UNREADABLE if is_url else _why_unreadable(source)}")
        stream = max(tracks, key=lambda track: track.frames)  # an animated AVIF also has a still as a track
        check_pixels(source, stream.width, stream.height)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        # Two threads: 0.8 ms for a 720p frame instead of 1.4; more only hold more frames. Slices add no delay.
        stream.codec_context.thread_count = 2
        stream.codec_context.thread_type = "SLICE" if is_url else "AUTO"
        yield container, stream


def _why_unreadable(path: str) -> str:
    with Path(path).open("rb") as file:
        is_mp4 = file.read(8)[4:] in (b"ftyp", b"mdat", b"moov")
    return _NO_INDEX if is_mp4 else _UNREADABLE


def is_still(container: InputContainer) -> bool:
    """Return whether libav opened the file as a single picture."""
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


def unanswered(source: str, timeout_s: float | None, after: str = "") -> MediaError:
    """Return the error of a source that keeps silent."""
    return MediaError(
        f"{source}: does not answer within {timeout_s:g} s{after}: check the address, or give a longer time-out"
    )


def _is_live(container: InputContainer) -> bool:
    """Return whether what is behind a URL has no end: neither a length nor, but for playlists, a size."""
    is_whole = container.duration or (container.size > 0 and container.format.name not in ("hls", "dash"))
    return not is_whole and not is_still(container)


def stream_frames(
    source: str,
    *,
    timeout_s: float | None = None,
    selection: Selection = EVERYTHING,
    entry: Entry | None = None,
    course: Course | None = None,
) -> Generator[Frame, None, None]:
    """Yield the frames of a video, URL or animation.

    Damaged frames are left out and counted in a warning; the numbers and times of the others stay true.

    Parameters
    ----------
    source : str
        Path or URL.
    timeout_s : float, optional
        For a URL: seconds to wait for an answer, at the opening and at each frame.
    selection : Selection
        Which frames are wanted; only these are made RGB, which takes 1 ms at 720p. A single picture always is.
    entry : Entry, optional
        Where to begin in a file; where decoding cannot begin there, it begins at the start.
    course : Course, optional
        What numbers and times the frames of a URL over several connections.

    Yields
    ------
    Frame

    Raises
    ------
    MediaError
        If it cannot be opened, has no frames, or ends before the selection starts; and after the last good frame, if
        it breaks off.
    """
    with open_stream(source, timeout_s=timeout_s) as (container, stream):
        clock, tally = _Clock(container, stream), _Tally(Numbering(container, stream, entry))
        wanted = EVERYTHING if is_still(container) else selection
        course = course or Course(source, entry.previous_s if entry else -1.0)
        course.is_live = timeout_s is not None and _is_live(container)
        packets = container.demux(stream) if timeout_s is None else in_time(container.demux(stream), timeout_s)
        decoded = _entered(container, stream, tally, entry) if entry else _decoded(packets, tally)
        if decoded is None:
            yield from stream_frames(source, selection=selection)
            return
        try:
            yield from _wanted(decoded, wanted, stream.sample_aspect_ratio or Fraction(1), course, clock, tally)
        except (av.error.ExitError, TimeoutError) as error:
            raise unanswered(source, timeout_s, f" after {tally.numbering.count} frames") from error
        except av.error.FFmpegError as error:
            raise _broken_off(course, clock, tally, f" ({error.strerror})") from error
        if tally.damaged:
            logger.warning("%s: %d damaged parts were left out", source, tally.damaged)


def _wanted(
    decoded: Iterator[VideoFrame], selection: Selection, aspect: Fraction, course: Course, clock: _Clock, tally: _Tally
) -> Iterator[Frame]:
    turn = None
    for frame in decoded:
        previous_s = course.time_s
        index, time_s = course.place(tally.numbering.number(frame), clock.time_s(frame))
        if time_s >= selection.end_s:
            return
        turn = turn or _Turn.of(frame)
        if selection.takes(time_s, previous_s):
            yield Frame(index, time_s, _picture(frame, aspect, turn), course.is_live)
    _check_end(course, clock, tally, selection)


def _check_end(course: Course, clock: _Clock, tally: _Tally, selection: Selection) -> None:
    if tally.numbering.count == 0:
        raise MediaError(f"{course.source}: has no frame that can be decoded: copy or record it again")
    if course.is_live or tally.is_cut or clock.promised_s - clock.end_s > CUT_S:
        raise _broken_off(course, clock, tally)
    if clock.end_s < selection.start_s:
        raise beyond(course.source, selection.start_s, clock.end_s)


def _broken_off(course: Course, clock: _Clock, tally: _Tally, reason: str = "") -> MediaError:
    source, count = course.source, tally.numbering.count
    if count == 0:
        return MediaError(f"{source}: gives no frame{reason}: copy or record it again; download what is behind a URL")
    broken_off = f"{source}: breaks off after {count} frames, {clock.end_s:.2f} s{reason}"
    return MediaError(
        broken_off if course.is_live else f"{broken_off}: what came before is kept; copy or record it again"
    )


@dataclass
class _Tally:
    """The numbers of the frames of a stream, what was damaged so far, and whether its latest part was."""

    numbering: Numbering
    damaged: int = 0
    last_packet: bool = False
    last_frame: bool = False

    @property
    def is_cut(self) -> bool:
        return self.last_packet or self.last_frame


def _decoded(packets: Iterable[Packet[VideoStream]], tally: _Tally) -> Iterator[VideoFrame]:
    for packet in packets:
        if packet.size:  # the empty one at the end only flushes the decoder
            tally.last_packet = packet.is_corrupt
            tally.numbering.expect(packet)
        if packet.is_corrupt:  # shorter than its index says: would decode to half a picture
            tally.damaged += 1
            continue
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            tally.damaged += 1
            continue
        for frame in frames:
            tally.last_frame = frame.is_corrupt
            tally.damaged += frame.is_corrupt
            if not frame.is_corrupt:
                yield frame


def _entered(
    container: InputContainer, stream: VideoStream, tally: _Tally, entry: Entry
) -> Iterator[VideoFrame] | None:
    """Return the frames from an entry on; None where decoding cannot begin there."""
    try:
        container.seek(entry.key_stamp, stream=stream)
        packets = container.demux(stream)
        landed = next(packets)
        if landed.pts is None or landed.pts > entry.key_stamp:
            return None
        decoded = _onward(_decoded(chain([landed], packets), tally), entry.key_stamp)
        onward = decoded and _onward(decoded, entry.stamp)
    except av.error.FFmpegError:
        return None
    tally.damaged = 0  # what comes before is decoded for the sake of the first only
    return onward


def _onward(decoded: Iterator[VideoFrame], stamp: int) -> Iterator[VideoFrame] | None:
    first = next((frame for frame in decoded if frame.pts is None or frame.pts >= stamp), None)
    return chain([first], decoded) if first is not None and first.pts == stamp else None


def video_timeline(source: str) -> Timeline | None:
    """Return the times of all frames of a video file that can be entered anywhere; of others None."""
    status = Path(source).stat()
    return _timeline(source, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _timeline(source: str, _modified_ns: int, _size: int) -> Timeline | None:
    # Each segment of a long video asks again: an hour takes 0.25 s to scan.
    with open_stream(source) as (container, stream):
        known = scan(container, stream, zero_s(container))
        entry = known.last_entry() if known else None
        if entry and _entered(container, stream, _Tally(Numbering(container, stream, entry)), entry) is None:
            return None  # the picture is refreshed in parts: no packet gives a whole one
        return known


class _Clock:
    """Turns presentation stamps into seconds that always advance.

    Attributes
    ----------
    unit_s : Fraction
        Seconds of one tick of the stream's stamps.
    promised_s : float
        When the stream ends by the file's own index; 0.0 where it has none.
    end_s : float
        When the latest frame ends.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.unit_s = stream.time_base or Fraction(1, 1000)
        self._start_s = zero_s(container)
        is_promised = container.format.name in STAMPED
        self.promised_s = _promised_s(stream, self.unit_s) - float(self._start_s) if is_promised else 0.0
        # AVI knows no presentation time: with B-frames libav's guess goes back and forth, decoding order does not.
        self._is_avi = container.format.name == "avi"
        self._step_s = 1 / (stream.average_rate or stream.guessed_rate or FALLBACK_RATE)
        self._last_s: Fraction | None = None
        self.end_s = 0.0

    def time_s(self, frame: VideoFrame) -> float:
        """Return the time of the next frame in seconds."""
        stamp = frame.dts if self._is_avi else frame.pts
        if self._last_s is None:
            self._last_s = self._first_s(stamp)
        else:
            self._last_s = self._next_s(stamp, self._last_s)
        time_s = float(self._last_s)
        self.end_s = time_s + float(frame.duration * self.unit_s)
        return time_s

    def _first_s(self, stamp: int | None) -> Fraction:
        if stamp is None:
            return Fraction(0)
        if self._is_avi:
            self._start_s = stamp * self.unit_s
        return max(stamp * self.unit_s - self._start_s, Fraction(0))

    def _next_s(self, stamp: int | None, last_s: Fraction) -> Fraction:
        if stamp is None:
            return last_s + self._step_s
        now_s = stamp * self.unit_s - self._start_s
        if now_s > last_s:
            return now_s
        if now_s < last_s - 1:  # the stream's clock was set back, as in joined recordings
            self._start_s += now_s - last_s - self._step_s
            return last_s + self._step_s
        return last_s + self._step_s / 100


def _promised_s(stream: VideoStream, unit_s: Fraction) -> float:
    if stream.duration is not None:
        return float(((stream.start_time or 0) + stream.duration) * unit_s)
    stated = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))  # Matroska's, of the end
    return int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3]) if stated else 0.0


@dataclass(frozen=True)
class _Turn:
    """How stored pixels become upright: rows and columns swapped, then every row and column in this direction."""

    is_transposed: bool
    down: int
    across: int

    @classmethod
    def of(cls, frame: VideoFrame) -> _Turn:
        """Read the display matrix; of one frame only, since its side data keep a frame alive (+190 MB at 720p)."""
        try:
            matrix = frame.side_data.get("DISPLAYMATRIX")
        except ValueError:  # PyAV 18 fails on kinds of side data that it does not know, Exif among them
            return _QUARTERS[frame.rotation // 90 % 4]
        if not isinstance(matrix, SideData):
            return _QUARTERS[0]
        (a, b, _), (c, d, _), _ = np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)
        is_transposed = bool(abs(b) > abs(a))
        across, down = (c, b) if is_transposed else (a, d)
        return cls(is_transposed, -1 if down < 0 else 1, -1 if across < 0 else 1)


_QUARTERS = (_Turn(False, 1, 1), _Turn(True, -1, 1), _Turn(False, -1, -1), _Turn(True, 1, -1))  # to the left


def _picture(frame: VideoFrame, aspect: Fraction, turn: _Turn) -> ByteArray:
    """Return the picture as a player shows it: its pixels made square, turned, mirrored."""
    is_square = aspect == 1 or not 1 / 4 <= aspect <= 4
    width = frame.width if is_square else round(frame.width * aspect)
    rgb = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    rgb = rgb.transpose(1, 0, 2) if turn.is_transposed else rgb
    return np.ascontiguousarray(rgb[:: turn.down, :: turn.across], np.uint8)
