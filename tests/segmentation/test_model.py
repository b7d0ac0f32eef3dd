"""A segmentation network and its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hasvideo.checkpoint import checkpoint_kind, load, save
from hasvideo.errors import HasvideoError
from hasvideo.image.model import load_image_model
from hasvideo.networks.config import FcnConfig
from hasvideo.networks.fcn import Fcn
from hasvideo.segmentation.model import SegmentationModel

IMAGE = np.random.default_rng(0).integers(0, 256, (33, 47, 3)).astype(np.uint8)


@pytest.fixture
def model() -> SegmentationModel:
    torch.manual_seed(0)
    network = Fcn(FcnConfig(num_classes=3, width=0.05, half_size=True, skips=1))
    network.image_mean.fill_(100.0)
    for score in network.scores:
        torch.nn.init.normal_(score.weight)
    return SegmentationModel("m", ("a", "b", "c"), network)


def test_every_pixel_has_the_class_of_highest_score(model):
    labels = model.segment(IMAGE)
    assert (labels.dtype, labels.shape) == (np.uint8, (33, 47))
    with torch.no_grad():
        scores = model.network(torch.from_numpy(IMAGE).permute(2, 0, 1)[None])[0]
    assert np.array_equal(labels, scores.argmax(dim=0).numpy())
    assert len(np.unique(labels)) > 1


def test_large_images_are_scaled_down_and_their_labels_back_up(model):
    sharp = IMAGE[:16, :20]
    large = sharp.repeat(4, axis=0).repeat(4, axis=1)
    config = replace(model.network.config, max_side=20)
    small = SegmentationModel("m", model.classes, Fcn(config))
    small.network.load_state_dict(model.network.state_dict())
    labels = small.segment(large)
    assert labels.shape == (64, 80)
    assert np.array_equal(labels, labels[::4, ::4].repeat(4, axis=0).repeat(4, axis=1))
    assert (labels[::4, ::4] == model.segment(sharp)).mean() > 0.8
    assert not np.array_equal(labels, model.segment(large))


def test_the_file_gives_the_same_model_back(model, tmp_path):
    save(model, tmp_path / "m.ckpt")
    loaded = load(tmp_path / "m.ckpt")
    assert (loaded.classes, loaded.network.config) == (model.classes, model.network.config)
    assert np.array_equal(loaded.segment(IMAGE), model.segment(IMAGE))
    assert checkpoint_kind(tmp_path / "m.ckpt") == "segments"
    with pytest.raises(HasvideoError, match="is a checkpoint for segments, not for objects"):
        load_image_model(tmp_path / "m.ckpt")


def test_names_are_as_many_as_outputs(model):
    with pytest.raises(HasvideoError, match="2 class names for a network of 3 outputs"):
        SegmentationModel("m", ("a", "b"), model.network)
    with pytest.raises(HasvideoError, match="a class name occurs twice"):
        SegmentationModel("m", ("a", "b", "b"), model.network)
