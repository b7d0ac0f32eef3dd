"""A trained model of objects in images, with everything that is needed to use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hasvideo.checkpoint import TrainedModel, load
from hasvideo.frames.images import square
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork
from hasvideo.types import Activation, BoxRule


@dataclass(frozen=True)
class ImageModel(TrainedModel):
    """A network and how to feed and read it.

    Attributes:
        name: path of the checkpoint.
        classes: names of the network's outputs, in their order.
        network: takes RGB images ``(B, 3, H, W)``, 0..255.
        rule: how its CAM is best read.

    Raises:
        HasvideoError: the number of classes is not the network's.
    """

    kind: ClassVar[str] = "objects"
    name: str
    classes: tuple[str, ...]
    network: GapNetwork
    rule: BoxRule = field(default_factory=BoxRule)

    @classmethod
    def build(cls, name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """Make the model of a checkpoint; see :meth:`hasvideo.checkpoint.TrainedModel.build`."""
        network = GapNetwork(ImageConfig(**settings["network"]))
        # The mean that cells of conv1 were hidden by is of use in training only.
        network.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("conv1_hiding.")})
        return cls(name, tuple(settings["classes"]), network.eval(), BoxRule(**settings["rule"]))

    def activations(self, image: np.ndarray) -> tuple[Activation, ...]:
        """Compute CAM over the whole image and probability of every class, by falling probability.

        Args:
            image: RGB, uint8 ``(H, W, 3)``.
        """
        probabilities, cams = self.maps(image[None])
        order = np.argsort(-probabilities[0], kind="stable")
        return tuple(Activation(self.classes[c], float(probabilities[0, c]), cams[0, c]) for c in order)

    def maps(self, images: np.ndarray | Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute probabilities and CAMs of images.

        An image is squeezed into a square of the config's ``resize``. With ``ten_crop``, probabilities are the mean
        over the four corners and the centre, flipped and not, and the CAM the mean of those of the crops, each laid
        where its crop lies (paper); else both are of the whole image at once.

        Args:
            images: RGB, uint8 ``(H, W, 3)`` each, of any sizes.

        Returns:
            ``(B, C)`` float32, and ``(B, C, h, w)`` float32, of a grid over the whole image.
        """
        return self.square_maps(torch.stack([square(image, self.network.config.resize) for image in images]))

    def square_maps(self, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and CAMs of images that are squares already; see :meth:`maps`.

        Args:
            images: RGB, uint8 ``(B, 3, S, S)``, S the config's ``resize``.
        """
        self.network.eval()
        maps = _ten_crop_maps if self.network.config.ten_crop else _whole_maps
        with torch.inference_mode():
            probabilities, cams = maps(self.network, images.to(self.network.image_mean.device))
        return probabilities.float().cpu().numpy(), cams.float().cpu().numpy()


def load_image_model(path: str | Path) -> ImageModel:
    """Read an image model; see :func:`hasvideo.checkpoint.load`."""
    return load(path, ImageModel)


def _whole_maps(network: GapNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    scores, cam = network.localize(images)
    return scores.softmax(dim=1), cam


def _ten_crop_maps(network: GapNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Average over ten crops of square images ``(B, 3, S, S)``, the maps laid over each other."""
    size, crop = images.shape[-1], network.config.crop
    rest = size - crop
    probabilities, maps = [], []
    for top, left in [(0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)]:
        part = images[..., top : top + crop, left : left + crop]
        scores, cam = network.localize(part)
        flipped_scores, flipped_cam = network.localize(part.flip(-1))
        probabilities += [scores.softmax(dim=1), flipped_scores.softmax(dim=1)]
        maps.append((top, left, (cam + flipped_cam.flip(-1)).float() / 2))
    return torch.stack(probabilities).mean(dim=0), _lay(maps, crop, size)


def _lay(maps: Sequence[tuple[int, int, Tensor]], crop: int, size: int) -> Tensor:
    """Average crops' maps ``(B, C, h, w)``, each laid at its top and left; 0 where no crop lies.

    The grid is twice as fine as the crops' cells, since corners lie between them.
    """
    cells = maps[0][2].shape[-1]
    grid = 2 * round(cells * size / crop)
    extent = round(crop * grid / size)
    total, count = maps[0][2].new_zeros(*maps[0][2].shape[:2], grid, grid), maps[0][2].new_zeros(grid, grid)
    for top, left, cam in maps:
        first_row, first_column = (min(round(x * grid / size), grid - extent) for x in (top, left))
        place = (..., slice(first_row, first_row + extent), slice(first_column, first_column + extent))
        total[place] += F.interpolate(cam, (extent, extent), mode="bilinear")
        count[place] += 1
    return total / count.clamp(min=1)
