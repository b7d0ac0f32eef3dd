"""EfficientNet-Lite0: EfficientNet (Tan & Le, ICML 2019) as Google changed it for small devices.

No squeeze-and-excitation, and ReLU6 for swish. Sizes and TensorFlow's SAME padding follow
``tensorflow/tpu/models/official/efficientnet/lite``, so that its weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

# Expansion, kernel, stride, channels out, blocks: EfficientNet-B0's.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class _Conv(nn.Conv2d):
    """Without bias, padded as TensorFlow's SAME does: where the total is odd, the extra pixel comes last."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding: list[int] = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(x, padding))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Block(nn.Module):
    """Expand, convolve each channel by itself, project; the input is added where the shape allows."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv, self.bn0 = _Conv(inputs, inner), _norm(inner)
        self.depthwise_conv, self.bn1 = _Conv(inner, inner, kernel, stride, inner), _norm(inner)
        self.project_conv, self.bn2 = _Conv(inner, outputs), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """The network up to its classifier, ``fc``, included.

    Args:
        num_classes: of the classifier.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = _Conv(3, 32, 3, 2), _norm(32)
        self.blocks, channels = nn.ModuleList(), 32
        for expansion, kernel, stride, outputs, count in _STAGES:
            for number in range(count):
                self.blocks.append(_Block(channels, outputs, expansion, kernel, 1 if number else stride))
                channels = outputs
        self.conv_head, self.bn1 = _Conv(channels, 1280), _norm(1280)
        self.fc: nn.Module = nn.Linear(1280, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [-1, 1] to logits (B, num_classes)."""
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(F.relu6(self.bn1(self.conv_head(x))).mean(dim=(2, 3)))


def rename_layers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the layers of ``efficientnet_lite_pytorch`` as :class:`EfficientNetLite0` does: no leading underscores."""
    return {".".join(part.lstrip("_") for part in name.split(".")): value for name, value in state.items()}
