"""Hide-and-Seek for images against the same network without hiding: the paper's three tables, on a small ILSVRC.

Every row is a file of configs/small. ``train`` trains what is not trained yet (several processes may share the work;
one that is cut off goes on where it was), last epoch, one thread each; ``report`` tests what is trained on the
validation images and prints Markdown for docs/results.md; ``pictures`` draws those that hiding changed most into the
folder of the runs (they are ImageNet's: not to be published).

    python benchmarks/image_hiding.py ../shared/data/imagenet10 --runs runs/small --part train
    python benchmarks/image_hiding.py ../shared/data/imagenet10 --runs runs/small --part report
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout

from hasvideo.checkpoint import save
from hasvideo.datasets.imagenet import ImageTruth, LabelledImages, load_ilsvrc
from hasvideo.image.fitting import fit, largest_box
from hasvideo.image.model import load_image_model
from hasvideo.image.testing import ImageTest, run_test
from hasvideo.metrics.failures import MISSES, most_changed, transitions
from hasvideo.metrics.localization import paired_difference, score_images
from hasvideo.output.overlay import draw_contact_sheet
from hasvideo.report import cell, over_seeds
from hasvideo.train_imagenet import MEASURES, load_recipe, summarise
from hasvideo.types import Box, ImageDetections, ImageInfo, ImagePrediction

CONFIGS = Path(__file__).parents[1] / "configs" / "small"
MAIN = ("alexnet_gap", "alexnet_has_mix")
SINGLE = ("alexnet_has_8", "alexnet_has_16", "alexnet_has_22", "alexnet_has_28", "alexnet_dropout_training")
SINGLE += ("googlenet_gap", "googlenet_has_mix", "alexnet_gmp", "alexnet_has_conv1")
SINGLE += ("alexnet_has_mix_p25", "alexnet_has_mix_p75")
TRAINED_AS = {"alexnet_dropout_always": "alexnet_dropout_training"}  # they differ in testing only
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


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
        return
    tests = Tests(options.data, options.runs, options.seeds)
    if options.part == "report":
        report(tests)
    else:
        picture(tests, options.runs / "hiding_images.png")


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
                save(model, folder / "model.ckpt")
                print(f"{name}, seed {seed}: {history[-1]}", flush=True)
        except Timeout:
            continue


class Tests:
    """Tests of the trained models, made when they are asked for."""

    def __init__(self, data: Path, runs: Path, seeds: int) -> None:
        self.found = load_ilsvrc(data)
        files = [(path, self.found.truth[image].label) for image, path in self.found.val.items()]
        self.samples = LabelledImages(files, self.found.classes, 128, in_memory=True)
        self.runs, self.seeds = runs, seeds
        self.done: dict[tuple[str, int], ImageTest] = {}

    def of(self, name: str) -> list[ImageTest]:
        """List the tests of a row's seeds, as far as they are trained."""
        return [self._test(name, seed) for seed in range(self.seeds) if self._path(name, seed).exists()]

    def _path(self, name: str, seed: int) -> Path:
        return self.runs / TRAINED_AS.get(name, name) / f"seed-{seed}" / "model.ckpt"

    def _test(self, name: str, seed: int) -> ImageTest:
        if (name, seed) not in self.done:
            torch.manual_seed(seed)  # for dropout on the input while testing
            model = load_image_model(self._path(name, seed))
            model.network.config = replace(
                load_recipe(CONFIGS / f"{name}.yaml").network, num_classes=len(model.classes)
            )
            self.done[name, seed] = run_test(model, self.samples, self.found.truth)
        return self.done[name, seed]


def report(tests: Tests) -> None:
    """Print every table as Markdown."""
    columns = ("gt_known", "top1_loc", "top1_class", "max_box_acc")
    blind = summarise(tests.of(MAIN[0]))["methods"]
    table = [[name, "", cell(blind[name]["gt_known"]), "", "", ""] for name in ("whole image", "centred box")]
    for name in (*MAIN, *SINGLE, *TRAINED_AS):
        if found := tests.of(name):
            row = summarise(found)["methods"]["model"]
            table.append([name, str(len(found)), *(cell(row[column]) for column in columns)])
    _print_table(["", "seeds", *(MEASURES[column] for column in columns)], table)
    print("\nPaired, hidden - not, in points [95 %, bootstrap over images and seeds]:")
    for architecture in ("alexnet", "googlenet"):
        ours, theirs = ([t.scores for t in tests.of(f"{architecture}_{kind}")] for kind in ("has_mix", "gap"))
        seeds = min(len(ours), len(theirs))
        for measure in ("gt_known", "top1_loc", "top1_class") if seeds else ():
            gap = paired_difference(ours[:seeds], theirs[:seeds], measure)
            print(f"- {architecture}, {measure}: {100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]")
    _report_thresholds(tests)
    _report_failures(tests)
    _report_object_sizes(tests)


