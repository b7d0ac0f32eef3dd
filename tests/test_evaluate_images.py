"""The command and the function: what they print, write and refuse."""

import json
import subprocess
import sys

import numpy as np
import pytest

import hasvideo.evaluate_images
from hasvideo.commands import run

XML = """<annotation><size><width>{w}</width><height>{h}</height></size><object><name>{label}</name><bndbox>
<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object></annotation>"""


@pytest.fixture
def ilsvrc(tmp_path):
    """Three images of 100 x 50 pixels, two classes."""
    root = tmp_path / "ilsvrc"
    folder = root / "ILSVRC" / "Annotations" / "CLS-LOC" / "val"
    folder.mkdir(parents=True)
    (root / "LOC_synset_mapping.txt").write_text("n01 tench\nn02 church\n")
    for name, label, box in (
        ("a", "n01", (10, 10, 40, 40)),
        ("b", "n02", (0, 0, 90, 50)),
        ("c", "n01", (60, 0, 100, 50)),
    ):
        (folder / f"{name}.xml").write_text(XML.format(w=100, h=50, label=label, box=box))
    return root


@pytest.fixture
def boxes(tmp_path):
    rows = [
        "image,label,xmin,ymin,xmax,ymax,score",
        "a,n01,10,10,40,30,0.9",
        "b,n01,0,0,9,9,0.8",
        "b,n02,5,5,15,15,0.3",
    ]
    (tmp_path / "found.csv").write_text("\n".join(rows))
    return tmp_path / "found.csv"


def command(*arguments):
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as stop:
        run(hasvideo.evaluate_images.main, [str(a) for a in arguments])
    return stop.value.code


@pytest.mark.filterwarnings("ignore:no prediction")
def test_table_and_json(ilsvrc, boxes, tmp_path, capsys):
    target = tmp_path / "out" / "scores.json"
    assert command(boxes, "--ground-truth", ilsvrc, "--json", target) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "3 images, 1 without a prediction; a hit has an IoU of at least 0.5 (continuous corners)"
    table = {line[:13].strip(): line[13:].split() for line in out[2:]}
    assert table["accuracy in %"] == ["predictions", "whole", "image", "centred", "box"]
    assert table["Top-1 Clas"] == ["33.33", "-", "-"]
    assert table["Top-5 Clas"] == ["66.67", "-", "-"]
    assert table["Top-1 Loc"] == table["Top-5 Loc"] == ["33.33", "-", "-"]
    assert table["GT-known Loc"] == ["33.33", "33.33", "33.33"]
    assert table["part"] == ["1", "50.00"]
    assert table["no box"] == ["1", "50.00"]
    assert "MaxBoxAcc" not in table
    report = json.loads(target.read_text())
    assert report == hasvideo.evaluate_images(boxes, ilsvrc)
    assert report["outcomes"]["a"] == {"outcome": "hit", "iou": pytest.approx(2 / 3)}


def test_missing_images_are_named(ilsvrc, boxes):
    with pytest.warns(UserWarning, match="no prediction for 1 of 3 images, such as c: counted as missed"):
        hasvideo.evaluate_images(boxes, ilsvrc)


def plateau(left, top, right, bottom):
    cam = np.full((50, 100), 0.1, np.float32)
    cam[top:bottom, left:right] = 1
    return cam


@pytest.fixture
def cams(tmp_path):
    folder = tmp_path / "cams"
    folder.mkdir()
    np.save(folder / "a.npy", plateau(10, 10, 40, 40))
    np.save(folder / "b.JPEG.npy", plateau(0, 0, 20, 20))
    np.save(folder / "c.npy", plateau(60, 0, 100, 50).astype(np.float64))
    return folder


def test_cams(ilsvrc, cams, capsys):
    assert command(cams, "--ground-truth", ilsvrc) == 0
    out = capsys.readouterr().out
    assert "OpenCV" not in out
    table = {line[:13].strip(): line[13:].split() for line in out.splitlines()[2:]}
    assert table["GT-known Loc"] == ["66.67", "33.33", "33.33"]
    assert table["MaxBoxAcc"] == ["66.67", "-", "-"]
    assert table["MaxBoxAccV2"] == ["66.67", "-", "-"]
    assert table["part"] == ["1", "100.00"]


