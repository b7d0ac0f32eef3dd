"""Hide-and-Seek against the same network without hiding, on untrimmed videos with video-level labels.

``--part cv`` compares settings inside the training videos: five folds, in which every copy of a validation video's
action clips is cut out of the training videos (clips recur in several videos here, and would leak). Weights never see
an interval; the training videos' intervals cut the leaks, and choose thresholds. ``--part test`` trains on all training
videos, last epoch, and scores the test videos. Both print Markdown for docs/results.md.

    python benchmarks/temporal_hiding.py ../shared/data/ut-composed --part cv --seeds 2 --log runs/cv.jsonl
    python benchmarks/temporal_hiding.py ../shared/data/ut-composed --part test --seeds 10
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hasvideo.datasets.annotations import Annotations, load_annotations
from hasvideo.extents import apply_rule
from hasvideo.features.store import FeatureMeta
from hasvideo.metrics.bootstrap import paired_bootstrap
from hasvideo.metrics.detection import Matches, match
from hasvideo.networks.config import TemporalConfig
from hasvideo.types import Detections, Interval, IntervalRule, TimeGrid, VideoInfo
from hasvideo.video.fitting import detect, fit
from hasvideo.video.recipe import OWN_VIDEOS, HidingConfig, Recipe

META = FeatureMeta("i3d", "", TimeGrid(25.0, 99, 8, -44), 1024)
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LOW, HIGH = TIOU[:5], TIOU[2:]
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
CLASS_SCORES = (0.05, 0.1)
FOLDS = 5
PAPER = Recipe()
VISIBLE = HidingConfig(p=0.0)

Data = tuple[Annotations, dict[str, np.ndarray]]


def paper(hiding: HidingConfig = PAPER.hiding, **network: object) -> Recipe:
    return replace(PAPER, network=replace(TemporalConfig(), **network), hiding=hiding)


def arms() -> dict[str, Recipe]:
    """List the recipes that the cross-validation compares."""
    found = {"paper, nothing hidden (Video-GAP)": paper(VISIBLE), "paper, Hide-and-Seek": paper()}
    found |= {f"paper, p = {p}": paper(HidingConfig(p=p)) for p in (0.25, 0.75)}
    found |= {f"paper, {n} segments": paper(HidingConfig(num_segments=n)) for n in (5, 10, 40)}
    variants = {
        "max pooling": {"pooling": "max"},
        "top T/5 pooling": {"pooling": "topk"},
        "sigmoid": {"classification": "sigmoid"},
        "standardised": {"normalisation": "standardise"},
    }
    for name, network in variants.items():
        found |= {f"{name}, nothing hidden": paper(VISIBLE, **network), f"{name}, hidden": paper(**network)}
    return found | {name.replace("`", ""): recipe for name, recipe in own_arms().items()}


def own_arms() -> dict[str, Recipe]:
    """List the defaults of ``hasvideo train``, the same without hiding, and the best found without hiding."""
    visible = unhidden(OWN_VIDEOS)
    return {
        "`hasvideo train`, nothing hidden": visible,
        "`hasvideo train`, nothing hidden, top T/8 pooling": replace(
            visible, network=replace(visible.network, topk_divisor=8)
        ),
        "`hasvideo train`": OWN_VIDEOS,
    }


def unhidden(recipe: Recipe) -> Recipe:
    return replace(recipe, hiding=replace(recipe.hiding, p=0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with annotations.json and i3d_features/")
    parser.add_argument("--part", choices=("cv", "test"), required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--log", type=Path, help="cv: file of finished runs, to go on from")
    parser.add_argument("--only", default="", help="arms whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    data = {subset: load(options.data, subset) for subset in ("train", "test")}
    if options.part == "cv":
        cross_validate(data["train"], options.seeds, options.log, options.only)
    else:
        test(data["train"], data["test"], options.seeds, options.only)


def load(folder: Path, subset: str) -> Data:
    truth = load_annotations(folder / "annotations.json").select(subset)
    return truth, {v: np.load(folder / "i3d_features" / f"{v}.npy").astype(np.float32) for v in truth.videos}


def train_and_detect(recipe: Recipe, seed: int, train: Data, test: Data) -> list[Detections]:
    """Detect in the test videos, with every class that any rule might keep."""
    truth, features = train
    seeded = replace(recipe, training=replace(recipe.training, seed=seed), min_class_score=min(CLASS_SCORES))
    labels = [truth.videos[v].labels for v in features]
    model, _ = fit(list(features.values()), labels, META, seeded, classes=test[0].labels, progress=False)
    return detect(model, test[1], {v: test[0].videos[v].duration for v in test[1]})


def reread(found: Sequence[Detections], rule: IntervalRule, class_score: float) -> list[Detections]:
    kept = [replace(d, activations=tuple(a for a in d.activations if a.score >= class_score)) for d in found]
    return [apply_rule(replace(d, rule=rule)) for d in kept]


def cross_validate(data: Data, seeds: int, log: Path | None, only: str) -> None:
    done = {(r["arm"], r["seed"]): r for r in map(json.loads, log.open())} if log and log.exists() else {}
    print(
        "| setting | CV mAP 0.1-0.5 | at the threshold, class score | at its own, without choosing |\n|---|---|---|---|"
    )
    for name, recipe in arms().items():
        if only not in name:
            continue
        runs = [done.get((name, seed)) or _runfolds(name, recipe, seed, data, log) for seed in range(seeds)]
        table = np.array([r["mAP"] for r in runs])  # (seeds, readings)
        best = table.mean(axis=0).argmax()
        own = np.array([r["own"] for r in runs])
        print(f"| {name} | {_spread(table[:, best])} | {runs[0]['readings'][best]} | {_spread(own)} |", flush=True)


def _runfolds(name: str, recipe: Recipe, seed: int, data: Data, log: Path | None) -> dict[str, object]:
    truth, features = data
    found: list[Detections] = []
    for train, held_out in folds(truth, features, seed):
        test = (truth, {v: features[v] for v in held_out})
        found += train_and_detect(recipe, seed, train, test)
    readings = [(t, c) for t in THRESHOLDS for c in CLASS_SCORES]
    rules = [(replace(recipe.rule, threshold=t), c) for t, c in readings]
    scores = [_average(match(reread(found, *rule), truth, tiou=LOW), LOW) for rule in rules]
    own = _average(match(reread(found, recipe.rule, recipe.min_class_score), truth, tiou=LOW), LOW)
    result = {"arm": name, "seed": seed, "readings": readings, "mAP": scores, "own": own}
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(json.dumps(result) + "\n")
    return result


def folds(truth: Annotations, features: dict[str, np.ndarray], seed: int) -> Iterator[tuple[Data, list[str]]]:
    """Training data without the clips of the held-out videos, and those; a clip is known by class, scene and length."""
    names = np.random.default_rng(seed).permutation(sorted(features))
    for fold in range(FOLDS):
        held_out = sorted(names[fold::FOLDS])
        leaks = {clip for v in held_out for clip, _ in _clips(truth, v)}
        videos, kept = {}, {}
        for v in sorted(set(names) - set(held_out)):
            mask, remaining = np.ones(len(features[v]), bool), []
            for clip, instance in _clips(truth, v):
                if clip in leaks:  # with the context that is shown around it
                    first, last = (instance.start - 0.6) * 25 / 8, (instance.end + 0.6) * 25 / 8
                    mask[max(0, int(first)) : int(np.ceil(last))] = False
                else:
                    remaining.append(instance)
            if remaining and mask.sum() >= 8:
                videos[v] = replace(truth.videos[v], instances=tuple(remaining))
                kept[v] = features[v][mask]
        yield (replace(truth, videos=videos), kept), held_out


def _clips(truth: Annotations, video: str) -> list[tuple[tuple[int, str, int], object]]:
    scene = int(video[-3:]) % 2
    return [((scene, i.label, round((i.end - i.start) * 25)), i) for i in truth.videos[video].instances]


def test(train: Data, test_data: Data, seeds: int, only: str) -> None:
    truth = test_data[0]
    rows: dict[str, list[Matches]] = {}
    recipes = {
        "Video-GAP (paper, nothing hidden)": paper(VISIBLE),
        "Hide-and-Seek (paper)": paper(),
    } | own_arms()
    for name, recipe in recipes.items():
        if only not in name:
            continue
        runs = [train_and_detect(recipe, seed, train, test_data) for seed in range(seeds)]
        rows[name] = [match(reread(r, recipe.rule, recipe.min_class_score), truth, tiou=TIOU) for r in runs]
        if not name.startswith("`"):
            lower = replace(recipe.rule, threshold=0.2)
            rows[f"{name}, threshold 0.2"] = [match(reread(r, lower, 0.1), truth, tiou=TIOU) for r in runs]
    rows = {"whole video, true classes given": [match(_whole_videos(truth), truth, tiou=TIOU)], **rows}
    print("| | " + " | ".join(map(str, TIOU)) + " | 0.1-0.5 | 0.3-0.7 |\n|---|" + "---|" * 9)
    for name, runs in rows.items():
        cells = [_spread(np.array([_average(m, t) for m in runs])) for t in ([t] for t in TIOU)]
        cells += [_spread(np.array([_average(m, t) for m in runs])) for t in (LOW, HIGH)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()
    for ours, theirs in (
        ("Hide-and-Seek (paper)", "Video-GAP (paper, nothing hidden)"),
        ("Hide-and-Seek (paper), threshold 0.2", "Video-GAP (paper, nothing hidden), threshold 0.2"),
        ("`hasvideo train`", "`hasvideo train`, nothing hidden"),
        ("`hasvideo train`", "`hasvideo train`, nothing hidden, top T/8 pooling"),
    ):
        if ours not in rows or theirs not in rows:
            continue
        over_videos = paired_bootstrap(rows[ours], rows[theirs], LOW)
        gaps = [_average(a, LOW) - _average(b, LOW) for a, b in zip(rows[ours], rows[theirs], strict=True)]
        print(f"- {ours} - {theirs}, mAP 0.1-0.5: {100 * over_videos.mean:+.1f} "
              f"[{100 * over_videos.low:+.1f}, {100 * over_videos.high:+.1f}] (95 %, bootstrap over seeds and videos); "
              f"over {len(gaps)} paired seeds {_spread(np.array(gaps))}, "
              f"{sum(g > 0 for g in gaps)} of them above 0")  # fmt: skip
    _print_classes(rows, truth.labels)
    if "`hasvideo train`" in rows:
        print(
            "\nErrors of `hasvideo train` at tIoU 0.5, seed 0:", json.dumps(rows["`hasvideo train`"][0].errors()["0.5"])
        )


def _print_classes(rows: dict[str, list[Matches]], labels: Sequence[str]) -> None:
    print("\n| AP 0.1-0.5 | " + " | ".join(labels) + " |\n|---|" + "---|" * len(labels))
    for name, runs in rows.items():
        by_class = [[np.mean([m.summary()["AP"][label][str(t)] for t in LOW]) for m in runs] for label in labels]
        print(f"| {name} | " + " | ".join(_spread(np.array(ap)) for ap in by_class) + " |")


def _whole_videos(truth: Annotations) -> list[Detections]:
    found = []
    for name, video in truth.videos.items():
        length = video.duration or 0.0
        intervals = tuple(Interval(0.0, length, label, 1.0) for label in video.labels)
        found.append(Detections(name, VideoInfo(Path(name), length, META.grid.fps, 0, 0), intervals))
    return found


def _average(matches: Matches, tiou: Sequence[float]) -> float:
    found = matches.summary()["mAP"]
    return float(np.mean([found[str(t)] for t in tiou]))


def _spread(values: np.ndarray) -> str:
    spread = f" ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{spread}"


if __name__ == "__main__":
    main()
