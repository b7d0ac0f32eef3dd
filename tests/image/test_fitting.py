"""From images and their classes to boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hasvideo.checkpoint import save
from hasvideo.datasets.imagenet import ImageSample, LabelledImages, load_ilsvrc
from hasvideo.extents import scale_map
from hasvideo.image.fitting import CropAndHide, fit, largest_box, predict
from hasvideo.image.model import load_image_model
from hasvideo.image.recipe import ImageRecipe, PatchConfig
from hasvideo.networks.config import ImageConfig
from hasvideo.settings import TrainingConfig
from tests.ilsvrc import make_ilsvrc

TINY = ImageConfig(width=0.06, half_size=True, resize=64, crop=56)
FAST = TrainingConfig(epochs=2, batch_size=8, learning_rate=3e-3)
MEAN = torch.tensor([10.0, 20.0, 30.0])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    found = load_ilsvrc(make_ilsvrc(tmp_path_factory.mktemp("ilsvrc"), train=8))
    return found, LabelledImages(found.train, found.classes, 64, in_memory=True)


def sample():
    """Every pixel tells its place: row and column, and no pixel is the mean."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    return ImageSample(torch.stack([rows + 100, columns + 100, rows]).to(torch.uint8), torch.tensor(0))


def test_crops_lie_anywhere_and_are_flipped_in_half_of_the_cases():
    change = CropAndHide(replace(TINY, resize=64, crop=60), PatchConfig(p=0.0), MEAN)
    corners, flips = set(), 0
    for seed in range(300):
        crop = change(sample(), torch.Generator().manual_seed(seed)).image
        assert crop.shape == (3, 60, 60)
        flipped = bool(crop[1, 0, 0] > crop[1, 0, 1])
        left = int(crop[1, 0, -1 if flipped else 0]) - 100
        corners.add((int(crop[0, 0, 0]) - 100, left))
        flips += flipped
    assert corners == {(top, left) for top in range(5) for left in range(5)}
    assert 110 < flips < 190


def test_hidden_patches_take_the_mean_and_the_sample_stays_as_it_is():
    original = sample()
    change = CropAndHide(TINY, PatchConfig((14,), 0.5), MEAN)
    crop = change(original, torch.Generator().manual_seed(0)).image
    assert torch.equal(original.image, sample().image)
    hidden = (crop == MEAN.to(torch.uint8)[:, None, None]).all(dim=0)
    cells = hidden.unflatten(0, (4, 14)).unflatten(2, (4, 14)).float().mean(dim=(1, 3))
    assert set(cells.flatten().tolist()) == {0.0, 1.0}
    again = change(original, torch.Generator().manual_seed(0)).image
    assert torch.equal(crop, again)


def test_hiding_in_the_network_leaves_the_image_alone():
    crop = CropAndHide(TINY, PatchConfig((4,), 1.0, at="conv1"), MEAN)(sample(), torch.Generator().manual_seed(0)).image
    assert not (crop == MEAN.to(torch.uint8)[:, None, None]).all(dim=0).any()


def test_training_learns_what_and_where(images, tmp_path):
    found, _ = images
    samples = LabelledImages(found.train, found.classes, 128, in_memory=True)
    fine = replace(TINY, resize=128, crop=112)
    recipe = ImageRecipe(fine, PatchConfig((0, 16, 32), 0.3), replace(FAST, epochs=40, optimizer="adam"))
    model, history = fit(samples, list(found.classes), recipe, name="m", device="cpu", progress=False)
    assert history[-1]["loss"] < history[0]["loss"]
    val = LabelledImages([(path, found.truth[i].label) for i, path in found.val.items()], found.classes, 128)
    predictions = list(predict(model, val))
    assert [p.activations[0].label for p in predictions] == [p.label for p in predictions]
    for prediction, truth in zip(predictions, found.truth.values(), strict=True):
        cam = scale_map(prediction.known.cam, truth.width, truth.height)
        left, top, right, bottom = map(int, truth.boxes[0].corners)
        inside = np.zeros_like(cam, dtype=bool)
        inside[top:bottom, left:right] = True
        assert cam[inside].mean() > cam[~inside].mean()
    save(model, tmp_path / "m.ckpt")
    loaded = list(predict(load_image_model(tmp_path / "m.ckpt"), val))
    assert np.array_equal(loaded[0].known.cam, predictions[0].known.cam)


def test_the_same_seed_gives_the_same_weights_also_when_resumed(images, tmp_path):
    found, samples = images
    recipe = ImageRecipe(TINY, PatchConfig((8,), 0.5, at="conv1"), FAST)
    options = {"device": "cpu", "progress": False}
    whole, _ = fit(samples, list(found.classes), recipe, **options)
    first = replace(recipe, training=replace(FAST, epochs=1))
    fit(samples, list(found.classes), first, folder=tmp_path, **options)
    resumed, history = fit(samples, list(found.classes), recipe, folder=tmp_path, resume=True, **options)
    assert len(history) == 2
    for one, other in zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_true_class_is_always_there_and_an_empty_cam_has_no_box(images):
    found, samples = images
    model, _ = fit(samples, list(found.classes), ImageRecipe(TINY, training=FAST), device="cpu", progress=False)
    for prediction in predict(model, samples, most=1):
        assert len(prediction.activations) == 1
        assert prediction.known.label == prediction.label
    flat = replace(prediction.known, cam=np.full((4, 4), -1.0, np.float32))
    assert largest_box(flat, 40, 30, model.rule) is None
