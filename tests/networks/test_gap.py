"""What all image networks share: the CAM, the statistics of the images, dropout of the input, hiding after conv1."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hasvideo.hiding import PatchHiding, hide
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork, MeanHiding
from tests.networks.settled import settle

SMALL = ImageConfig(num_classes=3, width=0.1, half_size=True, resize=112, crop=112)
MEAN, STD = torch.tensor([124.0, 116.0, 104.0]), torch.tensor([58.0, 57.0, 56.0])


def network(hiding: PatchHiding | None = None, **changes) -> GapNetwork:
    torch.manual_seed(0)
    net = GapNetwork(dataclasses.replace(SMALL, **changes), hiding)
    net.image_mean.copy_(MEAN)
    net.image_std.copy_(STD)
    return settle(net, noise(4))


def noise(count: int = 2, height: int = 64, width: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("pooling", ["average", "max", "topk"])
@pytest.mark.parametrize("architecture", ["alexnet", "googlenet"])
def test_scores_are_the_pooled_cam(architecture, pooling):
    net = network(architecture=architecture, pooling=pooling)
    scores, cam = net.localize(noise())
    pooled = {"average": cam.mean((2, 3)), "max": cam.amax((2, 3))}
    pooled["topk"] = cam.flatten(2).topk(cam[0, 0].numel() // 5, dim=2).values.mean(2)
    torch.testing.assert_close(scores, pooled[pooling])
    torch.testing.assert_close(net(noise()), scores)
    assert scores.std() > 0


@pytest.mark.parametrize("architecture", ["alexnet", "googlenet"])
def test_images_may_have_any_sides_and_kind_of_number(architecture):
    net = network(architecture=architecture)
    images = noise(2, 112, 176)
    scores, cam = net.localize(images)
    assert cam.shape[-2] < cam.shape[-1]
    assert torch.equal(net(images.float()), net(images))
    torch.testing.assert_close(scores, torch.cat([net(image[None]) for image in images]))


def test_a_hidden_patch_is_zero_before_the_first_layer():
    net = network()
    seen = []
    net.first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = noise().float()
    net(hide(images, 16, p=1.0, fill=net.image_mean))
    net(images)
    assert seen[0].abs().max() == 0
    torch.testing.assert_close(seen[1][:, 1], (images[:, 1] - 116) / 57)


@pytest.mark.parametrize(("at", "while_testing"), [("training", False), ("always", True)])
def test_dropout_of_the_input_while_training_only_or_always(at, while_testing):
    net = network(input_dropout=0.5, input_dropout_at=at)
    shares = []
    net.first.register_forward_pre_hook(lambda _, inputs: shares.append((inputs[0] == 0).float().mean().item()))
    net(noise(2, 112, 112))
    net.train()(noise(2, 112, 112))
    assert shares == pytest.approx([0.5 if while_testing else 0, 0.5], abs=0.02)


def test_cells_of_conv1_are_hidden_by_their_running_mean_while_training():
    hiding = MeanHiding(PatchHiding((2,), p=0.5), channels=3)
    maps = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)) + torch.arange(3.0)[:, None, None]
    hidden = hiding(maps)
    torch.testing.assert_close(hiding.mean, maps.mean((0, 2, 3)))
    changed = (hidden != maps).all(1)
    assert 0.2 < changed.float().mean() < 0.8
    torch.testing.assert_close(hidden.movedim(1, -1)[changed], hiding.mean.expand(int(changed.sum()), 3))
    assert torch.equal(hidden.movedim(1, -1)[~changed], maps.movedim(1, -1)[~changed])


def test_the_running_mean_comes_near_the_mean_of_the_maps():
    hiding = MeanHiding(PatchHiding((2,), p=0.5), channels=1)
    for _ in range(1000):
        hiding(torch.full((1, 1, 2, 2), 7.0))
    assert hiding.mean.item() == pytest.approx(7, abs=0.01)


def test_nothing_is_hidden_while_testing():
    net = network(PatchHiding((4,), p=1.0))
    plain = network()
    plain.load_state_dict(net.state_dict(), strict=False)
    mean = net.conv1_hiding.mean.clone()
    assert torch.equal(net(noise()), plain(noise()))
    assert torch.equal(net.conv1_hiding.mean, mean)


def test_gradients_reach_the_first_layer_past_hidden_cells():
    net = network(PatchHiding((4,), p=0.5)).train()
    net(noise()).sum().backward()
    assert net.first[0].weight.grad.abs().max() > 0


def test_the_statistics_travel_with_the_weights():
    net, other = network(PatchHiding((4,))), GapNetwork(SMALL, PatchHiding((4,)))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.image_mean, MEAN)
    assert torch.equal(other.conv1_hiding.mean, net.conv1_hiding.mean)
    assert torch.equal(other.eval()(noise()), net(noise()))
