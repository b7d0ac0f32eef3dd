"""Write ELAN files (.eaf), to correct intervals by hand in the annotation tool of behaviour researchers."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from hasvideo.output.base import WriteOptions, Writer, chronological, labels, one_line, relative_path, write_unicode
from hasvideo.types import Detections

if TYPE_CHECKING:
    from pympi import Eaf


class ElanWriter(Writer[Detections]):
    """ELAN: a tier for each class, an annotation in milliseconds for each interval, with the score as its text.

    The video is linked by two paths. ELAN looks for it at the absolute one first, then at the one relative to the .eaf
    file, so that the two can be moved together.
    """

    suffixes = (".eaf",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.eaf``."""
        from pympi import Eaf
        from pympi.Elan import to_string

        eaf = Eaf(author="hasvideo")
        eaf.remove_tier("default")
        if not detections.info.is_stream:
            _link_video(eaf, detections.info.path, paths[0].parent)
        for label in labels(detections):
            eaf.add_tier(_tier(label))
        for interval in chronological(detections.intervals):
            start = round(interval.start * 1000)
            end = max(round(interval.end * 1000), start + 1)
            eaf.add_annotation(_tier(interval.label), start, end, f"{interval.score:.3f}")
        # pympi's own to_file() is not atomic, and renames a file that is already there.
        write_unicode(paths[0], '<?xml version="1.0" encoding="UTF-8"?>\n' + to_string(eaf))


def _tier(label: str) -> str:
    return one_line(label) or "unnamed"


def _link_video(eaf: Eaf, video: Path, folder: Path) -> None:
    mimetype = mimetypes.guess_type(video.name)[0] or "unknown"
    absolute = f"file:///{_escaped(video.absolute().as_posix().lstrip('/'))}"
    eaf.add_linked_file(absolute, relpath=_escaped(relative_path(video, folder)), mimetype=mimetype)


def _escaped(path: str) -> str:
    """Escape a path for the ``anyURI`` of .eaf files, which keeps blanks and letters of all scripts.

    ELAN writes these as they are and looks for them so; links in which they are escaped too would not work.
    """
    return "".join(quote(os.fsencode(c), safe="") if c in "%#?[]\\" or not c.isprintable() else c for c in path)
