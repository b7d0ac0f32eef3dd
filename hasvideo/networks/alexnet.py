"""AlexNet-GAP: AlexNet's convolutions without groups, two more, and a map of 13 x 13 for the CAM head.

========== ============================= ============ ==========
layer      kernel, stride, padding       channels     output
========== ============================= ============ ==========
image                                    3            227 x 227
conv1      11, 4, 2                      64           56 x 56
max pool   3, 2                                       27 x 27
conv2      5, 1, 2                       192          27 x 27
max pool   3, 2                                       13 x 13
conv3      3, 1, 1                       384          13 x 13
conv4      3, 1, 1                       256          13 x 13
conv5      3, 1, 1                       256          13 x 13
conv6      3, 1, 1                       512          13 x 13
conv7      3, 1, 1                       512          13 x 13
========== ============================= ============ ==========

Sources: Krizhevsky, "One weird trick" (2014), whose channels torchvision's weights have too; CAM (Zhou et al., CVPR
2016), which dropped the last pooling; Hide-and-Seek (Singh & Lee, ICCV 2017), which added conv6 and conv7. An image of
224 pixels gives the same map, since conv1 then gives 55 x 55.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from hasvideo.networks.config import ImageConfig
from hasvideo.networks.trunk import Pretrained, Trunk, convolution, scale

CHANNELS = (64, 192, 384, 256, 256, 512, 512)
PRETRAINED = Pretrained(
    "AlexNet_Weights.IMAGENET1K_V1",
    {
        "features.0": "first.0",
        "features.3": "rest.1.0",
        "features.6": "rest.3.0",
        "features.8": "rest.4.0",
        "features.10": "rest.5.0",
    },
)


def trunk(config: ImageConfig) -> Trunk:
    """Make AlexNet's convolutions.

    With ``half_size`` conv1 has kernel 6 and stride 2, so that images of 112 pixels give a map of 13 x 13 too.
    """
    widths = scale(CHANNELS, config.width)
    kernel, stride = (6, 2) if config.half_size else (11, 4)
    first = convolution(3, widths[0], kernel, stride, 2, config.batch_norm)
    pool = nn.MaxPool2d(3, 2)
    layers: list[nn.Module] = [pool, convolution(widths[0], widths[1], 5, 1, 2, config.batch_norm), pool]
    layers += [convolution(into, out, 3, 1, 1, config.batch_norm) for into, out in pairwise(widths[1:])]
    return Trunk(first, nn.Sequential(*layers), widths[0], widths[-1], PRETRAINED)
