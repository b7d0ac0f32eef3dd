"""The picture of an image's boxes, measured in its own pixels."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.extents import find_boxes
from hasvideo.output.overlay import MAX_PANELS, draw_contact_sheet, draw_image, plot_image
from hasvideo.output.palette import CLASSES
from hasvideo.types import Activation, Box, BoxRule, ImageDetections, ImageInfo

VERMILION = np.array([int(CLASSES[1][k : k + 2], 16) for k in (1, 3, 5)])
PANEL = 750  # pixels of the longer side of a single panel's image
LEFT, TOP = 45, 187


def planted(folder, size=(128, 128), labels=("cat",), truth=(), boxes=True, rule=None):
    """Grey image with a CAM that is 1 in the middle half and 0 around."""
    path = folder / "grey.png"
    Image.new("RGB", size, (128, 128, 128)).save(path)
    rule = rule or BoxRule(0.5)
    cam = np.zeros((16, 16), np.float32)
    cam[4:12, 4:12] = 1
    activations = tuple(Activation(label, 0.9 / (k + 1), cam) for k, label in enumerate(labels))
    found = tuple(box for a in activations for box in find_boxes(a, *size, rule)) if boxes else ()
    return ImageDetections("grey", ImageInfo(path, *size), found, activations, rule, "x.ckpt", truth)


def drawn(detections, folder):
    plot_image(detections, folder / "out.png")
    return np.asarray(Image.open(folder / "out.png").convert("RGB")).astype(int)


def is_colour(pixels, colour, tolerance=30):
    return np.abs(pixels - np.asarray(colour)).sum(axis=2) < tolerance


@pytest.mark.parametrize("side", [16, 128, 1600])
def test_the_box_is_drawn_where_it_is_at_the_same_size_for_any_image(tmp_path, side):
    pixels = drawn(planted(tmp_path, (side, side)), tmp_path)
    assert pixels.shape == (982, 840, 3)
    lines = is_colour(pixels, VERMILION)
    rows, columns = np.flatnonzero(lines.sum(axis=1) > 300), np.flatnonzero(lines.sum(axis=0) > 300)
    for found, start in ((rows, TOP), (columns, LEFT)):
        assert abs(found.min() - (start + PANEL / 4)) <= 4
        assert abs(found.max() - (start + PANEL * 3 / 4)) <= 4


def test_the_heat_map_lies_over_the_image_and_lets_it_through(tmp_path):
    pixels = drawn(planted(tmp_path), tmp_path)
    middle, edge = pixels[TOP + PANEL // 2, LEFT + PANEL // 2], pixels[TOP + PANEL - 30, LEFT + 30]
    assert middle[0] > middle[2] + 60  # the yellow end of viridis
    assert np.abs(edge - 128).max() < 20


def test_known_boxes_are_dashed_in_white(tmp_path):
    without = is_colour(drawn(planted(tmp_path), tmp_path), (255, 255, 255))
    pixels = drawn(planted(tmp_path, truth=(Box(10, 10, 50, 118, "cat", 1),)), tmp_path)
    column = LEFT + round(10 / 128 * PANEL)
    rows = slice(TOP + round(10 / 128 * PANEL) + 5, TOP + round(118 / 128 * PANEL) - 5)
    assert not without[rows, column].any()
    dashes = is_colour(pixels, (255, 255, 255))[rows, column]
    assert 0.3 < dashes.mean() < 0.8
    assert np.abs(np.diff(dashes.astype(int))).sum() > 10


def test_every_class_has_a_panel_up_to_a_limit(tmp_path):
    one = draw_image(planted(tmp_path), np.zeros((8, 8, 3), np.uint8))
    many = draw_image(planted(tmp_path, labels=[str(k) for k in range(30)]), np.zeros((8, 8, 3), np.uint8))
    assert (len(one.axes), len(many.axes)) == (1, MAX_PANELS)
    assert any("18 more classes not shown" in text.get_text() for text in many.texts)


@pytest.mark.parametrize("size", [(128, 128), (1600, 200), (100, 2000), (1, 1)])
@pytest.mark.parametrize("labels", [("a cat that sits on a very long mat",), ("a", "b" * 80, "c", "d", "e")])
def test_no_text_leaves_the_picture_or_runs_into_another_panel(tmp_path, size, labels):
    figure = draw_image(planted(tmp_path, size, labels), np.zeros((size[1], size[0], 3), np.uint8))
    frame = figure.bbox
    panels = [axes.get_window_extent() for axes in figure.axes]
    for axes, panel in zip(figure.axes, panels, strict=True):
        for text in axes.texts[:2]:
            box = text.get_window_extent()
            assert frame.x0 <= box.x0
            assert box.x1 <= frame.x1
            assert not any(box.overlaps(other) for other in panels if other is not panel)


@pytest.mark.parametrize("label", ["$x_1$ & $", "\\frac{", "日本語", "😀", "<b>\n\x00", "x" * 300, "$5"])
def test_any_label_is_drawn_as_it_is_without_a_warning(tmp_path, label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_image(planted(tmp_path, labels=(label,)), tmp_path / "out.png")
    texts = draw_image(planted(tmp_path, labels=(label,)), np.zeros((8, 8, 3), np.uint8)).axes[0].texts
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("rule", [BoxRule(0.2, "minmax"), BoxRule(0.0), BoxRule(1.0)])
def test_maps_without_range_or_cut_are_drawn(tmp_path, rule):
    flat = planted(tmp_path, boxes=False, rule=rule)
    for value in (0.0, -1.0, 1.0):
        cam = np.full((4, 4), value, np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plot_image(replace(flat, activations=(Activation("cat", 0.5, cam),)), tmp_path / "out.png")


def test_a_strip_so_narrow_that_no_contour_fits_is_drawn(tmp_path):
    strip = planted(tmp_path, (1, 1200))
    figure = draw_image(strip, np.zeros((1200, 1, 3), np.uint8))
    assert len(figure.axes[0].images) == 2


def test_an_image_in_which_nothing_was_found_is_shown_all_the_same(tmp_path):
    nothing = replace(planted(tmp_path), boxes=(), activations=())
    figure = draw_image(nothing, np.zeros((8, 8, 3), np.uint8))
    assert "no object found" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_suffix_chooses_the_format_and_bytes_repeat(tmp_path, suffix):
    contents = []
    for _ in range(2):
        plot_image(planted(tmp_path), tmp_path / f"out{suffix}")
        contents.append((tmp_path / f"out{suffix}").read_bytes())
    assert contents[0] == contents[1]


def test_what_cannot_be_drawn(tmp_path):
    detections = planted(tmp_path)
    with pytest.raises(UsageError, match=r"must end in \.png, \.svg or \.pdf"):
        plot_image(detections, tmp_path / "out.gif")
    with pytest.raises(HasvideoError, match="cannot write"):
        plot_image(detections, tmp_path / "grey.png" / "deep" / "out.png")
    detections.info.path.unlink()
    with pytest.raises(HasvideoError, match=r"cannot read .*grey\.png"):
        plot_image(detections, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_a_contact_sheet_shows_every_image_by_every_method(tmp_path):
    known = (Box(32, 32, 96, 96, "cat", 1.0),)
    rows = [[planted(tmp_path, truth=known), planted(tmp_path, truth=known, boxes=False)] for _ in range(3)]
    figure = draw_contact_sheet(rows, ("GAP", "HaS"), ("first", "second", "third"), columns=2)
    figure.savefig(tmp_path / "sheet.png")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    assert [len(axes.patches) for axes in panels] == [2, 1] * 3  # known and found, known alone
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert sorted(texts) == sorted(["GAP", "HaS"] * 3 + ["first", "second", "third"])
