"""From images with masks to a segmentation network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hasvideo.checkpoint import save
from hasvideo.datasets.segmentation import Segmented, SegmentedImages, find_pairs, image_statistics
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.image.model import ImageModel
from hasvideo.metrics.segmentation import confusion_matrix, score_segmentation
from hasvideo.networks.config import FcnConfig, ImageConfig
from hasvideo.networks.gap import GapNetwork
from hasvideo.segmentation.fitting import criterion, fit, predict, start
from hasvideo.segmentation.recipe import JitterConfig, SegmentationRecipe
from hasvideo.settings import TrainingConfig
from tests.voc import CLASSES, make_voc

QUIET = {"device": "cpu", "progress": False}
TRAINING = TrainingConfig(epochs=2, batch_size=4, optimizer="sgd", learning_rate=0.05)
TINY = SegmentationRecipe(FcnConfig(width=0.06, half_size=True, skips=2), JitterConfig(flip=True), TRAINING)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_voc(tmp_path_factory.mktemp("voc"), train=8)


@pytest.fixture(scope="module")
def samples(root):
    return SegmentedImages(find_pairs(root, "train"), len(CLASSES), in_memory=True)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    torch.manual_seed(3)
    network = GapNetwork(ImageConfig(width=0.06, half_size=True, num_classes=2))
    network.image_mean.fill_(77.0)
    path = tmp_path_factory.mktemp("backbone") / "b.ckpt"
    save(ImageModel("b", ("x", "y"), network), path)
    return path


def states_equal(one, other) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_training_learns_classes_and_places(root, samples):
    recipe = replace(TINY, training=replace(TRAINING, epochs=40, optimizer="adam", learning_rate=0.01))
    model, history = fit(samples, CLASSES, recipe, name="m", **QUIET)
    assert history[-1]["loss"] < history[0]["loss"] / 3
    test = SegmentedImages(find_pairs(root, "val"), len(CLASSES))
    confusion = sum(confusion_matrix(truth, found, 3) for _, found, truth in predict(model, test))
    assert score_segmentation(confusion, CLASSES)["mean_iu"] > 0.7
    assert [image for image, *_ in predict(model, test)] == list(test.ids)
    mean, std = image_statistics(samples)
    torch.testing.assert_close((model.network.image_mean, model.network.image_std), (mean, std))


def test_the_same_seed_gives_the_same_weights_also_when_resumed(samples, backbone, tmp_path):
    whole, _ = fit(samples, CLASSES, TINY, backbone=backbone, **QUIET)
    fit(
        samples,
        CLASSES,
        replace(TINY, training=replace(TRAINING, epochs=1)),
        backbone=backbone,
        folder=tmp_path,
        **QUIET,
    )
    resumed, history = fit(samples, CLASSES, TINY, backbone=backbone, folder=tmp_path, resume=True, **QUIET)
    assert len(history) == 2
    assert states_equal(whole.network, resumed.network)
    other, _ = fit(samples, CLASSES, replace(TINY, training=replace(TRAINING, seed=1)), backbone=backbone, **QUIET)
    assert not states_equal(whole.network, other.network)


def test_the_backbones_weights_and_statistics_are_where_it_starts(samples, backbone):
    slow = replace(TINY, training=replace(TRAINING, epochs=1, learning_rate=1e-9))
    model, _ = fit(samples, CLASSES, slow, backbone=backbone, **QUIET)
    network, line = start(replace(TINY.network, num_classes=3), backbone)
    assert line.startswith("conv1 to conv7 and the image statistics are from")
    torch.testing.assert_close(model.network.first[0].weight, network.first[0].weight)
    assert model.network.image_mean.tolist() == [77.0] * 3
    scratch, line = start(replace(TINY.network, num_classes=3), None)
    assert line.startswith("all weights are drawn at random")
    assert not torch.equal(scratch.first[0].weight, network.first[0].weight)


def test_the_loss_is_a_mean_over_the_pixels_that_count():
    class Fixed(torch.nn.Module):
        def forward(self, images):
            return torch.tensor([0.0, math.log(3.0)])[None, :, None, None].expand(len(images), 2, 2, 2)

    masks = torch.tensor([[[0, 1], [255, 255]], [[1, 1], [1, 1]], [[255, 255], [255, 255]]], dtype=torch.uint8)
    values = criterion(Fixed(), Segmented(torch.zeros(3, 3, 2, 2), masks))
    expected = [(math.log(4) + math.log(4 / 3)) / 2, math.log(4 / 3), 0]
    assert values["loss"].tolist() == pytest.approx(expected)
    assert values["accuracy"].tolist() == [0.5, 1.0, 0.0]


def test_wrong_backbones(samples, backbone, tmp_path):
    with pytest.raises(UsageError, match="no model file"):
        start(TINY.network, tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("no")
    with pytest.raises(HasvideoError, match="not a hasvideo checkpoint"):
        start(TINY.network, tmp_path / "text.ckpt")
    with pytest.raises(UsageError, match=r"b\.ckpt does not fit the network: it has width 0\.06 instead of 1"):
        start(FcnConfig(half_size=True), backbone)


def test_images_of_several_sizes_share_a_batch(root):
    pairs = find_pairs(root, "train")
    samples = SegmentedImages(pairs, len(CLASSES), in_memory=True)
    first = samples.samples[0]
    samples.samples[0] = Segmented(first.image[:, :30, :20], first.mask[:30, :20])
    _, history = fit(samples, CLASSES, replace(TINY, training=replace(TRAINING, epochs=1)), **QUIET)
    assert np.isfinite(history[0]["loss"])
