"""Read boxes and maps that any method saved for images, and the ground truth to compare them with.

In every format the stem of its file names an image, ``ILSVRC2012_val_00000001``. ``docs/formats.md`` describes the
formats. Whatever is wrong with a file is an error that names the file and the entry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.datasets.table import Row, read_table
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import read_text
from hasvideo.types import Box, ImagePrediction

if TYPE_CHECKING:
    from hasvideo.datasets.imagenet import ImageTruth

CSV_HEADER = ["image", "label", "xmin", "ymin", "xmax", "ymax", "score"]
_SUFFIXES = (".npy", ".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class ImageGroundTruth:
    """What is known of the images of a data set.

    Attributes:
        images: class, boxes and size (0 where unknown) by image id.
        classes: all class names; COCO's category numbers are their places, from 1.
        names: what else a class may be called in predictions, such as ``tench, Tinca tinca``: its name in ``classes``.
        source: the path, for messages.
    """

    images: Mapping[str, ImageTruth]
    classes: tuple[str, ...]
    source: str
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def boxes(self) -> dict[str, tuple[Box, ...]]:
        """The boxes alone, by image id."""
        return {image: truth.boxes for image, truth in self.images.items()}


def read_ground_truth(path: str | Path) -> ImageGroundTruth:
    """Read the ground truth of a data set.

    Args:
        path: an ILSVRC root, a folder of XML files or a solution CSV (see :mod:`hasvideo.datasets.imagenet`); or one of
            the metadata folders of wsolevaluation, with ``localization.txt`` (``id,xmin,ymin,xmax,ymax``),
            ``class_labels.txt`` (``id,label``) and ``image_sizes.txt`` (``id,width,height``).

    Raises:
        UsageError: there is nothing of the kind at ``path``.
        HasvideoError: a file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"no ground truth at {path}: no such file or folder")
    if (path / "localization.txt").is_file():
        return _read_wsol(path)
    from hasvideo.datasets.imagenet import MAPPING, read_mapping, read_truth, readable_names

    images = read_truth(path)
    root = path if path.is_dir() else path.parent
    labels = {truth.label for truth in images.values()}
    if not (root / MAPPING).is_file():
        return ImageGroundTruth(images, tuple(sorted(labels)), str(path))
    mapping = read_mapping(root)
    names = dict(zip(readable_names(mapping), mapping, strict=True))
    return ImageGroundTruth(images, tuple(mapping), str(path), names)


def _read_wsol(folder: Path) -> ImageGroundTruth:
    from hasvideo.datasets.imagenet import ImageTruth

    labels = {i: row[0] for i, row in _wsol_rows(folder / "class_labels.txt", 1)}
    sizes = dict(_wsol_rows(folder / "image_sizes.txt", 2))
    boxes: dict[str, list[list[int]]] = {}
    for image, row in _wsol_rows(folder / "localization.txt", 4):
        boxes.setdefault(image, []).append(row)
    names = {image: image_id(image) for image in boxes}
    if not boxes or len(set(names.values())) < len(names):
        raise HasvideoError(f"{folder / 'localization.txt'}: no boxes, or two images whose file names are the same")
    images = {}
    for image, rows in boxes.items():
        if image not in labels or image not in sizes:
            raise HasvideoError(f"{folder}: {image} has boxes, but no class_labels.txt or image_sizes.txt entry")
        label = str(labels[image])
        found = tuple(Box.from_corners(row, label) for row in rows)
        images[names[image]] = ImageTruth(label, found, *sizes[image])
    classes = tuple(str(number) for number in range(max(labels.values()) + 1))
    return ImageGroundTruth(images, classes, str(folder))


def _wsol_rows(path: Path, count: int) -> Iterator[tuple[str, list[int]]]:
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    for number, line in enumerate(read_text(path).splitlines(), 1):
        image, *fields = line.rsplit(",", count)
        try:
            row = [int(field) for field in fields]
        except ValueError:
            row = []
        if len(row) != count or min(row) < 0:
            raise HasvideoError(f"{path}, line {number}: expected an image and {count} whole numbers, got {line!r}")
        yield image, row


def image_id(name: str) -> str:
    """Make the id of an image from the name of its file, or its map's: without folders and suffix."""
    name = Path(name).name
    for suffix in _SUFFIXES:
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name


def read_predictions(path: str | Path, truth: ImageGroundTruth) -> dict[str, ImagePrediction]:
    """Read predicted boxes, and classes where the format has them.

    In a format without classes, the classes follow from the boxes: a class has the score of its best box.

    Args:
        path: ``.json``: what ``localize`` writes for images, or COCO's results; ``.csv``: columns ``image, label, xmin,
            ymin, xmax, ymax, score``.
        truth: says which images and classes there are.

    Raises:
        UsageError: there is no such file, or it is of another kind.
        HasvideoError: it is damaged, or names an image or a class that the ground truth does not know.
    """
    path = Path(path)
    if path.suffix.lower() not in (".json", ".csv"):
        raise UsageError(f"{path}: predictions are a .json or .csv file, or a folder of .npy maps")
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    found = _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path, truth)
    predictions = {image: _renamed(p, truth.names) for image, p in found.items()}
    check_images(predictions, truth, path)
    known = set(truth.classes)
    named = {c for p in predictions.values() for c in (*p.classes, *(box.label for box in p.boxes))}
    if not named <= known:
        raise HasvideoError(
            f"{path} names classes that {truth.source} does not know: {_some(named - known)} (it has "
            f"{_some(truth.classes)})"
        )
    return predictions


