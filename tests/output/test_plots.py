from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hasvideo.errors import UsageError
from hasvideo.output import plots
from hasvideo.output.palette import OKABE_ITO
from hasvideo.output.plots import draw, plot
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
    marked = (np.abs(image - rgb(OKABE_ITO[0])).sum(axis=2) < 6).any(axis=0)
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
