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

_MEAN_THOUSANDTHS = (
    (  # x
        *(99, 102, 106, 124, 162, 221, 272, 367, 500, 633, 728, 779, 838, 876, 894, 898, 901),  # jaw
        *(169, 204, 257, 328, 412, 588, 672, 743, 796, 831),  # brows
        *(500, 500, 500, 500, 428, 455, 500, 545, 572),  # nose
        *(242, 281, 339, 398, 346, 288, 602, 661, 719, 758, 712, 654),  # eyes
        *(347, 410, 454, 500, 546, 590, 653, 593, 551, 500, 449, 407, 362, 462, 500, 538, 638, 540, 500, 460),  # lips
    ),
    (  # y
        *(376, 456, 541, 656, 772, 875, 930, 1003, 1039, 1003, 930, 875, 772, 656, 541, 456, 376),  # jaw
        *(286, 255, 240, 247, 263, 263, 247, 240, 255, 286),  # brows
        *(391, 476, 535, 581, 631, 650, 653, 650, 631),  # nose
        *(382, 360, 359, 395, 404, 406, 395, 359, 360, 382, 406, 404),  # eyes
        *(782, 739, 728, 735, 728, 739, 782, 859, 877, 884, 877, 859, 783, 768, 769, 768, 783, 824, 827, 824),  # lips
    ),
)
MEAN_SHAPE: FloatArray = (np.array(_MEAN_THOUSANDTHS).T / 1000).astype(np.float32)
"""Where the 68 points of iBUG lie in the mean face, x, y in shares of FER2013's frame, (68, 2) float32.

Mean of the 26,511 faces of `Training` in which the mesh net of MediaPipe finds points, aligned to one another by
:data:`STABLE_POINTS` (Gower 1975, https://doi.org/10.1007/BF02291478), symmetric, where and as large as they are there.
"""
MEAN_SHAPE.setflags(write=False)

STABLE_POINTS = slice(31, 48)
"""What faces are aligned by: base of the nose and eyes, which move least with expression and turn of the head.

Eye corners and center of the mouth scatter by 1.26 px of 48 on the same faces; by 1.51 with the bridge of the nose too,
which swings as the head turns, 1.57 by the eyes alone, 4.81 before. On CK+48, within a person over expressions, eye
corners scatter by 0.23 px; by 0.53 if brows count too, by 0.78 if the mouth does.
"""


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
        frame = np.array([[side, 0, center_x - side / 2], [0, side, center_y - side / 2]], np.float64)
        stacked[index] = _warp(picture, frame, size)
    return stacked


def alignment(landmarks: FloatArray) -> FloatArray:
    """Return what turns, scales and shifts faces so that their points lie where :data:`MEAN_SHAPE` has them.

    Least squares over :data:`STABLE_POINTS`, of distances in the aligned frame: Umeyama 1991,
    https://doi.org/10.1109/34.88573, in the plane, where complex numbers give the closed form. The paper weighs all
    points alike; here those that an expression moves count nothing.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels of the picture, in the order of iBUG; missing ones are NaN.

    Returns
    -------
    (N, 2, 3) ndarray of float32
        Times (x, y, 1) in pixels of the picture gives shares of the aligned frame. NaN for a face with a stable point
        that is missing or beyond a million pixels, and where the frame would be smaller than a pixel.
    """
    stable = landmarks[:, STABLE_POINTS].astype(np.float64)
    stable[~(np.abs(stable) <= FARTHEST_PX)] = np.nan
    # A point is the number x + iy; a turn and scale is one factor.
    points, means = stable @ (1, 1j), MEAN_SHAPE[STABLE_POINTS] @ (1, 1j)
    center, mean_center = points.mean(axis=1), means.mean()
    centered = points - center[:, None]
    with np.errstate(invalid="ignore"):  # nothing is known of faces that are NaN or a single point
        factor = (centered.conj() @ (means - mean_center)) / (np.abs(centered) ** 2).sum(axis=1)
    shift = mean_center - factor * center
    rows = [factor.real, -factor.imag, shift.real, factor.imag, factor.real, shift.imag]
    transforms = np.stack(rows, axis=1).reshape(-1, 2, 3).astype(np.float32)
    transforms[~((np.abs(factor) <= 1) & (np.abs(factor) >= 1 / FARTHEST_PX))] = np.nan
    return transforms


def aligned_crops(picture: ByteArray, landmarks: FloatArray, size: int) -> ByteArray:
    """Cut faces out of a picture upright, framed as FER2013 frames the mean face: :func:`crops` with a turn.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W) ndarray of uint8
        RGB if it has channels.
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels of the picture.
    size : int
        Side of the crops in pixels.

    Returns
    -------
    (N, size, size) ndarray of uint8
        Gray crops; beyond the picture its border is repeated.

    Raises
    ------
    OptionError
        If a face has no :func:`alignment`: no crop would be nearer the truth than none.
    """
    transforms = alignment(landmarks)
    missing = np.flatnonzero(np.isnan(transforms[:, 0, 0]))
    if len(missing):
        raise OptionError(f"face {missing[0]} has no points to align it by: leave out faces whose alignment is NaN")
    stacked = np.empty((len(transforms), size, size), np.uint8)
    for index, transform in enumerate(transforms):
        stacked[index] = _warp(picture, cv2.invertAffineTransform(transform.astype(np.float64)), size)
    return stacked


def points_in_crops(landmarks: FloatArray, size: int) -> FloatArray:
    """Return where the points of faces lie in their :func:`aligned_crops`.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels of the picture.
    size : int
        Side of the crops in pixels.

    Returns
    -------
    (N, 68, 2) ndarray of float32
        x, y in pixels of the crops; NaN where the point or the alignment is missing.
    """
    transforms = alignment(landmarks)
    turned = landmarks @ transforms[:, :, :2].transpose(0, 2, 1)
    return size * (turned + transforms[:, None, :, 2])


def _warp(picture: ByteArray, frame: npt.NDArray[np.float64], size: int) -> ByteArray:
    """Return a gray square (size, size) of a picture; `frame` times (x, y, 1), shares of the square, gives pixels."""
    turn, origin = frame[:, :2], frame[:, 2]
    corners = origin + np.array([(0, 0), (0, 1), (1, 0), (1, 1)]) @ turn.T
    height, width = picture.shape[:2]
    # Gray only where the face is: converting the whole of a 1080p frame costs more than the net.
    x0, y0 = np.clip(np.floor(corners.min(axis=0)) - 2, 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, (width - 1, height - 1)).astype(int)
    window = gray(np.ascontiguousarray(picture[y0 : y1 + 1, x0 : x1 + 1]))
    side = np.hypot(turn[0, 0], turn[1, 0])
    # A side that float32 makes a hair too long must not double the grid, which would blur an exact crop.
    multiple = max(1, min(int(np.ceil(side / size - 1e-3)), MOST_GRID_PX // size))
    step = turn / (size * multiple)
    # Pixel centers lie at half coordinates: sample (i, j) of the grid is at origin + step @ (i + 0.5, j + 0.5) - 0.5.
    start = origin + step.sum(axis=1) / 2 - 0.5 - (x0, y0)
    grid = cv2.warpAffine(
        window,
        np.column_stack([step, start]),
        (size * multiple, size * multiple),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return resize(np.asarray(grid, np.uint8), size)
