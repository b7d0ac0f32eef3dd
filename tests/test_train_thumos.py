import difflib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from hasvideo.checkpoint import load
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.metrics.detection import mean_average_precision
from hasvideo.networks.config import TemporalConfig
from hasvideo.pack import pack
from hasvideo.settings import TrainingConfig
from hasvideo.train_thumos import main, render, train_thumos
from hasvideo.types import IntervalRule, TimeGrid
from hasvideo.video.recipe import HidingConfig, Recipe

CONFIGS = Path(__file__).parents[1] / "configs" / "thumos14"
GRID = TimeGrid(25, 16, 8)
RECIPE = Recipe(
    TemporalConfig(channels=8, pooling="topk"),
    HidingConfig(),
    TrainingConfig(epochs=30, batch_size=6, learning_rate=0.01),
    IntervalRule(0.4, "minmax"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve training and six test videos in which dimension 0 or 1 rises while action a or b goes on."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    store = FeatureStore.create(folder / "features", FeatureMeta("i3d", "", GRID, 6))
    database = {}
    for v in range(18):
        video, label = f"video_{v:02}", "ab"[v % 2]
        array = rng.normal(1, 0.1, size=(int(rng.integers(30, 60)), 6))
        first = int(rng.integers(2, len(array) - 14))
        array[first : first + 10, v % 2] += 3
        store.save(video, array)
        duration = len(array) * GRID.step
        edges = GRID.edges(len(array), duration)
        items = [{"label": label, "segment": [edges[first], edges[first + 10]]}]
        subset = "validation" if v < 12 else "test"
        database[video] = {"subset": subset, "duration": duration, "annotations": items}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return folder


def run(data, output, **options):
    return train_thumos(data / "features", data / "annotations.json", output, RECIPE, **options)


def test_labels_alone_localize_and_everything_is_written(data, tmp_path):
    report = run(data, tmp_path)
    folder = tmp_path / "hide_and_seek" / "seed-0"
    maps = report["methods"]["hide_and_seek"]["activitynet"]["mAP"]
    assert maps["0.5"]["mean"] > 80
    assert set(maps) == {"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.1:0.5", "0.1:0.7", "0.3:0.7"}
    assert {p.name for p in folder.iterdir()} == {
        "model.ckpt", "detections.json", "metrics.jsonl", "curves.png", "state.pt",
    }  # fmt: skip
    assert (tmp_path / "hide_and_seek.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "results.json").read_text())["methods"] == report["methods"]
    detections = json.loads((folder / "detections.json").read_text())
    truth = json.loads((data / "annotations.json").read_text())
    again = mean_average_precision(detections, truth, tiou=[0.5], subset="test")["average_mAP"]
    assert again * 100 == pytest.approx(maps["0.5"]["mean"])
    assert load(folder / "model.ckpt").classes == ("a", "b")


def test_the_training_subsets_intervals_are_never_looked_at(data, tmp_path):
    base = run(data, tmp_path / "base")
    annotations = json.loads((data / "annotations.json").read_text())
    for video in annotations["database"].values():
        if video["subset"] == "validation":
            video["annotations"] = [{"label": i["label"], "segment": [0, 0.01]} for i in video["annotations"]]
    (tmp_path / "moved.json").write_text(json.dumps(annotations))
    moved = train_thumos(data / "features", tmp_path / "moved.json", tmp_path / "moved", RECIPE)
    assert moved["methods"] == base["methods"]


def test_compare_runs_both_on_the_same_seeds(data, tmp_path):
    report = run(data, tmp_path, seeds=2, compare=True)
    assert list(report["methods"]) == ["full", "hide_and_seek"]
    for method in report["methods"]:
        assert {p.name for p in (tmp_path / method).iterdir()} == {"seed-0", "seed-1"}
    gap = report["difference"]["activitynet"]
    means = [report["methods"][m]["activitynet"]["mAP"]["0.1:0.5"]["mean"] for m in ("hide_and_seek", "full")]
    assert gap["mean"] == pytest.approx(means[0] - means[1])
    assert gap["low"] <= gap["mean"] <= gap["high"]
    first, second = (load(tmp_path / "full" / f"seed-{s}" / "model.ckpt").network for s in (0, 1))
    assert not torch.equal(first.head.weight, second.head.weight)
    text = render(report)
    assert text == (tmp_path / "results.txt").read_text()
    assert "mean ± standard deviation over 2 seeds" in text
    assert "hide_and_seek - full, thumos14" in text


def test_features_on_disk_or_packed_give_the_same_result(data, tmp_path):
    in_memory = run(data, tmp_path / "a")
    assert run(data, tmp_path / "b", mmap=True)["methods"] == in_memory["methods"]
    packed = pack(data / "features", tmp_path / "packed", shard_size="2kB", progress=False)
    assert packed.shards > 3
    for mmap in (False, True):
        report = train_thumos(packed.store.folder, data / "annotations.json", tmp_path / f"c{mmap}", RECIPE, mmap=mmap)
        assert report["methods"] == in_memory["methods"]


def test_resume_of_a_finished_run_repeats_its_result_without_training(data, tmp_path):
    first = run(data, tmp_path)
    state = tmp_path / "hide_and_seek" / "seed-0" / "state.pt"
    before = state.stat().st_mtime_ns
    assert run(data, tmp_path, resume=True)["methods"] == first["methods"]
    assert state.stat().st_mtime_ns == before


def test_missing_features(data, tmp_path):
    store = FeatureStore.create(tmp_path / "features", FeatureMeta("i3d", "", GRID, 6))
    full = FeatureStore(data / "features")
    for video in full.videos()[:-1]:
        store.save(video, full.load(video))
    with pytest.warns(UserWarning, match="lacks 1 of 6 test videos, whose actions count as missed: video_17"):
        report = train_thumos(tmp_path / "features", data / "annotations.json", tmp_path / "out", RECIPE)
    assert report["methods"]["hide_and_seek"]["activitynet"]["mAP"]["0.1"]["mean"] < 90
    store.path("video_03").unlink()
    with (
        pytest.warns(UserWarning, match="test videos"),
        pytest.raises(HasvideoError, match="no features of 1 of 12 videos: video_03"),
    ):
        train_thumos(tmp_path / "features", data / "annotations.json", tmp_path / "out", RECIPE)


def test_wrong_requests(data, tmp_path):
    with pytest.raises(UsageError, match="seeds"):
        run(data, tmp_path, seeds=0)
    with pytest.raises(UsageError, match="no subset 'dev'"):
        run(data, tmp_path, train_subset="dev")
    plain = replace(RECIPE, hiding=HidingConfig(p=0))
    with pytest.raises(UsageError, match="compare needs a recipe that hides"):
        train_thumos(data / "features", data / "annotations.json", tmp_path, plain, compare=True)


def arguments(data, output):
    return ["--features", str(data / "features"), "--annotations", str(data / "annotations.json"), "-o", str(output)]


def test_the_command_takes_options_from_yaml_and_command_line(data, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("training: {epochs: 2, batch_size: 6}\nnetwork: {channels: 8, kernel: 3}\nhiding: {p: 0.0}\n")
    main(["--config", str(config), *arguments(data, tmp_path / "out"), "--training.epochs", "3", "--threshold", "0.3"])
    out = capsys.readouterr().out
    assert out.startswith("mAP in %")
    assert len((tmp_path / "out" / "full" / "seed-0" / "metrics.jsonl").read_text().splitlines()) == 3
    model = load(tmp_path / "out" / "full" / "seed-0" / "model.ckpt")
    assert (model.network.config.kernel, model.network.config.channels, model.rule.threshold) == (3, 8, 0.3)


@pytest.mark.parametrize(("extra", "message"), [
    (["--hiding.p", "2"], "p from 0 to 1"),
    (["--network.kernel", "2"], "kernel must be odd"),
    (["--min-class-score", "7"], "min_class_score"),
    (["--threshold", "1.5"], "threshold is a fraction"),
])  # fmt: skip
def test_settings_out_of_range(data, tmp_path, extra, message):
    with pytest.raises(UsageError, match=message):
        main([*arguments(data, tmp_path), *extra])


@pytest.mark.parametrize("extra", [["--network.pooling", "sum"], ["--training.epochs", "many"], ["--nonsense"]])
def test_unknown_settings_are_usage_errors(data, tmp_path, extra, capsys):
    with pytest.raises(SystemExit) as end:
        main([*arguments(data, tmp_path), *extra])
    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("prefix", ["", "c3d_"])
def test_the_baselines_configuration_differs_in_hiding_alone(prefix):
    texts = [(CONFIGS / f"{prefix}{name}.yaml").read_text() for name in ("hide_and_seek", "full")]
    ours, baseline = map(yaml.safe_load, texts)
    assert ours.pop("hiding") == {**baseline.pop("hiding"), "p": 0.5}
    assert ours == baseline
    assert sum(line.startswith("+ ") for line in difflib.ndiff(*(t.splitlines() for t in texts))) == 2


@pytest.mark.parametrize("name", ["hide_and_seek", "full", "c3d_hide_and_seek", "c3d_full"])
def test_published_configurations_are_accepted(name, data, tmp_path, capsys):
    main(["--config", str(CONFIGS / f"{name}.yaml"), *arguments(data, tmp_path), "--training.epochs", "1"])
    assert "mAP in %" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_train_as_one(data, tmp_path):
    # Plain steps: adam divides by the gradient's size, which turns rounding into steps where a gradient is almost zero.
    steps = ["--training.optimizer", "sgd", "--training.learning-rate", "0.01", "--training.batch-size", "5"]
    command = ["-m", "hasvideo.train_thumos", "--training.epochs", "2", *steps, "--device", "cpu"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    for name, start in (("one", []), ("two", launcher)):
        done = subprocess.run(
            [sys.executable, *start, *command, *arguments(data, tmp_path / name)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("mAP in %") == 1
    folders = [tmp_path / name / "hide_and_seek" / "seed-0" for name in ("one", "two")]
    one, two = (load(folder / "model.ckpt").network for folder in folders)
    for ours, theirs in zip(two.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
