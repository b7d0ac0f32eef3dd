"""Read and check ILSVRC classification and localization: images in folders, boxes as XML or as the solution CSV.

The layout of Kaggle's "ImageNet Object Localization Challenge"::

    LOC_synset_mapping.txt                                  n01440764 tench, Tinca tinca
    LOC_val_solution.csv                                    ImageId,PredictionString: "wnid xmin ymin xmax ymax ..."
    ILSVRC/Data/CLS-LOC/train/<wnid>/<name>.JPEG
    ILSVRC/Data/CLS-LOC/val/<id>.JPEG
    ILSVRC/Annotations/CLS-LOC/val/<id>.xml                 PASCAL VOC style; has what the CSV lacks, the image's size

Boxes are taken as continuous corners. Nothing assumes that images are square or share one size.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from hasvideo.datasets.table import Row, read_table
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import read_text
from hasvideo.frames.images import channel_statistics, read_image, square
from hasvideo.types import Box

MAPPING = "LOC_synset_mapping.txt"
SOLUTION = "LOC_val_solution.csv"
IMAGES = Path("Data/CLS-LOC")
XML = Path("Annotations/CLS-LOC/val")
_SUFFIXES = {".jpeg", ".jpg", ".png"}
_SHOWN = 5  # examples of a problem


@dataclass(frozen=True)
class ImageTruth:
    """What is known of an image: its class, the boxes of that class, and its size in pixels (0 where unknown)."""

    label: str
    boxes: tuple[Box, ...]
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Ilsvrc:
    """The files of a data set in the ILSVRC layout.

    Attributes:
        classes: names by wnid, in the mapping's order, which is that of the network's outputs.
        train: image and wnid.
        val: images by id (the stem).
        truth: of the validation images, by id.
        problems: a line for each image that is left out, with the reason.
    """

    classes: dict[str, str]
    train: list[tuple[Path, str]]
    val: dict[str, Path]
    truth: dict[str, ImageTruth]
    problems: list[str] = field(default_factory=list)

    def counts(self) -> str:
        """Describe the data set in one line."""
        per_class = Counter(wnid for _, wnid in self.train)
        boxes = sum(len(truth.boxes) for truth in self.truth.values())
        return (
            f"{len(self.classes)} classes, {len(self.train)} training images ({min(per_class.values())} to "
            f"{max(per_class.values())} a class), {len(self.val)} validation images with {boxes} boxes"
        )


def load_ilsvrc(root: str | Path) -> Ilsvrc:
    """Find the files of a data set, and check that they fit together.

    An image is opened only if no XML file tells its size, which the check of its boxes needs.

    Args:
        root: the folder that holds ``LOC_synset_mapping.txt`` and ``ILSVRC``.

    Raises:
        UsageError: the folder is not laid out like this, or a split is empty.
        HasvideoError: classes differ between mapping, training folders and validation labels, a file is damaged, no
            validation image has boxes, or an opened image cannot be read or has a box outside of it.
    """
    root = Path(root)
    classes = read_mapping(root)
    images = root / "ILSVRC" / IMAGES
    train = _training_images(images / "train", classes)
    val = {path.stem: path for path in _images_in(images / "val")}
    if not val:
        raise UsageError(f"{images / 'val'} holds no images")
    problems: list[str] = []
    truth = read_truth(root, problems)
    _check_labels(root, truth, classes)
    problems += [f"{image}: no box in {SOLUTION} or XML" for image in val if image not in truth]
    problems += [f"{image}: boxes, but no image in {images / 'val'}" for image in truth if image not in val]
    kept = [image for image in val if image in truth]
    if not kept:
        raise HasvideoError(f"{root}: no validation image has boxes")
    sized = {image: _with_size(truth[image], val[image]) for image in kept}
    return Ilsvrc(classes, train, {image: val[image] for image in kept}, sized, problems)


def find_unreadable(paths: Sequence[Path], progress: bool = False) -> dict[Path, str]:
    """Decode all images, in several threads, and return those that cannot be decoded, with the reason."""
    with ThreadPoolExecutor() as pool:
        reasons = tqdm(pool.map(_why_unreadable, paths), "checking", len(paths), False, disable=not progress)
        return {path: reason for path, reason in zip(paths, reasons, strict=True) if reason}


def _why_unreadable(path: Path) -> str:
    try:
        read_image(path)
    except HasvideoError as error:
        return str(error)
    return ""


def _with_size(truth: ImageTruth, path: Path) -> ImageTruth:
    """Read the size off the image if it is not known: the solution CSV does not tell it.

    Raises:
        HasvideoError: the image cannot be read, or a box is outside of it.
    """
    if truth.width:
        return truth
    info = read_image(path)[1]
    return _truth(str(path), truth.boxes, info.width, info.height)


def read_mapping(root: Path) -> dict[str, str]:
    """Read the names of the classes, by wnid, from ``LOC_synset_mapping.txt``.

    Raises:
        UsageError: there is no such file.
        HasvideoError: a line is not "wnid names", or a wnid occurs twice.
    """
    path = root / MAPPING
    if not path.is_file():
        raise UsageError(f"{root} has no {MAPPING}: not a folder in the ILSVRC layout")
    classes: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        wnid, _, names = line.strip().partition(" ")
        if not wnid:
            continue
        if not names or wnid in classes:
            reason = "occurs twice" if wnid in classes else "has no name"
            raise HasvideoError(f"{path}, line {number}: {wnid} {reason}")
        classes[wnid] = names
    if not classes:
        raise HasvideoError(f"{path} names no class")
    return classes


def readable_names(classes: Mapping[str, str]) -> tuple[str, ...]:
    """List the names of the classes; two with the same name, as ImageNet's cranes, get their wnids behind it."""
    counts = Counter(classes.values())
    return tuple(name if counts[name] == 1 else f"{name} ({wnid})" for wnid, name in classes.items())


