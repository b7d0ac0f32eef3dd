"""C3D (Tran et al., *Learning Spatiotemporal Features with 3D Convolutional Networks*, ICCV 2015)."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from hasvideo.errors import HasvideoError

LAYERS = ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b", "fc6", "fc7")
_WIDTHS = (3, 1, 2, 4, 4, 8, 8, 8, 8)  # channels: of the input, then in units of those of conv1

# How published checkpoints name the layers; the first is DavideA's c3d.pickle, too.
_LAYOUTS: tuple[Mapping[str, str], ...] = (
    {layer: layer for layer in LAYERS},
    # MMAction2, whose recognizers put "backbone." before it
    {layer: f"{'conv1a' if layer == 'conv1' else 'conv2a' if layer == 'conv2' else layer}.conv" for layer in LAYERS[:8]}
    | {"fc6": "fc6", "fc7": "fc7"},
    # jfzhang95's pytorch-video-recognition: places in two nn.Sequential
    dict(zip(LAYERS, [f"features.{i}" for i in (0, 3, 6, 8, 11, 13, 16, 18)] + ["classifier.0", "classifier.3"],
             strict=True)),
)  # fmt: skip


class C3D(nn.Module):
    """Eight convolutions of 3 x 3 x 3 and the first fully connected layers, of which one's output is the feature.

    Args:
        layer: whose output is the feature, ``fc6`` or ``fc7``.
        width: channels of conv1; 64 in the paper.
        hidden: D, of fc6 and fc7; 4096 in the paper.
    """

    def __init__(self, layer: str = "fc6", width: int = 64, hidden: int = 4096) -> None:
        super().__init__()
        channels = [_WIDTHS[0], *(width * factor for factor in _WIDTHS[1:])]
        for number, name in enumerate(LAYERS[:8]):
            self.add_module(name, nn.Conv3d(channels[number], channels[number + 1], 3, padding=1))
        self.fc6 = nn.Linear(8 * width * 4 * 4, hidden)
        self.fc7 = nn.Linear(hidden, hidden) if layer == "fc7" else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 16, 112, 112) RGB of 0..255, less the mean of each channel, to (B, hidden), >= 0."""
        for name in LAYERS[:8]:
            x = F.relu(self.get_submodule(name)(x))
            if name == "conv1":
                x = F.max_pool3d(x, (1, 2, 2))
            elif name == "conv5b":
                x = F.max_pool3d(F.pad(x, (0, 1, 0, 1)), 2)  # Caffe rounds sizes up: 7 becomes 4
            elif name in ("conv2", "conv3b", "conv4b"):
                x = F.max_pool3d(x, 2)
        x = F.relu(self.fc6(x.flatten(1)))
        return x if self.fc7 is None else F.relu(self.fc7(x))


def rename_layers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the layers of a published checkpoint as :class:`C3D` does, and leave out its classifier.

    Args:
        state: the checkpoint's tensors by name.

    Raises:
        HasvideoError: it is in none of the known layouts.
    """
    state = {name.removeprefix("module.").removeprefix("backbone."): value for name, value in state.items()}
    for layout in _LAYOUTS:
        if all(f"{theirs}.weight" in state and f"{theirs}.bias" in state for theirs in layout.values()):
            parts = [(ours, theirs, part) for ours, theirs in layout.items() for part in ("weight", "bias")]
            return {f"{ours}.{part}": state[f"{theirs}.{part}"] for ours, theirs, part in parts}
    known = "; ".join(f"{layout['conv1']}.weight ... {layout['fc6']}.weight" for layout in _LAYOUTS)
    raise HasvideoError(f"no checkpoint of C3D: it holds {', '.join(list(state)[:3])} ..., known are {known}")