def _renamed(prediction: ImagePrediction, names: Mapping[str, str]) -> ImagePrediction:
    return ImagePrediction(
        tuple(names.get(label, label) for label in prediction.classes),
        tuple(replace(box, label=names.get(box.label, box.label)) for box in prediction.boxes),
    )


def check_images(images: Iterable[str], truth: ImageGroundTruth, path: Path) -> None:
    """Check that the ground truth knows these images.

    Raises:
        HasvideoError: it does not know one.
    """
    unknown = set(images) - truth.images.keys()
    if unknown:
        raise HasvideoError(f"{path} names images that {truth.source} does not know: {_some(unknown)}")


def _read_json(path: Path, truth: ImageGroundTruth) -> dict[str, ImagePrediction]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise HasvideoError(f"{path} is not JSON: {error}") from error
    if isinstance(content, list):
        rows = (_at(f"{path}: [{i}]", _coco_row, entry, truth.classes) for i, entry in enumerate(content))
        return _by_image(rows)
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise HasvideoError(f"{path} is neither COCO results (a list) nor boxes of images (an object with 'results')")
    return {
        image_id(image): _at(f"{path}: results[{image!r}]", _parse_entry, entry)
        for image, entry in content["results"].items()
    }


def _read_csv(path: Path) -> dict[str, ImagePrediction]:
    rows = read_table(path, CSV_HEADER, numbers=CSV_HEADER[2:])
    return _by_image(_at(row.where, _csv_row, row) for row in rows)


def _at(where: str, parse: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``parse`` on an entry; if that fails, raise an error that begins with ``where``, the entry's place."""
    try:
        return parse(*arguments)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise HasvideoError(f"{where}: {reason}") from error


def _parse_entry(entry: Mapping[str, Any]) -> ImagePrediction:
    classes = sorted(entry.get("classes", []), key=lambda item: -_number(item["score"]))
    boxes = [_box(item["box"], item["label"], item["score"]) for item in entry["boxes"]]
    return _prediction([str(item["label"]) for item in classes], boxes)


def _coco_row(entry: Mapping[str, Any], classes: Sequence[str]) -> tuple[str, Box]:
    number, (left, top, width, height) = entry["category_id"], map(_number, entry["bbox"])
    if "category" not in entry and not (isinstance(number, int) and 1 <= number <= len(classes)):
        raise ValueError(f"category_id {number!r} is none of the {len(classes)} classes, counted from 1")
    label = str(entry["category"]) if "category" in entry else classes[number - 1]
    return image_id(str(entry["image_id"])), _box([left, top, left + width, top + height], label, entry["score"])


def _csv_row(row: Row) -> tuple[str, Box]:
    *corners, score = (row.number(name) for name in CSV_HEADER[2:])
    return image_id(row["image"]), _box(corners, row["label"], score)


def _box(corners: Sequence[Any], label: str, score: Any) -> Box:
    left, top, right, bottom = map(_number, corners)
    if right < left or bottom < top:
        raise ValueError(f"box {left:g}, {top:g}, {right:g}, {bottom:g} ends before it begins")
    return Box(left, top, right, bottom, str(label), _number(score))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a finite number")
    return number


def _by_image(rows: Iterable[tuple[str, Box]]) -> dict[str, ImagePrediction]:
    found: dict[str, list[Box]] = {}
    for image, box in rows:
        found.setdefault(image, []).append(box)
    return {image: _prediction([], boxes) for image, boxes in found.items()}


def _prediction(classes: Sequence[str], boxes: Sequence[Box]) -> ImagePrediction:
    ordered = tuple(sorted(boxes, key=lambda box: -box.score))
    return ImagePrediction(tuple(classes) or tuple(dict.fromkeys(box.label for box in ordered)), ordered)


def find_cams(folder: Path, truth: ImageGroundTruth) -> dict[str, Path]:
    """Find the maps ``<id>.npy`` in a folder and the folders in it, by image id.

    Raises:
        UsageError: there are none.
        HasvideoError: the ground truth does not know an image.
    """
    cams = {image_id(path.name): path for path in sorted(folder.rglob("*.npy"))}
    if not cams:
        raise UsageError(f"{folder} holds no .npy maps")
    check_images(cams, truth, folder)
    return cams


def read_cam(path: Path) -> np.ndarray:
    """Read a map of the image's class over the whole image, float ``(h, w)``.

    Raises:
        HasvideoError: the file is no array of two dimensions, or has values that are not finite.
    """
    try:
        cam = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise HasvideoError(f"cannot read {path}: {error}") from error
    if cam.ndim != 2 or 0 in cam.shape or cam.dtype.kind not in "fiu":
        raise HasvideoError(f"{path}: a map is an array (height, width) of numbers, got {cam.dtype} {cam.shape}")
    if not np.isfinite(cam).all():
        raise HasvideoError(f"{path}: the map has values that are not finite")
    return cam


def _some(names: Iterable[str]) -> str:
    ordered = list(names) if isinstance(names, tuple) else sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
