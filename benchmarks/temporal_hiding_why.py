"""Why hiding helps or hurts: what networks of ``temporal_hiding.py`` do with action and background.

``--part numbers`` trains on four folds of the training videos with raw and standardised features, hidden and not, and
says of videos seen in training and held out: the most probable class is right; the CAM of a true class is above the
threshold in so much of the action and so much of the background. ``--part picture`` draws the test videos that hiding
changed most, by the best tIoU that each instance is found with.

    python benchmarks/temporal_hiding_why.py ../shared/data/ut-composed --part numbers --seeds 3
    python benchmarks/temporal_hiding_why.py ../shared/data/ut-composed --part picture --seeds 3
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from temporal_hiding import META, VISIBLE, Data, folds, load, paper, train_and_detect, unhidden

from hasvideo.datasets.annotations import Annotations
from hasvideo.extents import cut_value
from hasvideo.output.palette import OKABE_ITO
from hasvideo.types import Detections
from hasvideo.video.fitting import fit
from hasvideo.video.model import Model
from hasvideo.video.recipe import OWN_VIDEOS, Recipe

ARMS = {
    "raw, nothing hidden": paper(VISIBLE),
    "raw, hidden": paper(),
    "standardised, nothing hidden": paper(VISIBLE, normalisation="standardise"),
    "standardised, hidden": paper(normalisation="standardise"),
    "`hasvideo train`, nothing hidden": unhidden(OWN_VIDEOS),
    "`hasvideo train`": OWN_VIDEOS,
}
THRESHOLD = 0.2
SHOWN = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with annotations.json and i3d_features/")
    parser.add_argument("--part", choices=("numbers", "picture"), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("docs/images/hiding_videos.png"), help="picture: the file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.part == "numbers":
        numbers(load(options.data, "train"), options.seeds)
    else:
        picture(load(options.data, "train"), load(options.data, "test"), options.seeds, options.output)


def numbers(data: Data, seeds: int) -> None:
    print("| | loss at the end | " + " | ".join(f"{kind}: {what}" for kind in ("seen", "held out") for what in COLUMNS))
    print("|---|" + "---|" * (1 + 2 * len(COLUMNS)))
    for name, recipe in ARMS.items():
        runs = np.array([_behaviour(recipe, seed, data) for seed in range(seeds)])
        cells = [f"{runs[:, 0].mean():.3f}", *(f"{100 * v:.0f}" for v in runs[:, 1:].mean(axis=0))]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


COLUMNS = ("top-1", "action above", "background above")


def _behaviour(recipe: Recipe, seed: int, data: Data) -> list[float]:
    """Loss, and the columns for the videos of the first fold that are seen and those that are held out."""
    truth, features = data
    train, held_out = next(folds(truth, features, seed))
    seeded = replace(recipe, training=replace(recipe.training, seed=seed))
    labels = [train[0].videos[v].labels for v in train[1]]
    model, history = fit(list(train[1].values()), labels, META, seeded, classes=truth.labels, progress=False)
    others = {v: features[v] for v in held_out}
    seen = {v: features[v] for v in train[1]}
    return [history[-1]["loss"], *_columns(model, truth, seen), *_columns(model, truth, others)]


def _columns(model: Model, truth: Annotations, features: dict[str, np.ndarray]) -> np.ndarray:
    rows = []
    for video, array in features.items():
        instances = truth.videos[video].instances
        activations = model.activations(array)
        centers = META.grid.centers(len(array))
        right = activations[0].label in truth.videos[video].labels
        for activation in activations:
            spans = [(i.start, i.end) for i in instances if i.label == activation.label]
            if spans:
                action = np.any([(centers >= start) & (centers < end) for start, end in spans], axis=0)
                any_action = np.any([(centers >= i.start) & (centers < i.end) for i in instances], axis=0)
                above = activation.cam >= cut_value(activation.cam, THRESHOLD)
                rows.append([right, above[action].mean(), above[~any_action].mean()])
    return np.nanmean(rows, axis=0)


def picture(train: Data, test: Data, seeds: int, path: Path) -> None:
    """Say how well instances are found, and draw the paper's CAMs (first seed) of the videos that change most."""
    truth = test[0]
    low = replace(paper().rule, threshold=THRESHOLD)
    pairs = {
        "paper, threshold 0.2": (replace(paper(VISIBLE), rule=low), replace(paper(), rule=low)),
        "`hasvideo train`": (unhidden(OWN_VIDEOS), OWN_VIDEOS),
    }
    for name, recipes in pairs.items():
        runs = [[train_and_detect(recipe, seed, train, test) for seed in range(seeds)] for recipe in recipes]
        visible, hidden = (np.array([[_found(d, truth) for d in run] for run in of]).mean(axis=0) for of in runs)
        change = hidden - visible
        print(f"{name}: mean over the videos of their instances' best tIoU, nothing hidden {visible.mean():.3f}, "
              f"hidden {hidden.mean():.3f}; better by over 0.02 in {(change > 0.02).sum()}, worse in "
              f"{(change < -0.02).sum()} of {len(change)} videos", flush=True)  # fmt: skip
        if name.startswith("paper"):
            _draw_most_changed([of[0] for of in runs], truth, change, path)


def _draw_most_changed(
    runs: Sequence[Sequence[Detections]], truth: Annotations, change: np.ndarray, path: Path
) -> None:
    order = np.argsort(change)
    chosen = [*order[::-1][: SHOWN // 2], *order[: SHOWN // 2]]
    figure = Figure(figsize=(11, 2.2 * SHOWN), layout="constrained", facecolor="white")
    for axes, index in zip(figure.subplots(SHOWN, 1), chosen, strict=True):
        both = dict(zip(("nothing hidden", "hidden"), (run[index] for run in runs), strict=True))
        _draw(axes, both, truth, float(change[index]))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _found(detections: Detections, truth: Annotations) -> float:
    """Mean over the video's instances of the best tIoU of an interval of their class."""
    best = []
    for instance in truth.videos[detections.video].instances:
        rivals = [i for i in detections.intervals if i.label == instance.label]
        best.append(max((_tiou((i.start, i.end), (instance.start, instance.end)) for i in rivals), default=0.0))
    return float(np.mean(best))


def _tiou(one: tuple[float, float], other: tuple[float, float]) -> float:
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)


def _draw(axes: Axes, found: dict[str, Detections], truth: Annotations, change: float) -> None:
    video = next(iter(found.values())).video
    labels: Sequence[str] = truth.videos[video].labels
    for instance in truth.videos[video].instances:
        axes.axvspan(instance.start, instance.end, color=OKABE_ITO[labels.index(instance.label)], alpha=0.15, lw=0)
    for style, (name, detections) in zip(("--", "-"), found.items(), strict=True):
        cells = (detections.edges[:-1] + detections.edges[1:]) / 2
        for activation in detections.activations:
            if activation.label in labels:
                curve = activation.cam / max(float(activation.cam.max()), 1e-9)
                color = OKABE_ITO[labels.index(activation.label)]
                axes.plot(cells, curve, style, color=color, lw=1.2, label=f"{activation.label}, {name}")
    axes.axhline(THRESHOLD, color="0.6", lw=0.8)
    axes.set(ylim=(-0.3, 1.05), xlim=(0, detections.edges[-1]), ylabel="CAM / maximum")
    axes.set_title(f"{video}: best tIoU of its instances {change:+.2f} by hiding", loc="left", fontsize=9)
    axes.legend(fontsize=7, loc="upper right", ncols=2)


if __name__ == "__main__":
    main()
