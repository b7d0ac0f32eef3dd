"""Read images with a class for every pixel, in the layout of PASCAL VOC.

The layout, whose ``<root>`` is a folder such as ``VOCdevkit/VOC2012``::

    <root>/JPEGImages/<id>.jpg
    <root>/SegmentationClass/<id>.png             palette or grey PNG whose pixels are class numbers; 255 is not counted
    <root>/ImageSets/Segmentation/<list>.txt      an id a line: train, val, test
    <root>/classes.txt                            line k (from 0) names class k; without it the classes are VOC's

The images that SBD (Hariharan et al., "Semantic contours from inverse detectors", ICCV 2011) adds to VOC's are a
further list and a further folder of masks: PNGs as they are passed on under the name ``SegmentationClassAug``, or
SBD's own ``dataset/cls/<id>.mat``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import read_text
from hasvideo.frames.images import channel_statistics, read_image
from hasvideo.types import IGNORE

VOC_CLASSES: tuple[str, ...] = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat")
VOC_CLASSES += ("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa")
VOC_CLASSES += ("train", "tvmonitor")
MASKS = "SegmentationClass"
EXTRA_MASKS = "SegmentationClassAug"
_MASK_SUFFIXES = (".png", ".mat")
_GREY_MODES = ("P", "L", "1")


class Pair(NamedTuple):
    """The files of an image and of its mask."""

    image: Path
    mask: Path


def read_classes(root: str | Path) -> tuple[str, ...]:
    """Read the names of the classes from ``classes.txt``; without that file they are VOC's.

    Raises:
        UsageError: there is no such folder.
        HasvideoError: a name occurs twice, there is none, or there are more than a mask can number.
    """
    path = Path(root) / "classes.txt"
    if not Path(root).is_dir():
        raise UsageError(f"no folder {root}")
    if not path.is_file():
        return VOC_CLASSES
    names = _lines(path)
    if not 0 < len(names) <= IGNORE or len(set(names)) != len(names):
        raise HasvideoError(f"{path} must name 1 to {IGNORE} classes, each once; it has {len(names)} lines")
    return tuple(names)


def find_pairs(root: str | Path, listed: str | Path, masks: str | Path = MASKS) -> dict[str, Pair]:
    """Find the files that a list names, by id in the order of the list.

    Args:
        root: the folder of ``JPEGImages``.
        listed: name of a list, such as ``train``, or the path of a text file whose lines begin with an id.
        masks: folder of the masks, by itself or in ``root``.

    Raises:
        UsageError: there is no such list or folder.
        HasvideoError: the list is empty or names an image twice, or an image or a mask is missing.
    """
    root = Path(root)
    path = Path(listed) if Path(listed).suffix else root / "ImageSets" / "Segmentation" / f"{listed}.txt"
    if not path.is_file():
        raise UsageError(f"no list {path}: not the layout of PASCAL VOC, or no such list")
    folder = root / masks if (root / masks).is_dir() else Path(masks)
    if not folder.is_dir():
        raise UsageError(f"no folder {root / masks} of masks")
    ids = [_id(line) for line in _lines(path)]
    if not ids:
        raise HasvideoError(f"{path} lists no image")
    if len(set(ids)) < len(ids):
        raise HasvideoError(f"{path} lists {next(i for i in ids if ids.count(i) > 1)} more than once")
    return {i: Pair(_image(root, i, path), _mask(folder, i, path)) for i in ids}


def training_pairs(
    root: str | Path,
    train: str | Path,
    test: Mapping[str, Pair],
    extra: str | Path | None = None,
    extra_masks: str | Path = EXTRA_MASKS,
) -> dict[str, Pair]:
    """Find the images to train on: those of a list, and those of an extra list that are not tested on.

    Args:
        root: the folder of ``JPEGImages``.
        train: the list, see :func:`find_pairs`.
        test: images that will be tested on; SBD has many of VOC's validation images.
        extra: the extra list, as SBD's.
        extra_masks: folder of the masks of the extra list.

    Raises:
        UsageError: see :func:`find_pairs`.
        HasvideoError: see :func:`find_pairs`.
    """
    pairs = find_pairs(root, train)
    if extra is None:
        return pairs
    found = find_pairs(root, extra, extra_masks)
    tested = sum(i in test for i in found)
    if tested:
        warnings.warn(f"{tested} of {len(found)} images of {extra} are tested on and not trained on", stacklevel=2)
    return pairs | {i: pair for i, pair in found.items() if i not in test and i not in pairs}


class Segmented(NamedTuple):
    """One image, RGB uint8 ``(3, H, W)``, and its mask of class numbers, uint8 ``(H, W)``, 255 = not counted.

    In a batch: ``(B, 3, H, W)`` and ``(B, H, W)``.
    """

    image: Tensor
    mask: Tensor


class SegmentedImages(Dataset[Segmented]):
    """Images with their masks; read when asked for, or all held in memory.

    Args:
        pairs: the files, by id.
        classes: how many there are.
        in_memory: read all now (4 bytes a pixel).

    Raises:
        HasvideoError: when a file is read that is damaged, sizes differ, or a mask holds an unknown label.
    """

    def __init__(self, pairs: Mapping[str, Pair], classes: int, in_memory: bool = False) -> None:
        self.ids, self.pairs, self.classes = tuple(pairs), tuple(pairs.values()), classes
        self.samples: list[Segmented] | None = None
        if in_memory:
            self.samples = [self[index] for index in range(len(self))]

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the channels, see :func:`image_statistics`; computed once, by reading the images."""
        return image_statistics(self)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Segmented:
        return read_pair(self.pairs[index], self.classes) if self.samples is None else self.samples[index]


