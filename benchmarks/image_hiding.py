"""Hide-and-Seek for images against the same network without hiding: the paper's three tables, on a small ILSVRC.

Every row is a file of configs/small. ``train`` trains what is not trained yet (several processes may share the work;
one that is cut off goes on where it was), last epoch, one thread each; ``report`` tests what is trained on the
validation images and prints Markdown for docs/results.md; ``pictures`` draws the images that hiding changed most.

    python benchmarks/image_hiding.py ../shared/data/imagenet10 --runs runs/small --part train
    python benchmarks/image_hiding.py ../shared/data/imagenet10 --runs runs/small --part report
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from hasvideo.datasets.imagenet import LabelledImages, load_ilsvrc
from hasvideo.image.fitting import fit
from hasvideo.image.model import save_image_model
from hasvideo.train_imagenet import load_recipe

CONFIGS = Path(__file__).parents[1] / "configs" / "small"
MAIN = ("alexnet_gap", "alexnet_has_mix")
SINGLE = ("alexnet_has_8", "alexnet_has_16", "alexnet_has_22", "alexnet_has_28", "alexnet_dropout_training")
SINGLE += ("googlenet_gap", "googlenet_has_mix", "alexnet_gmp", "alexnet_has_conv1")
SINGLE += ("alexnet_has_mix_p25", "alexnet_has_mix_p75")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="ILSVRC layout")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trained models")
    parser.add_argument("--part", choices=("train", "report", "pictures"), required=True)
    parser.add_argument("--seeds", type=int, default=3, help="of the GAP and HaS rows; the others have one")
    parser.add_argument("--only", default="", help="train: rows whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "train":
        train(options.data, options.runs, options.seeds, options.only)


def rows(seeds: int) -> list[tuple[str, int]]:
    """Names of the configs with their seeds, the most wanted first."""
    return [(name, seed) for seed in range(seeds) for name in MAIN] + [(name, 0) for name in SINGLE]


def train(data: Path, runs: Path, seeds: int, only: str) -> None:
    found = load_ilsvrc(data)
    samples: LabelledImages | None = None
    for name, seed in rows(seeds):
        folder = runs / name / f"seed-{seed}"
        if only not in name or (folder / "model.ckpt").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / "lock", timeout=0):
                recipe = load_recipe(CONFIGS / f"{name}.yaml")
                samples = samples or LabelledImages(found.train, found.classes, recipe.network.resize, in_memory=True)
                seeded = replace(recipe, training=replace(recipe.training, seed=seed))
                print(f"{name}, seed {seed}", flush=True)
                model, history = fit(samples, list(found.classes), seeded, folder=folder, resume=True, device="cpu")
                save_image_model(model, folder / "model.ckpt")
                print(f"{name}, seed {seed}: {history[-1]}", flush=True)
        except Timeout:
            continue


if __name__ == "__main__":
    main()
