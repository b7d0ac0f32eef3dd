"""A trained model of the class of every pixel of images, with everything that is needed to use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hasvideo.checkpoint import TrainedModel
from hasvideo.networks.config import FcnConfig
from hasvideo.networks.fcn import Fcn


@dataclass(frozen=True)
class SegmentationModel(TrainedModel):
    """A network and the names of its classes.

    Attributes:
        name: path of the checkpoint.
        classes: names of the network's outputs, in their order.
        network: takes RGB images ``(B, 3, H, W)``, 0..255.

    Raises:
        HasvideoError: the number of classes is not the network's.
    """

    kind: ClassVar[str] = "segments"
    name: str
    classes: tuple[str, ...]
    network: Fcn

    @classmethod
    def build(cls, name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """Make the model of a checkpoint; see :meth:`hasvideo.checkpoint.TrainedModel.build`."""
        network = Fcn(FcnConfig(**settings["network"]))
        network.load_state_dict(tensors)
        return cls(name, tuple(settings["classes"]), network.eval())

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Find the number of the class with the highest score at each pixel, uint8 ``(H, W)``.

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


def _at_most(images: Tensor, side: int) -> Tensor:
    """Scale images ``(B, 3, H, W)`` down where a side is longer than this."""
    height, width = images.shape[2:]
    scale = side / max(height, width)
    if scale >= 1:
        return images
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return F.interpolate(images.float(), size, mode="bilinear", antialias=True)