def read_pair(pair: Pair, classes: int) -> Segmented:
    """Read an image and its mask.

    Raises:
        HasvideoError: a file cannot be read, the sizes differ, or the mask holds a label that is none of the classes.
    """
    image, _ = read_image(pair.image)
    mask = read_mask(pair.mask)
    if image.shape[:2] != mask.shape:
        raise HasvideoError(
            f"{pair.mask}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels, its image {pair.image} "
            f"{image.shape[1]} x {image.shape[0]}"
        )
    unknown = np.setdiff1d(mask, [*range(classes), IGNORE])
    if unknown.size:
        raise HasvideoError(
            f"{pair.mask}: unknown label {', '.join(map(str, unknown[:5]))}; accepted: 0 to {classes - 1}, and "
            f"{IGNORE} for pixels that do not count"
        )
    return Segmented(torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(mask))


def read_mask(path: str | Path) -> np.ndarray:
    """Read the class numbers of a mask, uint8 ``(H, W)``: the indices of a palette, or SBD's ``.mat``.

    Raises:
        HasvideoError: the file cannot be read or holds colours.
    """
    path = Path(path)
    return _read_mat(path) if path.suffix == ".mat" else _read_png(path)


def image_statistics(samples: SegmentedImages) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each channel over all images; see :func:`channel_statistics`."""
    return channel_statistics(samples[index].image for index in range(len(samples)))


def _id(line: str) -> str:
    """Take the id from a line of a list; copies of SBD's list have ``/JPEGImages/<id>.jpg /...Aug/<id>.png`` there."""
    return Path(line.split()[0]).stem if "/" in line else line.split()[0]


def _image(root: Path, image: str, listed: Path) -> Path:
    path = root / "JPEGImages" / f"{image}.jpg"
    if not path.is_file():
        raise HasvideoError(f"no image {path}, which {listed} lists")
    return path


def _mask(folder: Path, image: str, listed: Path) -> Path:
    for suffix in _MASK_SUFFIXES:
        if (folder / f"{image}{suffix}").is_file():
            return folder / f"{image}{suffix}"
    raise HasvideoError(f"no mask {folder / image}.png, which {listed} lists")


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in _GREY_MODES:
                raise HasvideoError(
                    f"{path}: holds colours (mode {image.mode}); a mask is a palette or grey image of class numbers"
                )
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, HasvideoError):
            raise
        raise HasvideoError(f"cannot read {path}: {' '.join(str(error).split())}") from error


def _read_mat(path: Path) -> np.ndarray:
    from scipy.io import loadmat

    try:
        return np.array(loadmat(path)["GTcls"][0, 0]["Segmentation"], dtype=np.uint8)
    except Exception as error:  # on a damaged file, scipy raises whatever its parser trips over
        reason = " ".join(str(error).split())
        raise HasvideoError(f"{path}: not a mask of SBD, which has GTcls.Segmentation ({reason})") from error
