"""Boxes in images as text: the table on standard output, CSV, our own JSON, and COCO's results format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hasvideo.errors import HasvideoError
from hasvideo.output.base import WriteOptions, Writer, one_line
from hasvideo.output.tables import Row, aligned, nothing_found, write_csv, write_json
from hasvideo.types import Box, ImageDetections

VERSION = "hasvideo 1"
COCO_SUFFIX = ".coco.json"
COLUMNS = ("image", "label", "xmin", "ymin", "xmax", "ymax", "score")


class ImageJsonWriter(Writer[ImageDetections]):
    """Our own JSON (docs/formats.md): the image's size, classes and boxes."""

    suffixes = (".json",)

    def write(self, detections: ImageDetections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<image>.json``."""
        write_image_results([detections], paths[0])


class ImageCsvWriter(Writer[ImageDetections]):
    """CSV ``image,label,xmin,ymin,xmax,ymax,score``: corners in pixels, boxes by falling score."""

    suffixes = (".csv",)

    def write(self, detections: ImageDetections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<image>.csv``."""
        write_csv(paths[0], COLUMNS, image_rows([detections]))


class CocoWriter(Writer[ImageDetections]):
    """COCO's results format; a category's number is the place of the class in the model, counted from 1."""

    suffixes = (COCO_SUFFIX,)

    def write(self, detections: ImageDetections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<image>.coco.json``."""
        write_image_results([detections], paths[0], options.classes)


def write_image_results(detections: Sequence[ImageDetections], path: Path, classes: Sequence[str] = ()) -> None:
    """Write the boxes of any number of images as one JSON file, in our own format or as COCO's results.

    Args:
        detections: what was found, an entry an image.
        path: the file; a name that ends in ``.coco.json`` asks for COCO's results.
        classes: the model's classes in order; COCO's category numbers follow it.

    Raises:
        HasvideoError: the file cannot be written, or (COCO) a box's label is not among the classes.
    """
    if path.name.lower().endswith(COCO_SUFFIX):
        numbers = {label: number for number, label in enumerate(classes, start=1)}
        write_json(path, [_coco_result(d.image, box, numbers) for d in detections for box in d.boxes])
    else:
        write_json(path, {"version": VERSION, "results": {d.image: _entry(d) for d in detections}})


def image_rows(detections: Iterable[ImageDetections]) -> Iterator[Row]:
    """Rows of :data:`COLUMNS` for any number of images, the boxes of each by falling score."""
    return ((d.image, box.label, *box.corners, box.score) for d in detections for box in d.boxes)


def image_table(detections: ImageDetections) -> str:
    """Format the boxes by falling score as aligned plain text: label, score, corners in pixels."""
    if not detections.boxes:
        return nothing_found(detections.activations, "object")
    rows = [["label", "score", "xmin", "ymin", "xmax", "ymax"]]
    rows += [[one_line(b.label), f"{b.score:.3f}", *(f"{x:g}" for x in b.corners)] for b in detections.boxes]
    return aligned(rows, left=("label",))


def _entry(detections: ImageDetections) -> dict[str, Any]:
    return {
        "width": detections.info.width,
        "height": detections.info.height,
        "classes": [{"label": a.label, "score": a.score} for a in detections.activations],
        "boxes": [{"label": b.label, "score": b.score, "box": list(b.corners)} for b in detections.boxes],
    }


def _coco_result(image: str, box: Box, numbers: dict[str, int]) -> dict[str, Any]:
    if box.label not in numbers:
        raise HasvideoError(f"COCO's results number the model's classes, of which {box.label!r} is none: give classes")
    return {
        "image_id": image,
        "category_id": numbers[box.label],
        "category": box.label,
        "bbox": [box.xmin, box.ymin, box.xmax - box.xmin, box.ymax - box.ymin],
        "score": box.score,
    }
