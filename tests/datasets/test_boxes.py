"""Reading what other methods saved, and what is said when it is wrong."""

import json

import numpy as np
import pytest

from hasvideo.datasets.boxes import find_cams, image_id, read_cam, read_ground_truth, read_predictions
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.types import Box

HEADER = "image,label,xmin,ymin,xmax,ymax,score\n"


@pytest.fixture
def truth(tmp_path):
    """ILSVRC ground truth of two images, without XML."""
    root = tmp_path / "ilsvrc"
    root.mkdir()
    (root / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 church\n")
    rows = "ImageId,PredictionString\na,n01 1 2 30 40 \nb,n02 0 0 5 5 n02 6 6 9 9\n"
    (root / "LOC_val_solution.csv").write_text(rows)
    return read_ground_truth(root)


def test_ilsvrc(truth):
    assert truth.classes == ("n01", "n02")
    assert truth.boxes["a"] == (Box(1, 2, 30, 40, "n01", 1.0),)
    assert len(truth.boxes["b"]) == 2


def wsol(folder, **files):
    folder.mkdir(exist_ok=True)
    content = {
        "localization": "val/x,1.JPEG,156,163,318,230\nval/x,1.JPEG,23,12,101,259\nval/y.JPEG,0,0,9,9\n",
        "class_labels": "val/x,1.JPEG,3\nval/y.JPEG,0\n",
        "image_sizes": "val/x,1.JPEG,500,300\nval/y.JPEG,10,10\n",
    } | files
    for name, text in content.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_metadata_of_wsolevaluation(tmp_path):
    truth = read_ground_truth(wsol(tmp_path / "meta"))
    assert truth.classes == ("0", "1", "2", "3")
    image = truth.images["x,1"]
    assert (image.label, image.width, image.height) == ("3", 500, 300)
    assert [box.corners for box in image.boxes] == [(156, 163, 318, 230), (23, 12, 101, 259)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("localization", "val/y.JPEG,0,0,9\n", "localization.txt, line 1: expected an image and 4 whole numbers"),
        ("image_sizes", "val/y.JPEG,10,tall\n", "image_sizes.txt, line 1: expected"),
        ("class_labels", "val/y.JPEG,-1\n", "class_labels.txt, line 1: expected"),
        ("class_labels", "val/y.JPEG,0\n", "val/x,1.JPEG has boxes, but no class_labels.txt"),
        ("localization", "", "no boxes"),
        ("localization", "val/y.JPEG,0,0,9,9\ntest/y.JPEG,0,0,9,9\n", "names are the same"),
    ],
)
def test_damaged_metadata(tmp_path, name, text, message):
    with pytest.raises(HasvideoError, match=message) as caught:
        read_ground_truth(wsol(tmp_path / "meta", **{name: text}))
    assert not isinstance(caught.value, UsageError)


