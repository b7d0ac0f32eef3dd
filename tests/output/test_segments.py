"""Masks, pictures and JSON of segmentations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hasvideo.datasets.segmentation import read_mask
from hasvideo.errors import UsageError
from hasvideo.output.palette import voc_palette
from hasvideo.output.segments import draw_segments, tinted, write_mask
from hasvideo.output.writers import output_paths, write
from hasvideo.types import ImageInfo, Segmentation

CLASSES = ("nothing", "cat & $dog$", "cow")


@pytest.fixture
def found(tmp_path) -> Segmentation:
    """Half a cat and a tenth a cow."""
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[:, 10:], labels[0] = 1, 2
    Image.new("RGB", (20, 10), "white").save(tmp_path / "a.png")
    return Segmentation("a", ImageInfo(tmp_path / "a.png", 20, 10), CLASSES, labels, "m.ckpt")


def test_the_palette_is_pascal_vocs():
    colours = voc_palette()
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {k: tuple(colours[k].tolist()) for k in known} == known
    assert colours[255].tolist() == [224, 224, 192]
    assert len({tuple(c) for c in colours.tolist()}) == 256


def test_a_mask_holds_numbers_and_shows_vocs_colours(tmp_path):
    labels = np.array([[0, 1, 20], [255, 2, 0]], dtype=np.uint8)
    write_mask(labels, tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), labels)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image.convert("RGB")), voc_palette()[labels])


def test_shares_follow_the_labels(found):
    assert list(found.shares.items()) == [("nothing", 0.45), ("cat & $dog$", 0.45), ("cow", 0.1)]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert replace(found, labels=np.zeros((0, 0), np.uint8)).shares == found.shares


def test_every_format(found, tmp_path):
    files = write(found, tmp_path / "out", ["all"])
    assert [f.name for f in files] == [
        "a.json",
        "a.mask.png",
        *(f"a.segments.{kind}" for kind in ("png", "svg", "pdf")),
    ]
    assert json.loads(files[0].read_text())["results"] == {
        "a": {
            "width": 20,
            "height": 10,
            "classes": [{"label": "nothing", "share": 0.45}, {"label": "cat & $dog$", "share": 0.45},
                        {"label": "cow", "share": 0.1}],
        }
    }  # fmt: skip
    assert np.array_equal(read_mask(files[1]), found.labels)
    with Image.open(files[2]) as picture:
        colours = {tuple(c) for c in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    for label in (0, 1, 2):  # over the white image, and in the legend
        assert {tuple(tinted(np.full((1, 1, 3), 255, np.uint8), np.array([[label]]))[0, 0]),
                tuple(voc_palette()[label])} <= colours  # fmt: skip


def texts(figure) -> list[str]:
    return [t.get_text() for t in figure.texts]


def test_the_legend_names_what_is_there_and_what_is_missed(found):
    pixels = np.zeros((10, 20, 3), np.uint8)
    alone = replace(found, labels=np.zeros((10, 20), np.uint8), shares={})
    shown = texts(draw_segments(alone, pixels))
    assert "nothing" in shown
    assert "cow" not in shown
    assert "20 x 10 pixels · 1 of 3 classes" in shown
    with_truth = replace(alone, truth=np.full((10, 20), 2, np.uint8))
    figure = draw_segments(with_truth, pixels)
    assert len(figure.axes) == 2
    assert {"found", "truth", "cow", "0.0 %"} <= set(texts(figure))


def test_a_long_legend_says_what_it_leaves_out():
    labels = np.arange(30, dtype=np.uint8).repeat(2).reshape(6, 10)
    many = Segmentation("a", ImageInfo(Path("a"), 10, 6), tuple(f"class {k}" for k in range(30)), labels)
    assert "and 8 more" in texts(draw_segments(many, np.zeros((6, 10, 3), np.uint8)))


def test_pixels_that_do_not_count_keep_their_colour():
    pixels = np.full((1, 2, 3), 100, np.uint8)
    assert tinted(pixels, np.array([[255, 1]], np.uint8)).tolist() == [[[100, 100, 100], [117, 40, 40]]]


def test_formats_of_others_are_refused(found, tmp_path):
    with pytest.raises(
        UsageError, match="'srt' is for videos; accepted for segments of images: json, mask, png, svg, "
    ):
        write(found, tmp_path, ["srt"])
    with pytest.raises(UsageError, match="'mask' is for segments of images; accepted for videos"):
        output_paths("a", tmp_path, ["mask"])
