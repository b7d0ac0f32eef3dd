"""The fully convolutional network: where its maps lie, and what it starts from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hasvideo.errors import UsageError
from hasvideo.networks.config import FcnConfig, ImageConfig
from hasvideo.networks.fcn import Fcn, Grid, Upsampling, load_encoder
from hasvideo.networks.gap import GapNetwork


def network(**settings) -> Fcn:
    torch.manual_seed(0)
    return Fcn(FcnConfig(**({"num_classes": 3, "width": 0.05} | settings))).eval()


@given(height=st.integers(1, 70), width=st.integers(1, 70), skips=st.integers(0, 2), half_size=st.booleans())
@settings(max_examples=20)
@torch.no_grad()
def test_scores_have_the_images_size_and_reach_its_borders(height, width, skips, half_size):
    fcn = network(skips=skips, half_size=half_size)
    for score in fcn.scores:
        torch.nn.init.ones_(score.bias)
    scores = fcn(torch.zeros(2, 3, height, width, dtype=torch.uint8))
    torch.testing.assert_close(scores, torch.full((2, 3, height, width), skips + 1.0))


@pytest.mark.parametrize("half_size", [False, True])
@pytest.mark.parametrize(("skips", "strides"), [(0, (16,)), (1, (2, 8)), (2, (2, 2, 4))])
def test_strides_are_those_of_the_table(skips, strides, half_size):
    fcn = network(skips=skips, half_size=half_size)
    expected = (*strides[:-1], strides[-1] // (1 + half_size))
    assert tuple(up.stride for up in (*fcn.doubling, fcn.to_pixels)) == expected


@pytest.mark.parametrize("half_size", [False, True])
@pytest.mark.parametrize("skips", [0, 1, 2])
def test_a_pixel_is_answered_by_what_lies_around_it(skips, half_size):
    """With kernels that take means, the part of the image that a score depends on is centred on the score's pixel."""
    fcn = network(skips=skips, half_size=half_size, batch_norm=False)
    for parameter in (p for layer in (fcn.first, fcn.rest, fcn.scores) for p in layer.parameters()):
        parameter.data.fill_(1 / parameter[0].numel() if parameter.ndim == 4 else 0)
    row, column = 150, 137
    ramp = torch.arange(300.0)[:, None] + torch.arange(300.0)
    centres = []
    for image in (ramp, ramp.flip(0, 1)):  # max pooling takes the last of its cells in one, and the first in the other
        image = image.expand(1, 3, 300, 300).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(fcn(image)[0, 0, row, column], image)
        mass = gradient.sum(dim=(0, 1))
        centres.append([float((mass.sum(dim=axis) * torch.arange(300.0)).sum() / mass.sum()) for axis in (1, 0)])
    assert torch.tensor(centres).mean(dim=0).tolist() == pytest.approx([row, column], abs=0.01)


@pytest.mark.parametrize(("stride", "first"), [(2, 1.0), (4, 3.0), (4, 2.5), (8, 6.5), (16, 15.0)])
def test_upsampling_is_bilinear_between_the_cells(stride, first):
    rows, columns = 5, 6
    height, width = (int(first + stride * n) for n in (rows, columns))
    up = Upsampling(2, Grid(stride, first))
    maps = torch.rand(1, 2, rows, columns)
    wanted = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")[::-1], dim=-1)
    cells = (wanted - first) / stride  # in cells; corners of grid_sample are the outermost cells' centres
    grid = 2 * cells / torch.tensor([columns - 1, rows - 1]) - 1
    expected = F.grid_sample(maps, grid[None], mode="bilinear", padding_mode="border", align_corners=True)
    torch.testing.assert_close(up(maps, (height, width)), expected, atol=1e-5, rtol=1e-5)


def test_a_new_network_scores_nothing_and_still_learns():
    fcn = network(skips=2).train()
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    scores = fcn(images)
    assert not scores.any()
    F.cross_entropy(scores, torch.zeros(2, 40, 40, dtype=torch.long)).backward()
    assert all(score.weight.grad.abs().sum() > 0 for score in fcn.scores)
    assert fcn.to_pixels.weight.grad is None
    assert all(up.weight.requires_grad for up in fcn.doubling)


def test_a_batch_gives_what_its_images_give():
    fcn = network(skips=1)
    torch.nn.init.normal_(fcn.scores[0].weight)
    images = torch.randint(0, 256, (3, 3, 50, 41), dtype=torch.uint8)
    torch.testing.assert_close(fcn(images), torch.cat([fcn(image[None]) for image in images]), atol=1e-4, rtol=1e-4)


def test_the_encoder_answers_as_the_classifier_does():
    torch.manual_seed(1)
    backbone = GapNetwork(ImageConfig(width=0.05, half_size=True, num_classes=7)).eval()
    backbone.image_mean.fill_(90.0)
    backbone.image_std.fill_(40.0)
    fcn = network(half_size=True)
    line = load_encoder(fcn, backbone, "some.ckpt")
    assert line == "conv1 to conv7 and the image statistics are from some.ckpt; the class scores start at zero"
    size = 110  # 8 * 13 + 6: nothing is added, so both see the same
    assert fcn._lacking(size) == 0
    seen = []
    fcn.scores[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    fcn(images)
    torch.testing.assert_close(seen[0], backbone.features(images))


@pytest.mark.parametrize(("theirs", "message"), [
    ({"architecture": "googlenet"}, "architecture googlenet instead of alexnet"),
    ({"width": 0.1}, "width 0.1 instead of 0.05"),
    ({"half_size": True, "batch_norm": False}, "batch_norm False instead of True, half_size True instead of False"),
])  # fmt: skip
def test_another_network_is_no_backbone(theirs, message):
    backbone = GapNetwork(ImageConfig(**({"width": 0.05, "num_classes": 2} | theirs)))
    with pytest.raises(UsageError, match=f"backbone b.ckpt does not fit the network: it has {message}"):
        load_encoder(network(), backbone, "b.ckpt")


@pytest.mark.parametrize("settings", [{"skips": 3}, {"skips": -1}, {"width": 0}, {"num_classes": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(UsageError):
        FcnConfig(**settings)
