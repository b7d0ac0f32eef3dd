"""Boxes as text, read back by the readers of each format."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.output.images import image_table, write_image_results
from hasvideo.output.writers import IMAGE_FORMATS, PICTURES, output_paths, resolve_formats, write
from hasvideo.types import Activation, Box, ImageDetections, ImageInfo

CLASSES = ("tench, Tinca tinca", "golf ball")
FOUND = ImageDetections(
    "fish",
    ImageInfo(Path("fish.jpg"), 640, 480),
    (Box(10, 20, 110, 220, CLASSES[0], 0.75), Box(0, 0, 640, 480, CLASSES[1], 0.125)),
    (Activation(CLASSES[0], 0.8, np.ones((2, 2))), Activation(CLASSES[1], 0.15, np.ones((2, 2)))),
    model="x.ckpt",
)
TEXT_FORMATS = [name for name in IMAGE_FORMATS if name not in PICTURES]


def written(detections, folder, name):
    (path,) = write(detections, folder, [name], classes=CLASSES)
    return path.read_text(encoding="utf-8")


def test_json_holds_size_classes_and_boxes(tmp_path):
    assert json.loads(written(FOUND, tmp_path, "json")) == {
        "version": "hasvideo 1",
        "results": {
            "fish": {
                "width": 640,
                "height": 480,
                "classes": [{"label": CLASSES[0], "score": 0.8}, {"label": CLASSES[1], "score": 0.15}],
                "boxes": [
                    {"label": CLASSES[0], "score": 0.75, "box": [10, 20, 110, 220]},
                    {"label": CLASSES[1], "score": 0.125, "box": [0, 0, 640, 480]},
                ],
            }
        },
    }


def test_csv_is_a_row_a_box(tmp_path):
    rows = list(csv.reader(written(FOUND, tmp_path, "csv").splitlines()))
    assert rows == [
        ["image", "label", "xmin", "ymin", "xmax", "ymax", "score"],
        ["fish", CLASSES[0], "10", "20", "110", "220", "0.75"],
        ["fish", CLASSES[1], "0", "0", "640", "480", "0.125"],
    ]


def test_coco_has_corner_and_size_and_counts_classes_from_one(tmp_path):
    assert json.loads(written(FOUND, tmp_path, "coco")) == [
        {"image_id": "fish", "category_id": 1, "category": CLASSES[0], "bbox": [10, 20, 100, 200], "score": 0.75},
        {"image_id": "fish", "category_id": 2, "category": CLASSES[1], "bbox": [0, 0, 640, 480], "score": 0.125},
    ]


def test_coco_needs_the_model_s_classes(tmp_path):
    with pytest.raises(HasvideoError, match="number the model's classes, of which 'tench, Tinca tinca' is none"):
        write(FOUND, tmp_path, ["coco"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["all.json", "all.COCO.JSON"])
def test_many_images_go_into_one_file_whose_name_says_the_format(tmp_path, name):
    write_image_results([FOUND, replace(FOUND, image="other")], tmp_path / name, CLASSES)
    content = json.loads((tmp_path / name).read_text())
    images = list(content["results"]) if isinstance(content, dict) else [r["image_id"] for r in content]
    assert list(dict.fromkeys(images)) == ["fish", "other"]


def test_the_table_is_aligned_and_keeps_odd_labels_on_their_line():
    odd = replace(FOUND, boxes=(replace(FOUND.boxes[0], label="a\nb"), FOUND.boxes[1]))
    lines = image_table(odd).splitlines()
    assert lines == [
        "label      score  xmin  ymin  xmax  ymax",
        "a b        0.750    10    20   110   220",
        "golf ball  0.125     0     0   640   480",
    ]


def test_nothing_found_is_said_with_the_closest_class():
    assert image_table(replace(FOUND, boxes=())) == (
        "no object found (closest class: tench, Tinca tinca, probability 0.800)"
    )
    assert "--min-class-score" in image_table(replace(FOUND, boxes=(), activations=()))


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_an_image_without_anything_found_is_written_too(tmp_path, name):
    assert len(written(replace(FOUND, boxes=(), activations=()), tmp_path, name)) > 1


@given(
    label=st.text(min_size=1, max_size=20),
    score=st.floats(0, 1),
    corners=st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(51, 99999)] * 2),
)
def test_what_is_written_is_read_back(tmp_path_factory, label, score, corners):
    box = Box(*map(float, corners), label, score)
    found = replace(FOUND, boxes=(box,), activations=())
    folder = tmp_path_factory.mktemp("out")
    for name in TEXT_FORMATS:
        write(found, folder, [name], classes=(label,))
    (entry,) = json.loads((folder / "fish.json").read_text())["results"]["fish"]["boxes"]
    assert (entry["score"], tuple(entry["box"])) == (pytest.approx(score, rel=1e-8), corners)
    if label.isprintable():  # lone surrogates are spelled out, line ends of CSV are blanks
        assert entry["label"] == label
        with (folder / "fish.csv").open(newline="", encoding="utf-8") as file:
            assert list(csv.reader(file))[1][1:6] == [label, *map(str, corners)]


def test_formats_of_images_are_their_own():
    assert resolve_formats(["all"], IMAGE_FORMATS) == ["json", "csv", "coco", "png", "svg", "pdf"]
    with pytest.raises(
        UsageError, match=r"'html' is for videos; accepted for images: json, csv, coco, png, svg, pdf, all"
    ):
        resolve_formats(["html"], IMAGE_FORMATS)
    with pytest.raises(UsageError, match=r"'coco' is for images; accepted for videos: json, "):
        resolve_formats(["coco"])
    with pytest.raises(UsageError, match=r"did you mean coco\? accepted: json, csv, coco, png, svg, pdf, all"):
        resolve_formats(["coko"], IMAGE_FORMATS)


def test_files_are_named_after_the_image(tmp_path):
    names = [path.name for path in output_paths("fish", tmp_path, ["all"], IMAGE_FORMATS)]
    assert names == ["fish.json", "fish.csv", "fish.coco.json", "fish.cam.png", "fish.cam.svg", "fish.cam.pdf"]


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_an_unwritable_folder_fails_in_one_line_and_leaves_nothing(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HasvideoError, match="cannot write .*fish") as caught:
        write(FOUND, tmp_path / "file", [name], classes=CLASSES)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
