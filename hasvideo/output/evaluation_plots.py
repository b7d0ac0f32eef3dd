"""Pictures of an evaluation (mAP, precision and recall, kinds of error, videos as aligned bars) and of a training.

Every ``draw_*`` function with ``axes`` draws into axes of the caller's, so that papers and notebooks can arrange them
anew; :func:`plot_evaluation` puts all of them into one picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.errors import UsageError
from hasvideo.metrics.detection import Matches
from hasvideo.output.palette import BLUE, GREEN, ORANGE, PINK, SKY, VERMILION, ThemeName, color, theme_named, theme_of
from hasvideo.output.plots import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KINDS = {
    "true_positive": ("right", BLUE),
    "double_detection": ("double detection", SKY),
    "localization": ("localization", ORANGE),
    "wrong_class": ("wrong class", PINK),
    "background": ("background", None),
}
_WIDTH, _PANELS, _LANE, _TITLE = 15.0, 6.0, 0.3, 1.0  # inches
_MAX_CLASSES = 8


def plot_evaluation(matches: Matches, path: Path, videos: Sequence[str] = (), theme: ThemeName = "light") -> None:
    """Draw an evaluation into a file; its suffix says the format (png, svg, pdf).

    Args:
        matches: what :func:`hasvideo.metrics.detection.match` returns.
        path: where the picture goes.
        videos: those to show as bars; by default those of :func:`typical_videos`.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: a video is in neither the ground truth nor the detections, the suffix is none of the above, or there
            is no such theme.
        HasvideoError: the file cannot be written.
    """
    save_figure(path, lambda: draw_evaluation(matches, videos or typical_videos(matches), theme), dpi=100)


def draw_evaluation(matches: Matches, videos: Sequence[str], theme: ThemeName = "light") -> Figure:
    """Draw the picture of :func:`plot_evaluation` as a matplotlib figure.

    Args:
        matches: what :func:`hasvideo.metrics.detection.match` returns.
        videos: those to show as bars.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: a video is in neither the ground truth nor the detections, or there is no such theme.
    """
    from matplotlib.figure import Figure

    heights = [_PANELS, *(_TITLE + _LANE * max(len(_lanes(matches, v)), 1) for v in videos)]
    figure = Figure(figsize=(_WIDTH, sum(heights)), facecolor=theme_named(theme).paper, layout="constrained")
    panels, *rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    left, middle, right = panels.subplots(1, 3)
    tiou = reference_tiou(matches)
    draw_map(left, {"": matches.summary()})
    draw_precision_recall(middle, matches, tiou)
    draw_errors(right, matches)
    for row, video in zip(rows, videos, strict=True):
        draw_video(row.subplots(), matches, video, tiou)
    return figure


def reference_tiou(matches: Matches) -> float:
    """Return the evaluated threshold nearest to 0.5, at which the pictures judge single detections."""
    return float(matches.tiou[np.abs(matches.tiou - 0.5).argmin()])


def typical_videos(matches: Matches) -> list[str]:
    """Choose the videos with the best, the median and the worst mAP (mean over thresholds), if they have instances."""
    means = {
        name: np.mean(list(video["mAP"].values())) for name, video in matches.by_video().items() if video["instances"]
    }
    ranked = sorted(means, key=lambda name: (-means[name], name))
    return list(dict.fromkeys(ranked[i] for i in (0, len(ranked) // 2, -1)))


def draw_map(axes: Axes, summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw mAP in % against tIoU, a line a method.

    Args:
        axes: where to draw.
        summaries: name of each method and what ``mean_average_precision`` returns for it; the name "" has no legend.
    """
    for i, (name, summary) in enumerate(summaries.items()):
        values = [100 * value for value in summary["mAP"].values()]
        axes.plot(summary["thresholds"], values, marker="o", color=color(i), linewidth=2, label=name)
        if len(summaries) == 1:
            for x, y in zip(summary["thresholds"], values, strict=True):
                axes.annotate(f"{y:.1f}", (x, y), (4, 6), textcoords="offset points", color=theme_of(axes).ink)
    if any(summaries):
        axes.legend(frameon=False, labelcolor=theme_of(axes).ink)
    _frame(axes, "mAP by tIoU threshold", "tIoU threshold", "mAP (%)")
    top = max((line.get_ydata().max() for line in axes.lines), default=0)  # type: ignore[union-attr]
    axes.set_ylim(0, 1.12 * top + 1)
    axes.margins(x=0.08)


