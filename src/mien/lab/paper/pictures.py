"""Figures 1 to 5 of the paper: the way of one face, and what nets see in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from torch import Tensor, nn

from mien.core import preprocess
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.drawing import color_of, draw
from mien.face.geometry import GEOMETRY_NAMES, geometry
from mien.face.regions import FRAME_REGIONS, polygons
from mien.lab.figures import COLORS, styled
from mien.lab.models import FaceNet
from mien.lab.paper.areas import Area

MEASURED = ("brow_distance", "brow_raise", "eye_openness", "mouth_openness", "mouth_width", "lip_curvature")
MOST_MAPS = 16  # of one layer that are drawn
MOST_HEAT = 0.75  # opacity where the answer falls most
VIEW_SHARE = 1.4  # of a photo, in sides of the crop
REGION_COLOR = "#56B4E9"


@styled
def system(photo: ByteArray, faces: Faces, size: int) -> Figure:
    """Draw one real face, recognized and with sure landmarks, through every stage (Fig. 1)."""
    assert faces.landmarks is not None
    outlines = polygons(faces.landmarks[0])
    figure = Figure(figsize=(11, 6), layout="constrained")
    rows = figure.add_gridspec(2, 1)
    picture, found, points, regions = rows[0].subgridspec(1, 4).subplots(squeeze=False)[0]
    features, crop, answer = rows[1].subgridspec(1, 3).subplots(squeeze=False)[0]
    _show(picture, photo, "1. picture")
    _show(found, draw(photo, faces, bars=False), "2. face found")
    _show_face(points, photo, faces, "3. landmarks")
    _mark_points(points, faces.landmarks[0])
    _show_face(regions, photo, faces, "4. regions of interest")
    _mark_regions(regions, outlines)
    _name_regions(regions, outlines)
    _show(crop, preprocess.crops(photo, faces.boxes_xyxy, size)[0], "6. what the net sees")
    values = dict(zip(GEOMETRY_NAMES, geometry(faces.landmarks)[0].tolist(), strict=True))
    names = [name.replace("_", " ") for name in MEASURED]
    bars = features.barh(names, [values[name] for name in MEASURED], color=COLORS[0])
    features.bar_label(bars, fmt="%.2f", padding=3)
    features.set(title="5. features: some of geometry", xlabel="eye distances")
    answer.barh(faces.labels, faces.probabilities[0], color=[_color(name) for name in faces.labels])
    answer.set(xlim=(0, 1), title="7. what the net answers", xlabel="probability")
    for axes in (features, answer):
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
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
def areas_of_interest(areas: Mapping[str, Area]) -> Figure:
    """Draw for each of seven expressions where hiding the face makes the answer fall, over the mean face (Fig. 5)."""
    figure = Figure(figsize=(11, 5.9), layout="compressed")
    *panels, key = figure.subplots(2, 4).ravel()
    for axes, (name, area) in zip(panels, areas.items(), strict=True):
        size = len(area.crop)
        _show(axes, area.crop, f"{name}, {area.faces} face{'s' if area.faces > 1 else ''}")
        heat = cv2.GaussianBlur(area.saliency, (0, 0), 1.0)
        opacity = MOST_HEAT * heat / max(float(heat.max()), 1e-6)
        axes.imshow(heat, cmap="inferno", alpha=opacity, extent=(0, size, size, 0))
        if area.landmarks is None:
            _mark_regions(axes, _frame_outlines(size), "regions of the mean face", "--")
        else:
            _mark_points(axes, area.landmarks)
            _mark_regions(axes, polygons(area.landmarks))
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels)
    handles = {label: handle for handle, label in chain.from_iterable(pairs)}
    key.legend(handles.values(), handles, loc="center")
    key.axis("off")
    return figure


def _frame_outlines(size: int) -> dict[str, list[FloatArray]]:
    boxes = {name: np.array(shares, np.float32) * size for name, shares in FRAME_REGIONS.items()}
    return {name: [box[[[0, 1], [2, 1], [2, 3], [0, 3]]]] for name, box in boxes.items()}


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    height, width = image.shape[:2]
    axes.imshow(image, cmap="gray", extent=(0, width, height, 0))  # landmarks count from the edge of the first pixel
    axes.set_title(title)
    axes.axis("off")
    axes.autoscale(enable=False)  # chins may lie below the crop


def _show_face(axes: Axes, photo: ByteArray, faces: Faces, title: str) -> None:
    """Show a face in color, with room for its chin and the names of regions."""
    _show(axes, photo, title)
    center_x, center_y, side = preprocess.crop_squares(faces.boxes_xyxy)[0].tolist()
    half = VIEW_SHARE * side / 2
    axes.set(xlim=(center_x - half, center_x + half), ylim=(center_y + half, center_y - half))


def _mark_points(axes: Axes, points: FloatArray) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=7, color="white", edgecolors="black", linewidths=0.5, label="landmarks")


def _mark_regions(
    axes: Axes, outlines: Mapping[str, Sequence[FloatArray]], label: str = "regions around them", dash: str = "-"
) -> None:
    for outline in chain.from_iterable(outlines.values()):
        axes.add_patch(Polygon(outline, fill=False, color=REGION_COLOR, lw=1.4, ls=dash, label=label))


def _name_regions(axes: Axes, outlines: Mapping[str, Sequence[FloatArray]]) -> None:
    for name, parts in outlines.items():
        corners = np.concatenate(parts)
        place = (corners[:, 0].max(), corners[:, 1].mean())
        shadow = [withStroke(linewidth=2.5, foreground="black")]
        axes.annotate(name, place, (4, 0), textcoords="offset points", va="center", color="white", path_effects=shadow)


def _color(name: str) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in color_of(name))
