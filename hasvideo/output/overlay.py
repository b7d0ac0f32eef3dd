"""Pictures of boxes in an image: a panel a class, with its activation as a heat map, found boxes and known ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.output.palette import VERMILION, ThemeName, theme_named
from hasvideo.output.plots import save_figure, write_header, write_line
from hasvideo.output.tables import describe_threshold, nothing_found
from hasvideo.types import Activation, Box, ImageDetections, ImageInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 12
"""Most classes in one picture; the picture says how many it leaves out."""

HEAT = "viridis"
"""Colour map of the activation: perceptually uniform, and read alike by colour-blind people."""

_DPI = 150
_ALONE, _PANEL = 5.0, 3.6  # inches of the image's longer side, in one panel and in several
_NARROWEST, _COLUMNS = 3.2, 3  # inches of a panel's width, which a title needs; panels in a row
_SIDE, _HEADER, _TITLE, _GAP = 0.3, 0.85, 0.4, 0.3  # inches
_SHEET = 1.9  # inches of an image's side on a contact sheet
_FOUND, _KNOWN = VERMILION, "#FFFFFF"
_TAG = 0.25  # inches that a box's score and label need above it
_VEIL = (0.1, 0.65)  # opacity of the heat map where the activation is lowest, and highest


def plot_image(detections: ImageDetections, path: Path, theme: ThemeName = "light") -> None:
    """Draw the activations and boxes over the image into a file; its suffix says the format (png, svg, pdf).

    Images are scaled to one size, so that lines and text look alike in every picture. Found boxes are solid, known ones
    dashed; a thin line shows where the threshold cuts the activation.

    Args:
        detections: what was found in the image; its pixels are read from its file.
        path: where the picture goes.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: the suffix is none of the above, or there is no such theme.
        HasvideoError: the image cannot be read, or the file not written.
    """
    from hasvideo.frames.images import read_image

    pixels, _ = read_image(detections.info.path)
    save_figure(path, lambda: draw_image(detections, pixels, theme), _DPI)


def draw_image(detections: ImageDetections, pixels: np.ndarray, theme: ThemeName = "light") -> Figure:
    """Draw the picture of :func:`plot_image` as a matplotlib figure, to show in a notebook or change.

    Args:
        detections: what was found in the image.
        pixels: the image, uint8 ``(H, W, 3)``.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: there is no such theme.
    """
    from matplotlib.figure import Figure

    shown: Sequence[Activation | None] = detections.activations[:MAX_PANELS] or [None]
    columns = min(len(shown), _COLUMNS)
    side = _ALONE if len(shown) == 1 else _PANEL
    height, width = (side * pixels_along / max(pixels.shape[:2]) for pixels_along in pixels.shape[:2])
    cell = max(width, _NARROWEST) + _GAP, _TITLE + height + _GAP
    total = max(columns * cell[0] - _GAP, _ALONE) + 2 * _SIDE, _HEADER + math.ceil(len(shown) / columns) * cell[1]
    figure = Figure(figsize=total, dpi=_DPI, facecolor=theme_named(theme).paper)
    _draw_header(figure, detections, len(detections.activations) - len(shown))
    image = _resized(pixels, round(width * _DPI), round(height * _DPI))
    for index, activation in enumerate(shown):
        row, column = divmod(index, columns)
        left, bottom = _SIDE + column * cell[0], total[1] - _HEADER - row * cell[1] - _TITLE - height
        axes = figure.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))
        caption = "probability " if index == 0 else ""
        _draw_title(axes, activation, cell[0] - _GAP, caption)
        _draw_panel(axes, detections, activation, image)
    return figure


def draw_contact_sheet(
    rows: Sequence[Sequence[ImageDetections]],
    methods: Sequence[str],
    captions: Sequence[str],
    columns: int = 2,
    theme: ThemeName = "light",
) -> Figure:
    """Draw images side by side as several methods localize them, such as without and with hiding.

    Args:
        rows: for each image, its detections by each method; drawn are the first activation and the boxes of its class.
        methods: names of the methods.
        captions: a line of text above each image.
        columns: how many images stand beside each other.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: there is no such theme.
        HasvideoError: an image cannot be read.
    """
    from matplotlib.figure import Figure

    from hasvideo.frames.images import read_image

    lines, across = math.ceil(len(rows) / columns), columns * len(methods)
    size = _SHEET * across, (_SHEET + _TITLE) * lines
    figure = Figure(figsize=size, dpi=_DPI, facecolor=theme_named(theme).paper)
    grid = figure.subplots(lines, across, squeeze=False, gridspec_kw={"wspace": 0.04, "hspace": 0.25})
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.5 / figure.get_figheight())
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        first = number % columns * len(methods)
        panels = grid[number // columns, first : first + len(methods)]
        for axes, detections, method in zip(panels, row, methods, strict=True):
            pixels = _resized(read_image(detections.info.path)[0], *[round(_SHEET * _DPI)] * 2)
            _draw_panel(axes, detections, detections.activations[0], pixels, tags=False)
            write_line(axes, 0, 1.02, method, 40, transform=axes.transAxes, va="bottom", size=9, muted=True)
        write_line(panels[0], 0, 1.12, caption, 60, transform=panels[0].transAxes, va="bottom", size=10)
    return figure


def _draw_header(figure: Figure, detections: ImageDetections, left_out: int) -> None:
    inches = figure.get_figwidth() - 2 * _SIDE
    rule, found = detections.rule, len(detections.boxes)
    facts = [f"{found} box{'' if found == 1 else 'es'}", describe_threshold(rule.threshold, rule.mode)]
    if detections.truth:
        facts.append(f"dashed: known, {', '.join(dict.fromkeys(box.label for box in detections.truth))}")
    if left_out > 0:
        facts.append(f"{left_out} more classes not shown")
    write_header(figure, _SIDE, detections.image, " · ".join(facts), int(inches * 6), int(inches * 11))


def _draw_title(axes: Axes, activation: Activation | None, inches: float, caption: str) -> None:
    """Write class and probability above a panel ``inches`` wide; the image may be narrower."""
    panel = axes.get_window_extent()
    above = 1 + 0.06 * _DPI / panel.height
    style: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom", "size": 12}
    score = "" if activation is None else f"{caption}{activation.score:.2f}"
    name = nothing_found((), "object").partition(":")[0] if activation is None else activation.label
    write_line(axes, 0, above, name, int(inches * 9) - len(score), weight="bold", **style)
    write_line(axes, inches * _DPI / panel.width, above, score, 30, ha="right", muted=True, **style)


def _draw_panel(
    axes: Axes, detections: ImageDetections, activation: Activation | None, image: np.ndarray, tags: bool = True
) -> None:
    """Draw one class over the image, which fills the axes; their units are pixels of the image's file."""
    info = detections.info
    axes.set_axis_off()
    axes.imshow(image, extent=(0, info.width, info.height, 0), aspect="auto", interpolation="nearest")
    if activation is not None:
        _draw_heat(axes, activation, detections, image.shape[1], image.shape[0])
    axes.set(xlim=(0, info.width), ylim=(info.height, 0))
    for box in detections.truth:
        _draw_box(axes, box, edgecolor=_KNOWN, linestyle=(0, (4, 3)), linewidth=2.0)
    for box in detections.boxes:
        if activation is not None and box.label == activation.label:
            _draw_box(axes, box, edgecolor=_FOUND, linewidth=2.5)
            if tags:
                _draw_tag(axes, box, info)


