"""Train and test on THUMOS 2014: ``python -m hasvideo.train_thumos --config configs/thumos14/hide_and_seek.yaml``.

Any data set in the canonical formats will do: a feature folder, and annotations with two subsets. Training sees which
classes a video shows, never when.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.commands import CallableModule, CommandParser, pick_arguments, run
from hasvideo.device import resolve_device
from hasvideo.errors import UsageError
from hasvideo.report import add_run_options, cell, is_main_process, over_seeds, run_experiment, with_seeds, write_report
from hasvideo.settings import add_options, from_options
from hasvideo.video.recipe import Recipe

if TYPE_CHECKING:
    from hasvideo.datasets.annotations import Annotations
    from hasvideo.features.store import FeatureMeta
    from hasvideo.metrics.detection import Matches
    from hasvideo.video.model import Model

TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
PROTOCOLS = ("activitynet", "thumos14")
HIDING, FULL = "hide_and_seek", "full"


def train_thumos(
    features: str | Path,
    annotations: str | Path,
    output: str | Path,
    recipe: Recipe | None = None,
    *,
    seeds: int = 1,
    compare: bool = False,
    train_subset: str = "validation",
    test_subset: str = "test",
    mmap: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Train on the video-level labels of one subset and test on another.

    Args:
        features: canonical feature folder.
        annotations: canonical annotations; the training subset's intervals are not looked at.
        output: folder for checkpoints, detections, metrics, tables and plots of every seed.
        recipe: network, hiding, optimizer; the paper's by default.
        seeds: how many runs, with the recipe's seed and the following ones.
        compare: also run without hiding, on the same seeds.
        train_subset: name in the annotations of the videos to train on.
        test_subset: name in the annotations of the videos to test on.
        mmap: leave features on disk instead of reading them into memory.
        resume: go on from what the output folder holds.
        tensorboard: also write TensorBoard event files.
        device: see :func:`hasvideo.device.resolve_device`.

    Returns:
        ``methods``: per method and protocol ``mAP`` (by tIoU, and averages) as ``mean`` and ``std`` over seeds, in
        percent, and ``AP`` by class, means in percent; with ``compare`` for each protocol the ``difference`` in the
        average mAP over 0.1:0.5 with its 95 % interval; ``seeds``: how many; ``recipe``.

    Raises:
        UsageError: a wrong option, or no such subset.
        HasvideoError: a file is damaged, features are missing, or training fails.
    """
    from hasvideo.output.evaluation_plots import plot_evaluation
    from hasvideo.video.fitting import fit

    recipe, output, device = recipe or Recipe(), Path(output), resolve_device(device)
    methods = {method: with_seeds(chosen, seeds) for method, chosen in _methods(recipe, compare).items()}
    data = _load(Path(features), Path(annotations), train_subset, test_subset, mmap)
    train, test = partial(fit, data.train_features, data.train_labels, data.meta), partial(_test, data)
    options = {"resume": resume, "tensorboard": tensorboard, "device": device}
    matches = {
        method: run_experiment(recipes, output / method, train, test, **options) for method, recipes in methods.items()
    }
    report = summarise(matches) | {"recipe": asdict(recipe)}
    write_report(report, render(report), output)
    if is_main_process():
        for method, runs in matches.items():
            plot_evaluation(runs[0]["activitynet"], output / f"{method}.png")
    return report


def summarise(matches: Mapping[str, Sequence[Mapping[str, Matches]]]) -> dict[str, Any]:
    """Summarise means and standard deviations over seeds, and the paired difference of two methods.

    Args:
        matches: for each method and seed, an evaluation by each protocol.

    Returns:
        See :func:`train_thumos`.
    """
    methods = {
        method: {protocol: _over_seeds([run[protocol].summary() for run in runs]) for protocol in PROTOCOLS}
        for method, runs in matches.items()
    }
    report: dict[str, Any] = {"seeds": len(next(iter(matches.values()))), "methods": methods}
    if len(matches) > 1:
        report["difference"] = {protocol: _difference(matches, protocol) for protocol in PROTOCOLS}
    return report


def render(report: Mapping[str, Any]) -> str:
    """Render the report as plain text: mAP of each method by both protocols, AP by class, the paired difference.

    Args:
        report: what :func:`train_thumos` returns.
    """
    from hasvideo.output.tables import aligned

    lines = [f"mAP in %, mean ± standard deviation over {report['seeds']} seeds"]
    columns = list(next(iter(report["methods"].values()))["activitynet"]["mAP"])
    rows = [["method", "protocol", *columns]]
    for method, protocols in report["methods"].items():
        rows += [[method, name, *(cell(v) for v in of["mAP"].values())] for name, of in protocols.items()]
    lines += [aligned(rows, rows[0][:1]), ""]
    for method, protocols in report["methods"].items():
        by_class = protocols["activitynet"]["AP"]
        rows = [[f"AP in %, {method}, activitynet", *map(str, TIOU)]]
        rows += [[name, *(f"{value:.2f}" for value in ap.values())] for name, ap in by_class.items()]
        lines += [aligned(rows, rows[0][:1]), ""]
    for protocol, gap in report.get("difference", {}).items():
        lines.append(
            f"{HIDING} - {FULL}, {protocol}, average mAP over 0.1:0.5: {gap['mean']:+.2f}, 95 % interval of a paired "
            f"bootstrap over videos and seeds {gap['low']:+.2f} to {gap['high']:+.2f}"
        )
    return "\n".join(lines).rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(argv)
    report = train_thumos(recipe=from_options(options, Recipe), **pick_arguments(options, train_thumos))
    if is_main_process():
        sys.stdout.write(render(report))


