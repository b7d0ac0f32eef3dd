from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from hasvideo.errors import UsageError
from hasvideo.output import plots
from hasvideo.output.palette import CLASSES, THEMES
from hasvideo.output.plots import draw, draw_comparison, plot
from hasvideo.output.writers import write
from hasvideo.types import Activation, Interval


def rgb(color):
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_intervals_are_marked_at_their_times_in_their_colour(make, bumps, tmp_path):
    detections = make({"wave": bumps(10, 100, 2.5, 7.5)}, duration=10.0)
    plot(detections, tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    marked = (np.abs(image - rgb(CLASSES[0])).sum(axis=2) < 6).any(axis=0)
    left, right = 60, image.shape[1] - 60  # the axes' sides: 0.4 inches at 150 dpi
    assert image.shape[1] == 1500
    for interval in detections.intervals:
        first, last = (left + round(t / 10 * (right - left)) for t in (interval.start, interval.end))
        assert marked[first + 3 : last - 3].all()
        assert not marked[first - 8 : first - 2].any()
        assert not marked[last + 3 : last + 8].any()


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".PNG"])
def test_the_suffix_chooses_the_format_and_bytes_repeat(make, tmp_path, suffix):
    contents = []
    for _ in range(2):
        plot(make(), tmp_path / f"plot{suffix}")
        contents.append((tmp_path / f"plot{suffix}").read_bytes())
    assert contents[0] == contents[1]
    assert {".svg": b"<?xml", ".pdf": b"%PDF", ".PNG": b"\x89PNG"}[suffix] == contents[0][: 4 + (suffix == ".svg")]


