"""The paper's last table at the size of a laptop: segmentation from scratch, from a GAP and from a HaS classifier.

An FCN on the quarter-width AlexNet is trained on CamVid's training images (last epoch, one thread) with its encoder
drawn at random, from the GAP checkpoints and from the HaS checkpoints that benchmarks/image_hiding.py trained; seed k
starts from checkpoint k. Test images are looked at once, by the models as they are at the end. Prints Markdown for
docs/results.md; what is trained already is not trained again, and a run that was cut off goes on.

    python benchmarks/segmentation_pretraining.py ../shared/data/camvid/VOCdevkit/CamVid --runs runs/small \
        --gap 'runs/small/alexnet_gap/seed-*/model.ckpt' --has 'runs/small/alexnet_has_mix/seed-*/model.ckpt' --seeds 3
"""

from __future__ import annotations

import argparse
import glob
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from hasvideo.checkpoint import load, save
from hasvideo.datasets.segmentation import SegmentedImages, find_pairs, read_classes
from hasvideo.metrics.segmentation import METRICS, confusion_matrix, paired_bootstrap, score_segmentation
from hasvideo.report import cell, over_seeds
from hasvideo.segmentation.fitting import fit, predict
from hasvideo.segmentation.model import SegmentationModel
from hasvideo.train_segmentation import TITLES, load_recipe

CONFIG = Path(__file__).parents[1] / "configs" / "small" / "fcn_scratch.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="CamVid in the layout of PASCAL VOC")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trained models")
    parser.add_argument("--gap", required=True, help="checkpoints trained without hiding, a pattern; one for each seed")
    parser.add_argument("--has", required=True, help="checkpoints trained with hiding, likewise")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test-list", default="test")
    parser.add_argument("--epochs", type=int, help="instead of the configuration's, to try things out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    arms: dict[str, list[str] | None] = {
        "fcn_scratch": None,
        "fcn_gap": checkpoints(options.gap, options.seeds),
        "fcn_has": checkpoints(options.has, options.seeds),
    }
    classes = read_classes(options.data)
    train, test = (
        SegmentedImages(find_pairs(options.data, listed), len(classes), in_memory=True)
        for listed in ("train", options.test_list)
    )
    confusion = {name: [] for name in arms}
    for seed in range(options.seeds):  # seed by seed, so that a study cut off early still has pairs
        for name, backbones in arms.items():
            folder = options.runs / name / f"seed-{seed}"
            backbone = None if backbones is None else backbones[seed]
            model = trained(folder, train, classes, seed, backbone, options.epochs)
            found = predict(model, test)
            confusion[name].append(np.stack([confusion_matrix(t, f, len(classes)) for _, f, t in found]))
    report({name: np.stack(runs) for name, runs in confusion.items()}, classes)


def checkpoints(pattern: str, seeds: int) -> list[str]:
    found = sorted(glob.glob(pattern))  # noqa: PTH207 (absolute patterns)
    if len(found) < seeds:
        raise SystemExit(f"{pattern} matches {len(found)} checkpoints, {seeds} are needed")
    return found


def trained(
    folder: Path,
    samples: SegmentedImages,
    classes: tuple[str, ...],
    seed: int,
    backbone: str | None,
    epochs: int | None,
) -> SegmentationModel:
    """Load the model of an arm and seed; train it first if it is not there."""
    path = folder / "model.ckpt"
    if not path.exists():
        recipe = load_recipe(CONFIG)
        training = replace(recipe.training, seed=seed, epochs=epochs or recipe.training.epochs)
        seeded = replace(recipe, training=training)
        model, history = fit(samples, classes, seeded, backbone=backbone, folder=folder, resume=True, device="cpu")
        save(model, path)
        print(f"{folder}, from {backbone}: {history[-1]}", flush=True)
    return load(path, SegmentationModel)


def report(confusion: Mapping[str, np.ndarray], classes: tuple[str, ...]) -> None:
    """Print the tables.

    Args:
        confusion: by arm a matrix for each seed and image, ``(S, N, C, C)``.
        classes: their names.
    """
    print("| encoder | " + " | ".join(TITLES.values()) + " |\n|---|" + "---|" * len(TITLES))
    scores = {name: [score_segmentation(m, classes) for m in runs.sum(axis=1)] for name, runs in confusion.items()}
    for name, runs in scores.items():
        cells = [cell(over_seeds([score[metric] for score in runs])) for metric in METRICS]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\nDifferences of the means, with the 95 % interval of a bootstrap over the images, the seeds as they are:")
    print("\n| difference | " + " | ".join(TITLES.values()) + " |\n|---|" + "---|" * len(TITLES))
    for theirs, ours in combinations(confusion, 2):
        gaps = paired_bootstrap(confusion[ours], confusion[theirs], over_seeds=False)
        cells = [f"{100 * g.mean:+.2f} ({100 * g.low:+.2f} to {100 * g.high:+.2f})" for g in gaps.values()]
        print(f"| {ours} - {theirs} | " + " | ".join(cells) + " |")
    print("\n| IU of class | " + " | ".join(confusion) + " |\n|---|" + "---|" * len(confusion))
    for label in classes:
        cells = [cell(over_seeds([score["classes"][label]["iu"] for score in runs])) for runs in scores.values()]
        print(f"| {label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
