"""Score boxes or CAMs of images: ``python -m hasvideo.evaluate_images PREDICTIONS --ground-truth ILSVRC``."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hasvideo.commands import CallableModule, CommandParser, run
from hasvideo.datasets.boxes import (
    ImageGroundTruth,
    check_images,
    find_cams,
    read_cam,
    read_ground_truth,
    read_predictions,
)
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.extents import ScaledMaps, check_rule, find_boxes
from hasvideo.files import write_text
from hasvideo.metrics.contours import NEEDS_OPENCV, has_opencv
from hasvideo.metrics.failures import MISSES, FailureRule, find_failures
from hasvideo.metrics.localization import IOU, TITLES, Convention, max_box_acc, score_baselines, score_images
from hasvideo.output.tables import aligned
from hasvideo.types import Activation, Box, BoxRule, ImagePrediction, ThresholdMode

_MAX_BOX = {"max_box_acc": "MaxBoxAcc", "max_box_acc_v2": "MaxBoxAccV2"}


def evaluate_images(
    predictions: str | Path | Mapping[str, ImagePrediction],
    ground_truth: str | Path | ImageGroundTruth,
    *,
    rule: BoxRule | None = None,
    iou: float = IOU,
    convention: Convention = "continuous",
) -> dict[str, Any]:
    """Score boxes, or the boxes that CAMs give, against ground truth.

    Args:
        predictions: a file of boxes (see :func:`hasvideo.datasets.boxes.read_predictions`), a folder of CAMs
            ``<id>.npy`` of each image's own class, or predictions by image id. An image without any is missed.
        ground_truth: what :func:`hasvideo.datasets.boxes.read_ground_truth` takes or returns.
        rule: how a CAM becomes boxes.
        iou: from which a box is a hit.
        convention: what the corners of boxes mean, see :mod:`hasvideo.metrics.localization`. Boxes of CAMs follow it.

    Returns:
        What the command reports, ready for JSON. ``images`` and how many are ``missing``; ``iou`` and ``convention``;
        ``scores``; ``baselines`` by name, None where the images' sizes are not known; ``failures``: ``counts`` and
        ``shares`` of the misses; ``outcomes``: outcome and IoU of every image; and for CAMs ``threshold``,
        ``threshold_mode``, ``max_box_acc`` and ``max_box_acc_v2``, both None without OpenCV. All accuracies are 0..1,
        None where there are no classes.

    Raises:
        UsageError: a wrong option, or nothing at a path.
        HasvideoError: a file is damaged, or names an image or class that the ground truth does not know; or there are
            CAMs, which are scaled to the images' size, and the ground truth does not say it.
    """
    rule = check_rule(rule or BoxRule())
    if not 0 < iou <= 1:
        raise UsageError(f"--iou is above 0 and at most 1, got {iou}")
    truth = ground_truth if isinstance(ground_truth, ImageGroundTruth) else read_ground_truth(ground_truth)
    sizes = _sizes(truth)
    extra: dict[str, Any] = {}
    if isinstance(predictions, Mapping):
        check_images(predictions, truth, Path("predictions"))
        found = predictions
    elif Path(predictions).is_dir():
        found, extra = _from_cams(Path(predictions), truth, sizes, rule, convention)
    else:
        found = read_predictions(predictions, truth)
    missing = [image for image in truth.images if image not in found]
    if missing:
        warnings.warn(
            f"no prediction for {len(missing)} of {len(truth.images)} images, such as {missing[0]}: counted as missed",
            stacklevel=2,
        )
    return _report(found, truth, sizes, iou, convention) | {"missing": len(missing)} | extra


def _report(
    found: Mapping[str, ImagePrediction],
    truth: ImageGroundTruth,
    sizes: Mapping[str, tuple[int, int]],
    iou: float,
    convention: Convention,
) -> dict[str, Any]:
    boxes = truth.boxes
    baselines: dict[str, float | None] = {"whole image": None, "centred box": None}
    if len(sizes) == len(boxes):
        baselines |= score_baselines(boxes, sizes, iou, convention)
    failures = find_failures(found, boxes, FailureRule(iou=iou), convention)
    return {
        "images": len(boxes),
        "iou": iou,
        "convention": convention,
        "scores": score_images(found, boxes, iou, convention).summary(),
        "baselines": baselines,
        "failures": {"counts": failures.counts(), "shares": failures.shares()},
        "outcomes": {i: {"outcome": o, "iou": failures.ious[i]} for i, o in failures.outcomes.items()},
    }


def _sizes(truth: ImageGroundTruth) -> dict[str, tuple[int, int]]:
    """Find the width and height of each image, in the ground truth or in the image file; an image may have neither."""
    sizes = {}
    images = Path(truth.source) / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    for image, known in truth.images.items():
        if known.width:
            sizes[image] = known.width, known.height
        elif (images / f"{image}.JPEG").is_file():
            sizes[image] = _read_size(images / f"{image}.JPEG")
    return sizes


def _read_size(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as image:  # reads the header only
            return image.size
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error}") from error


def _from_cams(
    folder: Path,
    truth: ImageGroundTruth,
    sizes: Mapping[str, tuple[int, int]],
    rule: BoxRule,
    convention: Convention,
) -> tuple[dict[str, ImagePrediction], dict[str, Any]]:
    """Make boxes by the rule, and score the CAMs at every threshold."""
    if len(sizes) < len(truth.images):
        raise HasvideoError(f"{truth.source} does not say how large the images are, which CAMs are scaled to")
    last = 1.0 if convention == "inclusive" else 0.0
    paths = find_cams(folder, truth)
    predictions = {}
    for image, path in paths.items():
        found = find_boxes(Activation(truth.images[image].label, 1.0, read_cam(path)), *sizes[image], rule)
        boxes = tuple(replace(box, xmax=box.xmax - last, ymax=box.ymax - last) for box in found)
        predictions[image] = ImagePrediction(boxes=boxes)
    maps = ScaledMaps(list(paths), lambda image: read_cam(paths[image]))
    return predictions, {
        "threshold": rule.threshold,
        "threshold_mode": rule.mode,
        **_score_maps(maps, truth.boxes, sizes),
    }


def _score_maps(
    maps: Mapping[str, np.ndarray], truth: Mapping[str, Sequence[Box]], sizes: Mapping[str, tuple[int, int]]
) -> dict[str, dict[str, Any] | None]:
    """Compute MaxBoxAcc and MaxBoxAccV2; both are None without OpenCV."""
    if not has_opencv():
        return {"max_box_acc": None, "max_box_acc_v2": None}
    first = max_box_acc(maps, truth, sizes, every=False, ious=(0.5,))
    second = max_box_acc(maps, truth, sizes)
    return {
        "max_box_acc": {"accuracy": first.mean, "threshold": first.best_threshold[0.5]},
        "max_box_acc_v2": {
            "accuracy": second.mean,
            "by_iou": {f"{iou:g}": share for iou, share in second.best.items()},
            "threshold_by_iou": {f"{iou:g}": at for iou, at in second.best_threshold.items()},
        },
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    report = evaluate_images(
        arguments.predictions,
        arguments.ground_truth,
        rule=BoxRule(arguments.threshold, arguments.threshold_mode),
        iou=arguments.iou,
        convention=arguments.convention,
    )
    if arguments.json is not None:
        write_text(Path(arguments.json), json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.write(_table(report))


def _parser() -> CommandParser:
    parser = CommandParser(
        "evaluate_images",
        "Score boxes or CAMs of images: accuracies, MaxBoxAcc, failures.",
        examples=[
            "hasvideo evaluate_images boxes.json --ground-truth ILSVRC2012",
            "hasvideo evaluate_images cams/ --ground-truth ILSVRC2012 --json scores.json",
        ],
    )
    add, rule = parser.add_argument, BoxRule()
    add("predictions", help="boxes: JSON as localize writes it, COCO results, CSV; or a folder of CAMs <id>.npy")
    add(
        "--ground-truth",
        required=True,
        metavar="FOLDER",
        help="folder in the ILSVRC layout, or a metadata folder of wsolevaluation",
    )
    add(
        "--threshold",
        type=float,
        default=rule.threshold,
        help="of CAMs: fraction of the range that a box is put around [the paper's for AlexNet]",
    )
    add(
        "--threshold-mode",
        choices=get_args(ThresholdMode),
        default=rule.mode,
        help="the range: 0 to the maximum, or minimum to maximum",
    )
    add("--iou", type=float, default=IOU, help="overlap from which a box is a hit")
    add(
        "--convention",
        choices=get_args(Convention),
        default="continuous",
        help="how corners count: widths are xmax - xmin, or with inclusive pixels xmax - xmin + 1",
    )
    add("--json", metavar="FILE", help="file to write everything to, with the outcome of every image")
    return parser


def _table(report: Mapping[str, Any]) -> str:
    head = (
        f"{report['images']} images, {report['missing']} without a prediction; a hit has an IoU of at least "
        f"{report['iou']:g} ({report['convention']} corners)"
    )
    rows = [["accuracy in %", "predictions", *report["baselines"]]]
    for measure, name in TITLES.items():
        baselines = report["baselines"].values() if measure == "gt_known" else [None] * len(report["baselines"])
        rows.append([name, *map(_percent, (report["scores"][measure], *baselines))])
    swept = {name: report[key] for key, name in _MAX_BOX.items() if key in report}
    for name, found in swept.items():
        rows.append([name, _percent(found and found["accuracy"]), *["-"] * len(report["baselines"])])
    hint = [NEEDS_OPENCV] if None in swept.values() else []
    failures = report["failures"]
    misses = [["misses", "images", "% of misses"]]
    misses += [[kind, str(failures["counts"][kind]), _percent(failures["shares"][kind])] for kind in MISSES]
    return "\n".join([head, "", aligned(rows, rows[0][:1]), *hint, "", aligned(misses, misses[0][:1]), ""])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
