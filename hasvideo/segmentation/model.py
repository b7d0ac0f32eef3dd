"""A trained segmentation network with everything that is needed to use it, as one file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hasvideo.checkpoint import read_checkpoint, write_checkpoint
from hasvideo.errors import HasvideoError
from hasvideo.networks.fcn import Fcn
from hasvideo.segmentation.recipe import FcnConfig

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
        outputs = self.network.config.num_classes
        if len(self.classes) != outputs or len(set(self.classes)) != outputs:
            raise HasvideoError(
                f"model {self.name}: {len(set(self.classes))} class names for a network of {outputs} outputs"
            )

    def segment(self, image: np.ndarray) -> np.ndarray:
        """The number of the class with the highest score at each pixel, uint8 ``(H, W)``.

        Args:
            image: RGB, uint8 ``(H, W, 3)``, of any size; the network sees it as it is.
        """
        self.network.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
            scores = self.network(batch.to(self.network.image_mean.device))
        return scores[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


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


def _build(name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> SegmentationModel:
    network = Fcn(FcnConfig(**settings["network"]))
    network.load_state_dict(tensors)
    return SegmentationModel(name, tuple(settings["classes"]), network.eval())
