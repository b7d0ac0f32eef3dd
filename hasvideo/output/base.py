"""What every writer is, what it may be told, and the few rules that writers share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar
from urllib.parse import quote

import numpy as np

from hasvideo.files import write_bytes
from hasvideo.output.palette import ThemeName
from hasvideo.types import Detections, ImageDetections, Interval, Segmentation

Found = TypeVar("Found", Detections, ImageDetections, Segmentation)
Thumbnail = tuple[float, np.ndarray]
"""A frame of the video: its time in seconds, and its pixels, uint8 ``(H, W, 3)`` RGB."""


@dataclass(frozen=True)
class WriteOptions:
    """What some of the formats can be told; the others don't look.

    Attributes:
        thumbnails: frames for the film strip of a video's plot, in any order (png, svg, pdf).
        embed_video: put the video into the page instead of linking it (html).
        labelstudio_prefix: address of the folder that serves the videos (labelstudio); None for
            Label Studio's own local files, see :mod:`hasvideo.output.labelstudio`.
        classes: the model's classes in their order, which COCO numbers (coco).
        theme: of pictures (png, svg, pdf): ``light`` or ``dark``.
    """

    thumbnails: Sequence[Thumbnail] = ()
    embed_video: bool = False
    labelstudio_prefix: str | None = None
    classes: Sequence[str] = ()
    theme: ThemeName = "light"


class Writer(ABC, Generic[Found]):
    """One output format: of actions (``Writer[Detections]``), objects (``ImageDetections``) or ``Segmentation``.

    Attributes:
        suffixes: endings of the files it writes for a video or an image, the main file first.
    """

    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def write(self, detections: Found, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write one file's detections to ``paths``, one path for each of ``suffixes``, whole or not at all.

        Raises:
            UsageError: an option that the format looks at is wrong, such as an unknown theme.
            HasvideoError: a file cannot be written, or a video or image that is to be in it not read.
        """


def one_line(text: str) -> str:
    """``text`` without line breaks, control characters and bytes that are not text, so that no format breaks on it."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())


# Invisible, but emoji and several scripts are spelled with them.
_JOINERS = "\u200c\u200d"


def write_unicode(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, even with file names in it that are not valid UTF-8.

    Bytes that Python kept as lone surrogates become ``\\udcXX``, which JSON readers turn back into the same name. See
    :func:`hasvideo.files.atomic_path` for errors.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def relative_path(video: Path, folder: Path) -> str:
    """The video as seen from ``folder``, with forward slashes: ``./clip.mp4``, ``../videos/clip.mp4``.

    The leading dot keeps names such as ``a:b.mp4`` or ``-x.mp4`` from being read as a URL scheme or an option.
    """
    try:
        path = os.path.relpath(video.absolute(), folder.absolute())
    except ValueError:  # another drive, on Windows
        return video.absolute().as_posix()
    path = path.replace(os.sep, "/")
    return path if path.startswith("../") else f"./{path}"


def url_path(path: str) -> str:
    """``path`` quoted for a URL, byte for byte as the file system has it."""
    return quote(os.fsencode(path))


def chronological(intervals: Sequence[Interval]) -> list[Interval]:
    """The intervals as people read them: by start, then end, then label."""
    return sorted(intervals, key=lambda i: (i.start, i.end, i.label))


def labels(detections: Detections) -> list[str]:
    """Every class of the video once: those considered, by falling score, then any other that has an interval."""
    names = [a.label for a in detections.activations] + [i.label for i in detections.intervals]
    return list(dict.fromkeys(names))
