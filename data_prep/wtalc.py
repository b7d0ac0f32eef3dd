"""Convert the arrays of W-TALC (Paul et al., ECCV 2018), which many weakly supervised methods come with.

    python -m data_prep.wtalc Thumos14reduced-Annotations/ -o annotations.json

It reads ``videoname``, ``subset``, ``segments``, ``labels`` and, where present, ``duration`` and ``labels_all``
(``.npy``). ``original_fps`` is ignored, because it rounds 29.97 to 30.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.conversion import converter_parser, finish, positive, read_all
from data_prep.pickles import load_npy
from hasvideo.commands import run
from hasvideo.datasets.annotations import AnnotatedVideo, Annotations, Instance, parse_segment
from hasvideo.errors import HasvideoError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = converter_parser("wtalc", "Convert annotations of the W-TALC layout.", "folders").parse_args(argv)
    finish(read_all(arguments.inputs, read_wtalc), arguments.output, arguments.meta)


def read_wtalc(folder: Path) -> Annotations:
    """Read a folder of the W-TALC layout; strings may be bytes.

    Raises:
        HasvideoError: an array is missing, unsafe, or of another length than the others, or an entry is wrong.
    """
    names, subsets, segments, labels = (_load(folder, name) for name in ("videoname", "subset", "segments", "labels"))
    durations = _load(folder, "duration") if (folder / "duration.npy").exists() else [None] * len(names)
    lengths = {len(column) for column in (names, subsets, segments, labels, durations)}
    if len(lengths) > 1:
        raise HasvideoError(f"{folder}: the arrays have different lengths: {', '.join(map(str, sorted(lengths)))}")
    videos: dict[str, AnnotatedVideo] = {}
    for i, name in enumerate(map(_text, names)):
        where = f"{folder}: {name}"
        instances = _instances(segments[i], labels[i], where)
        duration = positive(durations[i], f"{where}: duration")
        videos[name] = AnnotatedVideo(_text(subsets[i]), instances, duration)
    annotations = Annotations(videos, str(folder))
    if (folder / "labels_all.npy").exists():
        _compare_labels(annotations, [{_text(label) for label in row} for row in _load(folder, "labels_all")])
    return annotations


def _load(folder: Path, name: str) -> list[Any]:
    array = load_npy(folder / f"{name}.npy")
    # Plain columns come as (N, 1) too.
    return list(array if array.dtype == object else array.reshape(len(array), -1)[:, 0].tolist())


def _instances(segments: Any, labels: Any, where: str) -> tuple[Instance, ...]:
    if len(segments) != len(labels):
        raise HasvideoError(f"{where}: {len(segments)} segments but {len(labels)} labels")
    rows = zip(segments, labels, strict=True)
    return tuple(
        Instance(_text(label), *parse_segment(np.asarray(segment).tolist(), f"{where}: segment {i}"))
        for i, (segment, label) in enumerate(rows)
    )


def _compare_labels(annotations: Annotations, labels_all: Sequence[set[str]]) -> None:
    rows = zip(annotations.videos.values(), labels_all, strict=False)
    different = [video.subset for video, labels in rows if set(video.labels) != labels]
    if different:
        counts = ", ".join(f"{different.count(subset)} {subset}" for subset in dict.fromkeys(different))
        warnings.warn(
            f"labels_all.npy differs from the labels of the segments in {counts} videos; those of the segments count",
            stacklevel=3,
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    run(main)
