"""What one client may ask for, so that the others do not notice."""

from __future__ import annotations

from dataclasses import dataclass

CLIENTS_PER_CORE = 4  # two cores keep up with 7 at 10 frames a second (docs/results/service.md); pages send fewer


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a service.

    Parameters
    ----------
    clients : int
        Streams at once.
    frame_bytes, frame_pixels : int
        Of one frame of a stream.
    picture_bytes, picture_pixels : int
        Of one picture that is posted.
    frames_per_second : float
        Messages of one client.
    pictures_per_second : float
        Pictures posted from one address.
    pictures : int
        Posted pictures that are received or wait at once.
    idle_s : float
        For which a stream may be silent.
    head_s, request_s : float
        In which the head of a request must have come, and in which its answer must have been taken.
    body_s : float
        In which a posted picture must have come.
    send_s : float
        For which a client may take nothing of what it is sent.
    connections : int
        Connections at once that have not asked for anything yet; beyond, the oldest is cut off.
    """

    clients: int
    frame_bytes: int = 2_000_000
    frame_pixels: int = 4_000_000
    picture_bytes: int = 20_000_000
    picture_pixels: int = 40_000_000
    frames_per_second: float = 60.0
    pictures_per_second: float = 30.0
    pictures: int = 8
    idle_s: float = 60.0
    head_s: float = 10.0
    request_s: float = 60.0
    body_s: float = 20.0
    send_s: float = 5.0
    connections: int = 128


class Bucket:
    """Lets through so many a second, and as many at once as one second brings.

    Parameters
    ----------
    per_second : float
    room : float, optional
        How many at once; by default `per_second`.

    Examples
    --------
    >>> bucket = Bucket(2.0)
    >>> [bucket.takes(now_s) for now_s in (0.0, 0.0, 0.0, 0.5)]
    [True, True, False, True]
    """

    def __init__(self, per_second: float, room: float | None = None) -> None:
        self._per_second = per_second
        self._room = self._left = per_second if room is None else room
        self._seen_s: float | None = None

    def takes(self, now_s: float, amount: float = 1.0) -> bool:
        """Return whether so much more may pass at this time, in seconds of a clock that does not go back."""
        passed_s = 0.0 if self._seen_s is None else now_s - self._seen_s
        self._seen_s = now_s
        self._left = min(self._room, self._left + passed_s * self._per_second)
        if self._left < amount:
            return False
        self._left -= amount
        return True
