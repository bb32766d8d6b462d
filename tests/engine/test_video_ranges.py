"""Parts of a source: the same frames, numbers and times as reading it whole, without the work for the rest."""

from __future__ import annotations

import bisect
import http.server
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.stream import VideoStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media import cut, portrait, read_until_broken, write_animation, write_still, write_video

from mien.core.errors import MediaError, OptionError
from mien.core.types import ByteArray
from mien.engine.video import Frame, frames, streams, timeline

COUNT = 40
MILLISECONDS = [0, *itertools.accumulate([10, 40, 41, 7, 200, 1500, 33, 60] * 5)][:COUNT]
KEYS = {"g": "12"}
X264: dict[str, Any] = {"codec": "libx264", "codec_options": KEYS}
OPEN = {"x264-params": "keyint=12:open-gop=1:bframes=3"}

ENTERED: dict[str, dict[str, Any]] = {
    "x264.mp4": X264,
    "x264.mkv": X264,
    "fragments.mp4": {**X264, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "open.mp4": {"codec": "libx264", "codec_options": OPEN},
    "open.mkv": {"codec": "libx264", "codec_options": OPEN},
    "x265.mkv": {"codec": "libx265", "codec_options": {"x265-params": "log-level=none:keyint=12"}},
    "b.mp4": {"codec": "mpeg4", "codec_options": {"bf": "2"}},
    "b.mov": {"codec": "mpeg2video", "codec_options": {"bf": "2"}},
    "vp8.webm": {"codec": "libvpx", "codec_options": KEYS},
    "vp9.webm": {"codec": "libvpx-vp9", "codec_options": KEYS},
    "only keys.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "variable.mp4": {**X264, "times_ms": MILLISECONDS},
    "variable.mkv": {**X264, "times_ms": MILLISECONDS},
    "ntsc.mp4": {**X264, "rate": Fraction(30000, 1001)},
    "late.mov": {**X264, "times_ms": [500 + time_ms for time_ms in MILLISECONDS], "sound_s": 1.0},
    "late.mkv": {**X264, "times_ms": [500 + time_ms for time_ms in MILLISECONDS]},
    "cut by edit list.mp4": {**X264, "times_ms": [40 * index - 700 for index in range(COUNT)]},
    "an hour on.mp4": {**X264, "times_ms": [40 * index + 3_600_000 * (index > 20) for index in range(COUNT)]},
}
"""Clips that a range is sought in, and how they are written."""

READ: dict[str, dict[str, Any]] = {
    "refreshed in parts.mp4": {"codec": "libx264", "codec_options": {"x264-params": "keyint=12:intra-refresh=1"}},
    "b.ts": X264,
    "b.avi": {"codec": "mpeg4", "codec_options": {"bf": "2"}},
    "b.mpg": {"codec": "mpeg2video", "codec_options": {"bf": "2"}},
    "clip.nut": {"codec": "mpeg4"},
    "clip.flv": {"codec": "flv"},
}
"""Clips that are read from their start."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of clips of 40 frames, each written once."""
    folder = tmp_path_factory.mktemp("clips")

    @cache
    def written(name: str) -> Path:
        return write_video(folder / name, moving(), **(ENTERED | READ)[name])

    return written


@cache
def moving(count: int = COUNT, height: int = 48, width: int = 64) -> list[ByteArray]:
    return [np.roll(portrait(height, width), 3 * index, axis=1) for index in range(count)]


@cache
def whole(path: Path) -> list[Frame]:
    return list(frames(path))


def assert_same(read: Sequence[Frame], expected: Sequence[Frame]) -> None:
    assert [(frame.index, frame.time_s) for frame in read] == [(frame.index, frame.time_s) for frame in expected]
    for frame, other in zip(read, expected, strict=True):
        np.testing.assert_array_equal(frame.image, other.image)


def on_grid(read: Sequence[Frame], start_s: float, every_s: float) -> list[Frame]:
    """Return the first frame at or after each point of a grid, by walking along the grid."""
    times_s = [frame.time_s + 1e-6 for frame in read]
    points = range(math.ceil((times_s[-1] - start_s) / every_s) + 1)
    chosen = {bisect.bisect_left(times_s, start_s + point * every_s) for point in points}
    return [read[index] for index in sorted(chosen) if index < len(read)]


@st.composite
def ranges(draw: st.DrawFn, times_s: Sequence[float]) -> tuple[float, float]:
    """Draw a start and an end: at a frame, right beside one, or at any millisecond up to the last frame."""
    at = st.sampled_from(times_s)
    beside = st.builds(math.nextafter, at, st.sampled_from([0.0, times_s[-1]]))
    anywhere = st.integers(0, int(1000 * times_s[-1])).map(lambda time_ms: time_ms / 1000)
    start_s = draw(at | beside | anywhere)
    end_s = draw(at | beside | anywhere | st.just(math.inf))
    return start_s, end_s if end_s > start_s else math.inf


def assert_law(path: Path, data: st.DataObject) -> None:
    start_s, end_s = data.draw(ranges([frame.time_s for frame in whole(path)]))
    inside = [frame for frame in whole(path) if start_s <= frame.time_s < end_s]
    assert_same(list(frames(path, start_s=start_s, end_s=end_s)), inside)
    every_s = data.draw(st.sampled_from([0.04, 0.1, 0.2, 10.0]) | st.integers(10, 3000).map(lambda ms: ms / 1000))
    sampled = list(frames(path, start_s=start_s, end_s=end_s, every_s=every_s))
    assert_same(sampled, [frame for frame in on_grid(whole(path), start_s, every_s) if frame in inside])


few = settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])


