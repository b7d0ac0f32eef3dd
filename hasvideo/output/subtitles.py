"""Write subtitles (srt, vtt, ass): any player then shows the actions that were found on the video.

Some characters of a label would be markup in a format. WebVTT has character references for them. SRT and ASS have no
escape that every player knows, so there they become full-width forms, which look alike (NFKC maps them back).
"""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasvideo.output.base import WriteOptions, Writer, chronological, labels, one_line, write_unicode
from hasvideo.output.palette import color
from hasvideo.types import Detections, Interval

if TYPE_CHECKING:
    from pysubs2 import SSAFile

_FULL_WIDTH = str.maketrans({c: chr(ord(c) + 0xFEE0) for c in "{}\\<>"})


class SrtWriter(Writer[Detections]):
    """SubRip. Many players draw simultaneous cues over each other, so a cue lists all actions of its moment."""

    suffixes = (".srt",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.srt``."""
        cues = [
            (start, end, "\\N".join(_caption(i).translate(_FULL_WIDTH) for i in intervals))
            for start, end, intervals in _moments(detections.intervals)
        ]
        write_unicode(paths[0], _text(_subtitles(cues), "srt", keep_ssa_tags=True))


class VttWriter(Writer[Detections]):
    """WebVTT, for HTML ``<track>``: a cue for each interval; browsers stack simultaneous cues."""

    suffixes = (".vtt",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.vtt``."""
        cues = [(*_milliseconds(i), _vtt_escape(_caption(i))) for i in chronological(detections.intervals)]
        write_unicode(paths[0], _text(_subtitles(cues), "vtt", keep_ssa_tags=True))


class AssWriter(Writer[Detections]):
    """Advanced SubStation: an event for each interval, a colour for each class; players stack simultaneous events."""

    suffixes = (".ass",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.ass``."""
        names = labels(detections)
        intervals = chronological(detections.intervals)
        subtitles = _subtitles((*_milliseconds(i, 10), _caption(i).translate(_FULL_WIDTH)) for i in intervals)
        for event, interval in zip(subtitles.events, intervals, strict=True):
            event.style = f"class{names.index(interval.label) + 1}"
        _add_styles(subtitles, len(names), detections.info.width, detections.info.height)
        write_unicode(paths[0], _text(subtitles, "ass", header_notice="hasvideo"))


def _caption(interval: Interval) -> str:
    return f"{one_line(interval.label)} {interval.score:.2f}"


def _vtt_escape(text: str) -> str:
    # pysubs2 would take \N, \n and \h for SubStation's white space.
    return html.escape(text, quote=False).replace("\\", "&#92;")


def _milliseconds(interval: Interval, shortest: int = 1) -> tuple[int, int]:
    start = round(interval.start * 1000)
    return start, max(round(interval.end * 1000), start + shortest)


def _moments(intervals: Sequence[Interval]) -> Iterator[tuple[int, int, list[Interval]]]:
    """Cut time where an action starts or ends; yield ``(start ms, end ms, actions)`` of each piece with actions."""
    waiting = [(*_milliseconds(i), i) for i in reversed(chronological(intervals))]
    borders = sorted({time for start, end, _ in waiting for time in (start, end)})
    running: list[tuple[int, int, Interval]] = []
    for start, end in pairwise(borders):
        running = [span for span in running if span[1] > start]
        while waiting and waiting[-1][0] <= start:
            running.append(waiting.pop())
        if running:
            yield start, end, [interval for _, _, interval in running]


def _subtitles(cues: Iterable[tuple[int, int, str]]) -> SSAFile:
    from pysubs2 import SSAEvent, SSAFile

    subtitles = SSAFile()
    subtitles.events = [SSAEvent(start=start, end=end, text=text) for start, end, text in cues]
    return subtitles


def _text(subtitles: SSAFile, name: str, **options: Any) -> str:
    """Format subtitles by pysubs2, but with any number of hours: its own clock stops at 100 h, for ASS at 10 h.

    FFmpeg and libass, and with them most players, read hours of any number of digits.
    """
    from pysubs2.formats import get_format_class

    time = {"ms_to_timestamp": staticmethod(partial(_timestamp, name))}
    writer: Any = type(name, (get_format_class(name),), time)
    text = io.StringIO()
    writer.to_file(subtitles, text, name, **options)
    return text.getvalue()


def _timestamp(name: str, ms: int) -> str:
    """Format a time as ``hh:mm:ss,mmm`` (srt), ``hh:mm:ss.mmm`` (vtt) or ``h:mm:ss.cc`` (ass)."""
    per_second, digits, hour_digits = (100, 2, 1) if name == "ass" else (1000, 3, 2)
    seconds, fraction = divmod((ms + 5) // 10 if name == "ass" else ms, per_second)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    mark = "," if name == "srt" else "."
    return f"{hour:0{hour_digits}}:{minute:02}:{second:02}{mark}{fraction:0{digits}}"


def _add_styles(subtitles: SSAFile, classes: int, width: int, height: int) -> None:
    from pysubs2 import Color, SSAStyle

    subtitles.info.update({"PlayResX": str(width), "PlayResY": str(height), "ScaledBorderAndShadow": "yes"})
    for index in range(classes):
        red, green, blue = bytes.fromhex(color(index)[1:])
        # Against black, every colour of the palette has a contrast of 4:1 or more.
        subtitles.styles[f"class{index + 1}"] = SSAStyle(
            fontsize=max(round(height / 18), 8),
            bold=True,
            primarycolor=Color(red, green, blue),
            outlinecolor=Color(0, 0, 0),
            outline=max(height / 300, 1.0),
            shadow=0.0,
        )
