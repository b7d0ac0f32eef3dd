"""The registry of output formats, and the one call that writes a video's detections in any of them.

>>> write(detections, Path("out"), ["json", "html"])
[PosixPath('out/clip.json'), PosixPath('out/clip.html')]
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.output.base import Thumbnail, WriteOptions, Writer
from hasvideo.output.elan import ElanWriter
from hasvideo.output.labelstudio import LabelStudioWriter
from hasvideo.output.page import HtmlWriter
from hasvideo.output.plots import PngWriter
from hasvideo.output.subtitles import AssWriter, SrtWriter, VttWriter
from hasvideo.output.tables import CsvWriter, JsonWriter
from hasvideo.types import Detections

FORMATS: dict[str, Writer] = {
    "json": JsonWriter(),
    "csv": CsvWriter(),
    "srt": SrtWriter(),
    "vtt": VttWriter(),
    "ass": AssWriter(),
    "eaf": ElanWriter(),
    "labelstudio": LabelStudioWriter(),
    "png": PngWriter(),
    "html": HtmlWriter(),
}


def resolve_formats(names: Sequence[str]) -> list[str]:
    """Names of known formats, each once, in the order asked for; ``all`` stands for every one.

    Args:
        names: format names in any case; one name may hold several, separated by commas.

    Raises:
        UsageError: a name is not known, or there is none at all.
    """
    asked = [part for name in names for part in name.lower().replace(",", " ").split()]
    if not asked:
        raise UsageError(f"no output format given; accepted: {', '.join(FORMATS)}, all")
    for name in asked:
        if name != "all" and name not in FORMATS:
            raise UsageError(_unknown_format(name))
    return list(dict.fromkeys(known for name in asked for known in (FORMATS if name == "all" else [name])))


def output_paths(video_id: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    """The files that :func:`write` makes for a video: ``<folder>/<video id><suffix>``, in the order of ``formats``.

    Raises:
        HasvideoError: the id cannot be part of a file name.
        UsageError: a format is not known.
    """
    if Path(video_id).name != video_id or video_id in ("", "..") or "\0" in video_id:
        raise HasvideoError(f"video id {video_id!r} cannot name an output file; it must not be a path")
    return [
        Path(folder) / (video_id + suffix) for name in resolve_formats(formats) for suffix in FORMATS[name].suffixes
    ]


def write(
    detections: Detections,
    folder: Path,
    formats: Sequence[str],
    *,
    thumbnails: Sequence[Thumbnail] = (),
    embed_video: bool = False,
    labelstudio_prefix: str | None = None,
) -> list[Path]:
    """Write one video's detections in every format asked for; each file appears whole or not at all.

    Args:
        detections: what was found in the video.
        folder: where the files go; made if it is not there.
        formats: names as in :data:`FORMATS`, or ``all``.
        thumbnails: frames for the plot's film strip: ``(seconds, uint8 (H, W, 3))``.
        embed_video: put the video into the HTML page instead of linking it.
        labelstudio_prefix: address of the folder that serves the videos to Label Studio; None for its local files.

    Returns:
        The files, in the order of ``formats``.

    Raises:
        UsageError: a format is not known.
        HasvideoError: a file cannot be written.
    """
    options = WriteOptions(thumbnails, embed_video, labelstudio_prefix)
    written: list[Path] = []
    for name in resolve_formats(formats):
        paths = output_paths(detections.video, folder, [name])
        FORMATS[name].write(detections, paths, options)
        written += paths
    return written


def _unknown_format(name: str) -> str:
    close = difflib.get_close_matches(name, [*FORMATS, "all"], n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown output format {name!r}; {hint}accepted: {', '.join(FORMATS)}, all"
