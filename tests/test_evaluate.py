"""The command and the function: what they print, write and refuse."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hasvideo.evaluate
from hasvideo.commands import run


@pytest.fixture
def files(tmp_path):
    gt = {"v": [("a", 0, 1), ("b$x_1", 2, 3)], "w": [("a", 5, 7)]}
    found = {"v": [("a", 0, 1, 0.9), ("b$x_1", 5, 6, 0.8)], "w": [("a", 5, 6, 0.7), ("a", 0, 1, 0.6)]}
    database = {
        name: {"subset": "test", "annotations": [{"label": c, "segment": [s, e]} for c, s, e in items]}
        for name, items in gt.items()
    }
    results = {
        name: [{"label": c, "segment": [s, e], "score": p} for c, s, e, p in items] for name, items in found.items()
    }
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    (tmp_path / "det.json").write_text(json.dumps({"results": results}))
    return str(tmp_path / "det.json"), str(tmp_path / "gt.json")


def command(*arguments):
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as stop:
        run(hasvideo.evaluate.main, [str(a) for a in arguments])
    return stop.value.code


def test_table(files, capsys):
    assert command(files[0], "--ground-truth", files[1], "--tiou", 0.25, 0.5) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == (
        "activitynet protocol, subset test: 3 instances of 2 classes in 2 videos; 4 detections in 2 videos"
    )
    assert [line.split() for line in out[2:6]] == [
        ["class,", "AP", "in", "%", "instances", "AP@0.25", "AP@0.5"],
        ["a", "2", "100.00", "100.00"],
        ["b$x_1", "1", "0.00", "0.00"],
        ["mAP", "3", "50.00", "50.00"],
    ]
    assert "average mAP in %: 50.00 over all thresholds" in out
    assert any(line.split() == ["background,", "%", "of", "detections", "50.00", "50.00"] for line in out)
    assert any(line.split() == ["missed,", "%", "of", "instances", "33.33", "33.33"] for line in out)


def test_json_equals_the_function(files, tmp_path):
    target = tmp_path / "out" / "report.json"
    assert command(files[0], "--ground-truth", files[1], "-f", "json", "-o", target) == 0
    assert json.loads(target.read_text()) == hasvideo.evaluate(*files)


def test_function_takes_loaded_objects_too(files):
    loaded = [json.loads(Path(name).read_text()) for name in files]
    report = hasvideo.evaluate(*loaded, tiou=[0.5], class_agnostic=True)
    assert report["AP"]["any class"]["0.5"] == pytest.approx((1 + 2 / 3) / 3)
    assert set(report) >= {"mAP", "AP", "average_mAP", "counts", "errors", "videos"}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("class", [["class", "instances", "AP@0.5"], ["a", "2", "1.0"], ["b$x_1", "1", "0.0"], ["mAP", "3", "0.5"]]),
        ("video", [["video", "instances", "detections", "mAP@0.5"], ["v", "2", "2", "0.5"], ["w", "1", "2", "1.0"]]),
    ],
)
def test_csv(files, capsys, by, expected):
    assert command(files[0], "--ground-truth", files[1], "--tiou", 0.5, "-f", "csv", "--by", by) == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == expected


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_picture(files, tmp_path, capsys, suffix):
    target = tmp_path / f"picture{suffix}"
    code = command(files[0], "--ground-truth", files[1], "-f", "png", "-o", target, "--videos", "v, w")
    assert code == 0
    assert capsys.readouterr().out.strip() == str(target)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert target.read_bytes().startswith(start)
    if suffix == ".svg":
        text = target.read_text()
        assert "v at tIoU 0.5, mAP 50.0" in text
        assert "w at tIoU 0.5, mAP 100.0" in text
        assert "b$x_1" in text


def test_the_picture_can_be_dark(files, tmp_path):
    pictures = []
    for theme in ("light", "dark"):
        target = tmp_path / f"{theme}.png"
        assert command(files[0], "--ground-truth", files[1], "-f", "png", "-o", target, "--theme", theme) == 0
        pictures.append(np.asarray(Image.open(target).convert("L")))
    assert np.median(pictures[0]) > 250
    assert np.median(pictures[1]) < 30


def test_picture_goes_beside_by_default(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(files[0], "--ground-truth", files[1], "-f", "png") == 0
    assert (tmp_path / "det.evaluation.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--protocol", "thumos14"], 2, "none of the 20 classes of THUMOS14"),
        (["--tiou", "2"], 2, "above 0 and at most 1, got [2.0]"),
        (["--tiou", "half"], 2, "Got value: half"),
        (["--subset", "train"], 2, "has no subset 'train'; it has: 'test'"),
        (["--classes", "z"], 2, "none of the classes to score; it has: a, b$x_1"),
        (["-f", "png", "-o", "x.gif"], 2, "cannot draw into x.gif: the name must end in .png, .svg or .pdf"),
        (["-f", "png", "--videos", "nope"], 2, "no video 'nope'"),
        (["-f", "html"], 2, "html"),
        (["-o", "/proc/none/out.txt"], 1, "cannot write /proc/none/out.txt"),
    ],
)
def test_refusals_are_one_line_with_the_right_code(files, tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    assert command(files[0], "--ground-truth", files[1], *arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["det.json", "gt.json"]


def test_missing_and_confused_files(files, tmp_path, capsys):
    assert command(tmp_path / "none.json", "--ground-truth", files[1]) == 1
    assert "cannot read" in capsys.readouterr().err
    assert command(files[1], "--ground-truth", files[0]) == 1
    assert "is a detections file" in capsys.readouterr().err
    assert command(files[0]) == 2
    assert "ground_truth" in capsys.readouterr().err


def test_process_warns_in_one_line_on_stderr(files):
    detections = json.loads(Path(files[0]).read_text())
    detections["results"]["x"] = [{"label": "a", "segment": [0, 1], "score": 0.99}]
    Path(files[0]).write_text(json.dumps(detections))
    arguments = [sys.executable, "-m", "hasvideo.evaluate", files[0], "--ground-truth", files[1], "-f", "csv"]
    plain = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert plain.stderr.startswith("hasvideo: warning: 1 detections are in videos that subset 'test'")
    assert len(plain.stderr.splitlines()) == 1
    dropped = subprocess.run([*arguments, "--ignore-unknown"], capture_output=True, text=True, check=True)
    assert dropped.stderr == ""
    assert dropped.stdout != plain.stdout


def test_help_is_quick_and_imports_no_torch():
    code = (
        "import sys, time\nfrom hasvideo.evaluate import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert time.process_time() < 1"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--ground-truth" in done.stdout


def test_options_may_come_from_a_file(files, tmp_path, capsys):
    (tmp_path / "options.yaml").write_text(f"ground_truth: {files[1]}\ntiou: [0.5]\nformat: csv\n")
    assert command(files[0], "--config", tmp_path / "options.yaml") == 0
    assert capsys.readouterr().out.startswith("class,instances,AP@0.5\n")


def test_published_detections_on_the_command_line(shared_data, capsys):
    folder = shared_data / "thumos14"
    assert command(folder / "detections/stpn.json", "--ground-truth", folder / "gt_basnet.json", "-f", "csv") == 0
    last = capsys.readouterr().out.splitlines()[-1].split(",")
    assert last[0] == "mAP"
    published = [52.1, 44.2, 34.7, 26.1, 17.7, 10.1, None, 1.3, 0.1]
    for value, expected in zip(last[2:], published, strict=True):
        if expected is not None:
            assert 100 * float(value) == pytest.approx(expected, abs=0.05)