# --- the law: a part is a part of the whole


@pytest.mark.parametrize("name", ENTERED)
@few
@given(data=st.data())
def test_a_range_that_is_sought_is_that_of_the_whole(
    clip: Callable[[str], Path], name: str, data: st.DataObject
) -> None:
    known = timeline(clip(name))
    assert known is not None
    assert known.times_s.tolist() == [frame.time_s for frame in whole(clip(name))]
    assert_law(clip(name), data)


@pytest.mark.parametrize("name", READ)
@few
@given(data=st.data())
def test_a_range_that_is_read_is_that_of_the_whole(clip: Callable[[str], Path], name: str, data: st.DataObject) -> None:
    assert timeline(clip(name)) is None
    assert_law(clip(name), data)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif", ".tiff"])
@few
@given(data=st.data())
def test_a_range_of_pages_or_an_animation_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"animation{suffix}"
    if not path.exists():
        write_animation(path, moving(10), None if suffix == ".tiff" else [40, 100, 40, 40, 500] * 2)
    assert timeline(path) is None
    assert_law(path, data)


@few
@given(steps=st.integers(1, 20), every_s=st.sampled_from([0.04, 0.1, 0.2, 0.3]))
@pytest.mark.parametrize("name", ["x264.mp4", "ntsc.mp4", "variable.mkv", "b.avi"])
def test_segments_at_points_of_the_grid_make_the_whole(
    clip: Callable[[str], Path], name: str, steps: int, every_s: float
) -> None:
    path, length_s = clip(name), steps * every_s
    starts_s = [k * length_s for k in range(math.ceil(whole(path)[-1].time_s / length_s + 1e-6))]
    segments = [
        frames(path, start_s=start_s, end_s=end_s, every_s=every_s)
        for start_s, end_s in itertools.pairwise([*starts_s, math.inf])
    ]
    assert_same(list(itertools.chain(*segments)), list(frames(path, every_s=every_s)))


