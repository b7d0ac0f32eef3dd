"""Write intervals as rows: the table on standard output, CSV files, and ActivityNet's submission JSON."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hasvideo.output.base import WriteOptions, Writer, chronological, one_line, write_unicode
from hasvideo.types import Activation, Detections, Interval, IntervalRule, ThresholdMode, rounded

COLUMNS = ("video", "start", "end", "label", "score")

Row = tuple[str | float, ...]
"""Cells of a file of rows: texts and numbers. Annotate rows with it: of mixed tuples a type checker infers objects."""


class JsonWriter(Writer[Detections]):
    """ActivityNet submission JSON with one video; times in seconds, intervals by falling score."""

    suffixes = (".json",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.json``."""
        write_results_json([detections], paths[0])


class CsvWriter(Writer[Detections]):
    """``video,start,end,label,score``: seconds, intervals by falling score."""

    suffixes = (".csv",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.csv``."""
        write_csv(paths[0], COLUMNS, (_row(detections.video, i) for i in detections.intervals))


def result_rows(detections: Sequence[Detections]) -> Iterator[Row]:
    """Yield rows of :data:`COLUMNS` for any number of videos, one after the other, the intervals of each by time."""
    return (_row(d.video, i) for d in detections for i in chronological(d.intervals))


def _row(video: str, interval: Interval) -> Row:
    return video, *interval.segment, interval.label, interval.score


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows under the names of their columns; numbers are :func:`hasvideo.types.rounded`.

    Raises:
        HasvideoError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *([_cell(value) for value in row] for row in rows)])
    write_unicode(path, text.getvalue())


def _cell(value: str | float) -> str:
    # The csv module quotes line feeds, but not carriage returns. Where nothing is quoted, labels need one_line too.
    return value.replace("\r", " ") if isinstance(value, str) else f"{rounded(value):.15g}"


def write_results_json(detections: Sequence[Detections], path: Path) -> None:
    """Write any number of videos as one ActivityNet submission: ``{"version", "results", "external_data"}``.

    Raises:
        HasvideoError: the file cannot be written.
    """
    submission = {
        "version": "VERSION 1.3",
        "results": {d.video: d.to_results() for d in detections},
        "external_data": {"details": "; ".join(dict.fromkeys(map(_provenance, detections)))},
    }
    write_json(path, submission)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, in which numbers of NumPy are fine too. Fractions are :func:`hasvideo.types.rounded`.

    Raises:
        HasvideoError: the file cannot be written.
    """
    write_unicode(path, json.dumps(_rounded(content), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def _rounded(content: Any) -> Any:
    """Replace numbers, at any depth, by rounded ones that JSON can hold."""
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return rounded(float(content)) if isinstance(content, float | np.number) else content


def describe_rule(rule: IntervalRule) -> str:
    """Describe a rule in words: ``threshold 0.5 of max, merge gap 1 s, min duration 0.5 s``."""
    parts = [describe_threshold(rule.threshold, rule.mode)]
    parts += [f"merge gap {rule.merge_gap:g} s"] if rule.merge_gap else []
    parts += [f"min duration {rule.min_duration:g} s"] if rule.min_duration else []
    return ", ".join(parts)


def describe_threshold(threshold: float, mode: ThresholdMode) -> str:
    """Describe a threshold in words: ``threshold 0.5 of max``, or ``of min..max``."""
    return f"threshold {threshold:g} of {'max' if mode == 'max' else 'min..max'}"


def table(detections: Detections) -> str:
    """Lay out the intervals by time as aligned plain text: start and end in seconds, label, score.

    If an interval ends after the first minute, a further column shows the times as a player does. Without intervals
    the text says so, and which class came closest.
    """
    intervals = chronological(detections.intervals)
    if not intervals:
        return nothing_found(detections.activations, "action")
    with_clock = max(i.end for i in intervals) >= 60
    rows = [["start", "end", *(["at"] if with_clock else []), "label", "score"]]
    for i in intervals:
        at = [f"{clock(i.start)}-{clock(i.end)}"] if with_clock else []
        rows.append([f"{i.start:.2f}", f"{i.end:.2f}", *at, one_line(i.label), f"{i.score:.3f}"])
    return aligned(rows, left=("at", "label"))


def clock(seconds: float) -> str:
    """Format seconds as ``m:ss``, or ``h:mm:ss`` from an hour on, rounded to the second."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def display_width(text: str) -> int:
    """Count the columns that a text takes in a terminal: two for East Asian characters and emoji, none for accents."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def nothing_found(activations: Sequence[Activation], what: str) -> str:
    """Say that no ``what`` was found in a file, and which of the classes that were considered came closest."""
    if not activations:
        return f"no {what} found: no class is probable enough (--min-class-score lowers the bar)"
    best = max(activations, key=lambda a: a.score)
    return f"no {what} found (closest class: {one_line(best.label)}, probability {best.score:.3f})"


def aligned(rows: Sequence[Sequence[str]], left: Sequence[str]) -> str:
    """Lay out rows of cells as columns of plain text, aligned right.

    Args:
        rows: the header first.
        left: names of the columns that are aligned left.
    """
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    is_left = [name in left for name in rows[0]]
    lines = []
    for row in rows:
        cells = zip(row, widths, is_left, strict=True)
        padded = [(cell + _pad(cell, w)) if to_left else (_pad(cell, w) + cell) for cell, w, to_left in cells]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _pad(cell: str, width: int) -> str:
    return " " * (width - display_width(cell))


def _provenance(detections: Detections) -> str:
    model = f"model {detections.model}, " if detections.model else ""
    return model + describe_rule(detections.rule)
