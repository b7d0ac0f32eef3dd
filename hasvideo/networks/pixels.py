"""Turn classifiers into extractors of features: pixels go in, and what the classifier would see comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hasvideo.errors import HasvideoError


class PixelNetwork(nn.Module):
    """Run a network on decoded frames: on their central square, normalised.

    Args:
        network: takes (B, 3, T, H, W), or (B, 3, H, W); gives (B, D) or (B, D, 1, ...).
        crop: side of the central square that it is shown, pixels.
        mean: of the channels RGB, 0..255.
        std: standard deviation of the channels, in the same units.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, crop: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network, self.crop = network, crop
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, frames: Tensor) -> Tensor:
        """Compute features (B, D) of uint8 RGB frames (B, T, H, W, 3) or (B, H, W, 3), H and W >= crop."""
        top, left = (frames.shape[-3] - self.crop) // 2, (frames.shape[-2] - self.crop) // 2
        frames = frames[..., top : top + self.crop, left : left + self.crop, :]
        return self.network(((frames.float() - self.mean) / self.std).movedim(-1, 1)).flatten(1)


class SlowAndFast(nn.Module):
    """Give SlowFast a clip at two frame rates: (B, 3, T // alpha, H, W) and (B, 3, T, H, W).

    The frames of the slow pathway are spread over the whole clip, from the first to the last, as in pytorchvideo's
    examples.

    Args:
        alpha: how many times slower the slow pathway is.
    """

    def __init__(self, alpha: int) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, clip: Tensor) -> list[Tensor]:
        """Return both clips, the slow one first."""
        length = clip.shape[2]
        chosen = torch.linspace(0, length - 1, length // self.alpha, device=clip.device).long()
        return [clip.index_select(2, chosen), clip]


def remove_classifier(network: nn.Module) -> tuple[str, int]:
    """Remove a network's last layer, linear or a convolution.

    Returns:
        The name of the layer, and the number of its inputs, which are the network's outputs from now on.
    """
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    name, layer = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, kinds)][-1]
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return name, layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def load_trunk(network: nn.Module, state: Mapping[str, Tensor], classifier: str, source: str) -> None:
    """Load a state dict into a network whose classifier was removed.

    Args:
        network: changed in place.
        state: the weights; those of a classifier, for any number of classes, are passed over.
        classifier: name of the removed layer.
        source: where the state dict is from, for the message.

    Raises:
        HasvideoError: the weights are those of another network.
    """
    try:
        missing, strange = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[1].split())
        raise HasvideoError(f"{source} does not fit the network: {reason}") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    strange = [name for name in strange if not name.startswith(f"{classifier}.")]
    for names, what in ((missing, "lacks"), (strange, "has what the network has not:")):
        if names:
            raise HasvideoError(f"{source} does not fit the network: it {what} {names[0]} ({len(names)} in all)")
