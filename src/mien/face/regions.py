"""Where brows, eyes, nose and mouth are on a face."""

from __future__ import annotations

from mien.core.types import FloatArray

FRAME_REGIONS = {
    "brows": (0.12, 0.20, 0.88, 0.32),
    "eyes": (0.12, 0.32, 0.88, 0.46),
    "nose": (0.34, 0.46, 0.66, 0.67),
    "mouth": (0.23, 0.67, 0.77, 0.93),
}
"""Left, top, right, bottom of each region as shares of FER2013's frame, read off the mean face of its 28,709
training images: where a region lies in a crop before landmarks tell it exactly. Regions do not overlap."""

ELSEWHERE = "elsewhere"
"""What lies in none of the regions: forehead, cheeks, chin, hair, background."""


def region_sums(values: FloatArray) -> dict[str, float]:
    """Return the sum of a map over each region of the frame, and over what is elsewhere.

    Parameters
    ----------
    values : (S, S) ndarray of float32
        A map over a face crop.

    Returns
    -------
    dict of str to float
        The sums add up to the sum of the map.

    Examples
    --------
    >>> import numpy as np
    >>> sums = region_sums(np.ones((100, 100), np.float32))
    >>> sums["eyes"], round(sum(sums.values()))
    (1064.0, 10000)
    """
    side = len(values)
    sums = {}
    for name, shares in FRAME_REGIONS.items():
        left, top, right, bottom = (round(share * side) for share in shares)
        sums[name] = float(values[top:bottom, left:right].sum())
    return sums | {ELSEWHERE: float(values.sum()) - sum(sums.values())}
