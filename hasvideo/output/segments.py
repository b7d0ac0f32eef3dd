"""Classes of an image's pixels: as a palette PNG, a picture with a legend, JSON, and a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.files import atomic_path
from hasvideo.frames.images import MASK_SUFFIX
from hasvideo.output.base import WriteOptions, Writer, one_line
from hasvideo.output.images import VERSION
from hasvideo.output.palette import ThemeName, theme_named, theme_of, voc_palette
from hasvideo.output.plots import save_figure, write_header, write_line
from hasvideo.output.tables import Row, aligned, write_json
from hasvideo.types import Segmentation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("image", "label", "share")

_DPI = 150
_PANEL, _LEGEND = 5.0, 2.6  # inches of the image's longer side, and of the legend's width
_SIDE, _HEADER, _TITLE, _GAP, _ROW = 0.3, 0.85, 0.35, 0.3, 0.27  # inches
_MOST = 22  # classes in the legend
_FINEST = 1500  # pixels of an image's longer side, about, from which it is thinned
_TINT = 0.6  # opacity of the classes' colours over the image


class SegmentsJsonWriter(Writer[Segmentation]):
    """Our own JSON (docs/formats.md): the image's size and the share of its pixels that each class has."""

    suffixes = (".json",)

    def write(self, detections: Segmentation, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<image>.json``."""
        write_segments_json([detections], paths[0])


class MaskWriter(Writer[Segmentation]):
    """A palette PNG of the image's size that holds class numbers, in PASCAL VOC's colours."""

    suffixes = (MASK_SUFFIX,)

    def write(self, detections: Segmentation, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<image>.mask.png``."""
        write_mask(detections.labels, paths[0])


def write_segments_json(segmentations: Iterable[Segmentation], path: Path) -> None:
    """Write our own JSON of any number of images: their sizes, and the share of the pixels that each class has.

    Args:
        segmentations: what was found, an entry an image.
        path: the file.

    Raises:
        HasvideoError: the file cannot be written.
    """
    entries = {
        s.image: {
            "width": s.info.width,
            "height": s.info.height,
            "classes": [{"label": label, "share": share} for label, share in s.shares.items()],
        }
        for s in segmentations
    }
    write_json(path, {"version": VERSION, "results": entries})


def share_rows(segmentations: Iterable[Segmentation]) -> Iterator[Row]:
    """Rows of :data:`COLUMNS` for any number of images: the share of the pixels, 0..1, of each class that has any."""
    return ((s.image, label, share) for s in segmentations for label, share in s.shares.items())


def write_mask(labels: np.ndarray, path: Path) -> None:
    """Write class numbers as a PNG with PASCAL VOC's palette, whole or not at all.

    Args:
        labels: class numbers, uint8 ``(H, W)``.
        path: the file.

    Raises:
        HasvideoError: the file cannot be written.
    """
    from PIL import Image

    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, optimize=True)


def segments_table(segmentation: Segmentation) -> str:
    """Format the classes in the image and their shares of the pixels as aligned plain text."""
    rows = [[one_line(label), f"{100 * share:.1f} %"] for label, share in segmentation.shares.items()]
    return aligned([["label", "pixels"], *rows], left=("label",))


def plot_segments(segmentation: Segmentation, path: Path, theme: ThemeName = "light") -> None:
    """Draw the classes over the image into a file; its suffix says the format (png, svg, pdf).

    Args:
        segmentation: what was found in the image; its pixels are read from its file.
        path: where the picture goes.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: the suffix is none of the above, or there is no such theme.
        HasvideoError: the image cannot be read, or the file not written.
    """
    from hasvideo.frames.images import read_image

    pixels, _ = read_image(segmentation.info.path)
    save_figure(path, lambda: draw_segments(segmentation, pixels, theme), _DPI)


