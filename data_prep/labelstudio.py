"""Convert Label Studio exports, JSON or JSON-MIN, of a video timeline (``TimelineLabels``) or its sound (``Labels``).

    python -m data_prep.labelstudio export.json --fps 25 --subset test -o annotations.json

Label Studio counts frames from 1 and both ends of a range belong to it, so frames ``a`` to ``b`` are the seconds
``(a - 1) / fps`` to ``b / fps``. Its export does not say the frame rate: it is that of the ``frameRate`` of the Video
tag in the labeling configuration (24 if that says nothing), not the file's. Tasks that carry it as ``fps``, such as
those that ``localize -f labelstudio`` writes, need no ``--fps``; nor do regions of a sound wave (``Labels`` on
``Audio``), as older templates have them for videos too, which are in seconds.

Regions of other kinds, without a range or without a label are left out; a warning a task counts them.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from data_prep.conversion import converter_parser, finish, from_rows, positive, read_all
from hasvideo.commands import run
from hasvideo.datasets.annotations import Annotations, Instance, load_json, parse_segment
from hasvideo.datasets.names import VideoName
from hasvideo.errors import HasvideoError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = converter_parser("labelstudio", "Convert a Label Studio export.", "JSON or JSON-MIN exports")
    parser.add_argument("--subset", default="test", help="subset of the videos")
    parser.add_argument("--fps", type=float, help="frameRate of the Video tag, for tasks that do not say it as fps")
    arguments = parser.parse_args(argv)
    annotations = read_all(arguments.inputs, lambda path: read_labelstudio(path, arguments.subset, arguments.fps))
    finish(annotations, arguments.output, arguments.meta)


def read_labelstudio(path: Path, subset: str = "test", fps: float | None = None) -> Annotations:
    """Read an export.

    Of several annotations of a task, the first that was not cancelled counts. Predictions never do. Regions that cannot
    be read are left out, with a warning that counts them.

    Args:
        path: the export.
        subset: of the videos.
        fps: frame rate of the tasks that do not say theirs.

    Raises:
        HasvideoError: it is not such an export, a task says no frame rate and none is given, or a range is reversed.
    """
    tasks = load_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
        raise HasvideoError(f"{path} is not a Label Studio export: expected a list of tasks")
    rows: list[tuple[str, str, Instance | None]] = []
    durations: dict[str, float | None] = {}
    for number, task in enumerate(tasks):
        where = f"{path}: task {task.get('id', number)}"
        data = task["data"] if isinstance(task.get("data"), Mapping) else task
        video = _video(data, where)
        if video in durations:
            raise HasvideoError(f"{where}: there was a task for video {video!r} already")
        durations[video] = positive(data.get("duration"), f"{where}: duration")
        rate = positive(data.get("fps", fps), f"{where}: fps")
        try:
            regions = _regions(task, where)
            rows += [(video, subset, i) for i in (None, *_instances(regions, rate, where))]
        except (KeyError, TypeError, AttributeError) as error:
            raise HasvideoError(f"{where} is not as Label Studio exports it: {type(error).__name__} {error}") from error
    if tasks and all(instance is None for _, _, instance in rows):
        warnings.warn(f"{path} has no regions with a time in any annotation (predictions do not count)", stacklevel=2)
    annotations = from_rows(rows, str(path))
    videos = {name: replace(video, duration=durations[name]) for name, video in annotations.videos.items()}
    return replace(annotations, videos=videos)


def _video(data: Mapping[str, Any], where: str) -> str:
    texts = {key: value for key, value in data.items() if isinstance(value, str) and _is_address(value)}
    found = [data["video"]] if isinstance(data.get("video"), str) else list(texts.values())
    if len(found) != 1:
        raise HasvideoError(f'{where}: its data has no "video"; it has: {", ".join(map(str, data))}')
    url = urlsplit(found[0])
    # Files served from a local folder are /data/local-files/?d=folder/clip.mp4.
    path = parse_qs(url.query).get("d", [unquote(url.path)])[0]
    stem = PurePosixPath(path).stem
    # Uploaded files are /data/upload/1/3d3ad63e-clip.mp4.
    return re.sub(r"^[0-9a-f]{8}-", "", stem) if "/upload/" in url.path else stem


def _is_address(text: str) -> bool:
    return "/" in text or bool(VideoName.of(text).ending)


def _regions(task: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """List all regions, each with its ``value`` and ``type``.

    JSON-MIN has named lists of values instead of regions; there the name of the list is the type.
    """
    given = task.get("annotations", task.get("completions"))  # the latter before version 1.0
    if given is None:
        lists = {name: value for name, value in task.items() if isinstance(value, list)}
        return [{"type": name, "value": item} for name, of in lists.items() for item in of if isinstance(item, Mapping)]
    valid = [a for a in given if not (a.get("was_cancelled") or a.get("skipped"))]
    if len(valid) > 1:
        warnings.warn(f"{where} has {len(valid)} annotations; the first counts", stacklevel=3)
    return [region for a in valid[:1] for region in a["result"] if isinstance(region.get("value"), Mapping)]


def _instances(regions: Sequence[Mapping[str, Any]], fps: float | None, where: str) -> Iterator[Instance]:
    left_out = Counter[str]()
    for region in regions:
        value = region["value"]
        labels, ranges = _labels(value), list(_ranges(value, fps, where))
        kind = str(region.get("type", "region"))
        if not labels:
            left_out[kind if not ranges else f"{kind} without a label"] += 1
        elif not ranges or None in ranges:
            left_out[f"{kind} without a whole range"] += 1
        for found in filter(None, ranges):
            segment = parse_segment(found[:2], f"{where}: {found[2]}")
            yield from (Instance(label, *segment) for label in labels)
    if left_out:
        kinds = ", ".join(f"{count} {kind}" for kind, count in left_out.items())
        warnings.warn(f"{where}: left out {left_out.total()} regions: {kinds}", stacklevel=3)


def _labels(value: Mapping[str, Any]) -> list[str]:
    """List the classes of a region in time; empty for regions of pictures and texts, which have other keys."""
    given = value.get("timelinelabels") or (value["labels"] if _is_of_sound(value) else [])
    return [label for label in given if isinstance(label, str) and label] if isinstance(given, list) else []


def _ranges(value: Mapping[str, Any], fps: float | None, where: str) -> Iterator[tuple[float, float, str] | None]:
    """Yield start and end in seconds, and how the file gives them, for messages; None for an incomplete range."""
    if "ranges" not in value:
        ends: tuple[Any, Any] = value.get("start"), value.get("end")
        if _is_of_sound(value) and _are_numbers(ends):
            yield float(ends[0]), float(ends[1]), f"seconds {list(ends)}"
        return
    for frames in value["ranges"]:
        ends = frames.get("start"), frames.get("end")
        if not _are_numbers(ends):
            yield None
        elif fps is None:
            raise HasvideoError(f"{where} does not say its fps; give the frameRate of the Video tag by --fps")
        else:
            yield (ends[0] - 1) / fps, ends[1] / fps, f"frames {frames}"


def _is_of_sound(value: Mapping[str, Any]) -> bool:
    # Regions of a text have the same keys, with characters instead of seconds, and the text.
    return "labels" in value and "text" not in value


def _are_numbers(ends: Sequence[Any]) -> bool:
    return all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)


if __name__ == "__main__":
    run(main)