def draw_precision_recall(axes: Axes, matches: Matches, tiou: float) -> None:
    """Draw precision against recall: a thin line a class; the best, median and worst class are named.

    Args:
        axes: where to draw.
        matches: what was evaluated.
        tiou: one of the evaluated thresholds.

    Raises:
        UsageError: the threshold was not evaluated.
    """
    curves = matches.precision_recall(tiou)
    ap_by_class = matches.summary()["AP"]
    ap = {name: ap_by_class[name][f"{tiou:.10g}"] for name in curves}
    ranked = sorted(ap, key=lambda name: (-ap[name], name))
    named = dict.fromkeys(ranked[i] for i in (0, len(ranked) // 2, -1))
    for name in (n for n in ranked if n not in named):
        axes.plot(curves[name][1], curves[name][0], color=theme_of(axes).muted, linewidth=0.8, alpha=0.6)
    for name, shade in zip(named, (BLUE, GREEN, VERMILION), strict=False):
        label = f"{name}  AP {100 * ap[name]:.1f}".replace("$", r"\$")
        axes.plot(curves[name][1], curves[name][0], color=shade, linewidth=2.2, label=label)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.05))
    axes.legend(frameon=False, labelcolor=theme_of(axes).ink, loc="upper right")
    _frame(axes, f"Precision and recall at tIoU {tiou:g}", "recall", "precision")


def draw_errors(axes: Axes, matches: Matches) -> None:
    """Draw the kinds of detections, right and wrong, in % of them, a bar a threshold; missed instances as a line."""
    errors, theme = matches.errors(), theme_of(axes)
    names = list(errors)
    bottom = np.zeros(len(names))
    for kind, (label, shade) in _KINDS.items():
        shares = np.array([100 * (errors[name][kind]["share"] or 0) for name in names])
        style: dict[str, Any] = {"color": shade or theme.line, "edgecolor": theme.paper, "linewidth": 1}
        axes.bar(names, shares, 0.8, bottom, label=label, **style)
        bottom += shares
    missed = [100 * (errors[name]["missed"]["share"] or 0) for name in names]
    axes.plot(names, missed, color=theme.ink, linestyle="--", marker="D", markersize=5, label="missed (% of instances)")
    axes.set_ylim(0, 100)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncol": 2}
    axes.legend(frameon=False, labelcolor=theme.ink, **place)
    _frame(axes, "What the detections are", "tIoU threshold", "% of detections")


def draw_video(axes: Axes, matches: Matches, video: str, tiou: float) -> None:
    """Draw ground truth, right and wrong detections of one video as aligned bars, in three lanes a class.

    A class without instances has one lane, of wrong detections. At most eight classes are shown: those with most
    instances, then those with the highest scores. ``Ambiguous`` intervals are shaded.

    Args:
        axes: where to draw.
        matches: what was evaluated.
        video: name of the video.
        tiou: the threshold that tells right from wrong.

    Raises:
        UsageError: no such video, or the threshold was not evaluated.
    """
    if video not in matches.videos:
        raise UsageError(f"no video {video!r} in the ground truth or the detections")
    v, lanes = matches.videos.index(video), _lanes(matches, video)
    for row, (label, lane) in enumerate(lanes):
        draw = _draw_truth if lane == "truth" else _draw_found
        draw(axes, matches, (matches.classes.index(label), v, matches.index(tiou)), row, lane)
    shaded = matches.ambiguous.video == v
    for start, end in zip(matches.ambiguous.start[shaded], matches.ambiguous.end[shaded], strict=True):
        axes.axvspan(start, end, color=theme_of(axes).muted, alpha=0.25, linewidth=0)
    tops = [row for row, (label, _) in enumerate(lanes) if row == 0 or label != lanes[row - 1][0]]
    texts = [f"{label}   {lane}" if row in tops else lane for row, (label, lane) in enumerate(lanes)]
    axes.set_yticks(range(len(lanes)), texts, parse_math=False)
    axes.set_ylim(max(len(lanes), 1) - 0.4, -0.6)
    axes.set_xlim(left=0)
    for top in tops[1:]:
        axes.axhline(top - 0.5, color=theme_of(axes).muted, linewidth=0.8)
    ap = matches.by_video()[video]["mAP"][f"{tiou:.10g}"]
    quality = f", mAP {100 * ap:.1f}" if ap is not None else ""
    legend = "hatched: missed; faint: low score" + ("; grey: ambiguous" if shaded.any() else "")
    _frame(axes, f"{video} at tIoU {tiou:g}{quality}", f"seconds   ({legend})", "")


