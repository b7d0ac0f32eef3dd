"""AlexNet-GAP's map, channels and parameters."""

from __future__ import annotations

import pytest
import torch

from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork

# By hand: (input channels x kernel area) x output channels.
KERNELS = [3 * 121 * 64, 64 * 25 * 192, 192 * 9 * 384, 384 * 9 * 256, 256 * 9 * 256, 256 * 9 * 512, 512 * 9 * 512]
CHANNELS = 64 + 192 + 384 + 256 + 256 + 512 + 512
CLASSIFIER = 512 * 1000 + 1000


@pytest.mark.parametrize(("batch_norm", "vectors"), [(True, 2), (False, 1)])
def test_parameter_count(batch_norm, vectors):
    network = GapNetwork(ImageConfig(batch_norm=batch_norm))
    expected = sum(KERNELS) + vectors * CHANNELS + CLASSIFIER
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(("side", "half_size"), [(227, False), (224, False), (112, True)])
def test_the_map_is_13_by_13(side, half_size):
    network = GapNetwork(ImageConfig(num_classes=7, width=0.1, half_size=half_size)).eval()
    scores, cam = network.localize(torch.zeros(1, 3, side, side))
    assert scores.shape == (1, 7)
    assert cam.shape == (1, 7, 13, 13)


def test_width_scales_the_channels_of_every_layer():
    network = GapNetwork(ImageConfig(width=0.25))
    outputs = [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert outputs == [16, 48, 96, 64, 64, 128, 128]


def test_answers_keep_their_size_without_batch_norm():
    torch.manual_seed(0)
    network = GapNetwork(ImageConfig(batch_norm=False)).eval()
    with torch.no_grad():
        features = network.features(torch.randn(2, 3, 224, 224))
    assert 0.1 < features.square().mean().sqrt() < 10
