"""Objects in painted images whose boxes are known; see tests/image/colours.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import hasvideo
from hasvideo.choice import Choice
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.image.localizer import ImageLocalizer
from hasvideo.image.model import load_image_model
from hasvideo.types import ImageDetections
from tests.colours import colour_model as video_model
from tests.image.colours import colour_model, paint, pass_pixels_through


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    pass_pixels_through(monkeypatch)


@pytest.fixture
def model(tmp_path) -> str:
    return str(colour_model(tmp_path / "colours.ckpt"))


@pytest.fixture
def image(tmp_path) -> Path:
    """A red square, and a smaller green one."""
    return paint(tmp_path / "squares.png", red=(4, 6, 16, 20), green=(20, 20, 28, 26))


def corners(found, label):
    return [box.corners for box in found.boxes if box.label == label]


def test_objects_are_found_where_they_are(image, model):
    found = hasvideo.localize(image, model=model, classes=["red", "green"])
    assert isinstance(found, ImageDetections)
    assert corners(found, "red") == [(4, 6, 16, 20)]
    assert corners(found, "green") == [(20, 20, 28, 26)]
    assert [box.score for box in found.boxes] == sorted((box.score for box in found.boxes), reverse=True)
    assert (found.image, found.info.width, found.info.height, found.model) == ("squares", 32, 32, model)


def test_a_score_is_the_class_s_probability_where_the_map_is_flat(image, model):
    found = hasvideo.localize(image, model=model)
    assert found.boxes[0].score == pytest.approx(found.activations[0].score)
    assert found.activations[0].label == "red"


@pytest.mark.parametrize("size", [(64, 64), (96, 32), (32, 128)])
def test_boxes_are_in_the_pixels_of_the_image_whatever_its_shape(tmp_path, model, size):
    x, y = size[0] // 32, size[1] // 32
    square = (4 * x, 8 * y, 20 * x, 24 * y)
    found = hasvideo.localize(paint(tmp_path / "a.png", size, blue=square), model=model)
    (box,) = found.boxes
    assert box.label == "blue"
    assert box.corners == pytest.approx(square, abs=1)


def test_the_most_probable_class_is_always_localized_unless_a_bar_is_set(tmp_path, model):
    tie = paint(tmp_path / "tie.png", red=(0, 0, 2, 2), green=(4, 4, 6, 6), blue=(8, 8, 10, 10))
    assert [a.label for a in hasvideo.localize(tie, model=model).activations] == ["red", "green", "blue"]
    assert len(hasvideo.localize(tie, model=model, top_k=1).activations) == 1
    assert hasvideo.localize(tie, model=model, min_class_score=0.9).boxes == ()
    clear = paint(tmp_path / "clear.png", red=(0, 0, 24, 24))
    assert [a.label for a in hasvideo.localize(clear, model=model).activations] == ["red"]


def test_a_map_that_is_nowhere_positive_has_no_box(image, model):
    assert hasvideo.localize(image, model=model, classes=["blue"]).boxes == ()


def test_every_box_is_given_when_asked_for_and_the_largest_otherwise(tmp_path, model):
    image = paint(tmp_path / "a.png", red=(2, 2, 8, 8))
    pixels = paint(tmp_path / "b.png", red=(16, 16, 28, 28))
    from PIL import Image, ImageChops

    ImageChops.add(Image.open(image), Image.open(pixels)).save(image)
    assert corners(hasvideo.localize(image, model=model), "red") == [(16, 16, 28, 28)]
    both = corners(hasvideo.localize(image, model=model, every_box=True), "red")
    assert sorted(both) == [(2, 2, 8, 8), (16, 16, 28, 28)]


def test_the_threshold_given_wins_over_the_model_s(image, model):
    assert hasvideo.localize(image, model=model).rule.threshold == 0.5
    found = hasvideo.localize(image, model=model, threshold=0.0, threshold_mode="minmax")
    assert corners(found, "red") == [(0, 0, 32, 32)]


def test_a_localizer_and_a_loaded_model_serve_many_images(image, model, tmp_path):
    other = paint(tmp_path / "other.png", green=(0, 0, 16, 16))
    for reusable in (ImageLocalizer(model), load_image_model(Path(model))):
        assert corners(hasvideo.localize(image, model=reusable), "red") == [(4, 6, 16, 20)]
        assert corners(hasvideo.localize(other, model=reusable), "green") == [(0, 0, 16, 16)]


def test_a_choice_is_optional_and_an_id_may_be_given(image, model):
    localizer = ImageLocalizer(model)
    assert localizer(image).image == "squares"
    assert localizer(image, Choice(), image="a__squares.png").image == "a__squares.png"


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"classes": ["gren"]}, UsageError, "no class 'gren'; did you mean 'green'"),
    ({"threshold": 2}, UsageError, "fraction from 0 to 1, got 2"),
    ({"threshold_mode": "mean"}, UsageError, "accepted: max, minmax"),
    ({"device": "cuda:7"}, UsageError, "--device cuda:7 is not available"),
    ({"start": 1.0}, UsageError, r"--start is for videos; model .*colours\.ckpt localizes objects in images"),
    ({"merge_gap": 1.0, "decoder": "pyav"}, UsageError, "--merge-gap --decoder are for videos"),
    ({"top_k": 0}, UsageError, "number of classes from 1"),
    ({"model": "kinetics400"}, UsageError, r"squares\.png is an image; model kinetics400 localizes actions in videos; "
     "for images give --model a checkpoint made by hasvideo train_imagenet"),
    ({"model": "absent.ckpt"}, UsageError, "absent.ckpt"),
])  # fmt: skip
def test_wrong_requests_are_refused_with_what_is_accepted(image, model, options, error, message):
    with pytest.raises(error, match=message):
        hasvideo.localize(image, **({"model": model} | options))


def test_a_video_and_a_model_for_images_do_not_fit(model, tmp_path):
    with pytest.raises(
        UsageError, match=r"clip\.mp4 is a video; model .* localizes objects in images; for videos give"
    ):
        hasvideo.localize(tmp_path / "clip.mp4", model=model)


def test_an_option_for_images_is_refused_for_videos(tmp_path):
    with pytest.raises(UsageError, match="--every-box is for images"):
        hasvideo.localize(tmp_path / "clip.mp4", model=str(video_model(tmp_path / "v.ckpt")), every_box=True)


def test_what_is_no_checkpoint_is_named(image, tmp_path):
    (tmp_path / "text.ckpt").write_text("not a model")
    with pytest.raises(HasvideoError, match="text.ckpt is not a hasvideo checkpoint"):
        hasvideo.localize(image, model=str(tmp_path / "text.ckpt"))