# --- what is left out costs little


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Count the frames that are decoded and those that are made RGB."""
    counts = {"decoded": 0, "converted": 0}
    decode, convert = streams._decoded, streams._picture

    def decoded(*arguments: Any) -> Iterator[av.VideoFrame]:
        for frame in decode(*arguments):
            counts["decoded"] += 1
            yield frame

    def converted(*arguments: Any) -> ByteArray:
        counts["converted"] += 1
        return convert(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(streams, "_decoded", decoded)
        patch.setattr(streams, "_picture", converted)
        yield counts


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_last_minute_of_an_hour_is_read_without_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = write_video(
        tmp_path / f"hour{suffix}", moving() * 90, times_ms=[1000 * index for index in range(3600)], **X264
    )
    assert timeline(path) is not None
    with counted(monkeypatch) as counts:
        read = list(frames(path, start_s=3540.0))
    assert [(frame.index, frame.time_s) for frame in read] == [(index, float(index)) for index in range(3540, 3600)]
    assert counts["converted"] == 60
    assert counts["decoded"] <= 60 + 12


def test_what_is_not_wanted_is_not_converted(clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as counts:
        sampled = list(frames(clip("b.avi"), start_s=0.4, every_s=0.2))
    assert [frame.index for frame in sampled] == list(range(10, COUNT, 5))
    assert counts["converted"] == len(sampled)


def test_a_short_way_in_is_decoded_not_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mp4", moving() * 3, **X264)
    monkeypatch.setattr(streams, "scan", None)
    assert next(frames(path, start_s=0.08)).index == 2


def test_a_file_that_was_written_anew_is_scanned_anew(tmp_path: Path) -> None:
    for count in (20, 30):
        known = timeline(write_video(tmp_path / "clip.mp4", moving()[:count], **X264))
        assert known is not None
        assert len(known.times_s) == count
        assert known.length_s == count / 25


# --- ends


@pytest.mark.parametrize("name", ["x264.mp4", "b.avi"])
def test_a_start_after_the_end_tells_the_length(clip: Callable[[str], Path], name: str) -> None:
    with pytest.raises(MediaError, match=r"ends at 1\.60 s: expected a start before that, not 7 s"):
        list(frames(clip(name), start_s=7.0))
    assert list(frames(clip(name), start_s=1.59)) == []


def test_a_start_after_the_last_page_is_told(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "pages.tiff", moving(3))
    with pytest.raises(MediaError, match=r"ends at 2\.00 s"):
        list(frames(path, start_s=2.5))


@pytest.mark.parametrize("share", [0.7, 0.995])
def test_the_end_of_a_range_is_no_break(tmp_path: Path, share: float) -> None:
    path = write_video(
        tmp_path / "cut.mov", moving(), codec="mjpeg", pixels="yuvj420p", container_options={"movflags": "faststart"}
    )
    cut(path, share)
    before, message = read_until_broken(path)
    assert "breaks off" in message
    assert timeline(path) is None
    assert_same(list(frames(path, start_s=0.2, end_s=0.8)), before[5:20])
    for start_s in (0.2, 1.5, 9.0):
        with pytest.raises(MediaError, match=f"breaks off after {len(before)} frames"):
            list(frames(path, start_s=start_s))


def test_a_cut_animation_does_not_break_off_before_its_cut(tmp_path: Path) -> None:
    path = cut(write_animation(tmp_path / "cut.gif", moving(10), [40] * 10), 0.8)
    before, _ = read_until_broken(path)
    assert_same(list(frames(path, end_s=before[2].time_s)), before[:2])


def test_a_still_is_read_whatever_the_range(tmp_path: Path) -> None:
    for name in ("still.png", "still.pgm"):
        path = write_still(tmp_path / name, portrait(), mode="L")
        (frame,) = frames(path, start_s=5.0, end_s=6.0, every_s=0.5)
        assert (frame.index, frame.time_s) == (0, 0.0)


def test_a_file_is_closed_at_the_end_of_a_range(clip: Callable[[str], Path]) -> None:
    def next_descriptor() -> int:
        with Path(os.devnull).open("rb") as file:
            return file.fileno()

    list(frames(clip("x264.mp4"), start_s=0.5))
    before = next_descriptor()
    for _ in range(3):
        list(frames(clip("x264.mp4"), start_s=0.5, end_s=0.6))
    assert next_descriptor() == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"start_s": -1.0}, "start_s is -1.0: expected seconds, 0 or more"),
        ({"start_s": math.nan}, "start_s is nan"),
        ({"start_s": "1"}, "start_s is '1'"),
        ({"start_s": math.inf}, "end_s is inf: expected more than start_s, which is inf"),
        ({"end_s": -1.0}, "end_s is -1.0"),
        ({"end_s": math.nan}, "end_s is nan"),
        ({"end_s": 0.0}, "end_s is 0: expected more than start_s, which is 0"),
        ({"start_s": 2.0, "end_s": 1.5}, "end_s is 1.5: expected more than start_s, which is 2"),
        ({"every_s": -0.1}, "every_s is -0.1"),
        ({"every_s": math.nan}, "every_s is nan"),
        ({"every_s": None}, "every_s is None"),
    ],
)
def test_a_range_that_is_none_is_refused_at_once(options: dict[str, Any], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        frames("missing.mp4", **options)


# --- faults


def remux(source: Path, target: Path, change: Callable[[int, Packet[VideoStream]], object], **options: str) -> Path:
    """Copy the packets of a video, each changed, into another container; what the change calls false is left out."""
    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        packets = (packet for packet in read.demux(read.streams.video[0]) if packet.size)
        for index, packet in enumerate(packets):
            packet.stream = stream
            if change(index, packet) is not False:
                written.mux(packet)
    return target


def test_damaged_frames_keep_their_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "clip.mov", moving(), codec="mjpeg", pixels="yuvj420p")
    sound = list(frames(path))
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0)]
    content = bytearray(path.read_bytes())
    start, size = places[9]
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    assert_same(list(frames(path)), sound[:9] + sound[10:])
    assert "1 damaged parts were left out" in caplog.text
    caplog.clear()
    assert_same(list(frames(path, start_s=0.6)), sound[15:])
    assert caplog.text == ""
    assert_same(list(frames(path, start_s=0.36)), sound[10:])
    known = timeline(path)
    assert known is not None
    assert len(known.times_s) == COUNT


@pytest.mark.parametrize("name", ["x264.mp4", "open.mkv"])
def test_numbers_and_times_are_those_of_the_whole_beside_damage(
    tmp_path: Path, clip: Callable[[str], Path], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    content = bytearray(clip(name).read_bytes())
    with av.open(str(clip(name))) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0)]
    for start, size in (packets[15], packets[24]):
        content[start + size // 2 : start + size] = bytes(size - size // 2)
    path.write_bytes(content)
    read = [(frame.index, frame.time_s) for frame in frames(path)]
    assert len(read) < COUNT
    assert all(time_s == index / 25 for index, time_s in read)
    for start in range(10, COUNT, 3):
        part = [(frame.index, frame.time_s) for frame in frames(path, start_s=start / 25)]
        assert part == [(index, time_s) for index, time_s in read if index >= start]
    caplog.clear()
    assert len(list(frames(path, start_s=0.8, end_s=0.92))) == 3
    assert caplog.text == ""


def hide(index: int, packet: Packet[VideoStream]) -> None:
    """Say in the first byte of every fifth packet of VP8 that it is not shown."""
    if index % 5 == 4:
        packet.update(bytes([bytes(packet)[0] & ~0x10]) + bytes(packet)[1:])


def test_hidden_pictures_have_no_number(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    path = remux(clip("vp8.webm"), tmp_path / "hidden.webm", hide)
    shown = [index for index in range(COUNT) if index % 5 != 4]
    assert [(frame.index, frame.time_s) for frame in frames(path)] == [(n, i / 25) for n, i in enumerate(shown)]
    assert_same(list(frames(path, start_s=1.0)), list(frames(path))[20:])
    known = timeline(path)
    assert known is not None
    assert known.times_s.tolist() == [index / 25 for index in shown]


def test_pictures_that_an_edit_list_cuts_off_have_no_number(clip: Callable[[str], Path]) -> None:
    read = whole(clip("cut by edit list.mp4"))
    assert [frame.index for frame in read] == list(range(22))
    assert read[0].time_s == 0.0


def test_equal_stamps_among_b_frames_are_read_from_the_start(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    def merge(_index: int, packet: Packet[VideoStream]) -> None:
        packet.pts = 840 if packet.pts == 880 else packet.pts

    path = remux(clip("x264.mkv"), tmp_path / "equal.mkv", merge)
    read = list(frames(path))
    assert timeline(path) is None
    assert [frame.index for frame in read] == list(range(COUNT))
    assert_same(list(frames(path, start_s=0.9)), [frame for frame in read if frame.time_s >= 0.9])


def plain(folder: Path, suffix: str = ".mkv", *, height: int = 48, count: int = COUNT) -> Path:
    """Write a clip in the order of its frames, with the head of its codec in the stream."""
    path = folder / f"plain {height}{suffix}"
    return write_video(path, moving(count, height), codec="mpeg4", codec_options={"g": "12"})


def repeat(index: int, packet: Packet[VideoStream]) -> None:
    """Give three packets one stamp."""
    if index in (20, 21):
        packet.pts = packet.dts = 19 * 40


def set_back(path: Path, by_ms: int) -> Path:
    """Set the clock of a Matroska file back from its third cluster on."""
    first, *clusters = path.read_bytes().split(b"\x1f\x43\xb6\x75")
    for number, cluster in enumerate(clusters[2:], 2):
        place = cluster.index(b"\xe7\x82") + 2
        time_ms = int.from_bytes(cluster[place : place + 2], "big") - by_ms
        clusters[number] = cluster[:place] + time_ms.to_bytes(2, "big") + cluster[place + 2 :]
    path.write_bytes(b"\x1f\x43\xb6\x75".join([first, *clusters]))
    return path


def faulty(folder: Path, fault: str) -> Path:
    source = plain(folder)
    if fault == "equal stamps":
        return remux(source, folder / "equal.mkv", repeat)
    path = folder / f"{fault}.mkv"
    remux(source, path, lambda _index, _packet: None, cluster_time_limit="200", write_crc32="0", live="1")
    if fault == "joined":
        content = path.read_bytes()
        path.write_bytes(content + content[content.index(b"\x1f\x43\xb6\x75") :])
        return path
    return set_back(path, 250 if fault == "set back" else 50)


@pytest.mark.parametrize("fault", ["equal stamps", "joined", "set back", "set back by a frame"])
def test_stamps_that_do_not_advance_are_read_from_the_start(tmp_path: Path, fault: str) -> None:
    path = faulty(tmp_path, fault)
    read = list(frames(path))
    assert timeline(path) is None
    assert [frame.index for frame in read] == list(range(2 * COUNT if fault == "joined" else COUNT))
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(read))
    for start_s, end_s in ((0.3, 0.75), (0.77, math.inf)):
        inside = [frame for frame in read if start_s <= frame.time_s < end_s]
        assert_same(list(frames(path, start_s=start_s, end_s=end_s)), inside)


def test_frames_may_change_their_size_in_the_middle(tmp_path: Path) -> None:
    both = tmp_path / "both.ts"
    both.write_bytes(plain(tmp_path, ".ts").read_bytes() + plain(tmp_path, ".ts", height=96).read_bytes())

    def restamp(index: int, packet: Packet[VideoStream]) -> None:
        packet.pts = packet.dts = index * 3600

    path = remux(both, tmp_path / "both.mkv", restamp)
    read = list(frames(path))
    assert [(frame.index, frame.time_s) for frame in read] == [(index, index / 25) for index in range(2 * COUNT)]
    assert [frame.image.shape[0] for frame in read] == [48] * COUNT + [96] * COUNT
    assert timeline(path) is not None
    for start_s in (0.4, 1.56, 1.6, 2.5):
        assert_same(list(frames(path, start_s=start_s)), [frame for frame in read if frame.time_s >= start_s])
    assert {frame.image.shape[0] for frame in frames(both)} == {48, 96}


def test_a_range_of_a_url_is_that_of_the_file(clip: Callable[[str], Path]) -> None:
    path = clip("x264.mkv")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = "http://{}:{}".format(*server.server_address)
        read = list(frames(f"{address}/{path.name}", start_s=0.5, end_s=1.2, every_s=0.1))
        assert timeline(f"{address}/{path.name}") is None
        server.shutdown()
    assert_same(read, list(frames(path, start_s=0.5, end_s=1.2, every_s=0.1)))


def test_there_is_no_timeline_of_a_camera_and_none_of_what_is_missing(tmp_path: Path) -> None:
    assert timeline("camera:0") is None
    assert timeline(write_still(tmp_path / "still.png", portrait())) is None
    with pytest.raises(MediaError, match=r"missing\.mp4"):
        timeline(tmp_path / "missing.mp4")
