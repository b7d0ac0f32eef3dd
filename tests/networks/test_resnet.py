"""ResNet-50 with a stride of 1 in its last stage."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet50

from hasvideo.errors import UsageError
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork


def test_as_many_parameters_as_torchvisions():
    theirs = resnet50(weights=None)
    network = GapNetwork(ImageConfig("resnet50"))
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in theirs.parameters()) == 25_557_032


@pytest.mark.parametrize(("side", "half_size"), [(224, False), (112, True)])
def test_the_map_is_14_by_14(side, half_size):
    network = GapNetwork(ImageConfig("resnet50", num_classes=7, half_size=half_size)).eval()
    with torch.no_grad():
        scores, cam = network.localize(torch.rand(1, 3, side, side))
    assert cam.shape == (1, 7, 14, 14)
    torch.testing.assert_close(scores, cam.mean((2, 3)))


@pytest.mark.parametrize("changes", [{"width": 0.5}, {"batch_norm": False}])
def test_what_it_does_not_come_in_is_refused(changes):
    with pytest.raises(UsageError, match="resnet50 has one width, 1, and always batch norm"):
        GapNetwork(ImageConfig("resnet50", **changes))