def read_truth(path: str | Path, problems: list[str] | None = None) -> dict[str, ImageTruth]:
    """Read boxes by image id, from XML files, or from the solution CSV if there are none.

    Args:
        path: an ILSVRC root, a folder of XML files, or a solution CSV (which does not tell the sizes of images).
        problems: gets a line for every image that is left out; without it the first one is an error.

    Raises:
        UsageError: there is nothing of the kind at ``path``.
        HasvideoError: a file is damaged, or a box is empty or outside of its image.
    """
    path = Path(path)
    if path.is_file():
        return _kept(_read_solution(path), problems)
    for folder in (path, path / "ILSVRC" / XML, path / XML):
        files = sorted(folder.glob("*.xml"))
        if files:
            return _kept(((file.stem, partial(_read_xml, file)) for file in files), problems)
    if (path / SOLUTION).is_file():
        return _kept(_read_solution(path / SOLUTION), problems)
    raise UsageError(f"no boxes at {path}: neither XML files nor {SOLUTION}")


class ImageSample(NamedTuple):
    """One image, RGB uint8 ``(3, S, S)``, and the number of its class, int64 ``()``."""

    image: Tensor
    target: Tensor


class LabelledImages(Dataset[ImageSample]):
    """Images scaled to squares, with their classes; read when asked for, or all held in memory.

    Args:
        files: image and class name each.
        classes: all class names, in the order of the network's outputs.
        size: pixels of both sides.
        in_memory: read all now (3 S² bytes an image); files that cannot be read are then left out.
        problems: gets a line for every file that is left out.

    Raises:
        HasvideoError: no file can be read; or, when it is asked for, a file cannot.
    """

    def __init__(
        self,
        files: Sequence[tuple[Path, str]],
        classes: Iterable[str],
        size: int,
        in_memory: bool = False,
        problems: list[str] | None = None,
    ) -> None:
        number = {name: index for index, name in enumerate(classes)}
        self.paths = [path for path, _ in files]
        self.targets = torch.tensor([number[name] for _, name in files])
        self.size = size
        self.images: Tensor | None = None
        if in_memory:
            self._read_all(problems if problems is not None else [])

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the channels, see :func:`image_statistics`; computed once, by reading the images."""
        return image_statistics(self)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> ImageSample:
        image = read_square(self.paths[index], self.size) if self.images is None else self.images[index]
        return ImageSample(image, self.targets[index])

    def _read_all(self, problems: list[str]) -> None:
        images = torch.empty(len(self), 3, self.size, self.size, dtype=torch.uint8)
        kept: list[int] = []
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for index, result in enumerate(pool.map(self._try, self.paths)):
                if isinstance(result, HasvideoError):
                    problems.append(str(result))
                else:
                    images[len(kept)] = result
                    kept.append(index)
        if not kept:
            raise HasvideoError(f"none of {len(self)} images can be read; the first: {problems[0]}")
        self.images, self.targets = images[: len(kept)], self.targets[kept]
        self.paths = [self.paths[index] for index in kept]

    def _try(self, path: Path) -> Tensor | HasvideoError:
        try:
            return read_square(path, self.size)
        except HasvideoError as error:
            return error


def read_square(path: Path, size: int) -> Tensor:
    """Read an image, scaled to a square whatever its shape, RGB uint8 ``(3, size, size)``.

    Raises:
        HasvideoError: the file cannot be read.
    """
    return square(read_image(path)[0], size)


def image_statistics(samples: LabelledImages, most: int = 20_000) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each channel, float32 ``(3,)`` in 0..255.

    Args:
        samples: the images.
        most: number of images to read at most, evenly spread.
    """
    chosen = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)
    return channel_statistics(samples[index].image for index in chosen.tolist())


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: not the ILSVRC layout")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _training_images(folder: Path, classes: Mapping[str, str]) -> list[tuple[Path, str]]:
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: not the ILSVRC layout")
    there = {path.name for path in folder.iterdir() if path.is_dir()}
    if there != set(classes):
        raise HasvideoError(
            f"classes differ: {_some(there - set(classes), f'only in {folder}')}"
            f"{_some(set(classes) - there, f'only in {MAPPING}')}".rstrip("; ")
        )
    images = [(path, wnid) for wnid in classes for path in _images_in(folder / wnid)]
    empty = set(classes) - {wnid for _, wnid in images}
    if empty:
        raise HasvideoError(f"{folder}: {_some(empty, 'without images')}".rstrip("; "))
    return images