def test_an_unknown_suffix_is_refused(make, tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.png, \.svg or \.pdf"):
        plot(make(), tmp_path / "a.jpeg2000")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", ["$x_1$ & $", "\\frac{", "日本語 跳ぶ", "😀", "العربية", "<b>\n\x00", "x" * 300])
def test_any_label_is_drawn_without_a_warning(make, bumps, tmp_path, label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot(make({label: bumps(8, 40, 4)}, video=label), tmp_path / "a.png")


def test_dollars_are_not_formulas(make, bumps):
    texts = [t.get_text() for axes in draw(make({"$5 & $6": bumps(8, 40, 4)})).axes for t in axes.texts]
    assert "$5 & $6" in texts


def test_the_users_matplotlib_settings_neither_matter_nor_change(make, tmp_path):
    import matplotlib

    plot(make(), tmp_path / "a.png")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "text.usetex": True}):
        plot(make(), tmp_path / "b.png")
        assert matplotlib.rcParams["text.usetex"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_thumbnails_come_in_order_under_the_axis(make, bumps, tmp_path):
    shades = [40, 90, 140, 190, 240]
    thumbnails = [(k * 2 + 1.0, np.full((90, 160, 3), (s, 255 - s, 0), np.uint8)) for k, s in enumerate(shades)]
    detections = make({"wave": bumps(10, 100, 2.5)}, duration=10.0)
    (path,) = write(detections, tmp_path, ["png"], thumbnails=thumbnails[::-1])
    plot(detections, tmp_path / "bare.png")
    strip = pixels(path)[-75]
    order = [s for s in dict.fromkeys(strip[:, 0].tolist()) if s in shades and (strip[:, 0] == s).sum() > 50]
    assert order == shades
    assert pixels(path).shape[0] > pixels(tmp_path / "bare.png").shape[0]


def test_more_classes_than_fit_are_announced(make, bumps, monkeypatch):
    monkeypatch.setattr(plots, "MAX_ROWS", 2)
    figure = draw(make({f"class {k}": bumps(8, 40, 4) for k in range(5)}))
    assert any(re.search("3 more classes not shown", t.get_text()) for t in figure.texts)


@pytest.mark.parametrize("cam", [[], [-1.0, -2.0], [0.0, 0.0], [1.0], [2.0, 2.0]])
def test_degenerate_activations_are_drawn(make, tmp_path, cam):
    edges = np.linspace(0, 8, len(cam) + 1)
    activation = Activation("wave", 0.5, np.array(cam, dtype=np.float32))
    plot(replace(make(), activations=(activation,), edges=edges, intervals=()), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_intervals_without_activations_have_rows(make):
    figure = draw(replace(make(), activations=(), intervals=(Interval(1, 2, "wave", 0.5),)))
    assert "wave" in [t.get_text() for axes in figure.axes for t in axes.texts]


def black_at(image, row, left, right):
    """Whether a line of pixels holds a black bar from ``left`` to ``right`` and nothing black just outside of it."""
    black = (image[row] < 70).all(axis=1)
    return black[left + 3 : right - 3].all() and not black[left - 8 : left - 3].any()


@pytest.mark.parametrize("compare", [False, True])
def test_what_is_known_is_a_black_bar_at_its_time(make, bumps, tmp_path, compare):
    detections = make({"wave": bumps(10, 100, 2.5)}, duration=10.0)
    truth = [Interval(6.0, 8.0, "wave", 1.0)]
    figure = draw_comparison({"one": detections}, truth) if compare else draw(detections, truth=truth)
    figure.savefig(tmp_path / "a.png", dpi=150)
    image = pixels(tmp_path / "a.png")
    first, last = (60 + round(t / 10 * (image.shape[1] - 120)) for t in (6.0, 8.0))
    assert any(black_at(image, row, first, last) for row in range(len(image)))


def test_a_known_class_that_was_not_looked_at_gets_a_row(make, bumps):
    detections = make({"wave": bumps(10, 100, 2.5)}, duration=10.0)
    figure = draw(detections, truth=[Interval(1.0, 2.0, "point", 1.0)])
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "wave" in texts
    assert "point" in texts


def test_models_are_compared_on_one_axis_relative_to_their_own_maximum(make, bumps):
    weak = make({"wave": bumps(10, 100, 2.5)}, duration=10.0)
    strong = make({"wave": 7 * bumps(10, 100, 2.5)}, duration=10.0)
    figure = draw_comparison({"weak": weak, "$trong$": strong}, [Interval(2.0, 3.0, "wave", 1.0)])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["weak", "$trong$", "known"]
    row = figure.axes[0]
    one, other = (patch.get_data().values for patch in row.patches if hasattr(patch, "get_data"))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert one.max() == 1


def test_more_classes_than_fit_a_comparison_are_announced(make, bumps, monkeypatch):
    monkeypatch.setattr(plots, "MAX_ROWS", 2)
    figure = draw_comparison({"one": make({f"class {k}": bumps(8, 40, 4) for k in range(5)})})
    assert any(t.get_text() == "3 more classes not shown" for t in figure.texts)


def test_every_models_probability_is_told(make):
    one = make()
    (*_, probability) = draw_comparison({"one": one, "two": one, "three": one}).axes[0].texts
    assert probability.get_text() == "class probability 0.90, 0.90, 0.90"


def test_a_model_that_leaves_a_class_out_has_no_curve_of_it(make, bumps):
    one = make({"wave": bumps(10, 100, 2.5)}, duration=10.0)
    none = replace(one, activations=(), intervals=())
    figure = draw_comparison({"one": one, "none": none})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["wave", "class probability 0.90, -"]


def test_known_intervals_stay_clear_of_the_time_axis(make):
    truth = [Interval(1.0, 2.0, "side kick", 1.0)]
    *_, row, axis = draw(make(), truth=truth).axes
    assert axis.get_window_extent().y1 < row.transData.transform((0, -0.13))[1] - 4
    assert draw(make(), truth=truth).get_figheight() > draw(make()).get_figheight()


def test_a_model_is_named_without_its_folder(make):
    texts = " ".join(text.get_text() for text in draw(replace(make(), model="/tmp/run/tennis.ckpt")).texts)
    assert "tennis.ckpt" in texts
    assert "/tmp" not in texts


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_dark_theme_reaches_the_file(make, tmp_path, kind):
    (light,), (dark,) = (write(make(), tmp_path / theme, [kind], theme=theme) for theme in ("light", "dark"))
    assert light.read_bytes() != dark.read_bytes()
    if kind == "png":
        assert (pixels(light)[0, 0] == 255).all()
        assert (pixels(dark)[0, 0] == rgb(THEMES["dark"].paper)).all()


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_is_drawn_in_the_colour_of_its_ground(make, theme):
    for figure in (draw(make(), theme=theme), draw_comparison({"one": make()}, make().intervals, theme=theme)):
        texts = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text() and artist.get_visible())
        inks = {text.get_color() for text in texts}
        assert inks == {THEMES[theme].ink, THEMES[theme].muted}
