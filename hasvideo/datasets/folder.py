"""Read video-level labels of your own videos: from a folder for each class, or from a CSV file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hasvideo.datasets.names import VideoName, same_videos, video_ids
from hasvideo.datasets.table import read_table
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.inputs import find_videos

_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class LabelledVideo:
    """A video and what it shows.

    Attributes:
        labels: its classes, sorted, at least one.
        path: its file; None where only its features are there.
    """

    labels: tuple[str, ...]
    path: Path | None = None


def class_folders(folder: Path) -> dict[str, LabelledVideo]:
    """Find the videos of a folder that holds a folder for each class, by name without suffix.

    Raises:
        UsageError: there is no such folder, it holds no class folders, a video lies beside them, a class folder holds
            none, or two videos have the same name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder that holds a folder for each class, or --labels")
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise UsageError(f"{folder} holds no folders: give a folder that holds a folder for each class, or --labels")
    inputs = find_videos([str(folder)])
    beside = [p.name for p in inputs.files.values()] + [Path(f).name for f, _ in inputs.missing if f != str(folder)]
    if beside:
        raise UsageError(f"videos without a label lie beside the class folders of {folder}: {_list(beside)}")
    paths: dict[str, list[Path]] = {}
    for class_folder in classes:
        inputs = find_videos([str(class_folder)], recursive=True)
        if inputs.missing:
            raise UsageError(f"class {class_folder.name!r}: {inputs.missing[0][1]}")
        paths[class_folder.name] = list(inputs.files.values())
    unique_names(path for of_class in paths.values() for path in of_class)
    return {path.stem: LabelledVideo((name,), path) for name, of_class in paths.items() for path in of_class}


def labelled_files(videos: Sequence[str], labels: Path, recursive: bool = False) -> dict[str, LabelledVideo]:
    """Find videos, and their labels in a CSV file, by name without suffix.

    Args:
        videos: paths or patterns, see :func:`hasvideo.inputs.find_videos`.
        labels: CSV file, see :func:`read_labels`; videos are named with or without folder and suffix.
        recursive: also look into the folders of a folder.

    Raises:
        UsageError: a path is not there, two videos have the same name, a video has no label, or a label no video.
        HasvideoError: the CSV file cannot be read, or a row is wrong.
    """
    inputs = find_videos(videos, recursive)
    if inputs.missing:
        raise inputs.missing[0][1]
    paths = unique_names(inputs.files.values())
    # Of a file with an ending of media files the whole name is compared, of others the name without ending.
    known = {path.name if VideoName.of(path.name).ending else name: name for name, path in paths.items()}
    read = read_labels(labels)
    called = same_videos(read, known, str(labels))
    labelled: dict[str, set[str]] = {}
    for video, classes in read.items():
        labelled.setdefault(known.get(called[video], ""), set()).update(classes)
    lost = [video for video in read if called[video] not in known]
    if lost:
        raise UsageError(f"{labels} labels {len(lost)} videos that are not among those given: {_list(lost)}")
    unlabelled = [name for name in paths if name not in labelled]
    if unlabelled:
        raise UsageError(f"{labels} has no label for {len(unlabelled)} videos: {_list(unlabelled)}")
    return {name: LabelledVideo(tuple(sorted(labelled[name])), path) for name, path in paths.items()}


def labelled_features(stored: Collection[str], labels: Path) -> dict[str, LabelledVideo]:
    """Find the videos of a CSV file, by the names under which their features are stored.

    Args:
        stored: names of the videos with features. A video without features keeps its name in the CSV file, without
            folder and suffix.
        labels: CSV file, see :func:`read_labels`.

    Raises:
        HasvideoError: the CSV file cannot be read, or a row is wrong.
    """
    read = read_labels(labels)
    ids = video_ids(read, str(labels))
    called = same_videos(read, stored, str(labels))
    labelled: dict[str, set[str]] = {}
    for video, classes in read.items():
        name = called[video] if called[video] in stored else ids[video]
        labelled.setdefault(name, set()).update(classes)
    return {name: LabelledVideo(tuple(sorted(classes))) for name, classes in labelled.items()}


def read_labels(path: Path) -> dict[str, set[str]]:
    """Read the classes of each video from a CSV file with the columns ``video`` and ``label``, a row for each pair.

    Videos keep the names that the file gives them. :func:`hasvideo.datasets.table.read_table` says how such files may
    look.

    Raises:
        HasvideoError: the file cannot be read, lacks a column, or has a row that is not filled; the message names it.
    """
    labels: dict[str, set[str]] = {}
    for row in read_table(path, ("video", "label")):
        labels.setdefault(row["video"], set()).add(row["label"])
    if not labels:
        raise HasvideoError(f"{path} has no rows under its first line")
    return labels


def check_classes(videos: Mapping[str, LabelledVideo], background: str) -> None:
    """Check that there is something to learn.

    Raises:
        UsageError: a class has fewer than two videos, there are fewer than two classes, or a video has the label
            ``background``, which means that it shows no class, beside another label.
    """
    counts = Counter(label for video in videos.values() for label in video.labels)
    few = [f"{name} ({count})" for name, count in sorted(counts.items()) if count < 2]
    if few:
        raise UsageError(f"every class needs at least 2 videos; fewer have: {_list(few)}")
    if len(counts) < 2:
        hint = f"add another class, or videos of none as class {background!r}"
        raise UsageError(f"training needs at least 2 classes, got {_list(sorted(counts)) or 'none'}; {hint}")
    both = [name for name, video in videos.items() if background in video.labels and len(video.labels) > 1]
    if both:
        raise UsageError(f"videos are labelled {background!r} and something else at once: {_list(both)}")


def hold_out(videos: Mapping[str, LabelledVideo], share: float, seed: int) -> list[str]:
    """Draw videos to test on: about the same share of each class.

    Two videos of every class always stay to train on. So a class of two gives none; a larger one gives at least one.

    Args:
        videos: by name.
        share: fraction, 0..1.
        seed: of the draw.
    """
    counts = Counter(label for video in videos.values() for label in video.labels)
    wanted = {name: min(max(1, round(share * n)), n - 2) if share > 0 else 0 for name, n in counts.items()}
    chosen = []
    names = sorted(videos)
    for index in np.random.default_rng(seed).permutation(len(names)):
        labels = videos[names[index]].labels
        if all(wanted[label] > 0 for label in labels):
            chosen.append(names[index])
            for label in labels:
                wanted[label] -= 1
    return sorted(chosen)


def unique_names(paths: Iterable[Path]) -> dict[str, Path]:
    """Index paths by their names without suffix, in order.

    Raises:
        UsageError: two have the same name.
    """
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(path.stem, path)
        if other is not path:
            raise UsageError(f"two videos are named {path.stem!r}: {other} and {path}; rename one")
    return named


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
