"""Score detections against ground truth: ``python -m hasvideo.evaluate DETECTIONS.json --ground-truth GT.json``."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from hasvideo.commands import CallableModule, CommandParser, Namespace, run
from hasvideo.datasets.annotations import load_annotations, load_detections
from hasvideo.datasets.names import same_videos
from hasvideo.files import write_text
from hasvideo.metrics.detection import PROTOCOLS, AnyDetections, AnyGroundTruth, Matches, match
from hasvideo.output.palette import ThemeName

FORMATS = ("table", "json", "csv", "png")

Cell = str | int | float | None


def evaluate(
    detections: str | Path | AnyDetections,
    ground_truth: str | Path | AnyGroundTruth,
    protocol: str = "activitynet",
    tiou: Sequence[float] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Everything the command reports, as a dict ready for JSON.

    Args:
        detections: a file, or what :func:`hasvideo.metrics.detection.mean_average_precision` takes.
        ground_truth: likewise.
        protocol: ``activitynet`` or ``thumos14``.
        tiou: thresholds; by default 0.1, 0.2 ... 0.9.
        options: ``subset``, ``classes``, ``class_agnostic``, ``ignore_unknown``: see ``mean_average_precision``.

    Returns:
        What ``mean_average_precision`` returns, and ``errors`` (see :meth:`Matches.errors`) and ``videos`` (see
        :meth:`Matches.by_video`).

    Raises:
        UsageError: a wrong option.
        HasvideoError: a file cannot be read, or an entry is wrong.
    """
    return _report(_match(detections, ground_truth, protocol, tiou, **options))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    matches = _match(
        arguments.detections,
        arguments.ground_truth,
        arguments.protocol,
        arguments.tiou,
        subset=arguments.subset,
        classes=_names(arguments.classes) or None,
        class_agnostic=arguments.class_agnostic,
        ignore_unknown=arguments.ignore_unknown,
    )
    if arguments.format == "png":
        _draw(matches, arguments)
        return
    text = _render(_report(matches), arguments.format, arguments.by)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        write_text(Path(arguments.output), text)


def _parser() -> CommandParser:
    parser = CommandParser(
        "evaluate",
        "Score detections against ground truth: mean average precision at tIoU.",
        examples=[
            "hasvideo evaluate detections.json --ground-truth annotations.json",
            "hasvideo evaluate detections.json --ground-truth annotations.json -f png -o report.png",
        ],
    )
    add = parser.add_argument
    add("detections", help="ActivityNet submission JSON, such as localize -f json writes")
    add(
        "--ground-truth",
        required=True,
        metavar="FILE",
        help="ActivityNet database JSON; data_prep converts other annotations",
    )
    add(
        "--protocol",
        choices=PROTOCOLS,
        default="activitynet",
        help="which evaluator to be equal to; see docs/formats.md",
    )
    add("--tiou", type=float, nargs="+", help="thresholds [0.1 0.2 ... 0.9]")
    add("--subset", help="which videos [the only subset that has instances, else test]")
    add("--classes", default="", metavar="NAMES", help="which classes, separated by commas [those of the protocol]")
    add("--class-agnostic", action="store_true", help="treat all classes as one")
    add("--ignore-unknown", action="store_true", help="drop detections in videos that the subset lacks")
    add("--by", choices=("class", "video"), default="class", help="what the rows of table and csv are")
    add("-f", "--format", choices=FORMATS, default="table", help="table and csv show AP, json everything, png pictures")
    add("-o", "--output", metavar="FILE", help="file to write [standard output; for png DETECTIONS.evaluation.png]")
    add(
        "--videos",
        default="",
        metavar="NAMES",
        help="videos that png shows as bars, separated by commas [three typical ones]",
    )
    add("--theme", choices=get_args(ThemeName), default="light", help="colours of png")
    return parser


def _match(
    detections: str | Path | AnyDetections,
    ground_truth: str | Path | AnyGroundTruth,
    protocol: str,
    tiou: Sequence[float] | None,
    **options: Any,
) -> Matches:
    truth = load_annotations(ground_truth) if isinstance(ground_truth, str | Path) else ground_truth
    found = load_detections(detections) if isinstance(detections, str | Path) else detections
    return match(found, truth, protocol, tiou, **options)


def _report(matches: Matches) -> dict[str, Any]:
    return matches.summary() | {"errors": matches.errors(), "videos": matches.by_video()}


def _draw(matches: Matches, arguments: Namespace) -> None:
    from hasvideo.output.evaluation_plots import plot_evaluation

    target = Path(arguments.output or f"{Path(arguments.detections).stem}.evaluation.png")
    videos = same_videos(_names(arguments.videos), matches.videos, "--videos")
    plot_evaluation(matches, target, list(videos.values()), arguments.theme)
    print(target)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _render(report: Mapping[str, Any], form: str, by: str) -> str:
    if form == "json":
        return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    rows = _class_rows(report) if by == "class" else _video_rows(report)
    return _csv(rows) if form == "csv" else _table(report, rows)


def _class_rows(report: Mapping[str, Any]) -> list[list[Cell]]:
    thresholds = list(report["mAP"])
    rows: list[list[Cell]] = [["class", "instances", *(f"AP@{t}" for t in thresholds)]]
    rows += [[name, report["instances"][name], *ap.values()] for name, ap in report["AP"].items()]
    return [*rows, ["mAP", report["counts"]["gt_instances"], *report["mAP"].values()]]


def _video_rows(report: Mapping[str, Any]) -> list[list[Cell]]:
    thresholds = list(report["mAP"])
    rows: list[list[Cell]] = [["video", "instances", "detections", *(f"mAP@{t}" for t in thresholds)]]
    return rows + [[name, v["instances"], v["detections"], *v["mAP"].values()] for name, v in report["videos"].items()]


def _csv(rows: Sequence[Sequence[Cell]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _table(report: Mapping[str, Any], rows: Sequence[Sequence[Cell]]) -> str:
    counts = report["counts"]
    head = (
        f"{report['protocol']} protocol, subset {report['subset']}: {counts['gt_instances']} instances of "
        f"{counts['classes']} classes in {counts['gt_videos']} videos; {counts['detections']} detections in "
        f"{counts['det_videos']} videos"
    )
    means = {"all thresholds": report["average_mAP"], **report["averages"]}
    rows = [[f"{rows[0][0]}, AP in %", *rows[0][1:]], *rows[1:]]
    averages = "average mAP in %: " + ", ".join(f"{_percent(value)} over {name}" for name, value in means.items())
    return "\n".join([head, "", *_align(rows), "", averages, "", *_align(_error_rows(report)), ""])


def _error_rows(report: Mapping[str, Any]) -> list[list[Cell]]:
    errors = report["errors"]
    kinds = {kind: f"{kind.replace('_', ' ')}, % of detections" for kind in next(iter(errors.values()))}
    kinds["missed"] = "missed, % of instances"
    rows = [[title, *(errors[t][kind]["share"] for t in errors)] for kind, title in kinds.items()]
    return [["at tIoU", *errors], *rows]


def _align(rows: Sequence[Sequence[Cell]]) -> list[str]:
    texts = [[str(cell) if isinstance(cell, str | int) else _percent(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in texts]
    return ["  ".join(line).rstrip() for line in lines]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
