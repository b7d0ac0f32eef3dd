"""What an output format is, what it can be told, and what the formats share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote

import numpy as np

from hasvideo.files import write_bytes
from hasvideo.output.palette import ThemeName
from hasvideo.types import Detections, ImageDetections, Interval, Segmentation

Found = TypeVar("Found", Detections, ImageDetections, Segmentation)
Thumbnail = tuple[float, np.ndarray]
"""A frame of the video: its time in seconds, and its pixels, uint8 ``(H, W, 3)`` RGB."""

TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""Seconds between two ticks of a time axis: pictures and the page choose one of these."""


@dataclass(frozen=True)
class WriteOptions:
    """Options of the output formats; each format reads those that it knows.

    Attributes:
        thumbnails: frames for the film strip under a video's plot, in any order (png, svg, pdf).
        embed_video: put the video into the page instead of linking it (html).
        labelstudio_prefix: address of the folder that serves the videos; None: Label Studio's own local files, see
            :mod:`hasvideo.output.labelstudio` (labelstudio).
        classes: the model's classes in order; COCO's category numbers follow it (coco).
        theme: colours of a picture: ``light`` or ``dark`` (png, svg, pdf).
    """

    thumbnails: Sequence[Thumbnail] = ()
    embed_video: bool = False
    labelstudio_prefix: str | None = None
    classes: Sequence[str] = ()
    theme: ThemeName = "light"


class Writer(ABC, Generic[Found]):
    """An output format.

    A ``Writer[Detections]`` writes the actions in a video, a ``Writer[ImageDetections]`` the boxes in an image, a
    ``Writer[Segmentation]`` the classes of its pixels.

    Attributes:
        suffixes: endings of the files that it writes for one video or image, the main file first.
    """

    suffixes: tuple[str, ...]

    @abstractmethod
    def write(self, detections: Found, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write what was found in one video or image; each file appears whole or not at all.

        Args:
            detections: what was found.
            paths: the files to write, one for each of ``suffixes``.
            options: options, of which the format reads those that it knows.

        Raises:
            UsageError: an option that the format reads is wrong, such as an unknown theme.
            HasvideoError: a file cannot be written, or the video or image that goes into it cannot be read.
        """


class PictureWriter(Writer[Found]):
    """An output format that is a picture.

    Args:
        draw: ``draw(detections, path, options)`` draws into the file; the end of its name says the format.
        suffix: ending of the file: ``.png``, ``.svg`` or ``.pdf``, alone or after more, as in ``.cam.png``.
    """

    def __init__(self, draw: Callable[[Found, Path, WriteOptions], None], suffix: str) -> None:
        self.draw: Callable[[Found, Path, WriteOptions], None] = draw
        self.suffixes = (suffix,)

    def write(self, detections: Found, paths: Sequence[Path], options: WriteOptions) -> None:
        """Draw what was found into the one file."""
        self.draw(detections, paths[0], options)


def one_line(text: str) -> str:
    """Return the text on one line without control characters, which no format breaks on.

    Bytes that are not valid UTF-8 become ``?``.
    """
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())


# Not printable, but emoji and several scripts are spelled with them.
_JOINERS = "\u200c\u200d"


def write_unicode(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all; file names in it may be invalid UTF-8.

    Python keeps their bytes as lone surrogates, which become ``\\udcXX``: a JSON reader makes the same name of it.

    Raises:
        HasvideoError: the file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def relative_path(video: Path, folder: Path) -> str:
    """Return the path from ``folder`` to the video, with forward slashes: ``./clip.mp4``, ``../videos/clip.mp4``.

    The leading dot keeps names such as ``a:b.mp4`` or ``-x.mp4`` from being read as a URL scheme or an option.
    """
    try:
        path = os.path.relpath(video.absolute(), folder.absolute())
    except ValueError:  # another drive, on Windows
        return video.absolute().as_posix()
    path = path.replace(os.sep, "/")
    return path if path.startswith("../") else f"./{path}"


def url_path(path: str) -> str:
    """Quote a path for a URL, byte for byte as the file system has it."""
    return quote(os.fsencode(path))


def chronological(intervals: Sequence[Interval]) -> list[Interval]:
    """Sort intervals as people read them: by start, then end, then label."""
    return sorted(intervals, key=lambda i: (i.start, i.end, i.label))


def labels(detections: Detections) -> list[str]:
    """List each class of the video once: those with an activation, then any other with an interval."""
    names = [a.label for a in detections.activations] + [i.label for i in detections.intervals]
    return list(dict.fromkeys(names))
