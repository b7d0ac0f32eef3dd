"""The train command on painted videos: from a folder of clips to intervals in two commands."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hasvideo
from hasvideo.cam import CamHead
from hasvideo.checkpoint import load
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features import extractors
from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.files import file_sha256
from hasvideo.localize import main as localize_main
from hasvideo.networks.config import TemporalConfig
from hasvideo.pack import pack
from hasvideo.settings import TrainingConfig
from hasvideo.train import main, train
from hasvideo.types import IntervalRule
from hasvideo.video.fitting import head_for
from hasvideo.video.recipe import OWN_VIDEOS, HidingConfig
from tests.colours import ColourExtractor, colour_model, paint_video

RECIPE = replace(
    OWN_VIDEOS,
    network=TemporalConfig(channels=16, pooling="topk"),
    hiding=HidingConfig(num_segments=6),
    training=TrainingConfig(epochs=60, batch_size=4, learning_rate=0.03, weight_decay=0.0),
    rule=IntervalRule(0.5),
)
FAST = [
    *("--training.epochs", "60", "--training.learning-rate", "0.03", "--training.weight-decay", "0"),
    *("--network.channels", "16", "--network.kernel", "1", "--hiding.num-segments", "6"),
    *("--threshold", "0.5", "--quiet"),
]


@pytest.fixture(autouse=True)
def loads(monkeypatch):
    """The colour extractor in place of the others; how often it was asked for."""
    asked = []
    monkeypatch.setattr(extractors, "load_extractor", lambda *a: asked.append(a) or ColourExtractor())
    return asked


CLIPS = {
    "red": [("black", "red"), ("red", "black"), ("black", "red", "black"), ("red", "black", "black")],
    "green": [("black", "green"), ("green", "black"), ("black", "green", "black"), ("green", "black", "black")],
    "none": [("black", "black"), ("black",), ("black", "black", "black"), ("black", "black")],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder a class; every colour lasts two seconds."""
    root = tmp_path_factory.mktemp("clips")
    for name, clips in CLIPS.items():
        (root / name).mkdir()
        for number, colours in enumerate(clips):
            paint_video(root / name / f"{name}-{number}.mp4", *colours, seconds=2)
    return root


@pytest.fixture(scope="module")
def ready(folders, tmp_path_factory):
    """The features of the clips, for tests that are not about making them."""
    root = tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())
        short = replace(RECIPE, training=TrainingConfig(epochs=1))
        train(folders, root / "x.ckpt", features=root / "features", recipe=short, holdout=0, progress=False)
    return root / "features"