def _check_labels(root: Path, truth: Mapping[str, ImageTruth], classes: Mapping[str, str]) -> None:
    unknown = {t.label for t in truth.values()} - set(classes)
    if unknown:
        raise HasvideoError(f"{root}: validation boxes of {_some(unknown, f'not in {MAPPING}')}".rstrip("; "))


def _some(names: Iterable[str], where: str) -> str:
    names = sorted(names)
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{rest} {where}; " if names else ""


def _kept(found: Iterable[tuple[str, Callable[[], ImageTruth]]], problems: list[str] | None) -> dict[str, ImageTruth]:
    truth = {}
    for image, read in found:
        try:
            truth[image] = read()
        except HasvideoError as error:
            if problems is None:
                raise
            problems.append(str(error))
    return truth


def _read_xml(path: Path) -> ImageTruth:
    try:
        root = ET.parse(path).getroot()
        size = [int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height")]
        boxes = [
            Box.from_corners(
                [float(item.findtext(f"bndbox/{side}") or "nan") for side in _CORNERS], item.findtext("name") or ""
            )
            for item in root.iter("object")
        ]
    except (ET.ParseError, OSError, ValueError) as error:
        raise HasvideoError(f"{path}: not an annotation ({error})") from error
    return _truth(str(path), boxes, size[0], size[1])


_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _read_solution(path: Path) -> Iterable[tuple[str, Callable[[], ImageTruth]]]:
    rows = read_table(path, ("ImageId", "PredictionString"))
    return [(row["ImageId"], partial(_parse_solution, row)) for row in rows]


def _parse_solution(row: Row) -> ImageTruth:
    words = row["PredictionString"].split()
    if len(words) % 5:
        raise HasvideoError(f"{row.where}: expected groups of a wnid and four numbers")
    try:
        boxes = [
            Box.from_corners([float(word) for word in words[k + 1 : k + 5]], words[k]) for k in range(0, len(words), 5)
        ]
    except ValueError as error:
        raise HasvideoError(f"{row.where}: {error}") from error
    return _truth(row.where, boxes)


def _truth(where: str, boxes: Sequence[Box], width: int = 0, height: int = 0) -> ImageTruth:
    if not boxes:
        raise HasvideoError(f"{where}: no objects")
    if len({box.label for box in boxes}) > 1:
        raise HasvideoError(f"{where}: boxes of several classes: {', '.join(sorted({b.label for b in boxes}))}")
    for box in boxes:
        inside = not width or (box.xmax <= width and box.ymax <= height)
        if not (0 <= box.xmin < box.xmax and 0 <= box.ymin < box.ymax and inside):  # NaN is neither
            size = f" of {width} x {height}" if width else ""
            raise HasvideoError(f"{where}: box {box.corners} is empty or outside the image{size}")
    return ImageTruth(boxes[0].label, tuple(boxes), width, height)
