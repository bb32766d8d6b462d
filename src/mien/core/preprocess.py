"""The one front end: from any picture to the crop that a net sees, for training and for running alike."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.types import ByteArray, FloatArray

# Where a box of mien's convention lies in FER2013's 48x48 frame, from benchmarks/calibrate_detectors.py.
BOX_CENTER_SHARE = (24.2 / 48, 24.9 / 48)
BOX_SIZE_SHARE = (38.3 / 48, 51.0 / 48)

MOST_GRID_PX = 10_240  # side of the grid that samples a face: the largest picture that is read, 100 megapixels, as one
FARTHEST_PX = 1e6  # where a corner of a box is held: beyond it float32 and OpenCV's whole numbers overflow


def as_rgb(image: npt.NDArray[np.generic], *, color: str = "rgb") -> ByteArray:
    """Return any picture array as RGB.

    Parameters
    ----------
    image : (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) ndarray of uint8, uint16 or bool
        Gray, color, or color with alpha; alpha is ignored. The range of a 16-bit picture is stretched to its
        own darkest and brightest value, since many cameras use 10 or 12 of the 16 bits.
    color : {"rgb", "bgr"}
        Order of the channels of `image`; OpenCV reads BGR.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        A new array, RGB.

    Raises
    ------
    OptionError
        If shape, dtype or `color` is none of these.
    """
    if color not in ("rgb", "bgr"):
        raise OptionError(f"color is {color!r}: expected 'rgb' or 'bgr'")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise OptionError(f"picture has shape {image.shape}: expected (H, W), (H, W, 3) or (H, W, 4), not empty")
    pixels = _as_uint8(image)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    channels = pixels[:, :, :3] if color == "rgb" else pixels[:, :, 2::-1]
    return np.array(channels, order="C")


def _as_uint8(image: npt.NDArray[np.generic]) -> ByteArray:
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype == np.uint16:
        low, high = int(image.min()), int(image.max())
        scale = 255.0 / max(high - low, 1)
        return ((image.astype(np.float32) - low) * scale).round().astype(np.uint8)
    raise OptionError(
        f"picture has dtype {image.dtype}: expected uint8, uint16 or bool; for floats in [0, 1] "
        "pass (image * 255).astype('uint8')"
    )


def gray(image: ByteArray) -> ByteArray:
    """Return the luma of an RGB picture (ITU-R BT.601, as OpenCV computes it); a gray picture is returned as it is.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) ndarray of uint8
        RGB if it has channels.

    Returns
    -------
    (H, W) ndarray of uint8
    """
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] != 3:
        raise OptionError(f"picture has shape {image.shape}: expected (H, W) or (H, W, 3)")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def resize(image: ByteArray, size: int) -> ByteArray:
    """Resize a gray crop to a square: area averaging where it shrinks, bilinear where it grows.

    Parameters
    ----------
    image : (H, W) ndarray of uint8
    size : int
        Side of the result in pixels.

    Returns
    -------
    (size, size) ndarray of uint8
        `image` itself where it already has this size.
    """
    if image.shape == (size, size):
        return image
    interpolation = cv2.INTER_AREA if min(image.shape) >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=interpolation), np.uint8)


def batch(crops: Sequence[ByteArray] | ByteArray, size: int) -> ByteArray:
    """Stack face crops of any size into the array that a net takes.

    Parameters
    ----------
    crops : sequence of (H, W) or (H, W, 3) ndarray of uint8, or one (N, H, W) or (N, H, W, 3) ndarray
        RGB if they have channels.
    size : int
        Side of the net's input in pixels.

    Returns
    -------
    (N, 1, size, size) ndarray of uint8

    Raises
    ------
    OptionError
        If a crop is no array, is empty, is not uint8 or has another shape, or one crop is given alone.
    """
    _refuse_wrong_crops(crops)
    stacked = np.empty((len(crops), 1, size, size), np.uint8)
    for index, crop in enumerate(crops):
        stacked[index, 0] = resize(gray(crop), size)
    return stacked


def _refuse_wrong_crops(crops: object) -> None:
    if isinstance(crops, np.ndarray):
        # The last axis of one color crop has 1, 3 or 4 entries; no face is read that is so narrow.
        if crops.ndim not in (3, 4) or (crops.ndim == 3 and crops.shape[2] <= 4):
            raise OptionError(
                f"crops is an array of shape {crops.shape}: expected (N, H, W) or (N, H, W, 3); "
                "one crop goes in a list: [crop]"
            )
    elif isinstance(crops, str) or not isinstance(crops, Sequence):
        raise OptionError(f"crops is a {type(crops).__name__}: expected a list of uint8 arrays, one for each face")
    for index, crop in enumerate(crops):
        is_array = isinstance(crop, np.ndarray)
        if is_array and crop.dtype == np.uint8 and 0 not in crop.shape and _is_gray_or_rgb(crop.shape):
            continue
        given = f"{crop.dtype} of shape {crop.shape}" if is_array else f"a {type(crop).__name__}"
        raise OptionError(f"crop {index} is {given}: expected an array of uint8 of shape (H, W) or (H, W, 3)")


def _is_gray_or_rgb(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)


def crop_squares(boxes_xyxy: FloatArray) -> FloatArray:
    """Return the squares around boxes that frame a face as FER2013 frames it.

    Parameters
    ----------
    boxes_xyxy : (N, 4) ndarray of float32
        Boxes of mien's convention, pixels.

    Returns
    -------
    (N, 3) ndarray of float32
        Center x, center y and side of each square, pixels.
    """
    boxes = np.clip(np.asarray(boxes_xyxy, np.float32).reshape(-1, 4), -FARTHEST_PX, FARTHEST_PX)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    # A turn narrows a box, a dropped jaw lengthens it. Spread on photos: width 7.1 %, this mean 7.5 %, height 8.8 %.
    side = np.sqrt(np.maximum(width * height, 1.0) / (BOX_SIZE_SHARE[0] * BOX_SIZE_SHARE[1]))
    center_x = (boxes[:, 0] + boxes[:, 2]) / 2 + (0.5 - BOX_CENTER_SHARE[0]) * side
    center_y = (boxes[:, 1] + boxes[:, 3]) / 2 + (0.5 - BOX_CENTER_SHARE[1]) * side
    return np.stack([center_x, center_y, side], axis=1).astype(np.float32)


def boxes_around(squares: FloatArray) -> FloatArray:
    """Return the boxes that :func:`crop_squares` turns into these squares: its inverse.

    Parameters
    ----------
    squares : (N, 3) ndarray of float32
        Center x, center y and side, pixels: frames as FER2013 cuts them.

    Returns
    -------
    (N, 4) ndarray of float32
        Boxes of mien's convention, xyxy, pixels.
    """
    center, side = squares[:, :2], squares[:, 2:]
    box_center = center + (np.array(BOX_CENTER_SHARE) - 0.5) * side
    half = np.array(BOX_SIZE_SHARE) * side / 2
    return np.concatenate([box_center - half, box_center + half], axis=1).astype(np.float32)


def crops(picture: ByteArray, boxes_xyxy: FloatArray, size: int) -> ByteArray:
    """Cut faces out of a picture, framed as FER2013 frames them.

    Each face is warped once: sampled bilinearly on a grid that is a whole multiple of `size`, not coarser than the
    picture, then averaged over areas, so that nothing aliases; of a face larger than any picture that mien reads, the
    grid is coarser. Beyond the picture its border is repeated.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W) ndarray of uint8
        RGB if it has channels.
    boxes_xyxy : (N, 4) ndarray of float32
        Boxes of mien's convention, pixels.
    size : int
        Side of the crops in pixels: the input size on the model's card.

    Returns
    -------
    (N, size, size) ndarray of uint8
        Gray crops.
    """
    squares = crop_squares(boxes_xyxy)
    stacked = np.empty((len(squares), size, size), np.uint8)
    for index, (center_x, center_y, side) in enumerate(squares.tolist()):
        stacked[index] = _crop_square(picture, center_x, center_y, side, size)
    return stacked


def _crop_square(picture: ByteArray, center_x: float, center_y: float, side: float, size: int) -> ByteArray:
    left, top = int(np.floor(center_x - side / 2)) - 2, int(np.floor(center_y - side / 2)) - 2
    reach = int(np.ceil(side)) + 5
    height, width = picture.shape[:2]
    # Gray only where the face is: converting the whole of a 1080p frame costs more than the net.
    x0, x1 = np.clip([left, left + reach], 0, width - 1)
    y0, y1 = np.clip([top, top + reach], 0, height - 1)
    window = gray(np.ascontiguousarray(picture[y0 : y1 + 1, x0 : x1 + 1]))
    # A side that float32 makes a hair too long must not double the grid, which would blur an exact crop.
    multiple = max(1, min(int(np.ceil(side / size - 1e-3)), MOST_GRID_PX // size))
    step = side / (size * multiple)
    # Pixel centers lie at half coordinates: sample i of the grid is at corner + (i + 0.5) * step - 0.5.
    start_x, start_y = center_x - side / 2 + step / 2 - 0.5 - x0, center_y - side / 2 + step / 2 - 0.5 - y0
    transform = np.array([[step, 0, start_x], [0, step, start_y]], np.float64)
    grid = cv2.warpAffine(
        window,
        transform,
        (size * multiple, size * multiple),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return resize(np.asarray(grid, np.uint8), size)
