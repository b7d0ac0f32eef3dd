"""Hiding as a torchvision v2 transform, for pipelines that carry images together with boxes, masks or labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from hasvideo.hiding import Fill, PatchHiding


class HidePatches(v2.Transform):
    """Hide square patches of the images of a sample, and leave all else as it is; for training pipelines only.

    Random numbers come from torch's global generator, as in torchvision's own transforms.

    >>> v2.Compose([v2.ToImage(), v2.RandomCrop(224), HidePatches(fill=mean_of_uint8_pixels)])

    Args:
        sizes: pixels; each image draws one of them, and 0 hides nothing.
        p: probability, 0..1, that a patch is hidden.
        fill: what hidden patches take, as in :class:`hasvideo.hiding.PatchHiding`.
        noise: what is added to it, as there.

    Raises:
        ValueError: no sizes or a negative one, or ``p`` outside 0..1.
    """

    _transformed_types = (v2.functional.is_pure_tensor, tv_tensors.Image, Image)

    def __init__(
        self,
        sizes: Sequence[int] = (0, 16, 32, 44, 56),
        p: float = 0.5,
        fill: Fill = 0.0,
        noise: Fill | None = None,
    ) -> None:
        super().__init__()
        self.hiding = PatchHiding(sizes, p, fill, noise)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Hide patches of an image ``(C, H, W)``, or of a batch ``(B, C, H, W)``, each with its own patches.

        Raises:
            TypeError: the image is a PIL image.
            ValueError: the fill is neither one number nor one a channel.
        """
        if isinstance(inpt, Image):
            raise TypeError("HidePatches takes tensors: put torchvision.transforms.v2.ToImage() before it")
        hidden = self.hiding.train()(inpt.as_subclass(Tensor))
        return tv_tensors.wrap(hidden, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else hidden
