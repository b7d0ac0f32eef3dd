"""ResNet-50 with a map of 14 x 14 for the CAM head: the modern option beside the paper's two architectures.

========  =======================================  ========  ===========
layer     kernel, stride, padding                  channels  output
========  =======================================  ========  ===========
image                                              3         224 x 224
conv1     7, 2, 3                                  64        112 x 112
max pool  3, 2, 1                                            56 x 56
layer1    3 x (1x1 64, 3x3 64, 1x1 256)            256       56 x 56
layer2    4 x (1x1 128, 3x3 128, 1x1 512), 2       512       28 x 28
layer3    6 x (1x1 256, 3x3 256, 1x1 1024), 2      1024      14 x 14
layer4    3 x (1x1 512, 3x3 512, 1x1 2048), **1**  2048      14 x 14
========  =======================================  ========  ===========

Sources: He et al. (CVPR 2016), as torchvision has it (the stride in a block's 3x3 convolution); the last stage's stride
of 1 in place of 2 is what WSOL with ResNets uses (Choe et al., CVPR 2020). A stride has no weights, so torchvision's
fit.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from hasvideo.errors import UsageError
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.trunk import Pretrained, Trunk

REST = ("maxpool", "layer1", "layer2", "layer3", "layer4")
# Not V2: it was trained with CutMix and random erasing, which would blur what hiding adds.
PRETRAINED = Pretrained(
    "ResNet50_Weights.IMAGENET1K_V1",
    {name: f"first.{name}" for name in ("conv1", "bn1")} | {f"layer{i}": f"rest.layer{i}" for i in range(1, 5)},
)


def trunk(config: ImageConfig) -> Trunk:
    """Make ResNet-50's convolutions.

    With ``half_size`` conv1 has stride 1, so that images of 112 pixels give a map of 14 x 14 too.

    Raises:
        UsageError: a width other than 1, or no batch norm.
    """
    from torchvision.models import resnet50

    if config.width != 1 or not config.batch_norm:
        raise UsageError(
            f"resnet50 has one width, 1, and always batch norm; got width {config.width}, "
            f"batch_norm {config.batch_norm}: alexnet and googlenet have both to choose"
        )
    network = resnet50(weights=None)
    block = network.layer4[0]
    block.conv2.stride = block.downsample[0].stride = (1, 1)
    if config.half_size:
        network.conv1.stride = (1, 1)
    first = OrderedDict(conv1=network.conv1, bn1=network.bn1, relu=network.relu)
    rest = OrderedDict((name, getattr(network, name)) for name in REST)
    channels = network.conv1.out_channels, network.fc.in_features
    return Trunk(nn.Sequential(first), nn.Sequential(rest), *channels, PRETRAINED)
