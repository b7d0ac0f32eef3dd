"""What all converters of annotations share: their options, the file they write, and the report on it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from hasvideo.commands import CommandParser
from hasvideo.datasets.annotations import AnnotatedVideo, Annotations, Instance, save_annotations
from hasvideo.datasets.names import same_videos, video_ids
from hasvideo.datasets.table import parse_seconds, read_table
from hasvideo.errors import HasvideoError

Read = Callable[[Path], Annotations]
META_COLUMNS = ("duration_s", "duration", "fps")


def converter_parser(module: str, description: str, inputs: str) -> CommandParser:
    """Make the parser of a converter: inputs, ``--output`` and ``--meta``.

    Args:
        module: name of the converter.
        description: what it does.
        inputs: what its inputs are.
    """
    parser = CommandParser(module, description)
    parser.prog = f"python -m data_prep.{module}"
    parser.add_argument("inputs", nargs="+", help=inputs)
    parser.add_argument("-o", "--output", required=True, help="canonical annotations JSON to write")
    parser.add_argument("--meta", help="CSV with the columns video and duration_s (or duration), and perhaps fps")
    return parser


def read_all(paths: Iterable[str], read: Read) -> Annotations:
    """Read several inputs as one data set.

    Raises:
        HasvideoError: two inputs have a video of the same name, or one cannot be read.
    """
    videos: dict[str, AnnotatedVideo] = {}
    names: list[str] = []
    for path in map(Path, paths):
        more = read(path)
        twice = sorted(videos.keys() & more.videos.keys())
        if twice:
            raise HasvideoError(f"{path}: video {twice[0]!r} was already in {', '.join(names)}")
        videos |= more.videos
        names.append(str(path))
    return Annotations(videos, ", ".join(names))


def from_rows(rows: Iterable[tuple[str, str, Instance | None]], source: str) -> Annotations:
    """Collect rows (video, subset, instance) into videos, keeping the order.

    Rows may name a video with or without folder and ending; its name becomes its id, see
    :func:`hasvideo.datasets.names.video_ids`.

    Args:
        rows: an instance each; None in its place adds the video, even if it has no instances.
        source: the file they are from, for messages.

    Raises:
        HasvideoError: a video is in two subsets, or a name fits two videos.
    """
    subsets: dict[str, str] = {}
    instances: dict[str, list[Instance]] = {}
    rows = list(rows)
    ids = video_ids((video for video, _, _ in rows), source)
    for name, subset, instance in rows:
        video = ids[name]
        if subsets.setdefault(video, subset) != subset:
            raise HasvideoError(f"{source}: video {video!r} is in the subsets {subsets[video]!r} and {subset!r}")
        instances.setdefault(video, []).extend([instance] if instance else [])
    return Annotations({name: AnnotatedVideo(subsets[name], tuple(i)) for name, i in instances.items()}, source)


def add_meta(annotations: Annotations, path: Path) -> Annotations:
    """Add durations and frame rates from a CSV file with a row for each video.

    Raises:
        HasvideoError: the file cannot be read, a column is missing, a name fits two videos, or a value is not a
            positive number.
    """
    rows = read_table(path, ("video",), META_COLUMNS, numbers=META_COLUMNS)
    names = same_videos((row["video"] for row in rows), annotations.videos, str(path))
    meta = {names[row["video"]]: row for row in rows}

    def known(name: str, video: AnnotatedVideo) -> AnnotatedVideo:
        if name not in meta:
            return video
        row = meta[name]
        duration = positive(row.get("duration_s") or row.get("duration"), f"{row.where}: duration")
        fps = positive(row.get("fps"), f"{row.where}: fps")
        return replace(video, duration=duration or video.duration, fps=fps or video.fps)

    lacking = sorted(set(annotations.videos) - set(meta))
    if lacking:
        warnings.warn(f"{path} lacks {len(lacking)} of the videos, such as {lacking[0]}", stacklevel=2)
    return replace(annotations, videos={name: known(name, video) for name, video in annotations.videos.items()})


def positive(text: str | float | None, where: str) -> float | None:
    """Read a positive number; None for an empty value. A text may be a time such as ``1:15.5``.

    Raises:
        HasvideoError: it is something else; the message begins with ``where``.
    """
    if text is None or text == "":
        return None
    try:
        number = parse_seconds(text.strip()) if isinstance(text, str) else float(text)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise HasvideoError(f"{where} {text!r} is not a positive number")
    return number


def finish(annotations: Annotations, output: str, meta: str | None = None) -> None:
    """Write the file, print counts by subset, and warn of what is odd.

    Raises:
        HasvideoError: nothing was found to write, ``meta`` is wrong (see :func:`add_meta`), or the file cannot be
            written.
    """
    if not annotations.videos:
        raise HasvideoError(f"{annotations.source}: no annotated videos found")
    if meta:
        annotations = add_meta(annotations, Path(meta))
    save_annotations(annotations, output)
    for subset, of in annotations.counts().items():
        others = f" (+{of['videos'] - of['annotated']} without instances)" if of["videos"] > of["annotated"] else ""
        unclear = f", {of['ambiguous']} ambiguous in {of['ambiguous_videos']} videos" if of["ambiguous"] else ""
        instances = f"{of['instances']} instances of {of['classes']} classes"
        print(f"{subset}: {of['annotated']} videos{others}, {instances}{unclear}")
    for quirk in quirks(annotations):
        warnings.warn(quirk, stacklevel=2)


def quirks(annotations: Annotations) -> list[str]:
    """List what users of the annotations should know, a line for each oddity."""
    return [*_beyond_the_end(annotations), *_repeated_as(annotations)]


def _beyond_the_end(annotations: Annotations) -> Iterator[str]:
    late = {
        name: sum(i.end > video.duration for i in video.instances)
        for name, video in annotations.videos.items()
        if video.duration is not None
    }
    late = {name: count for name, count in late.items() if count}
    if late:
        where = ", ".join(f"{name} ({count})" for name, count in late.items())
        yield f"{sum(late.values())} segments end after their video does: {where}"


def _repeated_as(annotations: Annotations) -> Iterator[str]:
    rows = [(name, i) for name, video in annotations.videos.items() for i in video.instances]
    places = {label: Counter[tuple[str, float, float]]() for label in annotations.labels}
    for name, i in rows:
        if i.label in places:
            places[i.label][name, i.start, i.end] += 1
    for inner, own in places.items():
        for outer, other in places.items():
            # Classes that contain each other are two names of one thing: say it once.
            if inner != outer and own <= other and (own != other or inner < outer):
                yield f"every {inner} instance ({own.total()}) is also a {outer} instance"
