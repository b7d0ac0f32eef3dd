import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hasvideo.checkpoint import load, save
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.networks.config import TemporalConfig
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.types import IntervalRule, TimeGrid
from hasvideo.video.model import Model


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = TemporalNetwork(TemporalConfig(in_channels=4, num_classes=3, channels=5, kernel=3, pooling="max"))
    network.feature_mean.normal_()
    return Model(
        "tiny", ("wave", "none", "naïve “hug”"), "i3d", "ab" * 32, TimeGrid(25, 16, 8, -4), network.eval(),
        IntervalRule(0.2, "minmax", 0.5, 0.1), 0.05, "none",
    )  # fmt: skip


def test_round_trip(model, tmp_path):
    path = tmp_path / "my model.ckpt"
    save(model, path)
    loaded = load(path)
    for field in dataclasses.fields(Model):
        if field.name not in ("network", "name"):
            assert getattr(loaded, field.name) == getattr(model, field.name)
    assert loaded.name == str(path)
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float16)
    for ours, theirs in zip(model.activations(features), loaded.activations(features), strict=True):
        assert ours.label == theirs.label
        assert ours.score == theirs.score
        np.testing.assert_array_equal(ours.cam, theirs.cam)
    assert [p.name for p in tmp_path.iterdir()] == ["my model.ckpt"]


def test_activations_fall_and_leave_out_the_background(model):
    activations = model.activations(np.ones((6, 4), np.float32))
    assert {a.label for a in activations} == {"wave", "naïve “hug”"}
    assert activations[0].score >= activations[1].score
    assert all(a.cam.shape == (6,) and a.cam.dtype == np.float32 for a in activations)
    assert all(a.cam.max() > 0 or a.cam.min() < 0 for a in activations)


def test_activations_are_the_same_when_training_left_the_network_in_train_mode(model):
    features = np.ones((6, 4), np.float32)
    before = model.activations(features)
    model.network.train()
    assert [a.score for a in model.activations(features)] == [a.score for a in before]


@pytest.mark.parametrize("length", [65, 97, 128, 300])
@pytest.mark.parametrize("config", [
    {"layers": 0, "pooling": "topk", "topk_divisor": 4, "smoothing": 3},
    {"layers": 2, "kernel": 3, "pooling": "average"},
    {"layers": 1, "kernel": 5, "head_kernel": 3, "pooling": "max", "smoothing": 2, "normalisation": "standardise"},
    {"layers": 2, "kernel": 3, "classification": "sigmoid", "pooling": "topk", "normalisation": "l2"},
])  # fmt: skip
def test_a_long_video_in_blocks_gives_what_it_gives_at_once(monkeypatch, config, length):
    torch.manual_seed(0)
    network = TemporalNetwork(TemporalConfig(in_channels=4, num_classes=19, channels=5, **config)).eval()
    network.feature_mean.normal_()
    model = Model("tiny", tuple(map(str, range(19))), "i3d", "", TimeGrid(25, 16, 8), network)
    features = np.random.default_rng(0).normal(size=(length, 4)).astype(np.float32)
    at_once = {a.label: a for a in model.activations(features)}
    monkeypatch.setattr("hasvideo.video.model.BLOCK", 32)
    monkeypatch.setattr("hasvideo.features.scratch.IN_MEMORY", 0)
    for activation in model.activations(features):
        wanted = at_once.pop(activation.label)
        assert isinstance(activation.cam.base, np.memmap)
        assert activation.score == pytest.approx(wanted.score, rel=1e-5)
        np.testing.assert_allclose(activation.cam, wanted.cam, rtol=1e-5, atol=1e-6)
    assert not at_once


@pytest.mark.parametrize("shape", [(0, 4), (5, 3), (4,), (1, 5, 4)])
def test_wrong_features(model, shape):
    with pytest.raises(HasvideoError, match=r"tiny takes features \(T, 4\)"):
        model.activations(np.zeros(shape, np.float32))


def test_wrong_number_of_classes(model):
    with pytest.raises(HasvideoError, match="2 class names for a network of 3 outputs"):
        dataclasses.replace(model, classes=("a", "b"))
    with pytest.raises(HasvideoError, match="twice"):
        dataclasses.replace(model, classes=("a", "b", "a"))


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"no model file .*absent\.ckpt"):
        load(tmp_path / "absent.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\xff" * 64])
def test_not_a_checkpoint(content, tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(HasvideoError, match=r"x\.ckpt is not a hasvideo checkpoint"):
        load(path)


def test_cut_checkpoint(model, tmp_path):
    path = tmp_path / "x.ckpt"
    save(model, path)
    for share in (0.1, 0.5, 0.99):
        cut = tmp_path / "cut.ckpt"
        cut.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(HasvideoError, match="is not a hasvideo checkpoint"):
            load(cut)


def test_foreign_safetensors(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(HasvideoError, match="is not a hasvideo checkpoint"):
        load(path)


def test_the_built_in_model_has_torchvision_s_names_of_kinetics_and_needs_no_torchvision():
    code = "from hasvideo.video.model import kinetics400; import sys; print(*kinetics400().classes, sep='\\n')"
    code += "; assert 'torchvision' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    from torchvision.models.video import R3D_18_Weights

    assert result.stdout.splitlines() == R3D_18_Weights.KINETICS400_V1.meta["categories"]
