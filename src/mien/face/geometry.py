"""Distances, curves and angles of a face's landmarks, each with the facial actions that it follows.

Everything but the angles of the head is measured on the landmarks as they would lie if the head faced the camera
(:func:`mien.face.pose.frontal`): x along the line through the outer corners of the eyes, height above it, the distance
between these corners as the unit. Points have iBUG's numbers, from 0; "right" is the person's right, left in the
picture::

         18 19 20             23 24 25
      17          21       22          26
          37 38                43 44
       36       39    27    42       45      x: along 36-45
          41 40       28       47 46         height: above 36-45
                      29
                      30
                 31 32 33 34 35

                     50 51 52
                49   61 62 63   53
             48 60             64 54
                59   67 66 65   55
                     58 57 56

                       8

What each is, with its formula and how well it follows: ``docs/geometry.md``. A measure follows actions, it does not
code them: FACS [1]_ is coded by trained people, who see skin and motion too. Measures of this kind served to recognize
actions in [2]_; we differ in that the face is turned to the front, and in that no resting face of the person is needed
(:mod:`mien.engine.baseline` has one).

References
----------
.. [1] Ekman, Friesen and Hager, "Facial action coding system: the manual", 2002
.. [2] Tian, Kanade and Cohn, "Recognizing action units for facial expression analysis", IEEE Transactions on Pattern
   Analysis and Machine Intelligence 23, 2001, doi:10.1109/34.908962
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mien.core.errors import OptionError
from mien.core.types import FloatArray
from mien.face.landmarks import COUNT
from mien.face.pose import Floats, frontal, head_pose

UNIT = "eye distance"
"""The distance between the outer corners of the eyes, about 9 cm, as seen from the front."""


class Measure(NamedTuple):
    """What a column of :func:`geometry` is.

    Parameters
    ----------
    action_units : str
        FACS's actions that it follows, with the sign by which they change it; L and R are the person's sides.
    meaning : str
        One line.
    unit : str
    """

    action_units: str
    meaning: str
    unit: str = UNIT


MEASURES = {
    "brow_distance": Measure("-AU4", "distance between the inner ends of the brows"),
    "brow_raise_right": Measure("+AU1 +AU2 -AU4", "height of the right brow above the corners of its eye"),
    "brow_raise_left": Measure("+AU1 +AU2 -AU4", "height of the left brow above the corners of its eye"),
    "brow_raise": Measure("+AU1 +AU2 -AU4", "height of the brows above the corners of the eyes"),
    "inner_brow_raise": Measure("+AU1 -AU4", "height of the brows' inner ends above the inner corners of the eyes"),
    "outer_brow_raise": Measure("+AU2 -AU4", "height of the brows' outer ends above the outer corners of the eyes"),
    "brow_slope": Measure("+AU1 -AU2", "height of the brows' inner ends above their outer ends"),
    "eye_openness_right": Measure("+AU5 -AU7 -AU43 -AU45", "distance between the lids of the right eye"),
    "eye_openness_left": Measure("+AU5 -AU7 -AU43 -AU45", "distance between the lids of the left eye"),
    "eye_openness": Measure("+AU5 -AU7 -AU43 -AU45", "distance between the lids, mean of both eyes"),
    "nose_to_eyes": Measure("-AU9", "height of the inner corners of the eyes above the wings of the nose"),
    "nose_to_lip": Measure("-AU10 -AU12", "height of the nose's base above the upper lip"),
    "mouth_openness": Measure("+AU25 +AU26 +AU27", "distance between the lips"),
    "mouth_width": Measure("+AU12 +AU20 -AU18", "distance between the corners of the mouth"),
    "lip_corner_pull": Measure("+AU12 -AU15 -AU18", "how far the mouth's corners are out and up from the nose's base"),
    "lip_curvature": Measure("+AU12 -AU15", "height of the mouth's corners above the middle of the lips"),
    "lip_thickness": Measure("-AU23 -AU24 -AU28", "thickness of a lip, mean of both"),
    "mouth_asymmetry": Measure("+L12 +L14 -R12 -R14", "height of the mouth's left corner above its right one"),
    "jaw_drop": Measure("+AU26 +AU27", "height of the nose's base above the chin"),
    "head_roll": Measure("+AU55 -AU56", "tilt of the head to the person's left shoulder", "degrees"),
    "head_yaw": Measure("+AU51 -AU52", "turn of the head to the person's left", "degrees"),
    "head_pitch": Measure("+AU53 -AU54", "turn of the head upward", "degrees"),
}
"""Every measure by its name, in the order of the columns."""

GEOMETRY_NAMES = tuple(MEASURES)
POSE_NAMES = ("head_roll", "head_yaw", "head_pitch")
"""Measures of the head, which no expression changes."""


def geometry(landmarks: FloatArray) -> FloatArray:
    """Measure faces.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels, in iBUG's order; missing ones are NaN.

    Returns
    -------
    (N, 22) ndarray of float32
        A column for each of :data:`MEASURES`, NaN where it cannot be told: with missing points, points that are no
        face, and, but for the angles, a head that is turned too far (:data:`mien.face.pose.FRONTAL_YAW`).

    Raises
    ------
    OptionError
        If the array has another shape.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (COUNT, 2):
        raise OptionError(f"landmarks have shape {landmarks.shape}: expected (N, 68, 2); one face goes as points[None]")
    angles = head_pose(landmarks)
    values = _measures(frontal(landmarks, angles)) | dict(zip(POSE_NAMES, angles.T, strict=True))
    return np.stack([values[name] for name in GEOMETRY_NAMES], axis=1).astype(np.float32)


def _measures(faces: Floats) -> dict[str, Floats]:
    """Return the measures, (N,) each, of (N, 68, 2) faces from the front."""
    x, heights = faces[..., 0], faces[..., 1]

    def height(*points: int) -> Floats:
        mean: Floats = heights[:, points].mean(axis=1)
        return mean

    mouth_width = x[:, 54] - x[:, 48]
    return {
        "brow_distance": x[:, 22] - x[:, 21],
        "brow_raise_right": height(17, 18, 19, 20, 21) - height(36, 39),
        "brow_raise_left": height(22, 23, 24, 25, 26) - height(42, 45),
        "brow_raise": height(*range(17, 27)) - height(36, 39, 42, 45),
        "inner_brow_raise": height(21, 22) - height(39, 42),
        "outer_brow_raise": height(17, 26) - height(36, 45),
        "brow_slope": height(21, 22) - height(17, 26),
        "eye_openness_right": height(37, 38) - height(41, 40),
        "eye_openness_left": height(43, 44) - height(47, 46),
        "eye_openness": height(37, 38, 43, 44) - height(41, 40, 47, 46),
        "nose_to_eyes": height(39, 42) - height(31, 35),
        "nose_to_lip": height(33) - height(51),
        "mouth_openness": height(61, 62, 63) - height(67, 66, 65),
        "mouth_width": mouth_width,
        "lip_corner_pull": (mouth_width / 2 + height(48, 54) - height(33)) / np.sqrt(2),
        "lip_curvature": height(48, 54) - height(62, 66),
        "lip_thickness": height(50, 51, 52, 67, 66, 65) - height(61, 62, 63, 58, 57, 56),
        "mouth_asymmetry": height(54) - height(48),
        "jaw_drop": height(33) - height(8),
    }
