"""Read, check and write ground truth and detections, the two canonical ActivityNet JSON files.

``docs/formats.md`` describes both. Times are seconds. Whatever is wrong with a file is an error that names the file and
the entry, by its path in the JSON, such as ``gt.json: database["v1"].annotations[3]``.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hasvideo.datasets.names import same_videos
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import write_text
from hasvideo.types import Detections

AMBIGUOUS = "Ambiguous"
"""Label of the THUMOS14 intervals that are neither right nor wrong to detect. It is never a class."""

THUMOS14_CLASSES = {
    "BaseballPitch": 7,
    "BasketballDunk": 9,
    "Billiards": 12,
    "CleanAndJerk": 21,
    "CliffDiving": 22,
    "CricketBowling": 23,
    "CricketShot": 24,
    "Diving": 26,
    "FrisbeeCatch": 31,
    "GolfSwing": 33,
    "HammerThrow": 36,
    "HighJump": 40,
    "JavelinThrow": 45,
    "LongJump": 51,
    "PoleVault": 68,
    "Shotput": 79,
    "SoccerPenalty": 85,
    "TennisSwing": 92,
    "ThrowDiscus": 93,
    "VolleyballSpiking": 97,
}
"""The 20 detection classes of THUMOS14 and their official ids (``detclasslist.txt`` of the THUMOS Challenge 2014)."""

_SUBSETS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "test": "test"}
_SUBSETS |= {"validation": "validation", "testing": "test"}
# Everybody trains on THUMOS14's validation videos, so files call their subset by either name.
_STANDS_IN = {"train": "validation", "validation": "train"}


@dataclass(frozen=True)
class Instance:
    """One annotated action: its class, and ``start`` < ``end`` in seconds; :class:`Annotations` keep no others."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class AnnotatedVideo:
    """What the ground truth says of one video.

    Attributes:
        subset: name of the subset, as the file spells it.
        instances: in file order, which the ``thumos14`` protocol depends on.
        duration: seconds; None where the file does not say.
        fps: frames per second; None where the file does not say.
    """

    subset: str
    instances: tuple[Instance, ...]
    duration: float | None = None
    fps: float | None = None

    @property
    def labels(self) -> list[str]:
        """The classes that occur in the video, sorted, without ``Ambiguous``: its video-level labels."""
        return sorted({i.label for i in self.instances} - {AMBIGUOUS})


