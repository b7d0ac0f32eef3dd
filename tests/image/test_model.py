"""Classifying and mapping whole images: crops, flips, squeezing, checkpoints."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hasvideo.checkpoint import checkpoint_kind, load, save
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.image.model import ImageModel, load_image_model
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork
from hasvideo.types import BoxRule
from hasvideo.video.model import Model

CLASSES = ("red", "green", "blue")
TINY = {"num_classes": 3, "width": 0.06, "half_size": True, "resize": 64, "crop": 56}


class Colours(GapNetwork):
    """A network whose map is the image itself, a class a channel, in cells of four pixels."""

    def __init__(self, **config: object) -> None:
        super().__init__(ImageConfig(**{**TINY, **config}))
        self.first, self.rest = nn.AvgPool2d(4), nn.Identity()
        self.head = type(self.head)(3, 3, bias=False)
        self.head.weight.data = torch.eye(3)


def picture(height=64, width=64):
    """Black, with a red square on the left, a third of the way down."""
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 4 : height // 2, width // 8 : width // 4, 0] = 255
    return image


@pytest.mark.parametrize("ten_crop", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (48, 96)])
def test_the_map_covers_the_whole_image_in_place(ten_crop, size):
    model = ImageModel("m", CLASSES, Colours(ten_crop=ten_crop))
    red = next(a for a in model.activations(picture(*size)) if a.label == "red")
    rows, columns = np.nonzero(red.cam >= 0.5 * red.cam.max())
    h, w = red.cam.shape
    assert red.cam.max() > 200
    assert [rows.min() / h, (rows.max() + 1) / h] == pytest.approx([0.25, 0.5], abs=0.06)
    assert [columns.min() / w, (columns.max() + 1) / w] == pytest.approx([0.125, 0.25], abs=0.06)


def test_ten_crops_of_a_constant_map_are_constant():
    network = Colours()
    cam = ImageModel("m", CLASSES, network).maps([np.full((64, 64, 3), 50, np.uint8)])[1]
    assert np.allclose(cam, 50, atol=1e-4)


def test_ten_crops_answer_as_ten_crops():
    torch.manual_seed(0)
    network = GapNetwork(ImageConfig(**TINY)).eval()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    corners = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]
    crops = [pixels[..., y : y + 56, x : x + 56] for y, x in corners]
    with torch.no_grad():
        expected = torch.stack([network(c).softmax(1) for crop in crops for c in (crop, crop.flip(-1))]).mean(0)
    probabilities, _ = ImageModel("m", CLASSES, network).maps([image])
    assert np.allclose(probabilities, expected.numpy(), atol=1e-6)


def test_results_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    model = ImageModel("m", CLASSES, GapNetwork(ImageConfig(**TINY)))
    images = list(np.random.default_rng(0).integers(0, 255, (3, 50, 70, 3)).astype(np.uint8))
    together = model.maps(images)
    for index, image in enumerate(images):
        alone = model.maps([image])
        assert np.allclose(alone[0][0], together[0][index], atol=1e-5)
        assert np.allclose(alone[1][0], together[1][index], atol=1e-4)


def test_a_checkpoint_keeps_all_that_is_needed(tmp_path):
    torch.manual_seed(0)
    model = ImageModel("m", CLASSES, GapNetwork(ImageConfig(**TINY)), BoxRule(0.3, "minmax"))
    save(model, tmp_path / "m.ckpt")
    loaded = load_image_model(tmp_path / "m.ckpt")
    assert (loaded.classes, loaded.rule, loaded.network.config) == (model.classes, model.rule, model.network.config)
    for one, other in zip(model.activations(picture()), loaded.activations(picture()), strict=True):
        assert one.label == other.label
        assert np.array_equal(one.cam, other.cam)
    assert checkpoint_kind(tmp_path / "m.ckpt") == "objects"


def test_checkpoints_of_the_other_kind_are_refused(tmp_path):
    save(ImageModel("m", CLASSES, GapNetwork(ImageConfig(**TINY))), tmp_path / "m.ckpt")
    with pytest.raises(HasvideoError, match="is a checkpoint for objects, not for actions"):
        load(tmp_path / "m.ckpt", Model)


def test_a_wrong_number_of_classes(tmp_path):
    network = GapNetwork(ImageConfig(**TINY))
    with pytest.raises(HasvideoError, match="2 class names for a network of 3 outputs"):
        ImageModel("m", ("a", "b"), network)
    with pytest.raises(HasvideoError, match="a class name occurs twice"):
        ImageModel("m", ("a", "b", "a"), network)
    settings = {"format": 1, "kind": "objects", "network": network.config.to_dict(), "classes": ["a"], "rule": {}}
    save_file(network.state_dict(), tmp_path / "m.ckpt", metadata={"hasvideo": json.dumps(settings)})
    with pytest.raises(HasvideoError, match="1 class names"):
        load_image_model(tmp_path / "m.ckpt")


def test_missing_and_damaged_checkpoints(tmp_path):
    with pytest.raises(UsageError, match="no model file"):
        load_image_model(tmp_path / "absent.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(HasvideoError, match="not a hasvideo checkpoint"):
        load_image_model(tmp_path / "text.ckpt")
