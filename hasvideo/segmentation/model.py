"""A trained segmentation network with everything that is needed to use it, as one file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hasvideo.checkpoint import check_class_names, read_checkpoint, write_checkpoint
from hasvideo.networks.config import FcnConfig
from hasvideo.networks.fcn import Fcn

KIND = "segments"


@dataclass(frozen=True)
class SegmentationModel:
    """A network and the names of its classes.

    Attributes:
        name: path of the checkpoint.
        classes: names of the network's outputs, in their order.
        network: takes RGB images ``(B, 3, H, W)``, 0..255.

    Raises:
        HasvideoError: the number of classes is not the network's.
    """

    name: str
    classes: tuple[str, ...]
    network: Fcn

    def __post_init__(self) -> None:
        check_class_names(self.name, self.classes, self.network.config.num_classes)

    def segment(self, image: np.ndarray) -> np.ndarray:
        """The number of the class with the highest score at each pixel, uint8 ``(H, W)``.

        Args:
            image: RGB, uint8 ``(H, W, 3)``. The network sees it as it is, unless a side is longer than the config's
                ``max_side``: objects would be larger than any in training, and the scores take much memory.
        """
        self.network.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
            scores = self.network(_at_most(batch, self.network.config.max_side).to(self.network.image_mean.device))
            labels = scores.argmax(dim=1, keepdim=True).to(torch.uint8).cpu()
            if labels.shape[2:] != batch.shape[2:]:
                labels = F.interpolate(labels, batch.shape[2:], mode="nearest-exact")
        return labels[0, 0].numpy()


def save_segmentation_model(model: SegmentationModel, path: Path) -> None:
    """Write the model as one file, whole or not at all; see :mod:`hasvideo.checkpoint`.

    Raises:
        HasvideoError: the file cannot be written.
    """
    settings = {"network": model.network.config.to_dict(), "classes": list(model.classes)}
    write_checkpoint(path, KIND, settings, model.network)


def load_segmentation_model(path: Path) -> SegmentationModel:
    """Read a model that :func:`save_segmentation_model` wrote.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package and kind, or is damaged.
    """
    return read_checkpoint(path, KIND, partial(_build, str(path)))


def _at_most(images: Tensor, side: int) -> Tensor:
    """Images ``(B, 3, H, W)``, scaled down where a side is longer than this."""
    height, width = images.shape[2:]
    scale = side / max(height, width)
    if scale >= 1:
        return images
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return F.interpolate(images.float(), size, mode="bilinear", antialias=True)


def _build(name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> SegmentationModel:
    network = Fcn(FcnConfig(**settings["network"]))
    network.load_state_dict(tensors)
    return SegmentationModel(name, tuple(settings["classes"]), network.eval())
