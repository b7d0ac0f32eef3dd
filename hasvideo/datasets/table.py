"""Read tables as spreadsheets and other programs write them: the one reader of all CSV files that commands take."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hasvideo.errors import HasvideoError

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""What may stand between two cells, and what a message calls it."""

_BOMS = (
    (codecs.BOM_UTF8, "UTF-8-SIG"),
    (codecs.BOM_UTF32_LE, "UTF-32"),  # begins with UTF-16's, so it is tried first
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_DECLARED = re.compile(r'"?sep=(\\t|[^\r\n])"?[,;\t| ]*(?:\r\n?|\n|$)', re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d?(?:[.,]\d*)?)")
_END = "end of the table"
_SHOWN = 80  # characters of a first line in a message


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: its file and line, for messages.
        cells: the known columns by name, blanks around the values removed.
        columns: those that must be filled.
    """

    where: str
    cells: Mapping[str, str]
    columns: tuple[str, ...]

    def __getitem__(self, column: str) -> str:
        """Return the text of a cell that must be filled.

        Raises:
            HasvideoError: it is empty.
        """
        text = self.cells.get(column, "")
        if not text:
            pair = len(self.columns) == 2
            names = (" and " if pair else ", ").join(self.columns)
            raise HasvideoError(f"{self.where}: {names} must {'both' if pair else 'all'} be filled")
        return text

    def get(self, column: str) -> str:
        """Return the text of a cell; empty if the table has no such column."""
        return self.cells.get(column, "")

    def number(self, column: str) -> float:
        """Read a cell as a number; see :func:`parse_number`.

        Raises:
            HasvideoError: it is none, or the cell is empty.
        """
        return self._parse(column, parse_number)

    def seconds(self, column: str) -> float:
        """Read a cell as a time; see :func:`parse_seconds`.

        Raises:
            HasvideoError: it is none, or the cell is empty.
        """
        return self._parse(column, parse_seconds)

    def _parse(self, column: str, parse: Callable[[str], float]) -> float:
        try:
            return parse(self[column])
        except ValueError as error:
            raise HasvideoError(f"{self.where}: {column} {error}") from None


def read_table(
    path: str | Path, columns: Sequence[str], optional: Sequence[str] = (), numbers: Sequence[str] = ()
) -> list[Row]:
    """Read the rows of a CSV file, whatever program wrote it.

    The first line names the columns, in any case and order. Columns that were not asked for and empty rows are passed
    over. Cells are separated by comma, semicolon, tab or bar: the one that splits the first line into most of the names
    asked for, or the one that a line ``sep=;`` before it declares. The text is UTF-8, UTF-16 or UTF-32, else
    Windows-1252.

    Args:
        path: the file.
        columns: names of the columns that it must have; reading an empty cell of them is an error.
        optional: names of the columns that it may have.
        numbers: names of the columns of numbers or times. If some of these have decimal points, a number such as
            ``1,250`` may be a thousand or a fraction, and so is an error.

    Raises:
        HasvideoError: the file cannot be read, a column is missing or there twice, a row has more cells than there are
            columns, a quote is not closed, or a number can be read in two ways; the message names the line.
    """
    path = Path(path)
    text = _decode(path)
    declared = _DECLARED.match(text)
    if declared:
        text = text[declared.end() :]
    tried = [declared[1].replace("\\t", "\t")] if declared else list(SEPARATORS)
    known = {_folded(name): name for name in (*columns, *optional)}
    separator = max(tried, key=lambda mark: sum(name in known for name in _header(text, mark)))
    header = _header(text, separator)
    _check_header(path, text, [known.get(name, "") for name in header], columns, tried)
    _, *records = _records(path, text, separator, 2 if declared else 1)
    rows = [_row(f"{path}:{line}", cells, header, known, columns) for line, cells in records]
    _check_decimals(rows, numbers)
    return rows


def parse_number(text: str) -> float:
    """Read a number with a decimal point or a decimal comma.

    Raises:
        ValueError: it is none, or has both, as with separated thousands.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return float(text.replace(",", "."))


def parse_seconds(text: str) -> float:
    """Read a time as seconds: ``75.5`` or ``75,5``, ``1:15.5`` (minutes), or ``0:01:15.5`` (hours).

    Raises:
        ValueError: it is none of these.
    """
    clock = _CLOCK.fullmatch(text)
    if not clock:
        if ":" in text:
            raise ValueError(f"{text!r} is not a time: give seconds, mm:ss.s or h:mm:ss.s")
        return parse_number(text)
    hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), parse_number(clock[3])
    if seconds >= 60 or (clock[1] and minutes >= 60):
        raise ValueError(f"{text!r} is not a time: minutes and seconds go up to 59")
    return 3600 * hours + 60 * minutes + seconds


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "")
    if not encoding and 0 in data[:2]:  # the two bytes of a letter, with which a column's name begins
        encoding = "UTF-16-LE" if data[0] else "UTF-16-BE"
    try:
        return data.decode(encoding or "UTF-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise HasvideoError(f"{path} is not {encoding} text (byte {error.start})") from error
    try:
        text = data.decode("Windows-1252")
    except UnicodeDecodeError as error:
        raise HasvideoError(f"{path} is not UTF-8 text, nor Windows-1252 (byte {error.start})") from error
    sample = next(word for word in text.split() if not word.isascii())
    warnings.warn(f"{path} is not UTF-8 text; reading it as Windows-1252, with words such as {sample}", stacklevel=4)
    return text


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _header(text: str, separator: str) -> list[str]:
    """Read the names in the first row that is not empty, without regard to case and blanks."""
    try:
        first: list[str] = next((cells for cells in _reader(text, separator) if any(map(str.strip, cells))), [])
    except csv.Error:
        return []
    return [_folded(name) for name in first]


def _records(path: Path, text: str, separator: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its first line.

    Args:
        path: of the file, for messages.
        text: its content.
        separator: what stands between cells.
        line: number of the first line of the text.
    """
    # A last line of our own shows whether a quote is still open there, which the csv module passes over.
    reader = _reader(f"{text}\n{_END}", separator)
    start, following, cells = line, line, []
    try:
        for cells in reader:
            start, following = following, line + reader.line_num
            if any(map(str.strip, cells)) and cells != [_END]:
                yield start, cells
    except csv.Error as error:
        raise HasvideoError(f"{path}:{following}: {error}; is a quote not closed?") from error
    if cells != [_END]:
        raise HasvideoError(f"{path}:{start}: a quote is not closed")


def _reader(text: str, separator: str) -> Any:
    # Not splitlines(): line breaks inside of quotes belong to the cell.
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _check_header(path: Path, text: str, names: Sequence[str], columns: Sequence[str], tried: Sequence[str]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        marks = ", ".join(SEPARATORS.get(mark, repr(mark)) for mark in tried)
        line = text.strip("\r\n \t").partition("\n")[0].strip()
        shown = f"{line[:_SHOWN]!r}{' ...' if len(line) > _SHOWN else ''}" if line else "nothing"
        raise HasvideoError(
            f"{path}: the first line must name the columns {', '.join(columns)}; it lacks {missing[0]}. It is {shown}; "
            f"separators tried: {marks}"
        )
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise HasvideoError(f"{path}: the first line names the column {twice[0]} twice")


def _row(
    where: str, cells: Sequence[str], header: Sequence[str], known: Mapping[str, str], columns: Sequence[str]
) -> Row:
    if any(map(str.strip, cells[len(header) :])):
        raise HasvideoError(
            f"{where}: {len(cells)} cells, but the first line names {len(header)} columns; cells that hold the "
            "separator, such as numbers with a decimal comma, need quotes"
        )
    named = {known[name]: cell.strip() for name, cell in zip(header, cells, strict=False) if name in known}
    return Row(where, named, tuple(columns))


def _check_decimals(rows: Iterable[Row], numbers: Sequence[str]) -> None:
    cells = [(row.where, row.get(name)) for row in rows for name in numbers]
    point = next((text for _, text in cells if "." in text), "")
    thousands = next(((where, text) for where, text in cells if _THOUSANDS.fullmatch(text)), None)
    if point and thousands:
        where, text = thousands
        raise HasvideoError(
            f"{where}: {text!r} may be a thousand or have a decimal comma, since there are decimal points too ({point} "
            "elsewhere in the table): write it without a comma"
        )
