"""Label Studio exports (JSON or JSON-MIN) of a video timeline (``TimelineLabels``).

    python -m data_prep.labelstudio export.json --fps 25 --subset test -o annotations.json

Label Studio counts frames from 1 and both ends of a range belong to it, so frames ``a`` to ``b`` are the seconds
``(a - 1) / fps`` to ``b / fps``. Its export does not say the frame rate: it is that of the ``frameRate`` of the Video
tag in the labeling configuration (24 if that says nothing), not the file's. Tasks that carry it as ``fps``, such as
those that ``localize -f labelstudio`` writes, need no ``--fps``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from data_prep.conversion import converter_parser, finish, from_rows, positive, read_all
from hasvideo.commands import run
from hasvideo.datasets.annotations import Annotations, Instance, load_json, parse_segment
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
    """Read an export; ``fps`` is that of the tasks that do not say it.

    Of several annotations of a task the first that was not cancelled counts. Predictions never do.

    Raises:
        HasvideoError: it is not such an export, a task says no frame rate and none is given, or a range is wrong.
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
            rows += [(video, subset, i) for i in (None, *_instances(_regions(task, where), rate, where))]
        except (KeyError, TypeError, AttributeError) as error:
            raise HasvideoError(f"{where} is not as Label Studio exports it: {type(error).__name__} {error}") from error
    if tasks and all(instance is None for _, _, instance in rows):
        warnings.warn(f"{path} has no timeline regions in any annotation (predictions do not count)", stacklevel=2)
    annotations = from_rows(rows, str(path))
    videos = {name: replace(video, duration=durations[name]) for name, video in annotations.videos.items()}
    return replace(annotations, videos=videos)


def _video(data: Mapping[str, Any], where: str) -> str:
    texts = [data["video"]] if "video" in data else [v for v in data.values() if isinstance(v, str) and "/" in v]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise HasvideoError(f'{where}: its data has no "video"; it has: {", ".join(map(str, data))}')
    url = urlsplit(texts[0])
    # Files served from a local folder are /data/local-files/?d=folder/clip.mp4.
    path = parse_qs(url.query).get("d", [unquote(url.path)])[0]
    stem = PurePosixPath(path).stem
    # Uploaded files are /data/upload/1/3d3ad63e-clip.mp4.
    return re.sub(r"^[0-9a-f]{8}-", "", stem) if "/upload/" in url.path else stem


def _regions(task: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The values of all regions: in JSON within the annotation, in JSON-MIN lists beside the data."""
    if "annotations" not in task:
        lists = [value for value in task.values() if isinstance(value, list)]
        return [item for items in lists for item in items if isinstance(item, Mapping)]
    valid = [a for a in task["annotations"] if not a.get("was_cancelled")]
    if len(valid) > 1:
        warnings.warn(f"{where} has {len(valid)} annotations; the first counts", stacklevel=3)
    return [region["value"] for a in valid[:1] for region in a["result"] if isinstance(region.get("value"), Mapping)]


def _instances(regions: Sequence[Mapping[str, Any]], fps: float | None, where: str) -> Iterator[Instance]:
    for value in regions:
        if "timelinelabels" not in value:
            continue
        if fps is None:
            raise HasvideoError(f"{where} does not say its fps; give the frameRate of the Video tag by --fps")
        for frames in value["ranges"]:
            segment = parse_segment([(frames["start"] - 1) / fps, frames["end"] / fps], f"{where}: frames {frames}")
            yield from (Instance(label, *segment) for label in value["timelinelabels"])


if __name__ == "__main__":
    run(main)
