"""Files that version 0.1 wrote, before the package was laid out anew, say the same as they said then."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hasvideo.checkpoint import load
from hasvideo.features.manifest import Manifest
from hasvideo.features.store import FeatureStore
from hasvideo.pack import pack
from hasvideo.types import BoxRule, IntervalRule, TimeGrid

FOLDER = Path(__file__).parent / "version_0_1"
FEATURES = np.sin(np.arange(36, dtype=np.float32)).reshape(9, 4)
IMAGE = (np.arange(40 * 52 * 3) ** 2 % 251).astype(np.uint8).reshape(40, 52, 3)


@pytest.fixture(scope="module")
def answers():
    return np.load(FOLDER / "answers.npz")


def assert_same(activations, answers, kind):
    assert {f"{kind}/{a.label}/cam" for a in activations} == {k for k in answers if k.startswith(kind) and "cam" in k}
    for a in activations:
        np.testing.assert_allclose(a.score, answers[f"{kind}/{a.label}/score"], rtol=1e-5)
        np.testing.assert_allclose(a.cam, answers[f"{kind}/{a.label}/cam"], rtol=1e-4, atol=1e-5)


def test_a_model_of_actions(answers):
    model = load(FOLDER / "actions.ckpt")
    assert_same(model.activations(FEATURES), answers, "actions")
    assert (model.extractor, model.grid, model.background) == ("i3d", TimeGrid(25, 16, 8, -4), "none")
    assert (model.rule, model.min_class_score) == (IntervalRule(0.2, "minmax", 0.5, 0.1), 0.05)


def test_a_model_of_objects(answers):
    model = load(FOLDER / "objects.ckpt")
    assert_same(model.activations(IMAGE), answers, "objects")
    assert model.rule == BoxRule(0.3)


def test_a_model_of_segments(answers):
    labels = load(FOLDER / "segments.ckpt").segment(IMAGE)
    assert (labels == answers["segments"]).mean() > 0.999


@pytest.mark.parametrize("kind", ["features", "packed"])
def test_features_and_their_manifest(kind):
    store = FeatureStore(FOLDER / kind)
    assert store.videos() == ["clip", "é b.mp4"]
    assert (store.meta.extractor, store.meta.grid, store.meta.dim) == ("i3d", TimeGrid(25, 16, 8, -4), 4)
    for steps, video in enumerate(store.videos(), start=5):
        wanted = np.sin(np.arange(4 * steps)).reshape(-1, 4).astype(np.float16)
        np.testing.assert_array_equal(store.load(video), wanted)
        record = Manifest(FOLDER / kind).records()[video]
        assert (record.shape, record.seconds, record.sha256) == ((steps, 4), 2.0, store.sha256(video))


def test_packed_features_are_unpacked(tmp_path):
    shutil.copytree(FOLDER / "packed", tmp_path / "packed")
    pack(tmp_path / "packed", tmp_path / "features", unpack=True, progress=False)
    for path in sorted((FOLDER / "features").glob("*.npy")):
        assert (tmp_path / "features" / path.name).read_bytes() == path.read_bytes()
