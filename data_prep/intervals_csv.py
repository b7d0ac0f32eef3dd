"""Convert a CSV table with a row for each interval: ``video,start,end,label``, and perhaps ``subset``.

    python -m data_prep.intervals_csv intervals.csv --subset test -o annotations.json

Times are seconds, ``mm:ss.s`` or ``h:mm:ss.s``. Other columns, such as the ``score`` that ``localize -f csv`` writes,
are ignored. Videos may be named with or without folder and file ending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.conversion import converter_parser, finish, from_rows, read_all
from hasvideo.commands import run
from hasvideo.datasets.annotations import Annotations, Instance, parse_segment
from hasvideo.datasets.table import read_table


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = converter_parser("intervals_csv", "Convert a table of intervals.", "CSV files")
    parser.add_argument("--subset", default="test", help="subset of the rows that have none")
    arguments = parser.parse_args(argv)
    annotations = read_all(arguments.inputs, lambda path: read_intervals_csv(path, arguments.subset))
    finish(annotations, arguments.output, arguments.meta)


def read_intervals_csv(path: Path, subset: str = "test") -> Annotations:
    """Read a table of intervals.

    Args:
        path: the CSV file.
        subset: of the rows that name none.

    Raises:
        HasvideoError: the file cannot be read, or a row is wrong; the message gives its line.
    """
    return from_rows(_rows(path, subset), str(path))


def _rows(path: Path, subset: str) -> Iterator[tuple[str, str, Instance]]:
    for row in read_table(path, ("video", "start", "end", "label"), ("subset",), numbers=("start", "end")):
        segment = parse_segment([row.seconds("start"), row.seconds("end")], row.where)
        yield row["video"], row.get("subset") or subset, Instance(row["label"], *segment)


if __name__ == "__main__":
    run(main)
