"""List the output formats, and write what was found in a video or an image in any of them.

>>> write(detections, Path("out"), ["json", "html"])
[PosixPath('out/clip.json'), PosixPath('out/clip.html')]
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.frames.images import OVERLAY_SUFFIX, SEGMENTS_SUFFIX
from hasvideo.output.base import Found, PictureWriter, Thumbnail, WriteOptions, Writer
from hasvideo.output.elan import ElanWriter
from hasvideo.output.images import CocoWriter, ImageCsvWriter, ImageJsonWriter
from hasvideo.output.labelstudio import LabelStudioWriter
from hasvideo.output.overlay import plot_image
from hasvideo.output.page import HtmlWriter
from hasvideo.output.palette import ThemeName
from hasvideo.output.plots import plot
from hasvideo.output.segments import MaskWriter, SegmentsJsonWriter, plot_segments
from hasvideo.output.subtitles import AssWriter, SrtWriter, VttWriter
from hasvideo.output.tables import CsvWriter, JsonWriter
from hasvideo.types import Detections, ImageDetections, Segmentation


def _plot_video(found: Detections, path: Path, options: WriteOptions) -> None:
    plot(found, path, options.thumbnails, options.theme)


def _plot_image(found: ImageDetections, path: Path, options: WriteOptions) -> None:
    plot_image(found, path, options.theme)


def _plot_segments(found: Segmentation, path: Path, options: WriteOptions) -> None:
    plot_segments(found, path, options.theme)


FORMATS: dict[str, Writer[Detections]] = {
    "json": JsonWriter(),
    "csv": CsvWriter(),
    "srt": SrtWriter(),
    "vtt": VttWriter(),
    "ass": AssWriter(),
    "eaf": ElanWriter(),
    "labelstudio": LabelStudioWriter(),
    "png": PictureWriter(_plot_video, ".png"),
    "svg": PictureWriter(_plot_video, ".svg"),
    "pdf": PictureWriter(_plot_video, ".pdf"),
    "html": HtmlWriter(),
}


IMAGE_FORMATS: dict[str, Writer[ImageDetections]] = {
    "json": ImageJsonWriter(),
    "csv": ImageCsvWriter(),
    "coco": CocoWriter(),
    "png": PictureWriter(_plot_image, OVERLAY_SUFFIX),
    "svg": PictureWriter(_plot_image, ".cam.svg"),
    "pdf": PictureWriter(_plot_image, ".cam.pdf"),
}

SEGMENT_FORMATS: dict[str, Writer[Segmentation]] = {
    "json": SegmentsJsonWriter(),
    "mask": MaskWriter(),
    "png": PictureWriter(_plot_segments, SEGMENTS_SUFFIX),
    "svg": PictureWriter(_plot_segments, ".segments.svg"),
    "pdf": PictureWriter(_plot_segments, ".segments.pdf"),
}

Registry = Mapping[str, Writer[Detections]] | Mapping[str, Writer[ImageDetections]] | Mapping[str, Writer[Segmentation]]
PICTURES = frozenset({"png", "svg", "pdf"})
"""The formats that are drawn, in a theme."""

REGISTRIES: dict[str, Registry] = {"videos": FORMATS, "images": IMAGE_FORMATS, "segments of images": SEGMENT_FORMATS}


def resolve_formats(names: Sequence[str], registry: Registry = FORMATS) -> list[str]:
    """Check names of formats, and return each once, in the order asked for; ``all`` stands for every one.

    Args:
        names: format names in any case; one name may hold several, separated by commas.
        registry: the formats to choose from: one of :data:`REGISTRIES`.

    Raises:
        UsageError: a name is not known, or there is none at all.
    """
    asked = split_names(names)
    if not asked:
        raise UsageError(f"no output format given; accepted: {', '.join(registry)}, all")
    for name in asked:
        if name != "all" and name not in registry:
            raise UsageError(unknown_format(name, registry))
    return list(dict.fromkeys(known for name in asked for known in (registry if name == "all" else [name])))


def split_names(names: Sequence[str]) -> list[str]:
    """Split texts, each of which may hold several names separated by commas, into names in lower case."""
    return [part for name in names for part in name.lower().replace(",", " ").split()]


def output_paths(file_id: str, folder: Path, formats: Sequence[str], registry: Registry = FORMATS) -> list[Path]:
    """List the files that :func:`write` makes: ``<folder>/<id><suffix>``, in the order of ``formats``.

    Args:
        file_id: of the video or image.
        folder: where the files go.
        formats: names, or ``all``.
        registry: the formats to choose from: one of :data:`REGISTRIES`.

    Raises:
        HasvideoError: the id cannot be part of a file name.
        UsageError: a format is not known.
    """
    if Path(file_id).name != file_id or file_id in ("", "..") or "\0" in file_id:
        raise HasvideoError(f"id {file_id!r} cannot name an output file; it must not be a path")
    known = resolve_formats(formats, registry)
    return [Path(folder) / (file_id + suffix) for name in known for suffix in registry[name].suffixes]


def write(
    detections: Detections | ImageDetections | Segmentation,
    folder: Path,
    formats: Sequence[str],
    *,
    thumbnails: Sequence[Thumbnail] = (),
    embed_video: bool = False,
    labelstudio_prefix: str | None = None,
    classes: Sequence[str] = (),
    theme: ThemeName = "light",
) -> list[Path]:
    """Write what was found in one file in every format asked for; each file appears whole or not at all.

    Args:
        detections: what was found in the video, or image.
        folder: where the files go; made if it is not there.
        formats: names as in the one of :data:`REGISTRIES` for what was found, or ``all``.
        thumbnails: frames for the film strip; this and the rest as in :class:`hasvideo.output.base.WriteOptions`.
        embed_video: put the video into the page instead of linking it.
        labelstudio_prefix: address of the folder that serves the videos.
        classes: the model's, in order.
        theme: colours of a picture, ``light`` or ``dark``.

    Returns:
        The files, in the order of ``formats``.

    Raises:
        UsageError: a format or theme is not known.
        HasvideoError: a file cannot be written; the image to draw on, or the video to embed, cannot be read; the id
            cannot be part of a file name; or (coco) the class of a box is not among ``classes``.
    """
    options = WriteOptions(thumbnails, embed_video, labelstudio_prefix, classes, theme)
    if isinstance(detections, ImageDetections):
        return _write(detections, detections.image, folder, formats, IMAGE_FORMATS, options)
    if isinstance(detections, Segmentation):
        return _write(detections, detections.image, folder, formats, SEGMENT_FORMATS, options)
    return _write(detections, detections.video, folder, formats, FORMATS, options)


def _write(
    detections: Found,
    file_id: str,
    folder: Path,
    formats: Sequence[str],
    registry: Mapping[str, Writer[Found]],
    options: WriteOptions,
) -> list[Path]:
    written: list[Path] = []
    for name in resolve_formats(formats, registry):
        paths = output_paths(file_id, folder, [name], registry)
        registry[name].write(detections, paths, options)
        written += paths
    return written


def unknown_format(name: str, registry: Registry) -> str:
    """Make the message about a format that a registry lacks."""
    owners = [what for what, formats in REGISTRIES.items() if name in formats]
    if owners:
        ours = next(what for what, formats in REGISTRIES.items() if formats is registry)
        return f"output format {name!r} is for {owners[0]}; accepted for {ours}: {', '.join(registry)}, all"
    close = difflib.get_close_matches(name, [*registry, "all"], n=1, cutoff=0.75)  # a slip only
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown output format {name!r}; {hint}accepted: {', '.join(registry)}, all"
