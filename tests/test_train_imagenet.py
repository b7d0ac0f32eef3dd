"""The command that reproduces the paper's image tables, on a small data set in the same layout."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hasvideo import localize
from hasvideo.datasets.imagenet import ImageTruth
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.evaluate_images import evaluate_images
from hasvideo.image.model import load_image_model
from hasvideo.image.recipe import ImageRecipe, PatchConfig
from hasvideo.image.testing import ImageTest
from hasvideo.networks.config import ImageConfig
from hasvideo.settings import TrainingConfig
from hasvideo.train_imagenet import render, summarise, train_imagenet
from hasvideo.types import Activation, Box, BoxRule
from tests.ilsvrc import make_ilsvrc

TINY = ["--network.width", "0.06", "--network.half-size", "true", "--network.resize", "64", "--network.crop", "56"]
SHORT = ["--training.epochs", "2", "--training.batch-size", "4", "--hiding.sizes", "[0,8]", "--device", "cpu"]


def command(*arguments):
    words = [sys.executable, "-m", "hasvideo.train_imagenet", *map(str, arguments)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, result.stderr


def recipe(**training):
    config = ImageConfig(width=0.06, half_size=True, resize=64, crop=56)
    return ImageRecipe(config, PatchConfig((8,), 0.5), TrainingConfig(epochs=1, batch_size=4, **training))


def test_the_command_trains_tests_and_writes(tmp_path):
    root, out = make_ilsvrc(tmp_path / "data"), tmp_path / "out"
    (root / "ILSVRC/Data/CLS-LOC/train/n01/n01_2.JPEG").write_bytes(b"broken")
    code, stdout, stderr = command("--data", root, "-o", out, "--seeds", 2, *TINY, *SHORT)
    assert code == 0, stderr
    assert "2 classes, 8 training images" in stderr
    assert "1 images are left out" in stderr
    assert "n01_2.JPEG" in (out / "problems.txt").read_text()
    assert stdout == (out / "results.txt").read_text()
    assert "GT-known Loc" in stdout
    report = json.loads((out / "results.json").read_text())
    assert report["seeds"] == 2
    assert report["methods"]["whole image"]["gt_known"]["std"] is None
    assert set(report["methods"]["model"]) == {
        "gt_known", "top1_loc", "top5_loc", "top1_class", "top5_class", "max_box_acc"
    }  # fmt: skip
    assert len(report["methods"]["model"]["top1_class"]["seeds"]) == 2
    assert sum(kind["mean"] for kind in report["failures"].values() if kind) == pytest.approx(100) or all(
        kind is None for kind in report["failures"].values()
    )
    for seed in (0, 1):
        assert load_image_model(out / f"seed-{seed}" / "model.ckpt").classes == ("red thing, first", "green thing")
        boxes = json.loads((out / f"seed-{seed}" / "boxes.json").read_text())["results"]
        assert set(boxes) == {"val_00", "val_01", "val_10", "val_11"}
        assert boxes["val_00"]["width"] == 40
        assert (out / f"seed-{seed}" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_what_localize_finds_can_be_scored(tmp_path):
    root, out = make_ilsvrc(tmp_path / "data"), tmp_path / "out"
    report = train_imagenet(root, out, recipe(), device="cpu")
    model, results = out / "seed-0" / "model.ckpt", tmp_path / "boxes.json"
    images = root / "ILSVRC/Data/CLS-LOC/val"
    words = [str(images), "--model", str(model), "--top-k", "2", "--min-class-score", "0", "--results", str(results)]
    assert localize.main([*words, "--quiet"]) == 0
    scores = evaluate_images(results, root)["scores"]
    assert 100 * scores["top1_class"] == report["methods"]["model"]["top1_class"]["mean"]
    assert 100 * scores["gt_known"] == report["methods"]["model"]["gt_known"]["mean"]


def image_test(cam, box):
    """A test of one image whose class is found and whose object is its left half."""
    truth = {"a": ImageTruth("n01", (box,), 20, 20)}
    return ImageTest("m", BoxRule(), truth, {"a": (("n01", 0.9),)}, {"a": Activation("n01", 0.9, cam)}, {"a": (box,)})


def test_max_box_acc_without_opencv_says_how_to_get_it(monkeypatch):
    cam = np.zeros((224, 224), np.float32)
    cam[:, :112] = 1
    tests = [image_test(cam, Box(0, 0, 10, 20, "n01", 1.0))] * 2
    report = summarise(tests)
    assert report["methods"]["model"]["max_box_acc"]["seeds"] == [100, 100]
    assert "OpenCV" not in render(report)
    monkeypatch.setitem(sys.modules, "cv2", None)
    without = summarise(tests)
    assert without["methods"]["model"].pop("max_box_acc") is None
    assert without["methods"]["model"] == {k: v for k, v in report["methods"]["model"].items() if k != "max_box_acc"}
    lines = render(summarise(tests)).splitlines()
    assert lines[4].split()[:3] == ["model", "100.00", "±"]
    assert lines[4].endswith(" -")
    assert lines[5] == "MaxBoxAcc needs OpenCV: pip install 'hasvideo[maxboxacc]'"
    with pytest.raises(UsageError, match="needs OpenCV"):
        image_test(cam, tests[0].boxes["a"][0]).max_box  # noqa: B018


def test_in_memory_or_from_disk_is_the_same(tmp_path):
    root = make_ilsvrc(tmp_path / "data")
    runs = [
        train_imagenet(root, tmp_path / str(memory), recipe(), in_memory=memory, device="cpu")
        for memory in (True, False)
    ]
    assert runs[0]["methods"] == runs[1]["methods"]


def test_a_finished_run_that_is_resumed_gives_the_same(tmp_path):
    root = make_ilsvrc(tmp_path / "data")
    first = train_imagenet(root, tmp_path / "out", recipe(), device="cpu")
    assert train_imagenet(root, tmp_path / "out", recipe(), resume=True, device="cpu")["methods"] == first["methods"]


def test_wrong_requests(tmp_path):
    with pytest.raises(UsageError, match="seeds must be at least 1"):
        train_imagenet(tmp_path, tmp_path, seeds=0)
    with pytest.raises(UsageError, match="not a folder in the ILSVRC layout"):
        train_imagenet(tmp_path, tmp_path)
    root = make_ilsvrc(tmp_path / "data")
    with pytest.raises(HasvideoError, match="the loss became"):
        train_imagenet(root, tmp_path / "out", recipe(optimizer="sgd", learning_rate=1e20), device="cpu")


def test_two_processes_train_together(tmp_path):
    root, out = make_ilsvrc(tmp_path / "data"), tmp_path / "out"
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    words += ["--nproc-per-node=2", "-m", "hasvideo.train_imagenet", "--data", str(root), "-o", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*words, *TINY, *SHORT], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.endswith((out / "results.txt").read_text())  # PyTorch 2.9's Gloo prints who is connected
    assert result.stderr.count("8 training images") == 1
