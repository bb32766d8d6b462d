"""Events: an expression of a person with onset, apex and offset."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace

from mien.core.errors import OptionError
from mien.core.types import FloatArray, FrameResult, Row
from mien.engine.events.people import People

NEUTRAL = "neutral"
ON = 0.5  # more likely than all other labels together
OFF = 0.35  # 0.15 lower: the most that a smoothed probability moved from frame to frame in 4 videos (99 %: below 0.07)
LEAST_S = 0.2  # what is shorter is a micro-expression: Shen et al. 2012, https://doi.org/10.1631/jzus.B1100063
ROUNDING_S = 1e-6  # what rounding may make of the difference of two times


@dataclass(frozen=True)
class Event:
    """One expression of one person, from its onset to its offset.

    The words are those of the Facial Action Coding System (Ekman and Friesen 1978), used as for smiles in Ambadar,
    Cohn and Reed 2009, https://doi.org/10.1007/s10919-008-0059-5. We differ: they are times, not phases, and of a
    probability, not of the strength of a muscle's action.

    Parameters
    ----------
    source : str
        As in :class:`~mien.core.types.FrameResult`.
    track_id : int
        Id of the person in this source.
    expression : str
        A label other than neutral.
    onset_s : float
        Time of the first frame, in seconds.
    apex_s : float
        Time of the frame with the highest probability, the first of several.
    offset_s : float
        Time of the frame at which it was over; where the person went out of sight, of the last frame with the person.
    confidence : float
        Mean probability of the expression over this time, 0 to 1.
    peak : float
        Probability at the apex.
    """

    source: str
    track_id: int
    expression: str
    onset_s: float
    apex_s: float
    offset_s: float
    confidence: float
    peak: float

    def to_dict(self) -> Row:
        """Return the row of a table of events."""
        return asdict(self)


EVENT_COLUMNS = tuple(field.name for field in fields(Event))


class EventFinder:
    """Finds the events of everyone in a stream, with hysteresis, so that labels do not flicker.

    An expression other than neutral begins where its probability reaches `on`. It is over when, for `least_s`, it has
    been below `off` or behind another expression that reaches `on`; its offset is where that began. It is over too when
    the person is unseen for more than a second, the source changes or time goes back. A frame speaks for the time to
    the person's next one, so that the frame rate decides nothing. Probabilities are to be smoothed, as those of a
    pipeline are. Faces without ids, as those of still pictures, have no events.

    Parameters
    ----------
    on, off : float
        Probabilities, 0 to 1, `off` not above `on`.
    least_s : float
        Seconds; a shorter event is not told, a shorter dip does not end one.

    Raises
    ------
    OptionError
        If a threshold or time is not as described.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from mien.core.types import Faces
    >>> finder = EventFinder()
    >>> for frame, happy in enumerate([0.1, 0.6, 0.9, 0.8, 0.1, 0.1, 0.1]):
    ...     faces = Faces.detected([[0, 0, 9, 9]], [1]).recognized([[happy, 1 - happy]], ("happy", "neutral"))
    ...     faces = replace(faces, track_ids=[1])
    ...     for event in finder.update(FrameResult("talk.mp4", frame, frame / 10, None, faces)):
    ...         print(event.expression, event.onset_s, event.apex_s, event.offset_s)
    happy 0.1 0.2 0.4
    """

    def __init__(self, *, on: float = ON, off: float = OFF, least_s: float = LEAST_S) -> None:
        if not 0 < off <= on <= 1:
            raise OptionError(f"on is {on!r}, off is {off!r}: expected probabilities with 0 < off <= on <= 1")
        if not 0 <= least_s < math.inf:
            raise OptionError(f"least_s is {least_s!r}: expected seconds, 0 or more")
        self._people = People(lambda result, track_id: Watch(result, track_id, on, off, least_s))
        self._waiting: list[Event] = []

    @property
    def open_since_s(self) -> float:
        """Onset in seconds of the first event that has not been told; infinity where none is open."""
        onsets = [watch.open_since_s for watch in self._people] + [event.onset_s for event in self._waiting]
        return min(onsets, default=math.inf)

    def update(self, result: FrameResult) -> list[Event]:
        """Return the events that are known to be over with this frame, those of a source in the order of their offsets.

        So, when somebody is out of sight, the events of others wait until it is known whether that was an end.

        Parameters
        ----------
        result : FrameResult
            The next frame; its image is not needed.
        """
        self._wait(watch.end() for watch in self._people.gone(result))
        told = self._told()
        self._wait(watch.see(result.time_s, probabilities) for watch, probabilities, _ in self._people.present(result))
        return told + self._told()

    def close(self) -> list[Event]:
        """Return the events that were still open; what comes next is another stream."""
        self._wait(watch.end() for watch in self._people.all_gone())
        return self._told()

    def _wait(self, over: Iterable[Event | None]) -> None:
        self._waiting += filter(None, over)

    def _told(self) -> list[Event]:
        """Return the events before whose offsets no other can end."""
        if not self._waiting:
            return []
        until_s = min((watch.may_end_s for watch in self._people), default=math.inf)
        told = [event for event in self._waiting if event.offset_s <= until_s]
        self._waiting = [event for event in self._waiting if event.offset_s > until_s]
        return sorted(told, key=lambda event: event.offset_s)


@dataclass(frozen=True)
class _Stretch:
    """The time in which one label holds, as far as it has been followed: probabilities are summed over seconds."""

    label: int
    onset_s: float
    apex_s: float
    peak: float
    summed: float = 0.0
    offset_s: float = math.inf

    def seen(self, time_s: float, probabilities: list[float]) -> _Stretch:
        probability = probabilities[self.label]
        return replace(self, apex_s=time_s, peak=probability) if probability > self.peak else self

    def held(self, seconds: float, probabilities: list[float]) -> _Stretch:
        return replace(self, summed=self.summed + seconds * probabilities[self.label])


class Watch:
    """Waits for the next event of one person."""

    def __init__(
        self, result: FrameResult, track_id: int, on: float = ON, off: float = OFF, least_s: float = LEAST_S
    ) -> None:
        self._source, self._track_id, self._labels = result.source, track_id, result.faces.labels
        self._expressions = [index for index, label in enumerate(self._labels) if label != NEUTRAL]
        self._on, self._off, self._least_s = on, off, least_s - ROUNDING_S
        self.seen_s, self._seen = result.time_s, [0.0] * len(self._labels)
        self._holder: _Stretch | None = None
        self._rival: _Stretch | None = None
        self._losing: _Stretch | None = None  # the holder as it was when it fell or the rival came

    @property
    def open_since_s(self) -> float:
        """Onset of the event that is open; infinity where none is."""
        return self._holder.onset_s if self._holder else math.inf

    @property
    def may_end_s(self) -> float:
        """Earliest offset that this event can get; infinity where none is open."""
        if self._holder is None:
            return math.inf
        return self._losing.offset_s if self._losing else self.seen_s

    def see(self, time_s: float, probabilities: FloatArray) -> Event | None:
        """Take the next frame; return an event that is over, if one is."""
        over = self._hold(time_s)
        self.seen_s, self._seen = time_s, probabilities.tolist()
        self._look()
        return self._event(over)

    def end(self) -> Event | None:
        """Return the event that was open when the person was seen last."""
        return self._event(self._holder and replace(self._holder, offset_s=self.seen_s))

    def _hold(self, time_s: float) -> _Stretch | None:
        """Let the last frame speak until now; return the holder if it has lost its place."""
        seconds = time_s - self.seen_s
        self._holder = self._holder and self._holder.held(seconds, self._seen)
        self._rival = self._rival and self._rival.held(seconds, self._seen)
        if self._losing is None or time_s - self._losing.offset_s < self._least_s:
            return None
        over, self._holder = self._losing, self._rival
        self._rival = self._losing = None
        return over

    def _look(self) -> None:
        """See who holds, falls or rises in the last frame."""
        time_s, seen = self.seen_s, self._seen
        top = max(self._expressions, key=seen.__getitem__)
        risen = _Stretch(top, time_s, time_s, seen[top]) if seen[top] >= self._on else None
        if self._holder is None:
            self._holder = risen
            return
        self._holder = self._holder.seen(time_s, seen)
        held = seen[self._holder.label]
        if risen and risen.peak > held:
            self._rival = self._rival.seen(time_s, seen) if self._rival and self._rival.label == top else risen
        else:
            self._rival = None
        is_losing = self._rival is not None or held < self._off
        self._losing = (self._losing or replace(self._holder, offset_s=time_s)) if is_losing else None

    def _event(self, stretch: _Stretch | None) -> Event | None:
        if stretch is None or stretch.offset_s - stretch.onset_s < self._least_s:
            return None
        times = (stretch.onset_s, stretch.apex_s, stretch.offset_s)
        seconds = stretch.offset_s - stretch.onset_s
        confidence = stretch.summed / seconds if seconds else stretch.peak
        return Event(self._source, self._track_id, self._labels[stretch.label], *times, confidence, stretch.peak)
