"""The ILSVRC layout: what is read, and what is wrong with it said in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hasvideo.datasets.imagenet import LabelledImages, image_statistics, load_ilsvrc, read_truth, readable_names
from hasvideo.errors import HasvideoError, UsageError
from tests.ilsvrc import CLASSES, HEIGHT, WIDTH, make_ilsvrc, write_xml

XML = "ILSVRC/Annotations/CLS-LOC/val"
TRAIN = "ILSVRC/Data/CLS-LOC/train"
VAL = "ILSVRC/Data/CLS-LOC/val"


def test_finds_classes_images_and_boxes(tmp_path):
    found = load_ilsvrc(make_ilsvrc(tmp_path))
    assert found.classes == CLASSES
    assert [(path.name, wnid) for path, wnid in found.train][:2] == [("n01_0.JPEG", "n01"), ("n01_1.JPEG", "n01")]
    assert len(found.train) == 8
    assert list(found.val) == ["val_00", "val_01", "val_10", "val_11"]
    truth = found.truth["val_10"]
    assert (truth.label, truth.width, truth.height, len(truth.boxes)) == ("n02", WIDTH, HEIGHT, 1)
    assert truth.boxes[0].xmax - truth.boxes[0].xmin == 16
    assert not found.problems
    assert "2 classes, 8 training images (4 to 4 a class), 4 validation images with 4 boxes" in found.counts()


def test_the_solution_csv_says_the_same_boxes_as_the_xml_but_no_sizes(tmp_path):
    root = make_ilsvrc(tmp_path)
    from_xml, from_csv = read_truth(root), read_truth(root / "LOC_val_solution.csv")
    assert {k: (t.label, t.boxes) for k, t in from_xml.items()} == {k: (t.label, t.boxes) for k, t in from_csv.items()}
    assert from_csv["val_00"].width == 0


def test_the_solution_csv_serves_where_there_is_no_xml(tmp_path):
    root = make_ilsvrc(tmp_path)
    for path in (root / XML).iterdir():
        path.unlink()
    assert len(load_ilsvrc(root).truth) == 4


@pytest.mark.parametrize(("boxes", "reason"), [
    ([("n01", (5, 5, WIDTH + 1, 20))], "outside the image of 40 x 32"),
    ([("n01", (-1, 5, 10, 20))], "outside the image"),
    ([("n01", (9, 5, 9, 20))], "is empty"),
    ([("n01", ("nan", 5, 9, 20))], "is empty"),
    ([], "no objects"),
    ([("n01", (1, 1, 9, 9)), ("n02", (1, 1, 9, 9))], "several classes: n01, n02"),
    ([("n01", ("four", 1, 9, 9))], "not an annotation"),
])  # fmt: skip
def test_an_image_with_wrong_boxes_is_left_out_and_named(tmp_path, boxes, reason):
    root = make_ilsvrc(tmp_path)
    write_xml(root / XML / "val_00.xml", boxes)
    found = load_ilsvrc(root)
    assert "val_00" not in found.val
    assert len(found.truth) == 3
    assert any("val_00.xml" in line and reason in line for line in found.problems)
    with pytest.raises(HasvideoError, match=reason):  # without a list for them, problems are errors
        read_truth(root)


def test_damaged_xml_is_named(tmp_path):
    root = make_ilsvrc(tmp_path)
    (root / XML / "val_01.xml").write_text("<annotation><obj")
    assert any("val_01.xml: not an annotation" in line for line in load_ilsvrc(root).problems)


def test_images_without_boxes_and_boxes_without_image_are_named(tmp_path):
    root = make_ilsvrc(tmp_path)
    (root / XML / "val_00.xml").unlink()
    (root / VAL / "val_11.JPEG").unlink()
    found = load_ilsvrc(root)
    assert list(found.val) == list(found.truth) == ["val_01", "val_10"]
    assert any(line.startswith("val_00: no box") for line in found.problems)
    assert any(line.startswith("val_11: boxes, but no image") for line in found.problems)


def test_classes_in_one_place_and_not_the_other(tmp_path):
    root = make_ilsvrc(tmp_path)
    (root / TRAIN / "n03").mkdir()
    with pytest.raises(HasvideoError, match=r"classes differ: n03 only in .*train"):
        load_ilsvrc(root)
    (root / TRAIN / "n03").rmdir()
    (root / "LOC_synset_mapping.txt").write_text("n01 a\nn02 b\nn09 c\n")
    with pytest.raises(HasvideoError, match=r"n09 only in LOC_synset_mapping.txt"):
        load_ilsvrc(root)


def test_validation_labels_outside_of_the_mapping(tmp_path):
    root = make_ilsvrc(tmp_path)
    write_xml(root / XML / "val_00.xml", [("n77", (1, 1, 9, 9))])
    with pytest.raises(HasvideoError, match=r"n77 not in LOC_synset_mapping.txt"):
        load_ilsvrc(root)


@pytest.mark.parametrize("folder", [f"{TRAIN}/n02", VAL])
def test_an_empty_split_is_an_error(tmp_path, folder):
    root = make_ilsvrc(tmp_path)
    for path in (root / folder).iterdir():
        path.unlink()
    with pytest.raises(HasvideoError, match=r"n02 without images|holds no images"):
        load_ilsvrc(root)


def test_a_folder_of_another_kind_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"LOC_synset_mapping.txt"):
        load_ilsvrc(tmp_path)
    with pytest.raises(UsageError, match="no boxes at"):
        read_truth(tmp_path)


@pytest.mark.parametrize("line", ["n01", "n02 twice"])
def test_a_wrong_line_of_the_mapping(tmp_path, line):
    root = make_ilsvrc(tmp_path)
    with (root / "LOC_synset_mapping.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(HasvideoError, match="line 3"):
        load_ilsvrc(root)


HEADER = "ImageId,PredictionString"


@pytest.mark.parametrize(
    "text", ["no header", f"{HEADER}\nx,n01 1 2 3", f"{HEADER}\nx,n01 1 2 three 4", f"{HEADER}\nx,"]
)
def test_a_wrong_solution(tmp_path, text):
    path = tmp_path / "solution.csv"
    path.write_text(text)
    with pytest.raises(HasvideoError, match=r"solution.csv"):
        read_truth(path)


def test_images_are_squeezed_and_the_same_in_memory_or_not(tmp_path):
    found = load_ilsvrc(make_ilsvrc(tmp_path))
    on_disk = LabelledImages(found.train, found.classes, 24)
    in_memory = LabelledImages(found.train, found.classes, 24, in_memory=True)
    assert len(on_disk) == len(in_memory) == 8
    for one, other in zip(on_disk, in_memory, strict=True):
        assert one.image.shape == (3, 24, 24)
        assert one.image.dtype == torch.uint8
        assert torch.equal(one.image, other.image)
        assert one.target == other.target
    assert on_disk[7].target == 1


def test_a_solid_colour_keeps_its_value_when_squeezed(tmp_path):
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((30, 50, 3), (10, 120, 250), np.uint8)).save(path)
    image = LabelledImages([(path, "a")], ["a"], 16)[0].image
    assert torch.equal(image, torch.tensor([10, 120, 250], dtype=torch.uint8)[:, None, None].expand(3, 16, 16))


def test_unreadable_images_are_left_out_of_memory_and_named(tmp_path):
    found = load_ilsvrc(make_ilsvrc(tmp_path))
    found.train[1][0].write_bytes(b"no image")
    problems: list[str] = []
    images = LabelledImages(found.train, found.classes, 24, in_memory=True, problems=problems)
    assert len(images) == 7
    assert len(problems) == 1
    assert "n01_1.JPEG" in problems[0]
    assert images.targets.tolist() == [0, 0, 0, 1, 1, 1, 1]
    with pytest.raises(HasvideoError, match=r"n01_1.JPEG"):
        LabelledImages(found.train, found.classes, 24)[1]
    with pytest.raises(HasvideoError, match="none of 1 images"):
        LabelledImages(found.train[1:2], found.classes, 24, in_memory=True)


def test_statistics_of_known_pixels(tmp_path):
    files = []
    for number, value in enumerate((0, 200)):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((8, 8, 3), (value, 100, 50), np.uint8)).save(path)
        files.append((path, "a"))
    mean, std = image_statistics(LabelledImages(files, ["a"], 8))
    assert mean.tolist() == [100, 100, 50]
    assert std.tolist() == [100, 1, 1]  # what never varies is not blown up


def test_real_subset_has_the_counts_of_its_readme(shared_data):
    found = load_ilsvrc(shared_data / "imagenet10")
    assert len(found.classes) == 10
    assert len(found.train) == 200  # of 12,894, which the tables of docs/results.md were made with
    assert len(found.val) == len(found.truth) == 300
    assert sum(len(t.boxes) for t in found.truth.values()) == 448
    assert sum(len(t.boxes) == 1 for t in found.truth.values()) == 238
    assert not found.problems
    solution = read_truth(shared_data / "imagenet10" / "LOC_val_solution.csv")
    assert {k: t.boxes for k, t in solution.items()} == {k: t.boxes for k, t in found.truth.items()}


def test_equal_names_are_told_apart():
    names = readable_names({"n01": "crane", "n02": "crane", "n03": "hen"})
    assert names == ("crane (n01)", "crane (n02)", "hen")
