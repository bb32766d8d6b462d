"""How faces are shown to the landmark net: turned, shifted, badly lit, half hidden; and what is no face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mien.face.landmarks import FRAME_SHARE, MIRROR

MOST_TURN = math.radians(45)
SCALE, SHIFT = 0.22, 0.08  # of the logarithm of the side, at most; of half the frame, one deviation
TURNED_OVER, HALF_OUT = 0.06, 0.06  # shares of the views


@dataclass(frozen=True)
class Views:
    """Crops with where the points are in them.

    Parameters
    ----------
    crops : (N, 1, S, S) Tensor of float32
        0 to 255.
    points : (N, 68, 2) Tensor of float32
        In shares of the crop.
    are_measurable : (N,) Tensor of bool
        Whether the points are taught: a face upside down or half outside is not to be found, but to be doubted.
    """

    crops: Tensor
    points: Tensor
    are_measurable: Tensor


def straight_views(faces: Tensor, points: Tensor, size: int) -> Views:
    """Return faces as a perfect detector would frame them.

    Parameters
    ----------
    faces : (N, 1, S, S) Tensor of float32
        0 to 255.
    points : (N, 68, 2) Tensor of float32
        In shares of the frame.
    size : int
        Side of the crops.
    """
    still = torch.zeros(len(faces))
    grid, crop_points = _looked_at(points, still, still + FRAME_SHARE, torch.zeros(len(faces), 2), size)
    return Views(_sampled(faces, grid), crop_points, torch.ones(len(faces), dtype=torch.bool))


def random_views(faces: Tensor, points: Tensor, size: int) -> Views:
    """Return faces mirrored, turned by up to 45 degrees, scaled and shifted; a few turned over or half outside.

    Parameters are those of :func:`straight_views`. In half of the views another face lies beyond the frame, enlarged
    till nobody knows it, since in a picture something is there.
    """
    count = len(faces)
    is_mirrored = torch.rand(count) < 0.5
    faces = torch.where(is_mirrored[:, None, None, None], faces.flip(3), faces)
    mirrored = torch.stack([1 - points[:, MIRROR, 0], points[:, MIRROR, 1]], dim=2)
    points = torch.where(is_mirrored[:, None, None], mirrored, points)
    is_over, is_half_out = torch.rand(count) < TURNED_OVER, torch.rand(count) < HALF_OUT
    turns = MOST_TURN * (2 * torch.rand(count) - 1)
    turns = torch.where(is_over, math.pi + 2 * turns, turns)
    scales = FRAME_SHARE * torch.exp(SCALE * (2 * torch.rand(count) - 1))
    direction = 2 * math.pi * torch.rand(count, 1)
    away = (0.9 + 0.5 * torch.rand(count, 1)) * torch.cat([direction.cos(), direction.sin()], dim=1)
    shifts = torch.where(is_half_out[:, None], away, SHIFT * torch.randn(count, 2).clamp(-2.5, 2.5))
    grid, crop_points = _looked_at(points, turns, scales, shifts, size)
    others = _sampled(faces.roll(1, 0), grid / 3)
    is_filled = (grid.abs() > 1).any(dim=3)[:, None] & (torch.rand(count) < 0.5)[:, None, None, None]
    return Views(torch.where(is_filled, others, _sampled(faces, grid)), crop_points, ~(is_over | is_half_out))


def _looked_at(points: Tensor, turns: Tensor, scales: Tensor, shifts: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return where in the frame, from -1 to 1, the pixels of each crop lie, and where in the crop the points do."""
    cosine, sine = scales * turns.cos(), scales * turns.sin()
    turned = torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(-1, 2, 2)
    transforms = torch.cat([turned, shifts[:, :, None]], dim=2)
    grid = functional.affine_grid(transforms, [len(points), 1, size, size], align_corners=False)
    in_crop = torch.linalg.solve(turned, (2 * points - 1 - shifts[:, None]).transpose(1, 2)).transpose(1, 2)
    return grid, (in_crop + 1) / 2


def _sampled(faces: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
