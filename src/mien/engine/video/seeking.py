"""Parts of a source: which frames are wanted, what number each has, and where a file is entered to read them."""

from __future__ import annotations

import heapq
import math
from array import array
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mien.core.errors import MediaError, OptionError
from mien.core.types import BoolArray, IntArray

STAMPED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""The formats that stamp every frame and promise a length; the others guess stamps and estimate their length."""

ROUNDING_S = 1e-6  # 3 * 0.2 is more than 0.6, yet the frame at 0.6 s is on a grid of 0.2 s
EXACT = 2**53  # integers up to here are exact in float64


@dataclass(frozen=True)
class Selection:
    """Which frames of a source are wanted.

    Parameters
    ----------
    start_s, end_s : float
        Frames with ``start_s <= time_s < end_s``.
    every_s : float
        Of these, the first at or after each ``start_s + k * every_s``; 0 for all.

    Raises
    ------
    OptionError
        If one is no number of seconds, or the end is not after the start.
    """

    start_s: float = 0.0
    end_s: float = math.inf
    every_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("start_s", "end_s", "every_s"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not float(value) >= 0:  # NaN is neither more nor less
                raise OptionError(f"{name} is {value!r}: expected seconds, 0 or more")
        if not self.start_s < self.end_s:
            raise OptionError(f"end_s is {self.end_s:g}: expected more than start_s, which is {self.start_s:g}")

    def takes(self, time_s: float, previous_s: float) -> bool:
        """Return whether a frame is wanted.

        Parameters
        ----------
        time_s : float
            Its time in seconds.
        previous_s : float
            That of the frame before it in the source, whether wanted or not; negative for the first.
        """
        if not self.start_s <= time_s < self.end_s:
            return False
        return not self.every_s or self._point(previous_s) < self._point(time_s)

    def _point(self, time_s: float) -> float:
        return (time_s - self.start_s + ROUNDING_S) // self.every_s


def beyond(source: str, start_s: float, end_s: float) -> MediaError:
    """Return the error of a range that begins after the end of its source."""
    return MediaError(f"{source}: ends at {end_s:.2f} s: expected a start before that, not {start_s:g} s")


def zero_s(container: InputContainer) -> Fraction:
    """Return the stream time that a player shows as 0: where the first of the tracks starts, sound included."""
    starts = [s.start_time * s.time_base for s in container.streams if s.start_time is not None and s.time_base]
    return min(starts, default=Fraction(0))


@dataclass(frozen=True)
class Entry:
    """Where reading a file begins instead of at its start.

    Parameters
    ----------
    key_stamp : int
        Stamp of the packet to begin decoding with.
    stamp, index : int
        Stamp and number of the first frame to be told; those before it are decoded for its sake only.
    previous_s : float
        Time of the frame before it; negative where it is the first.
    """

    key_stamp: int
    stamp: int
    index: int
    previous_s: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """The times of all frames of a video file that can be entered anywhere.

    Parameters
    ----------
    times_s : (N,) ndarray of float64
        Rising: what :func:`frames` gives, damaged frames included; the index of a frame is its place here.
    length_s : float
        When the last frame ends.
    stamps : (N,) ndarray of int64
        The same in ticks of the stream.
    key_stamps, first_stamps : (K,) ndarray of int64
        The packets that decoding can begin with, and the first frame that comes out right from each.
    """

    times_s: npt.NDArray[np.float64]
    length_s: float
    stamps: IntArray
    key_stamps: IntArray
    first_stamps: IntArray

    def __post_init__(self) -> None:
        self.times_s.setflags(write=False)  # one timeline serves all who ask for that of a file

    def entry(self, start_s: float) -> Entry | None:
        """Return where to enter for the frames from a time on; None where that is the start of the file."""
        index = min(int(np.searchsorted(self.times_s, start_s)), len(self.times_s) - 1)
        keys = np.flatnonzero(self.first_stamps <= self.stamps[index])
        if index == 0 or len(keys) == 0:
            return None
        previous_s = float(self.times_s[index - 1])
        return Entry(int(self.key_stamps[keys[-1]]), int(self.stamps[index]), index, previous_s)

    def last_entry(self) -> Entry | None:
        """Return the entry whose first frame is that of the last packet that decoding can begin with."""
        index = min(int(np.searchsorted(self.stamps, self.first_stamps[-1])), len(self.stamps) - 1)
        return self.entry(float(self.times_s[index]))


def scan(container: InputContainer, stream: VideoStream, start_s: Fraction) -> Timeline | None:
    """Read the stamps of all packets, without decoding them.

    Parameters
    ----------
    start_s : Fraction
        What counts as 0 s, in the time of the stream.

    Returns
    -------
    Timeline or None
        None where entering the file might give other frames, numbers or times than reading it from its start: stamps
        that are missing, equal or turn back, damaged packets, or another format.
    """
    if container.format.name not in STAMPED:
        return None
    stamps, kinds = array("q"), bytearray()  # 20 MB for ten hours at 60 frames a second
    order, end, duration = _Order(stream), -math.inf, 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:  # only flushes the decoder
                continue
            shown = is_shown(packet)
            if packet.pts is None or packet.is_corrupt or (shown and order.breaks(packet.pts)):
                return None
            stamps.append(packet.pts)
            kinds.append(packet.is_keyframe | shown << 1)
            if packet.pts > end:
                end, duration = packet.pts, packet.duration or 0
    except av.error.FFmpegError:
        return None
    kind = np.frombuffer(kinds, np.uint8)
    return _timeline(stream, start_s, np.frombuffer(stamps, np.int64), kind & 1 > 0, kind & 2 > 0, duration)


def _timeline(
    stream: VideoStream, start_s: Fraction, stamps: IntArray, is_key: BoolArray, shown: BoolArray, duration: int
) -> Timeline | None:
    """Put what a scan found, packet by packet in the order of decoding, in the order of showing."""
    unit_s = stream.time_base or Fraction(1)
    in_order = np.sort(stamps[shown])
    if not (is_key & shown).any() or (np.diff(in_order) <= 0).any():
        return None
    times_s = _seconds(in_order, unit_s, start_s)
    if times_s is None or times_s[0] < 0:
        return None
    lowest = np.iinfo(np.int64).min
    shown_before = np.maximum.accumulate(np.append(lowest, np.where(shown, stamps, lowest)[:-1]))
    first_stamps = np.maximum(stamps, shown_before + 1)
    length_s = float((int(in_order[-1]) + duration) * unit_s - start_s)
    return Timeline(times_s, length_s, in_order, stamps[is_key & shown], first_stamps[is_key & shown])


def _seconds(stamps: IntArray, unit_s: Fraction, start_s: Fraction) -> npt.NDArray[np.float64] | None:
    """Return what ``float(stamp * unit_s - start_s)`` gives for each, exactly; None where float64 cannot."""
    ticks = math.lcm(unit_s.denominator, start_s.denominator)
    scale, offset = int(unit_s * ticks), int(start_s * ticks)
    if max(abs(int(stamps[0])), abs(int(stamps[-1]))) * scale + abs(offset) >= EXACT:
        return None
    return np.asarray((stamps * scale - offset) / ticks, np.float64)


def is_shown(packet: Packet[VideoStream]) -> bool:
    """Return whether a packet holds a frame to be shown: not one that an edit list cuts off, or a hidden one of VP8."""
    if packet.is_discard:
        return False
    return packet.stream.codec_context.name != "vp8" or bool(memoryview(packet)[0] & 0x10)  # RFC 6386, section 9.1


class _Order:
    """Tells whether frames come out in the order of their stamps: none is stored later than the decoder waits for."""

    def __init__(self, stream: VideoStream) -> None:
        self._highest = [-math.inf] * (stream.codec_context.reorder_depth + 1)

    def breaks(self, stamp: int) -> bool:
        """Add the stamp of the next packet; return whether the decoder has already given a later frame."""
        return heapq.heappushpop(self._highest, stamp) == stamp


class Numbering:
    """Numbers frames by their place among the stamps of all packets, so that damaged ones keep their number.

    Where stamps are missing or turn back, frames are numbered as they come; so they are in formats that guess them.

    Attributes
    ----------
    count : int
        The number that comes next.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, entry: Entry | None) -> None:
        self.count = entry.index if entry else 0
        self._first: float = entry.stamp if entry else -math.inf
        self._order = _Order(stream)
        self._is_stamped = container.format.name in STAMPED
        self._waiting: list[int] = []  # a heap

    def expect(self, packet: Packet[VideoStream]) -> None:
        """Tell of the next packet, whole or not."""
        if not self._is_stamped or not is_shown(packet):
            return
        if packet.pts is None or self._order.breaks(packet.pts):
            self._is_stamped = False
        elif packet.pts >= self._first:
            heapq.heappush(self._waiting, packet.pts)

    def number(self, frame: VideoFrame) -> int:
        """Return the number of the next frame."""
        if self._is_stamped and frame.pts is not None:
            while self._waiting and self._waiting[0] <= frame.pts:
                self.count += heapq.heappop(self._waiting) < frame.pts
        self.count += 1
        return self.count - 1