@pytest.fixture
def flat(folders, tmp_path):
    """The same clips in one folder, and their labels."""
    videos = tmp_path / "videos"
    videos.mkdir()
    lines = ["video,label"]
    for path in sorted(folders.glob("*/*.mp4")):
        (videos / path.name).symlink_to(path)
        lines.append(f"{path.name},{path.parent.name}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return videos, tmp_path / "labels.csv"


def test_two_commands_lead_from_a_folder_of_clips_to_intervals(folders, tmp_path, capsys):
    checkpoint = tmp_path / "my.ckpt"
    assert main([str(folders), "-o", str(checkpoint), *FAST]) == 0
    out = capsys.readouterr().out
    assert "trained on 12 videos: green 4, none 4, red 4" in out
    assert "videos that were held out" in out
    assert f"hasvideo localize NEW.mp4 --model {checkpoint}" in out
    new = [
        paint_video(tmp_path / f"{colour}.mp4", "black", "black", colour, "black", seconds=2)
        for colour in ("green", "red")
    ]
    arguments = ["--model", str(checkpoint), "--quiet", "--results", str(tmp_path / "all.json")]
    assert localize_main([*map(str, new), *arguments]) == 0
    results = json.loads((tmp_path / "all.json").read_text())["results"]
    for colour in ("green", "red"):
        (found,) = results[colour]
        start, end = found["segment"]
        tiou = (min(end, 6) - max(start, 4)) / (max(end, 6) - min(start, 4))
        assert (found["label"], tiou >= 0.7) == (colour, True), found
    empty = paint_video(tmp_path / "empty.mp4", "black", "black", seconds=2)
    assert hasvideo.localize(empty, model=checkpoint).intervals == ()


def test_what_is_written(folders, tmp_path):
    report = train(folders, tmp_path / "my.ckpt", recipe=RECIPE, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my.ckpt", "my.features", "my.training"]
    assert {p.name for p in (tmp_path / "my.training").iterdir()} == {"all", "held-out"}
    assert (tmp_path / "my.training" / "held-out" / "curves.png").is_file()
    assert len(FeatureStore(tmp_path / "my.features").videos()) == 12
    assert len(report.held_out) == 3
    assert report.accuracy == 1
    assert report.counts == {"green": 4, "none": 4, "red": 4}
    loaded = load(tmp_path / "my.ckpt")
    assert (loaded.extractor, loaded.weights_sha256, loaded.background) == ("colour", "c0105", "none")


def test_labels_from_a_file_give_the_same_model(folders, flat, ready, tmp_path):
    videos, labels = flat
    one = train(folders, tmp_path / "one.ckpt", features=ready, recipe=RECIPE, progress=False)
    two = train(videos, tmp_path / "two.ckpt", features=ready, labels=labels, recipe=RECIPE, progress=False)
    assert two.held_out == one.held_out
    for ours, theirs in zip(two.model.network.parameters(), one.model.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_features_are_made_once_and_again_for_a_video_that_changed(folders, tmp_path, loads):
    options = {"recipe": replace(RECIPE, training=TrainingConfig(epochs=1)), "progress": False, "holdout": 0}
    clips = damage(folders, tmp_path)  # a copy: other tests have the features of these
    train(clips, tmp_path / "a.ckpt", features=tmp_path / "f", **options)
    assert len(loads) == 1
    train(clips, tmp_path / "b.ckpt", features=tmp_path / "f", **options)
    assert len(loads) == 1
    changed = clips / "red" / "red-0.mp4"
    os.utime(changed)
    store = FeatureStore(tmp_path / "f")
    before = store.path("red-1").stat().st_mtime_ns
    with pytest.warns(UserWarning, match=r"made anew: .*red-0\.mp4 changed"):
        train(clips, tmp_path / "c.ckpt", features=tmp_path / "f", **options)
    assert len(loads) == 2
    assert store.path("red-0").stat().st_mtime >= changed.stat().st_mtime
    assert store.path("red-1").stat().st_mtime_ns == before
    good = store.path("red-1").read_bytes()
    store.path("red-1").write_bytes(good[:-4])
    with pytest.warns(UserWarning, match=r"made anew: .*red-1\.npy is not a readable"):
        train(clips, tmp_path / "d.ckpt", features=tmp_path / "f", **options)
    assert store.path("red-1").read_bytes() == good


def test_ready_features_need_no_videos(flat, ready, tmp_path, loads):
    _, labels = flat
    labels.write_text(labels.read_text().replace(".mp4", ""))
    report = train([], tmp_path / "b.ckpt", labels=labels, features=ready, recipe=RECIPE, progress=False)
    assert report.videos == 12
    assert not loads
    labels.write_text(labels.read_text() + "absent,red\n")
    with pytest.raises(UsageError, match="has no features of absent: give the videos too"):
        train([], tmp_path / "b.ckpt", labels=labels, features=ready, recipe=RECIPE, progress=False)


def test_features_left_on_disk_or_packed_give_the_same_model(flat, ready, tmp_path, loads):
    videos, labels = flat
    options = {"labels": labels, "recipe": RECIPE, "progress": False}
    one = train(videos, tmp_path / "one.ckpt", features=ready, **options)
    packed = pack(ready, tmp_path / "packed", shard_size="100", progress=False)
    assert packed.shards > 3
    two = train(videos, tmp_path / "two.ckpt", features=tmp_path / "packed", mmap=True, **options)
    assert not loads
    for ours, theirs in zip(two.model.network.parameters(), one.model.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_features_of_another_kind_are_not_mixed(folders, tmp_path):
    FeatureStore.create(tmp_path / "f", FeatureMeta("i3d", "ab", ColourExtractor.grid, 1024))
    with pytest.raises(HasvideoError, match="holds other features"):
        train(folders, tmp_path / "a.ckpt", features=tmp_path / "f", recipe=RECIPE, progress=False)


def test_weights_from_a_file_go_with_the_features_and_the_model(folders, tmp_path, monkeypatch, capsys):
    class FromFile(ColourExtractor):
        def __init__(self, _name, _engine, _device, weights):
            self.weights_sha256 = file_sha256(weights) if weights else super().weights_sha256

    monkeypatch.setattr(extractors, "load_extractor", FromFile)
    for name in ("right", "wrong"):
        (tmp_path / name).write_text(name)
    checkpoint = str(tmp_path / "my.ckpt")
    command = [str(folders), "-o", checkpoint, "--training.epochs", "1", "--holdout", "0", "--quiet"]
    assert main([*command, "--weights", str(tmp_path / "right")]) == 0
    assert f"--model {checkpoint} --weights {tmp_path / 'right'}\n" in capsys.readouterr().out
    assert load(Path(checkpoint)).weights_sha256 == file_sha256(tmp_path / "right")
    with pytest.raises(HasvideoError, match="holds other features"):
        main([*command, "--weights", str(tmp_path / "wrong")])
    clip = str(next(folders.glob("red/*.mp4")))
    assert localize_main([clip, "--model", checkpoint, "--quiet", "--weights", str(tmp_path / "right")]) == 0
    assert hasvideo.localize(clip, model=checkpoint, weights=str(tmp_path / "right")).model == checkpoint
    for other in (None, tmp_path / "wrong"):
        with pytest.raises(HasvideoError, match="trained on features of colour with .*: --weights names the file"):
            hasvideo.localize(clip, model=checkpoint, weights=other)


def damage(folders, tmp_path, *names):
    copy = tmp_path / "clips"
    for path in folders.glob("*/*.mp4"):
        (copy / path.parent.name).mkdir(parents=True, exist_ok=True)
        target = copy / path.parent.name / path.name
        target.write_bytes(b"no video" if path.stem in names else path.read_bytes())
    return copy


def test_unreadable_videos_are_listed_skipped_and_counted(folders, tmp_path, capsys):
    clips = damage(folders, tmp_path, "red-1", "none-0")
    with pytest.warns(UserWarning, match=r"left out: .*(red-1|none-0)\.mp4") as warned:
        assert main([str(clips), "-o", str(tmp_path / "my.ckpt"), *FAST]) == 1
    assert len([w for w in warned if "left out" in str(w.message)]) == 2
    out = capsys.readouterr().out
    assert "trained on 10 videos: green 4, none 3, red 3" in out
    assert "left out, since they could not be read: 2 videos" in out


@pytest.mark.filterwarnings("ignore:left out")
def test_too_few_readable_videos(folders, tmp_path):
    clips = damage(folders, tmp_path, "red-0", "red-1", "red-2")
    with pytest.raises(HasvideoError, match=r"3 videos could not be read, and of the rest: every class .*red \(1\)"):
        train(clips, tmp_path / "my.ckpt", recipe=RECIPE, progress=False)
    assert not (tmp_path / "my.ckpt").exists()


@pytest.mark.filterwarnings("ignore:left out")
def test_a_class_of_which_nothing_can_be_read(folders, tmp_path):
    clips = damage(folders, tmp_path, "red-0", "red-1", "red-2", "red-3")
    with pytest.raises(HasvideoError, match="4 videos could not be read, and of the rest: none shows red"):
        train(clips, tmp_path / "my.ckpt", recipe=RECIPE, progress=False)


def test_what_can_be_known_is_checked_before_features_are_made(folders, tmp_path, loads):
    (tmp_path / "file").touch()
    for arguments, message in (
        (["-o", str(tmp_path / "file" / "my.ckpt")], "cannot write"),
        (["--init", str(colour_model(tmp_path / "c.ckpt")), "--classes", "red=rde"], "no class 'rde'"),
        (["--init", "absent.ckpt"], "unknown model"),
        (["--annotations", str(tmp_path / "absent.json")], "cannot read"),
    ):
        with pytest.raises(HasvideoError, match=message):
            main([str(folders), *FAST, *arguments])
    assert not loads


def annotate(path, videos, start=2.0, end=4.0):
    database = {
        name: {
            "subset": "any",
            "duration": 6.0,
            "annotations": [{"label": name.split("-")[0], "segment": [start, end]}],
        }
        for name in videos
    }
    path.write_text(json.dumps({"database": database}))
    return path


def test_known_intervals_of_held_out_videos_give_map_and_train_nothing(folders, ready, tmp_path):
    truth = annotate(tmp_path / "gt.json", ["red-2", "green-2"])
    plain = train(folders, tmp_path / "a.ckpt", features=ready, recipe=RECIPE, progress=False)
    measured = train(
        folders, tmp_path / "b.ckpt", features=ready, annotations=truth, recipe=RECIPE, holdout=0.0, progress=False
    )
    assert measured.held_out == ()
    assert measured.accuracy is None
    assert measured.evaluation["averages"]["0.1:0.5"] == pytest.approx(1)
    assert torch.equal(measured.model.network.head.weight, plain.model.network.head.weight)
    held = [name for name in plain.held_out if name in ("red-2", "green-2")]
    if not held:
        with pytest.warns(UserWarning, match="has no intervals of the videos to measure on"):
            again = train(folders, tmp_path / "c.ckpt", features=ready, annotations=truth, recipe=RECIPE)
        assert again.evaluation is None


def test_map_is_printed_for_held_out_videos(folders, ready, tmp_path, capsys):
    held_out = train(folders, tmp_path / "a.ckpt", features=ready, recipe=RECIPE, progress=False).held_out
    shown = [name for name in held_out if not name.startswith("none")]
    truth = annotate(tmp_path / "gt.json", shown, 0.0, 6.0)
    arguments = ["--annotations", str(truth), "--features", str(ready), *FAST]
    assert main([str(folders), "-o", str(tmp_path / "b.ckpt"), *arguments]) == 0
    assert f"mAP in % on {len(shown)} held-out videos with intervals: " in capsys.readouterr().out


def test_resume_gives_the_same_model(folders, ready, tmp_path):
    whole = train(folders, tmp_path / "a.ckpt", features=ready, recipe=RECIPE, progress=False)
    again = train(folders, tmp_path / "a.ckpt", features=ready, recipe=RECIPE, resume=True, progress=False)
    assert torch.equal(again.model.network.head.weight, whole.model.network.head.weight)
    assert again.accuracy == whole.accuracy


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "give one folder that holds a folder a class, or videos and --labels"),
    (["a", "b"], "give one folder"),
    (["absent"], "absent is no folder"),
    (["--labels", "labels.csv", "absent.mp4"], "no such file or folder: absent.mp4"),
    (["x", "--holdout", "1"], "holdout is a share"),
    (["x", "--init", "kinetics400", "--classes", "hug"], '--classes takes "label=its class'),
])  # fmt: skip
def test_wrong_requests(arguments, message):
    with pytest.raises(UsageError, match=message):
        main(arguments)


def test_starting_from_a_model_that_knows_some_of_the_classes(folders, ready, tmp_path):
    base = colour_model(tmp_path / "colours.ckpt")
    none = replace(RECIPE, training=replace(RECIPE.training, epochs=1, learning_rate=1e-9))
    report = train(
        folders,
        tmp_path / "a.ckpt",
        features=ready,
        init=str(base),
        classes={"none": "blue"},
        recipe=none,
        holdout=0,
        progress=False,
    )
    theirs = load(base).network.head.weight
    np.testing.assert_allclose(report.model.network.head.weight.detach(), theirs.detach()[[1, 2, 0]], atol=1e-6)
    assert report.model.classes == ("green", "none", "red")
    assert report.model.network.config.layers == 0


def test_heads_of_unknown_classes_start_as_the_mean(tmp_path):
    base = load(colour_model(tmp_path / "colours.ckpt"))
    head = head_for(base, ["rosso", "verde", "new"], {"rosso": "red", "verde": "green"})
    assert isinstance(head, CamHead)
    weight = base.network.head.weight
    torch.testing.assert_close(head.weight.data, torch.stack([weight[0], weight[1], weight.mean(dim=0)]))
    with pytest.raises(UsageError, match="has no class 'gren'; did you mean 'green'"):
        head_for(base, ["verde"], {"verde": "gren"})
    with pytest.raises(UsageError, match="no video has the label 'giallo'; labels: verde"):
        head_for(base, ["verde"], {"giallo": "red"})


def test_a_model_with_layers_is_no_start(folders, ready, tmp_path):
    train(folders, tmp_path / "a.ckpt", features=ready, recipe=RECIPE, holdout=0, progress=False)
    with pytest.raises(UsageError, match="cannot start from .*layers"):
        train(
            folders, tmp_path / "b.ckpt", features=ready, init=str(tmp_path / "a.ckpt"), recipe=RECIPE, progress=False
        )


def test_the_module_is_the_function(folders, tmp_path):
    import hasvideo.train

    short = replace(RECIPE, training=TrainingConfig(epochs=1))
    report = hasvideo.train(folders, Path(tmp_path / "a.ckpt"), recipe=short, holdout=0, progress=False)
    assert report.videos == 12