def _report_object_sizes(tests: Tests) -> None:
    """GT-known Loc by how much of the image the object covers (its largest box), in thirds of the images."""
    truth = tests.of(MAIN[0])[0].truth
    areas = np.array([max(_area(box, t) for box in t.boxes) for t in truth.values()])
    thirds = np.array_split(np.argsort(areas), 3)
    header = [f"{100 * areas[third].min():.0f}-{100 * areas[third].max():.0f} %" for third in thirds]
    table = []
    for name in MAIN:
        hits = [test.scores.gt_known for test in tests.of(name)]
        table.append([name, *(cell(over_seeds([float(hit[third].mean()) for hit in hits])) for third in thirds)])
    _print_table(["GT-known Loc by the object's share of the image", *header], table)


def _area(box: Box, truth: ImageTruth) -> float:
    return (box.xmax - box.xmin) * (box.ymax - box.ymin) / (truth.width * truth.height)


def _report_thresholds(tests: Tests) -> None:
    table = []
    for name in (*MAIN, *SINGLE):
        if found := tests.of(name):
            shares = [over_seeds([_gt_known(test, t) for test in found]) for t in THRESHOLDS]
            table.append([name, *map(cell, shares)])
    _print_table(["GT-known Loc at the threshold", *map(str, THRESHOLDS)], table)


def _gt_known(test: ImageTest, threshold: float) -> float:
    rule = replace(test.rule, threshold=threshold)
    boxes = {image: largest_box(cam, *test.sizes[image], rule) for image, cam in test.known.items()}
    predictions = {image: ImagePrediction(boxes=(box,)) for image, box in boxes.items() if box is not None}
    return float(score_images(predictions, test.true_boxes).gt_known.mean())


def _report_failures(tests: Tests) -> None:
    table = []
    for name in MAIN:
        shares = [test.failures.shares() for test in tests.of(name)]
        areas = over_seeds([_mean_area(test) for test in tests.of(name)])
        table.append([name, *(cell(over_seeds([share[kind] for share in shares])) for kind in MISSES), cell(areas)])
    _print_table(["share of the misses, percent", *MISSES, "mean area of the box"], table)
    before, after = (tests.of(name)[0].failures for name in MAIN)
    changed = {(a, b): n for a, row in transitions(before, after).items() for b, n in row.items() if n and a != b}
    print("\nSeed 0, outcomes that hiding changed: " + ", ".join(f"{a} -> {b} {n}" for (a, b), n in changed.items()))


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [header, ["---"] * len(header), *rows]
    print("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))


def _mean_area(test: ImageTest) -> float:
    """Mean share of the image that the true class's box covers."""
    areas = []
    for image, prediction in test.predictions.items():
        box = prediction.box_of(test.known[image].label)
        areas.append(0.0 if box is None else _area(box, test.truth[image]))
    return float(np.mean(areas))


def picture(tests: Tests, path: Path) -> None:
    """Draw the images whose box changed most, for the better and for the worse (seed 0)."""
    runs = [tests.of(name)[0] for name in MAIN]
    better, worse = most_changed(runs[0].failures, runs[1].failures, 6)
    rows, captions = [], []
    for change in (*better, *worse):
        rows.append([_detections(test, change.image, tests.found.val[change.image]) for test in runs])
        name = tests.found.classes[runs[0].truth[change.image].label].partition(",")[0]
        captions.append(f"{name}: IoU {change.before:.2f} without, {change.after:.2f} with hiding")
    figure = draw_contact_sheet(rows, ("nothing hidden", "Hide-and-Seek"), captions, columns=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def _detections(test: ImageTest, image: str, path: Path) -> ImageDetections:
    known, truth = test.known[image], test.truth[image]
    boxes = tuple(box for box in test.boxes[image] if box.label == known.label)
    info = ImageInfo(path, truth.width, truth.height)
    return ImageDetections(image, info, boxes, (known,), test.rule, test.model, truth.boxes)


if __name__ == "__main__":
    main()
