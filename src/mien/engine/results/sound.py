"""The sound of a file on its way into an annotated video: copied where players take it so, else encoded to AAC."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from mien.core.errors import MediaError
from mien.engine.video import probe
from mien.engine.video.seeking import zero_s
from mien.engine.video.streams import open_stream

logger = logging.getLogger("mien")

COPIED = {
    "mov": frozenset(("aac", "mp3", "ac3", "eac3", "alac")),
    "mp4": frozenset(("aac", "mp3", "ac3", "eac3", "alac", "opus")),
}
"""Codecs that players know in a container; in Matroska they know all that it takes."""

SEEK_MARGIN_S = 5.0  # some files keep sound seconds away from the pictures of its time
LEAST_GAP_S = 0.01  # shorter ones come from rounded stamps and are no silence
USUAL_RATE = 48_000
BITS_PER_CHANNEL = 96_000


def has_sound(source: str) -> bool:
    """Return whether a source is a video file with sound; what is no file, as a camera or URL, is not contacted."""
    if not Path(source).is_file():
        return False
    try:
        if probe(source).kind != "video":
            return False
        with open_stream(source) as (container, _):
            return len(container.streams.audio) > 0
    except MediaError as error:
        logger.warning("%s: its sound is left out (%s)", source, error)
        return False


@contextmanager
def sound_of(
    source: str, target: OutputContainer, *, start_s: float, first_s: float, end_s: float
) -> Iterator[Iterator[Packet[AudioStream]]]:
    """Add the sound tracks of a file to a video, and give their packets in order of time, one in memory at a time.

    What is damaged is left out and what follows keeps its time; a warning tells.

    Parameters
    ----------
    source : str
        Path of a file that has sound.
    target : OutputContainer
        The video, of which nothing is written yet.
    start_s : float
        Time in the file that is 0 s in the video.
    first_s, end_s : float
        When the pictures of the video begin and end, by its own time.
    """
    with open_stream(source) as (container, pictures):
        began_s = zero_s(container) + Fraction(start_s)
        tracks: dict[int, _Track] = {}
        for stream in container.streams:
            if not isinstance(stream, AudioStream):
                stream.discard = Discard.all  # pictures need not even be read then in MP4 and MOV
            elif not getattr(stream, "sample_rate", 0):  # no attribute where libav knows no decoder
                logger.warning("%s: sound of an unknown kind is left out", source)
            else:
                tracks[stream.index] = _track(stream, target, first_s)
        _enter(container, pictures, began_s + Fraction(first_s))
        yield _packets(source, container, tracks, began_s, end_s)


def _enter(container: InputContainer, pictures: VideoStream, time_s: Fraction) -> None:
    """Go to shortly before a time, as far as the file can; an hour in costs as little as a second then."""
    if time_s > SEEK_MARGIN_S and pictures.time_base:
        with suppress(av.FFmpegError):
            container.seek(math.floor((time_s - Fraction(SEEK_MARGIN_S)) / pictures.time_base), stream=pictures)


def _packets(
    source: str, container: InputContainer, tracks: dict[int, _Track], began_s: Fraction, end_s: float
) -> Iterator[Packet[AudioStream]]:
    running, last_s, damaged = dict(tracks), dict.fromkeys(tracks, -math.inf), 0
    try:
        for packet in container.demux(container.streams.audio):
            track = running.get(packet.stream_index)
            if track is None or packet.pts is None:  # the last ones have neither stamp nor content
                continue
            packet.pts -= round(began_s / packet.time_base)
            if packet.pts * packet.time_base >= end_s:
                yield from running.pop(packet.stream_index).rest()
                if not running:
                    break
            elif packet.is_corrupt or time_of(packet) <= last_s[packet.stream_index]:
                damaged += 1
            else:
                last_s[packet.stream_index] = time_of(packet)
                try:
                    yield from track.packets(packet)
                except (av.FFmpegError, ValueError):  # PyAV's own is for a format that changes in the middle
                    damaged += 1
        for track in running.values():
            yield from track.rest()
    except av.FFmpegError as error:
        logger.warning("%s: its sound breaks off (%s): what came before is kept", source, error.strerror)
    if damaged:
        logger.warning("%s: %d damaged parts of its sound were left out", source, damaged)


def time_of(packet: Packet[Any]) -> float:
    """Return the time of a packet that has a stamp, in seconds."""
    assert packet.pts is not None
    return float(packet.pts * packet.time_base)


class _Track(Protocol):
    """A sound track of a video that is being written."""

    def packets(self, packet: Packet[AudioStream]) -> list[Packet[AudioStream]]:
        """Return what is to be written for a packet of the file, whose stamp is by the time of the video."""

    def rest(self) -> list[Packet[AudioStream]]:
        """Return what is still to be written after the last packet."""


def _track(stream: AudioStream, target: OutputContainer, first_s: float) -> _Track:
    copied = COPIED.get(target.format.name)
    if copied is None or stream.codec_context.codec.canonical_name in copied:
        with suppress(ValueError):  # a codec that Matroska does not take
            return _Copied(stream, target, first_s)
    return _Encoded(stream, target, first_s)


class _Copied:
    """Copies packets, whole ones: the sound begins up to one, some 20 ms, after the pictures."""

    def __init__(self, stream: AudioStream, target: OutputContainer, first_s: float) -> None:
        self._stream, self._first_s = target.add_stream_from_template(stream), first_s
        _name_language(self._stream, stream)

    def packets(self, packet: Packet[AudioStream]) -> list[Packet[AudioStream]]:
        # Matroska would move the pictures for the sake of a packet before them.
        if time_of(packet) < self._first_s:
            return []
        packet.stream, packet.dts = self._stream, packet.pts
        return [packet]

    def rest(self) -> list[Packet[AudioStream]]:
        return []


class _Encoded:
    """Decodes packets and encodes them to AAC, mono or stereo, from the first picture on to the sample."""

    def __init__(self, stream: AudioStream, target: OutputContainer, first_s: float) -> None:
        channels = min(stream.channels, 2)
        layout = ("mono", "stereo")[channels - 1]
        rates = av.Codec("aac", "w").audio_rates or []
        rate = stream.sample_rate if stream.sample_rate in rates else USUAL_RATE
        self._stream = target.add_stream("aac", rate=rate, layout=layout, bit_rate=BITS_PER_CHANNEL * channels)
        _name_language(self._stream, stream)
        # Silence takes the place of what is missing, at the start and in between.
        options = {"first_pts": str(round(first_s * rate)), "min_hard_comp": str(LEAST_GAP_S)}
        self._resampler = av.AudioResampler("fltp", layout, rate, options=options)

    def packets(self, packet: Packet[AudioStream]) -> list[Packet[AudioStream]]:
        return [piece for frame in packet.decode() for piece in self._encode(frame)]

    def rest(self) -> list[Packet[AudioStream]]:
        return [*self._encode(None), *self._stream.encode(None)]

    def _encode(self, frame: AudioFrame | None) -> list[Packet[AudioStream]]:
        return [piece for part in self._resampler.resample(frame) for piece in self._stream.encode(part)]


def _name_language(stream: AudioStream, of: AudioStream) -> None:
    if of.language:
        stream.metadata.update(language=of.language)