def _draw_heat(axes: Axes, activation: Activation, detections: ImageDetections, width: int, height: int) -> None:
    """Draw the activation from 0 (rule ``minmax``: its minimum) to its maximum, and a line where it is cut."""
    import matplotlib

    from hasvideo.extents import cam_range, cut_value, scale_map

    rule = detections.rule
    cam = scale_map(activation.cam, width, height)
    low, high = cam_range(cam, rule.mode)
    if high <= low:
        return
    share = np.clip((cam - low) / (high - low), 0, 1)
    heat = matplotlib.colormaps[HEAT](share)
    heat[..., 3] = _VEIL[0] + share * (_VEIL[1] - _VEIL[0])
    extent = (0, detections.info.width, detections.info.height, 0)
    axes.imshow(heat, extent=extent, aspect="auto", interpolation="nearest")
    cut = (cut_value(cam, rule.threshold, rule.mode) - low) / (high - low)
    if share.min() < cut and min(share.shape) > 1:  # a contour needs two rows and columns
        axes.contour(share, levels=[cut], origin="upper", extent=extent, colors="white", linewidths=0.8, alpha=0.9)


def _draw_box(axes: Axes, box: Box, **style: Any) -> None:
    """Draw a rectangle with a dark rim, which is seen on any ground."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=style["linewidth"] + 2, foreground="black", alpha=0.6)]
    size = box.xmax - box.xmin, box.ymax - box.ymin
    axes.add_patch(Rectangle((box.xmin, box.ymin), *size, fill=False, clip_on=False, path_effects=rim, **style))


def _draw_tag(axes: Axes, box: Box, info: ImageInfo) -> None:
    """Write score and label at the upper corner of the box with more room, above the box if that fits, else in it."""
    panel = axes.get_window_extent()
    leftwards = box.xmin + box.xmax > info.width
    x, room = (box.xmax, box.xmax) if leftwards else (box.xmin, info.width - box.xmin)
    above = box.ymin / info.height * panel.height > _TAG * _DPI
    columns = max(int(room / info.width * panel.width / _DPI * 11), 8)
    align: dict[str, Any] = {"ha": "right" if leftwards else "left", "va": "bottom" if above else "top"}
    ground = {"facecolor": _FOUND, "edgecolor": "none", "pad": 2.5}
    write_line(axes, x, box.ymin, f"{box.score:.2f} {box.label}", columns, size=11, color="white", bbox=ground, **align)


def _resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((max(width, 1), max(height, 1)), Image.Resampling.BICUBIC))
