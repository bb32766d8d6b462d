"""Where a video cuts to another scene: who comes after is somebody else until shown otherwise."""

from __future__ import annotations

import cv2
import numpy as np

from mien.core.types import ByteArray, FloatArray

THUMBNAIL = (32, 18)  # width, height: small enough that a face may move, large enough that a scene is known
COARSE_PX = 160  # of every so many pixels one is taken first: 0.1 ms of a 720p frame instead of 1.5
LEAST_LIKENESS = 0.4
LEAST_CONTRAST = 2.0  # of 255: below it a frame is plain


class CutFinder:
    """Tells whether a frame shows another scene than the one before.

    Two frames are one scene while their thumbnails correlate: light that changes and people who move leave most of a
    picture as it was. The usual sum of differences (Boreczky and Rowe 1996, https://doi.org/10.1117/12.234794) takes a
    flash for a cut. Plain frames are passed over: what comes after black is compared with what was before. A fade from
    one scene into another has no cut.

    Examples
    --------
    >>> stripes = np.zeros((90, 160, 3), np.uint8)
    >>> stripes[:, ::40] = stripes[:, 1::40] = 255
    >>> finder = CutFinder()
    >>> [finder.is_cut(picture) for picture in (stripes, stripes // 2, np.rot90(stripes))]
    [False, False, True]
    """

    def __init__(self) -> None:
        self._size: tuple[int, ...] = ()
        self._before: FloatArray | None = None

    def is_cut(self, image_rgb: ByteArray) -> bool:
        """Return whether a scene begins with this frame; the first frame of all cuts nothing off.

        Parameters
        ----------
        image_rgb : (H, W, 3) ndarray of uint8
            RGB; of another size than the frame before, it is another scene.
        """
        step = max(1, image_rgb.shape[1] // COARSE_PX)
        small = cv2.resize(image_rgb[::step, ::step], THUMBNAIL, interpolation=cv2.INTER_AREA)
        now = np.asarray(small, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        if self._size and image_rgb.shape != self._size:
            self._before, self._size = now, image_rgb.shape
            return True
        self._size = image_rgb.shape
        if now.std() < LEAST_CONTRAST:
            return False
        before, self._before = self._before, now
        return before is not None and _correlation(before, now) < LEAST_LIKENESS


def _correlation(first: FloatArray, second: FloatArray) -> float:
    product = (first - first.mean()) * (second - second.mean())
    return float(product.mean() / max(float(first.std() * second.std()), 1e-6))