@dataclass(frozen=True)
class Segments:
    """Many intervals of many videos as columns, N rows in file order: what the metrics work on.

    Attributes:
        videos: names of the videos, V of them; some may have no row.
        labels: names of the classes, C of them.
        video: index into ``videos``, int ``(N,)``.
        label: index into ``labels``, int ``(N,)``.
        start: seconds, float64 ``(N,)``.
        end: seconds, float64 ``(N,)``.
        score: higher is surer, float64 ``(N,)``; 1 for ground truth.
        source: the file's name, for messages.
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    video: np.ndarray
    label: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray
    source: str = ""

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Annotations:
    """The ground truth of a data set: its videos by name, in file order.

    Instances without length, such as the ``[0, 0]`` of ActivityNet 1.3, are left out, with one warning that counts
    them: nothing can match them.

    Attributes:
        videos: what is known of each video.
        source: the file's name, for messages.
    """

    videos: Mapping[str, AnnotatedVideo]
    source: str = "ground truth"

    def __post_init__(self) -> None:
        empty = [(name, i) for name, video in self.videos.items() for i in video.instances if i.start == i.end]
        if empty:
            name, first = empty[0]
            warnings.warn(
                f"{self.source}: left out {len(empty)} instances without length, such as {first.label} at "
                f"{first.start:g} s of {name}",
                stacklevel=3,
            )
            long = {
                name: replace(video, instances=tuple(i for i in video.instances if i.start != i.end))
                for name, video in self.videos.items()
            }
            object.__setattr__(self, "videos", long)

    @property
    def labels(self) -> list[str]:
        """The classes that occur, sorted, without ``Ambiguous``."""
        return sorted({label for video in self.videos.values() for label in video.labels})

    @property
    def subsets(self) -> list[str]:
        """Names of the subsets, as spelled, in order of appearance."""
        return list(dict.fromkeys(video.subset for video in self.videos.values()))

    def select(self, subset: str) -> Annotations:
        """Select the videos of one subset.

        Case does not matter, nor which of train/training, val/valid/validation, test/testing the file uses. THUMOS14's
        validation videos are called by either name, train or validation. So if a file has only one of these two
        subsets, both names select it, with a warning.

        Raises:
            UsageError: there is no such subset.
        """
        by_name = {_canonical(name): name for name in self.subsets}
        wanted = _canonical(subset)
        if wanted not in by_name:
            stand_in = _STANDS_IN.get(wanted, "")
            if stand_in not in by_name:
                known = ", ".join(map(repr, self.subsets)) or "none"
                raise UsageError(f"{self.source} has no subset {subset!r}; it has: {known}")
            warnings.warn(f"{self.source} has no subset {subset!r}; taking {by_name[stand_in]!r}", stacklevel=2)
            wanted = stand_in
        chosen = {name: video for name, video in self.videos.items() if _canonical(video.subset) == wanted}
        return replace(self, videos=chosen)

    def named_like(self, known: Iterable[str]) -> Annotations:
        """Rename the videos to the names of the same videos in another file.

        Args:
            known: names in the other file; see :func:`hasvideo.datasets.names.same_videos`.

        Raises:
            HasvideoError: a name fits two videos, or two entries are one video.
        """
        names = same_videos(self.videos, known, self.source)
        renamed: dict[str, AnnotatedVideo] = {}
        for name, video in self.videos.items():
            if names[name] in renamed:
                raise HasvideoError(f"{self.source} has video {names[name]!r} twice, with and without its ending")
            renamed[names[name]] = video
        return replace(self, videos=renamed)

    def select_for_evaluation(self, subset: str | None = None) -> Annotations:
        """Select the videos to score on.

        Args:
            subset: their subset; by default the only one with instances, or else ``test``.

        Raises:
            UsageError: there is no such subset, it has no instances, or several subsets come into question.
        """
        if subset is None:
            filled = {_canonical(v.subset): v.subset for v in self.videos.values() if v.labels}
            if len(filled) != 1 and "test" not in filled:
                known = ", ".join(map(repr, filled.values())) or "none"
                raise UsageError(f"{self.source}: say which subset to score on; subsets with instances: {known}")
            subset = "test" if "test" in filled else next(iter(filled.values()))
        chosen = self.select(subset)
        if not chosen.labels:
            raise UsageError(f"{self.source}: subset {subset!r} has no instances to score against")
        return chosen

    def segments(self) -> Segments:
        """Put all instances into columns, ``Ambiguous`` ones included."""
        rows = [(v, i) for v, video in enumerate(self.videos.values()) for i in video.instances]
        labels: dict[str, int] = {}
        label = [labels.setdefault(i.label, len(labels)) for _, i in rows]
        return Segments(
            tuple(self.videos),
            tuple(labels),
            np.array([v for v, _ in rows], dtype=np.int64),
            np.array(label, dtype=np.int64),
            np.array([i.start for _, i in rows], dtype=np.float64),
            np.array([i.end for _, i in rows], dtype=np.float64),
            np.ones(len(rows)),
            self.source,
        )

    def counts(self) -> dict[str, dict[str, int]]:
        """Count, for each subset: ``videos``, those ``annotated`` with an instance, ``instances`` and ``classes``.

        ``Ambiguous`` intervals are not instances: ``ambiguous`` counts them, ``ambiguous_videos`` the videos that have
        some.
        """
        videos = self.videos.values()
        return {name: _count([video for video in videos if video.subset == name]) for name in self.subsets}

    def to_dict(self) -> dict[str, Any]:
        """Make the canonical JSON object; :func:`parse_annotations` reads it back."""
        return {
            "version": "hasvideo",
            "taxonomy": [],
            "database": {name: _video_to_dict(video) for name, video in self.videos.items()},
        }


def load_annotations(path: str | Path) -> Annotations:
    """Read a canonical ground-truth file.

    Segments may be strings (``"18.6"``), ``duration`` and ``fps`` may be absent or null, other keys are ignored.

    Raises:
        HasvideoError: the file cannot be read, or an entry is wrong; the message names it.
    """
    return parse_annotations(load_json(path), str(path))


def parse_annotations(data: Any, source: str = "ground truth") -> Annotations:
    """Check a loaded ground-truth object, as :func:`load_annotations` does; ``source`` names it in messages."""
    database = _member(data, "database", "results", source, "a detections file; ground truth")
    return Annotations({str(name): _parse_video(name, entry, source) for name, entry in database.items()}, source)


def save_annotations(annotations: Annotations, path: str | Path) -> None:
    """Write a canonical ground-truth file, whole or not at all.

    Raises:
        HasvideoError: it cannot be written.
    """
    write_text(Path(path), json.dumps(annotations.to_dict(), indent=1, allow_nan=False) + "\n")


def load_detections(path: str | Path) -> Segments:
    """Read an ActivityNet submission file.

    Raises:
        HasvideoError: the file cannot be read, or an entry is wrong; the message names it.
    """
    return parse_detections(load_json(path), str(path))


def parse_detections(data: Any, source: str = "detections") -> Segments:
    """Check detections, and put them into columns in the order they have.

    Intervals without length are kept, and match nothing; a warning counts them.

    Args:
        data: a loaded submission ``{"results": {video: [{"label", "score", "segment"}]}}``, or what ``localize``
            returns: one :class:`hasvideo.types.Detections` or an iterable of them.
        source: name for messages.

    Raises:
        HasvideoError: it is no submission, or an interval in it is reversed; the message names it.
    """
    if isinstance(data, Detections):
        data = [data]
    if isinstance(data, Iterable) and not isinstance(data, (Mapping, str)):
        data = {"results": _by_video(data)}
    results = _member(data, "results", "database", source, "a ground-truth file; detections")
    try:
        segments = _columns(results, source)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        _blame(results, source)
        raise HasvideoError(f"{source} is not a submission of detections: {error}") from error
    good = np.isfinite(segments.start) & np.isfinite(segments.end) & np.isfinite(segments.score)
    if not np.all(good & (segments.end >= segments.start)):
        _blame(results, source)
    empty = int(np.sum(segments.end == segments.start))
    if empty:
        warnings.warn(f"{source}: {empty} detections have no length, and so match nothing", stacklevel=2)
    return segments


def load_json(path: str | Path) -> Any:
    """Read a JSON file of any content.

    Raises:
        HasvideoError: it is missing, a folder, not Unicode text or not JSON; the message says where.
    """
    try:
        return json.loads(Path(path).read_bytes())  # bytes: with or without byte order mark, UTF-8, 16 or 32
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise HasvideoError(
            f"{path} is not a JSON file: byte {error.start} is not {error.encoding.upper()} text"
        ) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise HasvideoError(f"{path} is not a JSON file: {error}") from error


def parse_segment(value: Any, where: str) -> tuple[float, float]:
    """Read ``[start, end]`` as floats, seconds; the numbers may be strings.

    Raises:
        HasvideoError: it is not two finite numbers with start <= end; the message begins with ``where``.
    """
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence) or len(value) != 2:
        raise HasvideoError(f"{where}: segment {value!r} is not [start, end] in seconds")
    start, end = (_number(number, "segment", where) for number in value)
    if end < start:
        raise HasvideoError(f"{where}: segment [{start:g}, {end:g}] is reversed; the end must come after the start")
    return start, end


def _canonical(subset: str) -> str:
    name = subset.strip().casefold()
    return _SUBSETS.get(name, name)


def _count(videos: Sequence[AnnotatedVideo]) -> dict[str, int]:
    labels = Counter(i.label for video in videos for i in video.instances)
    ambiguous = labels.pop(AMBIGUOUS, 0)
    return {
        "videos": len(videos),
        "annotated": sum(bool(video.labels) for video in videos),
        "instances": labels.total(),
        "classes": len(labels),
        "ambiguous": ambiguous,
        "ambiguous_videos": sum(any(i.label == AMBIGUOUS for i in video.instances) for video in videos),
    }


def _video_to_dict(video: AnnotatedVideo) -> dict[str, Any]:
    known = {"subset": video.subset, "duration": video.duration, "fps": video.fps}
    annotations = [{"label": i.label, "segment": [i.start, i.end]} for i in video.instances]
    return {key: value for key, value in known.items() if value is not None} | {"annotations": annotations}


def _member(data: Any, key: str, other: str, source: str, confusion: str) -> Mapping[str, Any]:
    if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
        return data[key]
    if isinstance(data, Mapping) and other in data:
        raise HasvideoError(f'{source} is {confusion} would have "{key}"')
    raise HasvideoError(f'{source}: expected a JSON object with "{key}": {{video: ...}}; see docs/formats.md')


def _parse_video(name: str, entry: Any, source: str) -> AnnotatedVideo:
    where = f'{source}: database["{name}"]'
    if not isinstance(entry, Mapping) or not isinstance(entry.get("subset"), str):
        raise HasvideoError(f'{where} has no "subset", such as "train" or "test"')
    items = entry.get("annotations", [])
    if not isinstance(items, list):
        raise HasvideoError(f"{where}.annotations is not a list")
    return AnnotatedVideo(
        entry["subset"],
        tuple(_parse_instance(item, f"{where}.annotations[{i}]") for i, item in enumerate(items)),
        _positive(entry, "duration", where),
        _positive(entry, "fps", where),
    )


def _parse_instance(item: Any, where: str) -> Instance:
    return Instance(_label(item, where), *parse_segment(item.get("segment"), where))


def _label(item: Any, where: str) -> str:
    if not isinstance(item, Mapping) or not isinstance(item.get("label"), str) or not item["label"]:
        raise HasvideoError(f'{where} has no "label"')
    return item["label"]


def _number(value: Any, name: str, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise HasvideoError(f"{where}: {name} {repr(value)[:40]} is not a number") from None
    if not math.isfinite(number):
        raise HasvideoError(f"{where}: {name} {value!r} is not finite")
    return number


def _positive(entry: Mapping[str, Any], key: str, where: str) -> float | None:
    if entry.get(key) is None:
        return None
    number = _number(entry[key], key, where)
    if number <= 0:
        raise HasvideoError(f"{where}: {key} {number:g} is not positive")
    return number


def _columns(results: Mapping[str, Any], source: str) -> Segments:
    labels: dict[str, int] = {}
    label = [labels.setdefault(item["label"], len(labels)) for items in results.values() for item in items]
    score = np.array([item["score"] for items in results.values() for item in items], dtype=np.float64)
    ends = np.array([item["segment"] for items in results.values() for item in items], dtype=np.float64)
    start, end = ends.reshape(len(score), 2).T
    if score.ndim != 1 or not all(isinstance(name, str) and name for name in labels):
        raise ValueError("a score or a label of the wrong type")
    return Segments(
        tuple(map(str, results)),
        tuple(labels),
        np.repeat(np.arange(len(results)), [len(items) for items in results.values()]).astype(np.int64),
        np.array(label, dtype=np.int64),
        start,
        end,
        score,
        source,
    )


def _blame(results: Mapping[str, Any], source: str) -> None:
    """Raise the error of the first wrong entry: converting all at once only showed that there is one."""
    for name, items in results.items():
        where = f'{source}: results["{name}"]'
        if not isinstance(items, list):
            raise HasvideoError(f"{where} is not a list")
        for i, item in enumerate(items):
            _label(item, f"{where}[{i}]")
            if "score" not in item:
                raise HasvideoError(f'{where}[{i}] has no "score"')
            _number(item["score"], "score", f"{where}[{i}]")
            parse_segment(item.get("segment"), f"{where}[{i}]")


def _by_video(detections: Iterable[Any]) -> dict[str, list[dict[str, Any]]]:
    results: dict[str, list[dict[str, Any]]] = {}
    for video in _checked(detections):
        if video.video in results:
            raise HasvideoError(f"detections: video {video.video!r} occurs twice")
        results[video.video] = video.to_results()
    return results


def _checked(detections: Iterable[Any]) -> Iterator[Detections]:
    for video in detections:
        if not isinstance(video, Detections):
            raise HasvideoError(f"detections: expected hasvideo.types.Detections, got {type(video).__name__}")
        yield video
