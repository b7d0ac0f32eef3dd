"""ELAN annotation files (``.eaf``).

    python -m data_prep.elan *.eaf --subset test -o annotations.json

By default the name of a tier is the class of its annotations, as in the files that ``localize -f eaf`` writes; with
``--labels value`` it is their text, as on a tier named "actions" whose annotations say which. The name of the video
is that of the linked media file without its suffix; without a linked file, that of the ``.eaf`` file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from data_prep.conversion import converter_parser, finish, from_rows, read_all
from hasvideo.commands import run
from hasvideo.datasets.annotations import Annotations, Instance, parse_segment
from hasvideo.errors import HasvideoError

if TYPE_CHECKING:
    from pympi import Eaf

LABELS = ("tier", "value")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = converter_parser("elan", "Convert ELAN annotation files.", ".eaf files, one a video")
    parser.add_argument("--subset", default="test", help="subset of the videos")
    parser.add_argument("--labels", choices=LABELS, default="tier", help="what names the class: the tier or the text")
    parser.add_argument("--tiers", default="", help="read these tiers only, separated by commas")
    arguments = parser.parse_args(argv)
    tiers = [name.strip() for name in arguments.tiers.split(",") if name.strip()]

    def read(path: Path) -> Annotations:
        return read_elan(path, arguments.subset, arguments.labels, tiers)

    finish(read_all(arguments.inputs, read), arguments.output, arguments.meta)


def read_elan(path: Path, subset: str = "test", labels: str = "tier", tiers: Sequence[str] = ()) -> Annotations:
    """Read one ELAN file; its video is known even if it has no annotations.

    Args:
        path: the ``.eaf`` file.
        subset: subset of the video.
        labels: ``tier`` or ``value``: what names the class.
        tiers: read these only; all by default. Only annotations with times of their own are read.

    Raises:
        HasvideoError: it is not an ELAN file, lacks a tier, or an annotation is wrong; the message names it.
    """
    from pympi import Eaf

    try:
        eaf = Eaf(str(path))
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # pympi has no error of its own: whatever its XML parsing meets comes through
        raise HasvideoError(f"{path} is not an ELAN file: {error or type(error).__name__}") from error
    missing = [name for name in tiers if name not in eaf.tiers]
    if missing:
        raise HasvideoError(f"{path} has no tier {missing[0]!r}; it has: {', '.join(eaf.tiers)}")
    instances = sorted(_instances(eaf, tiers or list(eaf.tiers), labels, path), key=lambda i: (i.start, i.end, i.label))
    return from_rows([(_video(eaf, path), subset, i) for i in (None, *instances)], str(path))


def _instances(eaf: Eaf, tiers: Sequence[str], labels: str, path: Path) -> Iterator[Instance]:
    for tier in tiers:
        for name, (begin, end, value, *_) in eaf.tiers[tier][0].items():
            where = f"{path}: tier {tier!r}, annotation {name}"
            times = [eaf.timeslots[slot] for slot in (begin, end)]
            if None in times:
                raise HasvideoError(f"{where} has no time of its own; align it in ELAN")
            label = tier if labels == "tier" else (value or "").strip()
            if not label:
                raise HasvideoError(f"{where} has no text to name its class; or take the tiers: --labels tier")
            yield Instance(label, *parse_segment([time / 1000 for time in times], where))


def _video(eaf: Eaf, path: Path) -> str:
    media = [item.get("RELATIVE_MEDIA_URL") or item.get("MEDIA_URL") for item in eaf.media_descriptors]
    if not media or not media[0]:
        return path.stem
    name = PurePosixPath(media[0].replace("\\", "/")).name
    return PurePosixPath(unquote(name, errors="surrogateescape")).stem


if __name__ == "__main__":
    run(main)