def test_no_ground_truth(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        read_ground_truth(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no boxes at"):
        read_ground_truth(tmp_path)


@pytest.mark.parametrize(
    ("name", "id_"),
    [("val/ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000001"), ("a.png.npy", "a"), ("v1.2.jpg", "v1.2")],
)
def test_ids_are_stems(name, id_):
    assert image_id(name) == id_


def ours(**change):
    entry = {
        "width": 50,
        "height": 50,
        "classes": [{"label": "n02", "score": 0.2}, {"label": "n01", "score": 0.7}],
        "boxes": [
            {"label": "n01", "score": 0.3, "box": [0, 0, 5, 5]},
            {"label": "n01", "score": 0.6, "box": [1, 2, 3, 4]},
        ],
    }
    return {"version": "hasvideo 1", "results": {"a": entry | change}}


COCO = [
    {"image_id": "a", "category_id": 2, "bbox": [10, 20, 30, 40], "score": 0.4},
    {"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9},
    {"image_id": "b.JPEG", "category_id": 77, "category": "n02", "bbox": [0, 0, 1, 1], "score": 0.9},
]


def read(tmp_path, truth, content, name="found.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_predictions(path, truth)


def test_our_own_boxes(tmp_path, truth):
    found = read(tmp_path, truth, ours())["a"]
    assert found.classes == ("n01", "n02")
    assert found.box_of("n01") == Box(1, 2, 3, 4, "n01", 0.6)
    assert found.box_of("n02") is None


def test_coco_results(tmp_path, truth):
    found = read(tmp_path, truth, COCO)
    assert found["a"].classes == ("n01", "n02")
    assert found["a"].box_of("n02") == Box(10, 20, 40, 60, "n02", 0.4)
    assert found["b"].box_of("n02") is not None


def test_csv(tmp_path, truth):
    found = read(tmp_path, truth, HEADER + "a,n02,1,2,3,4,0.5\na,n01,0,0,9,9,0.8\n", "found.CSV")["a"]
    assert found.classes == ("n01", "n02")
    assert found.box_of("n02") == Box(1, 2, 3, 4, "n02", 0.5)


def test_what_localize_writes_reads_back(tmp_path, truth):
    from pathlib import Path

    from hasvideo.output.images import write_image_results
    from hasvideo.types import Activation, ImageDetections, ImageInfo

    box = Box(1.5, 2, 3, 4, "n02", 0.25)
    activation = Activation("n02", 0.5, np.zeros((2, 2), np.float32))
    detections = ImageDetections("a", ImageInfo(Path("a.jpg"), 9, 9), (box,), (activation,))
    for name in ("all.json", "all.coco.json"):
        write_image_results([detections], tmp_path / name, truth.classes)
        found = read_predictions(tmp_path / name, truth)
        assert found["a"].boxes == (box,)
        assert found["a"].classes == ("n02",)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("{", "f.json", "f.json is not JSON"),
        ({"boxes": []}, "f.json", "neither COCO results"),
        (ours(boxes=[{"label": "n01", "box": [0, 0, 1, 1]}]), "f.json", r"results\['a'\]: lacks 'score'"),
        (ours(boxes=[{"label": "n01", "score": 1, "box": [0, 0, 1]}]), "f.json", "results.*not enough values"),
        (ours(boxes=[{"label": "n01", "score": 1, "box": [0, 0, 1, None]}]), "f.json", "results"),
        (ours(boxes=[{"label": "n01", "score": 1, "box": [5, 0, 1, 9]}]), "f.json", "ends before it begins"),
        (
            ours(classes=[{"label": "fish", "score": 1}]),
            "f.json",
            "classes that .* does not know: fish .it has n01, n02",
        ),
        ({"results": {"z": ours()["results"]["a"]}}, "f.json", "images that .* does not know: z"),
        ([COCO[0] | {"category_id": 3}], "f.json", r"\[0\]: category_id 3 is none of the 2 classes"),
        ([COCO[0] | {"score": float("nan")}], "f.json", r"\[0\]: nan is not a finite number"),
        ([7], "f.json", r"\[0\]"),
        ("image,label\n", "f.csv", "the first line must name the columns image, label, xmin, .*lacks xmin"),
        ("", "f.csv", "the first line must name the columns image.* It is nothing"),
        (HEADER + "a,n01,1,2,3,4\n", "f.csv", "f.csv:2: image, label, .* must all be filled"),
        (HEADER + "a,n01,1,2,3,four,1\n", "f.csv", "f.csv:2: ymax 'four' is not a number"),
    ],
)
def test_damaged_predictions(tmp_path, truth, content, name, message):
    with pytest.raises(HasvideoError, match=message) as caught:
        read(tmp_path, truth, content, name)
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("name", ["nothing.json", "found.txt"])
def test_what_is_no_file_of_predictions(tmp_path, truth, name):
    with pytest.raises(UsageError):
        read_predictions(tmp_path / name, truth)


def test_maps_are_found_in_folders(tmp_path, truth):
    (tmp_path / "maps" / "val").mkdir(parents=True)
    path = tmp_path / "maps" / "val" / "a.JPEG.npy"
    np.save(path, np.arange(6).reshape(2, 3))
    assert find_cams(tmp_path / "maps", truth) == {"a": path}
    assert read_cam(path).shape == (2, 3)
    np.save(tmp_path / "maps" / "z.npy", np.zeros((2, 2)))
    with pytest.raises(HasvideoError, match="does not know: z"):
        find_cams(tmp_path / "maps", truth)


def test_a_folder_without_maps(tmp_path, truth):
    with pytest.raises(UsageError, match="holds no .npy maps"):
        find_cams(tmp_path, truth)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2)), r"float64 \(2, 2, 2\)"),
        (np.zeros((0, 2)), "an array"),
        (np.array([["a"]]), "of numbers"),
        (np.array([[0, np.nan]]), "not finite"),
    ],
)
def test_what_is_no_map(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(HasvideoError, match=message):
        read_cam(tmp_path / "a.npy")


def test_a_damaged_map(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(HasvideoError, match="cannot read"):
        read_cam(tmp_path / "a.npy")