def draw_segments(segmentation: Segmentation, pixels: np.ndarray, theme: ThemeName = "light") -> Figure:
    """Draw the picture of :func:`plot_segments` as a matplotlib figure, to show in a notebook or change.

    Args:
        segmentation: what was found in the image; its truth, if known, becomes a second panel.
        pixels: the image, uint8 ``(H, W, 3)``.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: there is no such theme.
    """
    from matplotlib.figure import Figure

    panels = {"found": segmentation.labels}
    if segmentation.truth is not None:
        panels["truth"] = segmentation.truth
    height, width = (_PANEL * side / max(pixels.shape[:2]) for side in pixels.shape[:2])
    rows, legend = _legend_rows(segmentation), _SIDE + len(panels) * (width + _GAP)
    size = legend + _LEGEND + _SIDE, _HEADER + _TITLE + max(height, _ROW * len(rows)) + _SIDE
    figure = Figure(figsize=size, dpi=_DPI, facecolor=theme_named(theme).paper)
    _draw_header(figure, segmentation)
    step = max(1, max(pixels.shape[:2]) // _FINEST)
    for index, (name, labels) in enumerate(panels.items()):
        left, top = (_SIDE + index * (width + _GAP)) / size[0], 1 - _HEADER / size[1]
        write_line(figure, left, top - 0.22 / size[1], name, 30, size=11, muted=True)
        bottom = top - (_TITLE + height) / size[1]
        axes = figure.add_axes((left, bottom, width / size[0], height / size[1]))
        axes.set_axis_off()
        axes.imshow(tinted(pixels[::step, ::step], labels[::step, ::step]), aspect="auto")
    _draw_legend(figure, rows, legend)
    return figure


def tinted(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tint each pixel of an image with the colour of its class.

    Args:
        pixels: the image, uint8 ``(H, W, 3)``.
        labels: class numbers, uint8 ``(H, W)``; 255 leaves a pixel as it is.

    Returns:
        The tinted image, uint8 ``(H, W, 3)``.
    """
    mixed = (1 - _TINT) * pixels + _TINT * voc_palette()[labels]
    return np.where((labels == 255)[..., None], pixels, mixed.round().astype(np.uint8))


def _draw_header(figure: Figure, segmentation: Segmentation) -> None:
    info, width = segmentation.info, figure.get_figwidth()
    facts = f"{info.width} x {info.height} pixels · {len(segmentation.shares)} of {len(segmentation.classes)} classes"
    write_header(figure, _SIDE, segmentation.image, facts, int(width * 6), int(width * 10))


def _legend_rows(segmentation: Segmentation) -> list[tuple[str | None, str, str]]:
    """List colour, class and share of each class, the largest share first; last the classes that only the truth has."""
    classes, colours = segmentation.classes, [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in voc_palette()]
    shares = dict(segmentation.shares)
    if segmentation.truth is not None:
        there = [classes[c] for c in np.unique(segmentation.truth) if c < len(classes)]
        shares |= dict.fromkeys((name for name in there if name not in shares), 0.0)
    rows: list[tuple[str | None, str, str]] = [
        (colours[classes.index(name)], name, f"{100 * share:.1f} %") for name, share in shares.items()
    ]
    left_out = len(rows) - _MOST
    return [*rows[:_MOST], (None, f"and {left_out} more", "")] if left_out > 0 else rows


def _draw_legend(figure: Figure, rows: Sequence[tuple[str | None, str, str]], left: float) -> None:
    """Draw the rows below each other, ``left`` inches from the figure's left edge."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    for number, (colour, name, share) in enumerate(rows):
        y = height - _HEADER - _TITLE - (number + 0.75) * _ROW
        if colour is not None:
            box = Rectangle((left / width, y / height), 0.3 / width, 0.17 / height, transform=figure.transFigure)
            box.set(facecolor=colour, edgecolor=theme_of(figure).muted, linewidth=0.5)
            figure.add_artist(box)
        write_line(figure, (left + 0.4) / width, (y + 0.02) / height, name, 16, size=11)
        end = (left + _LEGEND) / width
        write_line(figure, end, (y + 0.02) / height, share, 10, size=11, muted=True, ha="right")
