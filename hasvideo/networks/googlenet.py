"""GoogLeNet-GAP: GoogLeNet up to inception 4e, one more convolution, and a map of 14 x 14 for the CAM head.

=============  ====================================  =========  ===========
layer          kernel, stride, padding               channels   output
=============  ====================================  =========  ===========
image                                                3          224 x 224
conv1          7, 2, 3                               64         112 x 112
max pool       3, 2                                             56 x 56
conv2          1, 1, 0                               64         56 x 56
conv3          3, 1, 1                               192        56 x 56
max pool       3, 2                                             28 x 28
inception 3a   64 | 96 > 128 | 16 > 32 | 32          256        28 x 28
inception 3b   128 | 128 > 192 | 32 > 96 | 64        480        28 x 28
max pool       3, 2                                             14 x 14
inception 4a   192 | 96 > 208 | 16 > 48 | 64         512        14 x 14
inception 4b   160 | 112 > 224 | 24 > 64 | 64        512        14 x 14
inception 4c   128 | 128 > 256 | 24 > 64 | 64        512        14 x 14
inception 4d   112 | 144 > 288 | 32 > 64 | 64        528        14 x 14
inception 4e   256 | 160 > 320 | 32 > 128 | 128      832        14 x 14
cam_conv       3, 1, 1                               1024       14 x 14
=============  ====================================  =========  ===========

An inception has four branches side by side: 1x1 | 1x1 > 3x3 | 1x1 > 3x3 | max pool 3x3 > 1x1. The third has a 5x5
kernel in the paper and 3x3 in torchvision. Here it is torchvision's, and so are the names of the layers, so that its
weights fit. Pools round up. There are no auxiliary classifiers.

Sources: GoogLeNet (Szegedy et al., CVPR 2015), with batch norm (Ioffe & Szegedy, ICML 2015) as in torchvision; CAM
(Zhou et al., CVPR 2016), which put one convolution of 1024 channels in place of all after inception 4e.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from hasvideo.networks.config import ImageConfig
from hasvideo.networks.trunk import Pretrained, Trunk, convolution, scale

INCEPTIONS = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
}
"""Channels: 1x1, before 3x3, 3x3, before "5x5", "5x5", after the pool."""
# The weights come from TensorFlow, where images go from -1 to 1, as torchvision's transform_input makes them.
PRETRAINED = Pretrained(
    "GoogLeNet_Weights.IMAGENET1K_V1",
    {"conv1": "first.conv1"} | {name: f"rest.{name}" for name in ("conv2", "conv3", *INCEPTIONS)},
    (127.5, 127.5, 127.5),
    (127.5, 127.5, 127.5),
)


def trunk(config: ImageConfig) -> Trunk:
    """Make GoogLeNet's convolutions.

    With ``half_size`` the first pool is left out, so that images of 112 pixels give a map of 14 x 14 too.
    """
    from torchvision.models.googlenet import BasicConv2d, Inception

    block = BasicConv2d if config.batch_norm else _without_batch_norm
    stem, middle, out = scale((64, 192, 1024), config.width)
    first = OrderedDict(conv1=block(3, stem, kernel_size=7, stride=2, padding=3))
    layers: list[tuple[str, nn.Module]] = [] if config.half_size else [("maxpool1", _pool())]
    layers += [("conv2", block(stem, stem, kernel_size=1))]
    layers += [("conv3", block(stem, middle, kernel_size=3, padding=1)), ("maxpool2", _pool())]
    into = middle
    for name, channels in INCEPTIONS.items():
        if name == "inception4a":
            layers.append(("maxpool3", _pool()))
        widths = scale(channels, config.width)
        layers.append((name, Inception(into, *widths, conv_block=block)))
        into = widths[0] + widths[2] + widths[4] + widths[5]
    layers.append(("cam_conv", block(into, out, kernel_size=3, padding=1)))
    return Trunk(nn.Sequential(first), nn.Sequential(OrderedDict(layers)), stem, out, PRETRAINED)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _without_batch_norm(into: int, out: int, kernel_size: int, stride: int = 1, padding: int = 0) -> nn.Module:
    return convolution(into, out, kernel_size, stride, padding, batch_norm=False)