def plot_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw how a training went into a file; its suffix says the format (png, svg, pdf).

    Args:
        history: the metrics of each epoch, as :func:`hasvideo.training.train` returns them.
        path: where the picture goes.

    Raises:
        UsageError: the suffix is none of the above.
        HasvideoError: the file cannot be written.
    """
    save_figure(path, lambda: draw_curves(history))


def draw_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how a training went: losses against the epoch, and in a second panel all else that was recorded.

    Args:
        history: the metrics of each epoch, as :func:`hasvideo.training.train` returns them.
    """
    from matplotlib.figure import Figure

    names = [name for name in history[-1] if name not in ("epoch", "seconds", "learning_rate")]
    losses = [name for name in names if name.endswith("loss")]
    panels = {"losses": losses, "metrics": [name for name in names if name not in losses]}
    panels = {title: panel for title, panel in panels.items() if panel}
    figure = Figure(figsize=(5 * len(panels), 3.5), facecolor="white", layout="constrained")
    for axes, (title, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for index, name in enumerate(panel):
            # Some begin later than others: validation may have been asked for only when a run was resumed.
            epochs = [metrics for metrics in history if name in metrics]
            values = [metrics[name] for metrics in epochs]
            axes.plot([metrics["epoch"] for metrics in epochs], values, color=color(index), linewidth=2, label=name)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=theme_of(axes).ink)
        _frame(axes, title, "epoch", "")
    return figure


def _draw_truth(axes: Axes, matches: Matches, cell: tuple[int, int, int], row: int, _: str) -> None:
    label, video, t = cell
    truth, theme = matches.ground_truth, theme_of(axes)
    for g in np.flatnonzero((truth.label == label) & (truth.video == video)):
        missed = matches.found_by[t, g] < 0
        face, hatch = (theme.paper, "////") if missed else (theme.ink, "")
        _bar(axes, row, truth.start[g], truth.end[g], facecolor=face, hatch=hatch, edgecolor=theme.ink)


def _draw_found(axes: Axes, matches: Matches, cell: tuple[int, int, int], row: int, lane: str) -> None:
    label, video, t = cell
    found = matches.detections
    rows = np.flatnonzero((found.label == label) & (found.video == video))
    true = matches.true_positives[t]
    # The surest is drawn last, over the others, and strongest.
    for d, alpha in zip(rows[::-1], np.linspace(0.9, 0.15, len(rows))[::-1], strict=True):
        if true[d] == (lane == "right"):
            shade = BLUE if lane == "right" else theme_of(axes).muted if matches.dropped[t, d] else VERMILION
            _bar(axes, row, found.start[d], found.end[d], facecolor=shade, alpha=alpha)
            _bar(axes, row, found.start[d], found.end[d], fill=False, edgecolor=shade, linewidth=0.6)


def _bar(axes: Axes, row: int, start: float, end: float, **style: Any) -> None:
    axes.barh(row, end - start, 0.7, start, **style)


def _lanes(matches: Matches, video: str) -> list[tuple[str, str]]:
    """List the rows of a video's picture from the top: (class, ``truth`` or ``right`` or ``wrong``)."""
    v = matches.videos.index(video) if video in matches.videos else -1
    instances = np.bincount(matches.ground_truth.label[matches.ground_truth.video == v], minlength=len(matches.classes))
    best = np.full(len(matches.classes), -np.inf)
    mine = matches.detections.video == v
    np.maximum.at(best, matches.detections.label[mine], matches.detections.score[mine])
    occurring = np.flatnonzero((instances > 0) | (best > -np.inf))
    shown = sorted(occurring, key=lambda c: (-instances[c], -best[c]))[:_MAX_CLASSES]
    return [
        (matches.classes[c], lane)
        for c in shown
        for lane in (("truth", "right", "wrong") if instances[c] else ("wrong",))
    ]


def _frame(axes: Axes, title: str, x: str, y: str) -> None:
    theme = theme_of(axes)
    axes.set_facecolor(theme.paper)
    axes.set_title(title, loc="left", fontsize=14, fontweight="bold", color=theme.ink, parse_math=False)
    axes.set_xlabel(x, color=theme.muted)
    axes.set_ylabel(y, color=theme.muted)
    axes.grid(color=theme.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.line)
