"""Convert JSON of the ActivityNet kind: BaS-Net's ``gt.json``, ActionFormer's ``thumos14.json``, ActivityNet itself.

    python -m data_prep.activitynet gt.json -o annotations.json

Segments become numbers, keys of other tools (``segment(frames)``, ``label_id``, ``url`` ...) are dropped, and every
entry is checked. ``hasvideo evaluate`` and the trainers read such files as they are; converting makes them uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.conversion import converter_parser, finish, read_all
from hasvideo.commands import run
from hasvideo.datasets.annotations import Annotations, load_annotations
from hasvideo.datasets.names import video_ids


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = converter_parser("activitynet", "Convert annotations of the ActivityNet kind.", "JSON files")
    arguments = parser.parse_args(argv)
    finish(read_all(arguments.inputs, read_activitynet), arguments.output, arguments.meta)


def read_activitynet(path: Path) -> Annotations:
    """Read a JSON file of the ActivityNet kind; names of videos lose their folder and file ending.

    Raises:
        HasvideoError: the file cannot be read, or an entry is wrong; the message names it.
    """
    annotations = load_annotations(path)
    return annotations.named_like(video_ids(annotations.videos, annotations.source).values())


if __name__ == "__main__":
    run(main)