def test_cams_without_opencv(ilsvrc, cams, tmp_path, capsys, monkeypatch):
    with_opencv = hasvideo.evaluate_images(cams, ilsvrc)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert command(cams, "--ground-truth", ilsvrc, "--json", tmp_path / "scores.json") == 0
    lines = capsys.readouterr().out.splitlines()
    end = lines.index("MaxBoxAcc needs OpenCV: pip install 'hasvideo[maxboxacc]'")
    assert [line.split() for line in lines[end - 2 : end]] == [["MaxBoxAcc", *"---"], ["MaxBoxAccV2", *"---"]]
    report = json.loads((tmp_path / "scores.json").read_text())
    assert report == with_opencv | {"max_box_acc": None, "max_box_acc_v2": None}
    assert with_opencv["max_box_acc"]["accuracy"] == pytest.approx(2 / 3)


def test_threshold_of_cams(ilsvrc, cams):
    low = hasvideo.evaluate_images(cams, ilsvrc, rule=hasvideo.types.BoxRule(0.05))  # all of the image
    assert low["scores"]["gt_known"] == low["baselines"]["whole image"] == pytest.approx(1 / 3)
    assert low["max_box_acc_v2"]["by_iou"] == pytest.approx({"0.3": 2 / 3, "0.5": 2 / 3, "0.7": 2 / 3})


def test_inclusive_corners(ilsvrc, cams):
    report = hasvideo.evaluate_images(cams, ilsvrc, convention="inclusive")
    assert report["outcomes"]["a"]["iou"] == pytest.approx(30 * 30 / (31 * 31))


def test_metadata_of_wsolevaluation(cams, tmp_path):
    folder = tmp_path / "meta"
    folder.mkdir()
    (folder / "localization.txt").write_text("val/a.JPEG,10,10,40,40\nval/b.JPEG,0,0,90,50\nval/c.JPEG,60,0,100,50\n")
    (folder / "class_labels.txt").write_text("val/a.JPEG,0\nval/b.JPEG,1\nval/c.JPEG,0\n")
    (folder / "image_sizes.txt").write_text("val/a.JPEG,100,50\nval/b.JPEG,100,50\nval/c.JPEG,100,50\n")
    assert hasvideo.evaluate_images(cams, folder)["scores"]["gt_known"] == pytest.approx(2 / 3)


def test_sizes_come_from_the_images_if_need_be(ilsvrc, cams, boxes, tmp_path):
    from PIL import Image

    with_xml = hasvideo.evaluate_images(cams, ilsvrc)
    rows = ["ImageId,PredictionString", "a,n01 10 10 40 40", "b,n02 0 0 90 50", "c,n01 60 0 100 50"]
    root = tmp_path / "solution"
    images = root / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    images.mkdir(parents=True)
    (root / "LOC_val_solution.csv").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match="no prediction"):
        assert hasvideo.evaluate_images(boxes, root)["baselines"] == {"whole image": None, "centred box": None}
    with pytest.raises(hasvideo.errors.HasvideoError, match="how large the images are"):
        hasvideo.evaluate_images(cams, root)
    for name in "abc":
        Image.new("RGB", (100, 50)).save(images / f"{name}.JPEG")
    assert hasvideo.evaluate_images(cams, root) == with_xml
    (images / "a.JPEG").write_bytes(b"no image")
    with pytest.raises(hasvideo.errors.HasvideoError, match=r"a\.JPEG"):
        hasvideo.evaluate_images(cams, root)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--iou", "0"], 2, "--iou is above 0"),
        (["--threshold", "2"], 2, "from 0 to 1"),
        (["--convention", "voc"], 2, "convention"),
        (["--ground-truth", "nowhere"], 2, "no ground truth at nowhere"),
    ],
)
def test_wrong_usage(ilsvrc, boxes, arguments, code, message, capsys):
    assert command(boxes, "--ground-truth", ilsvrc, *arguments) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_damaged_files_are_one_line(ilsvrc, tmp_path, capsys):
    (tmp_path / "bad.json").write_text("[{}]")
    assert command(tmp_path / "bad.json", "--ground-truth", ilsvrc) == 1
    err = capsys.readouterr().err
    assert "bad.json: [0]: lacks 'category_id'" in err
    assert err.count("\n") == 1
    assert command(tmp_path / "none.json", "--ground-truth", ilsvrc) == 2


def test_help_comes_without_torch():
    code = """
import sys, hasvideo.evaluate_images
try:
    hasvideo.evaluate_images.main(["--help"])
except SystemExit:
    sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
