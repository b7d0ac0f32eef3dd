"""Keep the records of how features were made: a line a video in ``manifest.jsonl``, and ``failed.csv``."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from hasvideo.errors import HasvideoError
from hasvideo.files import write_text

MANIFEST = "manifest.jsonl"
FAILED = "failed.csv"
LOCKS = ".locks"


@dataclass(frozen=True)
class Record:
    """What came of one video.

    Attributes:
        id: names its features.
        path: the video file.
        size: of that file, bytes.
        shape: of the features, ``(T, D)``.
        dtype: of the features' ``.npy``.
        sha256: hash of the features' ``.npy``.
        extractor: what made them.
        seconds: of video that they cover.
        took: seconds that making them took.
        error: why there are none; empty where there are.
    """

    id: str
    path: str
    size: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""
    sha256: str = ""
    extractor: str = ""
    seconds: float = 0.0
    took: float = 0.0
    error: str = ""

    def to_json(self) -> str:
        """Write it as one line, without what is not known."""
        return json.dumps({key: value for key, value in asdict(self).items() if value}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: bytes) -> Record | None:
        """Read what :meth:`to_json` wrote; None if it is not that, such as a line that was cut off."""
        try:
            fields = json.loads(line)
            return cls(**fields | {"shape": tuple(fields.get("shape", ()))})
        except (ValueError, TypeError, AttributeError):
            return None


class Manifest:
    """The records of a feature folder, to which many processes may add at the same time.

    A video's last line counts. A line that was cut off, by a full disk or a crash, counts as none.

    Args:
        folder: of features.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / MANIFEST
        self._records: dict[str, Record] = {}
        self._failures: dict[str, Record] = {}  # apart, so that a failure among many records does not go through all
        self._read = 0  # bytes, whole lines

    def records(self) -> dict[str, Record]:
        """Read the records by video, those included that other processes have added by now.

        Raises:
            HasvideoError: the manifest cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                lines = file.read()
        except FileNotFoundError:
            return self._records
        except OSError as error:
            raise HasvideoError(f"cannot read {self._path}: {error.strerror or error}") from error
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        found = filter(None, map(Record.from_json, whole.splitlines()))
        self._note({record.id: record for record in found})
        return self._records

    def add(self, record: Record) -> None:
        """Append a record, and bring ``failed.csv`` up to date.

        Raises:
            HasvideoError: it cannot be written.
        """
        try:
            with self._lock():
                before = self.records().get(record.id)
                with self._path.open("ab+") as file:
                    file.write(_line_break(file) + record.to_json().encode() + b"\n")
                if record.error or (before is not None and before.error):
                    self._list_failures()
        except OSError as error:
            raise HasvideoError(f"cannot write {self._path}: {error.strerror or error}") from error

    def _note(self, records: dict[str, Record]) -> None:
        self._records |= records
        for record in records.values():
            if record.error:
                self._failures[record.id] = record
            else:
                self._failures.pop(record.id, None)

    def _lock(self) -> FileLock:
        (self.folder / LOCKS).mkdir(exist_ok=True)
        return FileLock(self.folder / LOCKS / f"{MANIFEST}.lock")

    def _list_failures(self) -> None:
        self.records()
        failures = sorted((r.id, r.path, r.error) for r in self._failures.values())
        if not failures:
            (self.folder / FAILED).unlink(missing_ok=True)
            return
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("video", "path", "reason"), *failures])
        write_text(self.folder / FAILED, text.getvalue())


def _line_break(file: io.BufferedRandom) -> bytes:
    """Return what the file, open for appending, lacks at its end: a process may have died within a line."""
    if not file.seek(0, io.SEEK_END):
        return b""
    file.seek(-1, io.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"
