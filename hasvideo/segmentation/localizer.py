"""Find the class of every pixel in images with a model that is loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hasvideo.device import resolve_device
from hasvideo.frames.images import read_image
from hasvideo.types import Segmentation

if TYPE_CHECKING:
    from hasvideo.choice import Choice
    from hasvideo.segmentation.model import SegmentationModel


class Segmenter:
    """A model, loaded once for many images.

    Args:
        model: the path of a checkpoint, or a :class:`hasvideo.segmentation.model.SegmentationModel`.
        device: ``auto`` (a GPU that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        UsageError: there is no such file or device.
        HasvideoError: the file is not a checkpoint for segments.
    """

    def __init__(self, model: str | Path | SegmentationModel, device: str = "auto") -> None:
        from hasvideo.checkpoint import load
        from hasvideo.segmentation.model import SegmentationModel

        device = resolve_device(device)
        self.model = load(model, SegmentationModel) if isinstance(model, str | Path) else model
        self.model.network.to(device)

    def __call__(self, path: str | Path, choice: Choice | None = None, *, image: str | None = None) -> Segmentation:
        """Find the class of each of an image's pixels.

        Args:
            path: image file.
            choice: not looked at, as every pixel has a class; it is here so that all localizers are called alike.
            image: id for the result; None: the file's stem.

        Raises:
            HasvideoError: the image cannot be read.
        """
        pixels, info = read_image(Path(path))
        name = Path(path).stem if image is None else image
        return Segmentation(name, info, self.model.classes, self.model.segment(pixels), self.model.name)
