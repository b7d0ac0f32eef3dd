"""Write all that was found in many files into one file; its suffix chooses the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Generic

from hasvideo.errors import UsageError
from hasvideo.files import atomic_path
from hasvideo.output import images, segments, tables
from hasvideo.output.base import Found, one_line
from hasvideo.output.images import COCO_SUFFIX
from hasvideo.output.tables import Row, write_csv
from hasvideo.types import Detections, ImageDetections, Segmentation, rounded

NEEDS = {".parquet": "pyarrow", ".xlsx": "openpyxl"}
"""Packages that the formats need; the extra ``tables`` has them."""

TABLES = (".csv", *NEEDS)
_TEXTS = ("video", "image", "label")  # columns; the others are numbers
_SHEET = 2**20 - 1  # rows that a sheet of Excel holds under its header


@dataclass(frozen=True)
class Results(Generic[Found]):
    """How to write all that was found in many videos, or many images, into one file.

    Attributes:
        columns: names of the columns of a table.
        rows: makes the rows of a table.
        write_json: writes JSON, given what was found, the file, and the model's classes.
        suffixes: that the file may have; all but the JSON ones are tables.
    """

    columns: tuple[str, ...]
    rows: Callable[[Sequence[Found]], Iterable[Row]]
    write_json: Callable[[Sequence[Found], Path, Sequence[str]], None]
    suffixes: tuple[str, ...] = (".json", *TABLES)

    def check(self, path: Path) -> None:
        """Check, before work begins, that there is a format for the file's suffix.

        Raises:
            UsageError: there is none, the package that it needs is not installed, or the file is a folder.
        """
        suffix = COCO_SUFFIX if path.name.lower().endswith(COCO_SUFFIX) else path.suffix.lower()
        if suffix not in self.suffixes:
            raise UsageError(f"--results {path}: the suffix says the format; accepted: {', '.join(self.suffixes)}")
        if suffix in NEEDS and find_spec(NEEDS[suffix]) is None:
            raise UsageError(f"--results {path} needs {NEEDS[suffix]}: pip install 'hasvideo[tables]'")
        if path.is_dir():
            raise UsageError(f"--results {path} is a folder; a file is wanted")

    def write(self, found: Sequence[Found], path: Path, classes: Sequence[str] = ()) -> None:
        """Write the file, whole or not at all.

        Args:
            found: what was found, an entry for each video or image.
            path: its suffix chooses the format.
            classes: the model's, in their order, by which COCO numbers them.

        Raises:
            HasvideoError: it cannot be written.
        """
        suffix = path.suffix.lower()
        if suffix not in TABLES:
            self.write_json(found, path, classes)
        elif suffix == ".csv":
            write_csv(path, self.columns, self.rows(found))
        else:
            (_write_parquet if suffix == ".parquet" else _write_xlsx)(path, self.columns, list(self.rows(found)))


def _video_json(found: Sequence[Detections], path: Path, classes: Sequence[str]) -> None:
    tables.write_results_json(found, path)


def _segments_json(found: Sequence[Segmentation], path: Path, classes: Sequence[str]) -> None:
    segments.write_segments_json(found, path)


VIDEO_RESULTS: Results[Detections] = Results(tables.COLUMNS, tables.result_rows, _video_json)
IMAGE_RESULTS: Results[ImageDetections] = Results(
    images.COLUMNS, images.image_rows, images.write_image_results, (".json", COCO_SUFFIX, *TABLES)
)
SEGMENT_RESULTS: Results[Segmentation] = Results(segments.COLUMNS, segments.share_rows, _segments_json)


def _write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    table = {
        name: pyarrow.array([_cell(v) for v in column], pyarrow.string() if name in _TEXTS else pyarrow.float64())
        for name, column in zip(columns, values, strict=True)
    }
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(table), temporary)


def _write_xlsx(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    with atomic_path(path) as temporary:
        book = Workbook(write_only=True)
        for first in range(0, max(len(rows), 1), _SHEET):
            sheet = book.create_sheet()
            sheet.append(columns)
            for row in rows[first : first + _SHEET]:
                cells = [WriteOnlyCell(sheet, one_line(v) if isinstance(v, str) else rounded(v)) for v in row]
                for cell in cells:
                    cell.data_type = "s" if isinstance(cell.value, str) else "n"  # a label "=A1" is no formula
                sheet.append(cells)
        book.save(temporary)


def _cell(value: str | float) -> str | float:
    # File names that are not valid UTF-8 hold lone surrogates, which Parquet cannot.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else rounded(value)
