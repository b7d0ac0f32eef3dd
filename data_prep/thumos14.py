"""Convert THUMOS14 annotations in any of their published layouts.

    python -m data_prep.thumos14 annotation/ --meta video_meta.csv -o thumos14.json

The input may be the official text files (a folder with ``CLASS_val.txt`` or ``CLASS_test.txt``, or a folder of such
folders), the arrays of W-TALC (``Thumos14reduced-Annotations/``), BaS-Net's ``gt.json`` or ActionFormer's
``thumos14.json``. The official files are the only ones with the ``Ambiguous`` intervals that the ``thumos14`` protocol
needs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.activitynet import read_activitynet
from data_prep.conversion import converter_parser, finish, from_rows, read_all
from data_prep.wtalc import read_wtalc
from hasvideo.commands import run
from hasvideo.datasets.annotations import AMBIGUOUS, THUMOS14_CLASSES, Annotations, Instance, parse_segment
from hasvideo.errors import HasvideoError
from hasvideo.files import read_text

FALSELY_ANNOTATED = ("video_test_0000270", "video_test_0001496")
"""Test videos that most papers leave out (they test on 210): their annotations belong to other videos."""

_SUBSETS = {"val": "validation", "test": "test"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = converter_parser("thumos14", "Convert THUMOS14 annotations.", "official folders, W-TALC folder, or JSON")
    parser.add_argument("--drop-falsely-annotated", action="store_true", help=f"drop {' and '.join(FALSELY_ANNOTATED)}")
    arguments = parser.parse_args(argv)
    annotations = read_all(arguments.inputs, read_thumos14)
    if arguments.drop_falsely_annotated:
        kept = {name: video for name, video in annotations.videos.items() if name not in FALSELY_ANNOTATED}
        annotations = replace(annotations, videos=kept)
    finish(annotations, arguments.output, arguments.meta)
    for quirk in thumos14_quirks(annotations):
        warnings.warn(quirk, stacklevel=1)


def read_thumos14(path: Path) -> Annotations:
    """Read THUMOS14 annotations of whatever layout ``path`` has.

    Raises:
        HasvideoError: it has none of them, or something in it is wrong.
    """
    if not path.is_dir():
        return read_activitynet(path)
    if (path / "segments.npy").exists():
        return read_wtalc(path)
    return read_official(path)


def read_official(folder: Path) -> Annotations:
    """Read ``CLASS_val.txt`` and ``CLASS_test.txt`` from a folder or its subfolders, classes in official order.

    Lines are ``video start end``, seconds, with any blanks between. Instances keep the order of the files.

    Raises:
        HasvideoError: a class has no file, a file has no known class, or a line is wrong; the message names it.
    """
    lists = [*folder.glob("detclasslist.txt"), *folder.glob("*/detclasslist.txt")]
    for path in sorted(lists):
        check_class_list(path)
    rows = [row for tag, subset in _SUBSETS.items() for row in _read_subset(folder, tag, subset)]
    if not rows:
        raise HasvideoError(f"{folder}: no CLASS_val.txt or CLASS_test.txt here, nor segments.npy")
    annotations = from_rows(rows, str(folder))
    return replace(annotations, videos=dict(sorted(annotations.videos.items())))


def check_class_list(path: Path) -> None:
    """Check ``detclasslist.txt``, lines of ``id name``; other ids than the official ones (7 ... 97) give a warning.

    Raises:
        HasvideoError: the names are not the 20 classes.
    """
    words = [line.split() for line in read_text(path).splitlines()]
    ids = {line[1]: line[0] for line in words if len(line) == 2}
    if list(ids) != list(THUMOS14_CLASSES):
        strange = sorted(set(ids) ^ set(THUMOS14_CLASSES)) or ["another order"]
        raise HasvideoError(f"{path} is not the list of the 20 THUMOS14 classes: {strange[0]}")
    if ids != {name: str(number) for name, number in THUMOS14_CLASSES.items()}:
        warnings.warn(f"{path} numbers the classes otherwise than the official list (7 ... 97)", stacklevel=2)


def thumos14_quirks(annotations: Annotations) -> list[str]:
    """List what is odd about this data set, a line for each oddity."""
    lines = []
    test = [name for name in annotations.videos if name.startswith("video_test_")]
    false = {
        name: sum(i.label != AMBIGUOUS for i in annotations.videos[name].instances)
        for name in FALSELY_ANNOTATED
        if name in annotations.videos
    }
    known = {name for name in test if annotations.videos[name].labels}
    if false:
        lines.append(
            f"{' and '.join(f'{name} ({count} instances)' for name, count in false.items())} are falsely annotated: "
            f"these are {len(known)} test videos, many papers use {len(known) - len(false)} (--drop-falsely-annotated)"
        )
    elif test:
        lines.append(
            f"these are {len(known)} test videos, without the falsely annotated {', '.join(FALSELY_ANNOTATED)}"
        )
    unclear = sorted(name for name, video in annotations.videos.items() if video.instances and not video.labels)
    if unclear:
        lines.append(f"only {AMBIGUOUS} instances in {', '.join(unclear)}")
    if not any(i.label == AMBIGUOUS for video in annotations.videos.values() for i in video.instances):
        lines.append(f"no {AMBIGUOUS} intervals: the thumos14 protocol needs those of the official text files")
    return lines


def _read_subset(folder: Path, tag: str, subset: str) -> Iterator[tuple[str, str, Instance]]:
    found: dict[str, Path] = {}
    for path in sorted([*folder.glob(f"*_{tag}.txt"), *folder.glob(f"*/*_{tag}.txt")]):
        other = found.setdefault(path.name.removesuffix(f"_{tag}.txt"), path)
        if other != path:
            raise HasvideoError(f"{folder} has both {other} and {path}; give one of the folders")
    if not found:
        return
    strange = sorted(set(found) - {*THUMOS14_CLASSES, AMBIGUOUS})
    missing = [name for name in THUMOS14_CLASSES if name not in found]
    if strange or missing:
        what = f"{found[strange[0]].name} is of no known class" if strange else f"{missing[0]}_{tag}.txt is missing"
        raise HasvideoError(f"{folder}: {what}; the 20 classes each have a file, and {AMBIGUOUS} may")
    for label in (*THUMOS14_CLASSES, AMBIGUOUS):
        if label in found:
            yield from _read_class(found[label], label, subset)


def _read_class(path: Path, label: str, subset: str) -> Iterator[tuple[str, str, Instance]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3:
            raise HasvideoError(f"{path}:{number}: {line!r} is not 'video start end'")
        yield words[0], subset, Instance(label, *parse_segment(words[1:], f"{path}:{number}"))


if __name__ == "__main__":
    run(main)
