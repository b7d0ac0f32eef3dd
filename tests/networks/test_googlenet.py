"""GoogLeNet-GAP's map, channels and parameters, and that it is torchvision's as far as they share layers."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import googlenet

from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork
from tests.networks.settled import settle


def inception(into: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pooled: int) -> tuple[int, int]:
    """Kernels' parameters, and channels of all the convolutions, of an inception whose 5x5 is 3x3."""
    kernels = into * (one + reduce3 + reduce5 + pooled) + 9 * (reduce3 * three + reduce5 * five)
    return kernels, one + reduce3 + three + reduce5 + five + pooled


LAYERS = [
    (3 * 49 * 64, 64),
    (64 * 64, 64),
    (64 * 9 * 192, 192),
    inception(192, 64, 96, 128, 16, 32, 32),
    inception(256, 128, 128, 192, 32, 96, 64),
    inception(480, 192, 96, 208, 16, 48, 64),
    inception(512, 160, 112, 224, 24, 64, 64),
    inception(512, 128, 128, 256, 24, 64, 64),
    inception(512, 112, 144, 288, 32, 64, 64),
    inception(528, 256, 160, 320, 32, 128, 128),
    (832 * 9 * 1024, 1024),
]
CLASSIFIER = 1024 * 1000 + 1000


@pytest.mark.parametrize(("batch_norm", "vectors"), [(True, 2), (False, 1)])
def test_parameter_count(batch_norm, vectors):
    network = GapNetwork(ImageConfig("googlenet", batch_norm=batch_norm))
    expected = sum(kernels + vectors * channels for kernels, channels in LAYERS) + CLASSIFIER
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(("side", "half_size"), [(224, False), (112, True)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_map_is_14_by_14(side, half_size, batch_norm):
    config = ImageConfig("googlenet", num_classes=7, width=0.1, half_size=half_size, batch_norm=batch_norm)
    scores, cam = GapNetwork(config).eval().localize(torch.zeros(1, 3, side, side))
    assert scores.shape == (1, 7)
    assert cam.shape == (1, 7, 14, 14)


def test_width_scales_the_channels_of_every_layer():
    full, narrow = (GapNetwork(ImageConfig("googlenet", width=width)).modules() for width in (1, 0.25))
    full, narrow = ([m.out_channels for m in modules if hasattr(m, "out_channels")] for modules in (full, narrow))
    assert len(full) == 3 + 7 * 6 + 1
    assert narrow == [channels // 4 for channels in full]


def test_answers_keep_their_size_without_batch_norm():
    torch.manual_seed(0)
    network = GapNetwork(ImageConfig("googlenet", batch_norm=False)).eval()
    with torch.no_grad():
        features = network.features(torch.randn(1, 3, 112, 112))
    assert 0.1 < features.square().mean().sqrt() < 10


def test_up_to_inception_4e_it_is_torchvisions():
    torch.manual_seed(0)
    theirs = googlenet(weights=None, aux_logits=False, init_weights=False)
    settle(theirs, torch.randn(2, 3, 96, 96))
    network = GapNetwork(ImageConfig("googlenet")).eval()
    for name, layer in [*network.first.named_children(), *network.rest.named_children()]:
        if hasattr(theirs, name):
            layer.load_state_dict(getattr(theirs, name).state_dict())
    seen = {}
    theirs.inception4e.register_forward_hook(lambda *call: seen.update(theirs=call[-1]))
    network.rest.inception4e.register_forward_hook(lambda *call: seen.update(ours=call[-1]))
    images = torch.randn(1, 3, 97, 130)
    with torch.no_grad():
        theirs(images)
        network(images)
    assert seen["theirs"].std() > 0.1
    torch.testing.assert_close(seen["ours"], seen["theirs"], rtol=0, atol=1e-3)
