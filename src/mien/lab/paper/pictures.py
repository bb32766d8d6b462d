"""Figures 1 to 5 of the paper: the way of one face, and what nets see in it."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from mien.core import preprocess
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.drawing import COLORS, draw
from mien.face.regions import FRAME_REGIONS
from mien.lab.figures import FAINT, styled
from mien.lab.models import FaceNet

MOST_MAPS = 16  # of one layer that are drawn


@styled
def system(photo: ByteArray, faces: Faces, size: int) -> Figure:
    """Draw one real face on its way: picture, box, crop with regions, probabilities (Fig. 1)."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.3))
    crop = preprocess.crops(photo, faces.boxes_xyxy, size)[0]
    _show(panels[0], photo, "1. picture")
    _show(panels[1], draw(photo, faces, bars=False), "2. face found")
    _show(panels[2], crop, "3. crop, regions of interest")
    _mark_regions(panels[2], size)
    places = np.arange(len(faces.labels))
    assert faces.probabilities is not None
    panels[3].barh(places, faces.probabilities[0], color=[_color(name) for name in faces.labels])
    panels[3].set_yticks(places, faces.labels)
    panels[3].invert_yaxis()
    panels[3].set(xlim=(0, 1), title="4. what the net answers", xlabel="probability")
    return figure


@styled
def preprocessing(photo: ByteArray, faces: Faces, size: int) -> Figure:
    """Draw what is done to a face before the net: cut, made gray, resized, standardized (Fig. 2)."""
    center_x, center_y, side = preprocess.crop_squares(faces.boxes_xyxy)[0]
    top, left = max(round(center_y - side / 2), 0), max(round(center_x - side / 2), 0)
    cut = photo[top : round(center_y + side / 2), left : round(center_x + side / 2)]
    crop = preprocess.crops(photo, faces.boxes_xyxy, size)[0]
    standard = (crop - crop.mean()) / max(float(crop.std()), 1.0)
    figure = Figure(figsize=(11, 3), layout="constrained")
    panels = figure.subplots(1, 4)
    _show(panels[0], cut, f"cut, {cut.shape[1]}x{cut.shape[0]}")
    _show(panels[1], preprocess.gray(np.ascontiguousarray(cut)), "gray")
    _show(panels[2], crop, f"{size}x{size}")
    panels[3].hist(standard.ravel(), bins=40, color="#0072B2")
    panels[3].set(title="standardized in our net", xlabel="deviations from the mean", yticks=[])
    return figure


@styled
def feature_maps(net: FaceNet, crop: ByteArray) -> Figure:
    """Draw what each convolution of the paper's net makes of a face (Fig. 4); at most 16 maps of each."""
    maps = convolved(net, crop)
    figure = Figure(figsize=(11, 1.6 + 1.15 * 2 * len(maps)), layout="constrained")
    rows = figure.subfigures(len(maps), 1, squeeze=False)[:, 0]
    for row, (name, layer) in zip(rows, maps.items(), strict=True):
        row.suptitle(
            f"{name}: {layer.shape[0]} maps of {layer.shape[2]}x{layer.shape[1]}", ha="left", x=0.01, fontsize=10
        )
        for axes, one in zip(row.subplots(2, MOST_MAPS // 2).ravel(), layer, strict=False):
            axes.imshow(one, cmap="viridis")
            axes.axis("off")
    return figure


def convolved(net: FaceNet, crop: ByteArray) -> dict[str, FloatArray]:
    """Return the maps (C, H, W) that follow each convolution and its ReLU in a plain net, by name."""
    maps: dict[str, FloatArray] = {}
    values: Tensor = net.standardize(torch.from_numpy(crop).float()[None, None])
    assert isinstance(net.trunk, nn.Sequential)
    with torch.inference_mode():
        for layer in net.trunk:
            values = layer(values)
            if isinstance(layer, nn.ReLU) and values.ndim == 4:
                maps[f"conv {len(maps) + 1}"] = values[0].numpy()
    return maps


def architecture(net: FaceNet) -> list[tuple[str, str, str]]:
    """Return layer, output shape and parameters of each layer of a plain net (Fig. 3)."""
    rows = []
    values = net.standardize(torch.zeros(1, 1, net.input_size, net.input_size))
    assert isinstance(net.trunk, nn.Sequential)
    with torch.inference_mode():
        for layer in (*net.trunk, next(iter(net.heads.values()))):
            values = layer(values)
            shape = "x".join(str(length) for length in values.shape[1:])
            parameters = sum(parameter.numel() for parameter in layer.parameters())
            rows.append((str(layer).partition("\n")[0], shape, f"{parameters:,}"))
    total = sum(parameter.numel() for parameter in net.parameters())
    return [*rows, ("in all", "", f"{total:,}")]


@styled
def areas_of_interest(saliency: Mapping[str, FloatArray], mean_faces: Mapping[str, FloatArray]) -> Figure:
    """Draw for each expression where hiding the face makes the answer fall, over the mean face (Fig. 5)."""
    figure = Figure(figsize=(1.75 * len(saliency), 2.4), layout="constrained")
    for axes, (name, heat) in zip(np.atleast_1d(figure.subplots(1, len(saliency))), saliency.items(), strict=True):
        _show(axes, mean_faces[name], name)
        axes.imshow(cv2.GaussianBlur(heat, (0, 0), 1.0), cmap="inferno", alpha=0.5)
        _mark_regions(axes, len(heat))
    return figure


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray")
    axes.set_title(title)
    axes.axis("off")


def _mark_regions(axes: Axes, size: int) -> None:
    for left, top, right, bottom in FRAME_REGIONS.values():
        corner = (left * size - 0.5, top * size - 0.5)
        axes.add_patch(
            Rectangle(corner, (right - left) * size, (bottom - top) * size, fill=False, color="#56B4E9", lw=1.2)
        )


def _color(name: str) -> tuple[float, ...] | str:
    color = COLORS.get(name)
    return FAINT if color is None else tuple(channel / 255 for channel in color)
