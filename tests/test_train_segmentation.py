"""The command that trains and tests segmentation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from hasvideo.checkpoint import load, save
from hasvideo.datasets.segmentation import read_mask
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.image.model import ImageModel
from hasvideo.metrics.segmentation import confusion_matrix, score_segmentation
from hasvideo.networks.config import FcnConfig
from hasvideo.networks.gap import GapNetwork
from hasvideo.segmentation.recipe import SegmentationRecipe
from hasvideo.settings import TrainingConfig
from hasvideo.train_imagenet import load_recipe as load_image_recipe
from hasvideo.train_segmentation import load_recipe, main, render, train_segmentation
from tests.voc import CLASSES, make_voc, write_list, write_mask

CONFIGS = Path(__file__).parents[1] / "configs"
RECIPE = SegmentationRecipe(
    FcnConfig(width=0.06, half_size=True), training=TrainingConfig(epochs=1, batch_size=4, learning_rate=0.01)
)


@pytest.fixture
def data(tmp_path):
    return make_voc(tmp_path / "VOC2012")


def run(data, output, **options):
    return train_segmentation(data, output, RECIPE, device="cpu", **options)


def test_everything_is_written_and_agrees(data, tmp_path):
    report = run(data, tmp_path / "out", seeds=2, pictures=2)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(json.dumps(report))
    assert (tmp_path / "out" / "results.txt").read_text() == render(report)
    means = []
    for seed in range(2):
        folder = tmp_path / "out" / f"seed-{seed}"
        assert load(folder / "model.ckpt").classes == CLASSES
        assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert {p.stem for p in (folder / "predictions").iterdir()} == {f"val_{k}" for k in range(4)}
        assert {p.stem for p in (folder / "pictures").iterdir()} == {"val_0", "val_3"}
        found = [read_mask(path) for path in sorted((folder / "predictions").iterdir())]
        truth = [read_mask(path) for path in sorted((data / "SegmentationClass").glob("val_*"))]
        confusion = sum(confusion_matrix(t, f, 3) for t, f in zip(truth, found, strict=True))
        means.append(100 * score_segmentation(confusion, CLASSES)["mean_iu"])
    assert report["metrics"]["mean_iu"]["seeds"] == pytest.approx(means)
    assert report["metrics"]["mean_iu"]["mean"] == pytest.approx(np.mean(means))
    assert report["images"] == 4
    with Image.open(next((folder / "predictions").iterdir())) as image:
        assert image.mode == "P"


def test_resume_of_a_finished_run_repeats_its_result_without_training(data, tmp_path):
    first = run(data, tmp_path / "out", pictures=0)
    state = tmp_path / "out" / "seed-0" / "state.pt"
    before = state.stat().st_mtime_ns
    assert run(data, tmp_path / "out", pictures=0, resume=True) == first
    assert state.stat().st_mtime_ns == before


def test_a_class_that_the_tested_masks_lack_is_stated(data, tmp_path):
    write_list(data, "reds", ["val_0", "val_2"])
    report = run(data, tmp_path / "out", test_list="reds", pictures=0, in_memory=True)
    assert report["absent"] == ["green"]
    assert report["iu"]["green"] is None
    assert "not in the tested masks and in no mean: green" in render(report)


@pytest.fixture
def backbone(tmp_path):
    """The network of configs/small/alexnet_gap.yaml, untrained."""
    network = GapNetwork(replace(load_image_recipe(CONFIGS / "small" / "alexnet_gap.yaml").network, num_classes=2))
    save(ImageModel("b", ("x", "y"), network), tmp_path / "b.ckpt")
    return tmp_path / "b.ckpt"


def arguments(data, output, *more):
    return ["--data", str(data), "-o", str(output), "--device", "cpu", *map(str, more)]


def test_the_command_starts_from_a_backbone_and_says_so(data, tmp_path, backbone, capsys):
    small = ["--config", CONFIGS / "small" / "fcn_gap.yaml", "--backbone", backbone, "--test-list", "val"]
    main([*map(str, small), *arguments(data, tmp_path / "out", "--training.epochs", "1")])
    out, err = capsys.readouterr()
    line = f"conv1 to conv7 and the image statistics are from {backbone}; the class scores start at zero"
    assert line in out
    assert f"3 classes, 6 images to train on, 4 to test on; {line}" in err
    model = load(tmp_path / "out" / "seed-0" / "model.ckpt")
    assert (model.network.config.width, model.network.config.half_size) == (0.25, True)


def test_bad_data_and_backbones_fail_in_one_line(data, tmp_path, backbone):
    with pytest.raises(UsageError, match="does not fit the network: it has width 0.25 instead of 0.06"):
        run(data, tmp_path / "out", backbone=backbone)
    with pytest.raises(UsageError, match="no list"):
        run(data, tmp_path / "out", test_list="dev")
    with pytest.raises(UsageError, match="seeds"):
        run(data, tmp_path / "out", seeds=0)
    write_mask(data / "SegmentationClass" / "train_3.png", np.full((36, 44), 9, np.uint8))
    with pytest.raises(HasvideoError, match=r"train_3\.png: unknown label 9; accepted: 0 to 2"):
        run(data, tmp_path / "out")
    write_mask(data / "SegmentationClass" / "train_3.png", np.zeros((44, 36), np.uint8))
    with pytest.raises(HasvideoError, match=r"train_3\.png: the mask has 36 x 44 pixels"):
        run(data, tmp_path / "out")
    (data / "SegmentationClass" / "train_3.png").unlink()
    with pytest.raises(HasvideoError, match=r"no mask .*train_3\.png"):
        run(data, tmp_path / "out")
    write_list(data, "train", [])
    with pytest.raises(HasvideoError, match=r"train\.txt lists no image"):
        run(data, tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.ckpt"))


@pytest.mark.parametrize("extra", [["--network.skips", "3"], ["--jitter.crop", "-1"], ["--training.epochs", "0"]])
def test_settings_out_of_range(data, tmp_path, extra):
    with pytest.raises(UsageError):
        main(arguments(data, tmp_path, *extra))


PUBLISHED = sorted(str(p.relative_to(CONFIGS)) for p in [*CONFIGS.glob("segmentation/*"), *CONFIGS.glob("small/fcn_*")])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_are_accepted(name):
    recipe = load_recipe(CONFIGS / name)
    encoder = load_image_recipe(CONFIGS / ("small" if "small" in name else "imagenet") / "alexnet_gap.yaml").network
    ours = recipe.network
    assert (ours.width, ours.half_size, ours.batch_norm) == (encoder.width, encoder.half_size, encoder.batch_norm)


@pytest.mark.parametrize("arms", [
    ("segmentation/fcn_alexnet_scratch", "segmentation/fcn_alexnet_gap", "segmentation/fcn_alexnet_has"),
    ("small/fcn_scratch", "small/fcn_gap", "small/fcn_has"),
])  # fmt: skip
def test_the_arms_of_a_study_differ_in_their_backbone_alone(arms):
    recipes = [load_recipe(CONFIGS / f"{name}.yaml") for name in arms]
    assert recipes[0] == recipes[1] == recipes[2]
    texts = [yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in arms]
    assert [text.get("backbone") is None for text in texts] == [True, False, False]
    assert texts[1]["backbone"] != texts[2]["backbone"]


def test_a_run_is_decided_by_its_seed(data, tmp_path):
    one, two = (run(data, tmp_path / name, pictures=0, in_memory=flag) for name, flag in (("a", True), ("b", False)))
    assert one == two
    networks = [load(tmp_path / name / "seed-0" / "model.ckpt").network for name in "ab"]
    pairs = zip(*(n.state_dict().values() for n in networks), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