def _parser() -> CommandParser:
    parser = CommandParser("train_thumos", "Train and test on THUMOS 2014, from video-level labels alone.", examples=[
        "hasvideo train_thumos --config configs/thumos14/hide_and_seek.yaml --seeds 5 --compare",
        "hasvideo train_thumos --features FEATURES --annotations annotations.json -o runs/thumos",
    ])  # fmt: skip
    add = parser.add_argument_group("data").add_argument
    add(
        "--features",
        required=True,
        metavar="FOLDER",
        help="canonical feature folder; data_prep.features converts other layouts",
    )
    add("--annotations", required=True, metavar="FILE", help="canonical annotations JSON; data_prep converts others")
    add("--train-subset", default="validation", metavar="NAME", help="subset of the training videos in the annotations")
    add("--test-subset", default="test", metavar="NAME", help="subset of the test videos")
    add("--mmap", action="store_true", help="leave the features on disk instead of reading them into memory")
    add = add_run_options(parser, "checkpoints, detections, metrics, tables and plots")
    add("--compare", action="store_true", help="also run without hiding, on the same seeds, and report the difference")
    add_options(parser, Recipe())
    return parser


def _methods(recipe: Recipe, compare: bool) -> dict[str, Recipe]:
    if not compare:
        return {HIDING if recipe.hiding.p > 0 else FULL: recipe}
    if recipe.hiding.p == 0:
        raise UsageError("compare needs a recipe that hides: hiding.p above 0")
    return {FULL: replace(recipe, hiding=replace(recipe.hiding, p=0.0)), HIDING: recipe}


@dataclass(frozen=True)
class _Data:
    """Videos to train on, with labels, and to test on, with all that is known of them."""

    meta: FeatureMeta
    train_features: Sequence[np.ndarray]
    train_labels: list[list[str]]
    test_videos: list[str]
    test_features: Sequence[np.ndarray]
    test: Annotations


def _load(features: Path, annotations: Path, train_subset: str, test_subset: str, mmap: bool) -> _Data:
    from hasvideo.datasets.annotations import load_annotations
    from hasvideo.features.store import FeatureStore
    from hasvideo.video.dataset import load_features

    store = FeatureStore(features)
    everything = load_annotations(annotations).named_like(store.videos())
    train, test = everything.select(train_subset), everything.select(test_subset)
    labels = {name: video.labels for name, video in train.videos.items() if video.labels}
    if not labels:
        raise UsageError(f"{annotations}: no video of subset {train_subset!r} has a label to train on")
    lacking = store.lacking(test.videos)
    absent = set(lacking)
    present = [name for name in test.videos if name not in absent]
    if lacking:
        warnings.warn(
            f"{features} lacks {len(lacking)} of {len(test.videos)} test videos, whose actions count as missed: "
            f"{', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}",
            stacklevel=3,
        )
    trained, tested = load_features(store, list(labels), mmap), load_features(store, present, mmap)
    return _Data(store.meta, trained, list(labels.values()), present, tested, test)


def _test(data: _Data, model: Model, folder: Path) -> dict[str, Matches]:
    """Score a model by each protocol, and write it and its detections to its folder."""
    from hasvideo.checkpoint import save
    from hasvideo.metrics.detection import match
    from hasvideo.output.tables import write_results_json
    from hasvideo.video.fitting import detect

    durations = {name: video.duration for name, video in data.test.videos.items()}
    tested = zip(data.test_videos, data.test_features, strict=True)
    detections = [found for video, array in tested for found in detect(model, {video: array}, durations)]
    if is_main_process():
        save(model, folder / "model.ckpt")
        write_results_json(detections, folder / "detections.json")
    return {protocol: match(detections, data.test, protocol, TIOU, classes=data.test.labels) for protocol in PROTOCOLS}


def _over_seeds(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [{**s["mAP"], **s["averages"]} for s in summaries]
    classes = [name for name, count in summaries[0]["instances"].items() if count]
    return {
        "mAP": {name: over_seeds([row[name] for row in rows]) for name in rows[0]},
        "AP": {
            name: {t: 100 * float(np.mean([s["AP"][name][t] for s in summaries])) for t in summaries[0]["mAP"]}
            for name in classes
        },
    }


def _difference(matches: Mapping[str, Sequence[Mapping[str, Matches]]], protocol: str) -> dict[str, float]:
    from hasvideo.metrics.bootstrap import paired_bootstrap

    hiding, full = ([run[protocol] for run in matches[method]] for method in (HIDING, FULL))
    gap = paired_bootstrap(hiding, full, TIOU[:5])
    return {name: 100 * value for name, value in asdict(gap).items()}


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
