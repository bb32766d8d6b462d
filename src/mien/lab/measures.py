"""What a net is told of a face beside its picture: the same of a face and of its mirror image.

Nets are taught faces and their mirror images alike, so nothing may tell the sides apart: where a feature has a value
for each side, how far they differ is kept beside their mean; where its sign is a side, its size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mien.core.types import FloatArray
from mien.face.geometry import GEOMETRY_NAMES
from mien.face.motion import MOTION_NAMES

FAMILIES = {"geometry": GEOMETRY_NAMES, "motion": MOTION_NAMES}
"""Features that measures are made of, by family."""

SIGNED = ("mouth_asymmetry", "head_roll", "head_yaw", *(name for name in MOTION_NAMES if name.endswith("_x")))
"""Features whose sign is a side of the face."""


def _symmetric(values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return measures by name."""
    measures = {}
    for name, value in values.items():
        stem, _, side = name.rpartition("_")
        if side == "right":
            measures[f"{stem}_difference"] = np.abs(value - values[f"{stem}_left"])
        elif side != "left":
            measures[name] = np.abs(value) if name in SIGNED else value
    return measures


MEASURES = {
    family: tuple(_symmetric({name: np.zeros(0, np.float32) for name in names})) for family, names in FAMILIES.items()
}
"""Names of the measures of each family, in the order in which nets take them."""

COUNT = sum(map(len, MEASURES.values()))
"""Measures of a face."""


def family_measures(features: FloatArray, feature_names: Sequence[str], family: str) -> FloatArray:
    """Return the measures of one family.

    Parameters
    ----------
    features : (N, F) ndarray of float32
        NaN is missing.
    feature_names : sequence of str
        The F columns; those of the family are among them.
    family : str
        Of :data:`FAMILIES`.

    Returns
    -------
    (N, M) ndarray of float32
        Columns ``MEASURES[family]``, NaN where one is missing.
    """
    columns = dict(zip(feature_names, features.T, strict=True))
    return np.stack(list(_symmetric({name: columns[name] for name in FAMILIES[family]}).values()), axis=1)


def measures_of(features: FloatArray, feature_names: Sequence[str], families: Collection[str]) -> FloatArray:
    """Return what nets are told: the measures of some families, NaN for those of the others.

    Parameters
    ----------
    features, feature_names
        As for :func:`family_measures`.
    families : collection of str
        Of :data:`FAMILIES`.

    Returns
    -------
    (N, COUNT) ndarray of float32
    """
    parts = [
        family_measures(features, feature_names, family)
        if family in families
        else np.full((len(features), len(names)), np.nan, np.float32)
        for family, names in MEASURES.items()
    ]
    return np.concatenate(parts, axis=1)
