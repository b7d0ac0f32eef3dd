"""The palette: colour-blind people tell its colours apart, and they are seen on a light and on a dark page."""

from __future__ import annotations

import itertools
import re
from importlib import resources

import numpy as np
import pytest
from matplotlib.figure import Figure

from hasvideo.errors import UsageError
from hasvideo.output.palette import CLASSES, THEMES, color, theme_named, theme_of, voc_palette

# Machado, Oliveira & Fernandes 2009, severity 1.0, of linear RGB.
SEEN_BY = {
    "everyone else": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(shade):
    values = np.array([int(shade[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB under D65 of linear sRGB."""
    xyz = TO_XYZ @ rgb / (0.95047, 1.0, 1.08883)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    """WCAG's contrast ratio."""
    dark, light = sorted(linear(shade) @ (0.2126, 0.7152, 0.0722) for shade in (one, other))
    return (light + 0.05) / (dark + 0.05)


def difference(one, other, eyes):
    """CIE76's colour difference as some eyes see it; about 2 is just noticeable."""
    first, second = (lab(np.clip(np.array(SEEN_BY[eyes]) @ linear(shade), 0, 1)) for shade in (one, other))
    return np.linalg.norm(first - second)


def test_the_distances_are_those_of_cielab():
    assert difference("#000000", "#ffffff", "everyone else") == pytest.approx(100, abs=0.1)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert difference("#CC79A7", "#999999", "deuteranopes") < 8  # a pair that they cannot tell apart is found


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_any_two_classes_can_be_told_apart(eyes):
    closest = min(itertools.combinations(CLASSES, 2), key=lambda pair: difference(*pair, eyes))
    assert difference(*closest, eyes) > 16, closest


@pytest.mark.parametrize("name", THEMES)
def test_everything_is_seen_on_its_ground(name):
    theme = THEMES[name]
    assert min(contrast(shade, theme.paper) for shade in CLASSES) > 2.2
    assert min(contrast(shade, theme.paper) for shade in CLASSES[:4]) > 3
    assert contrast(theme.ink, theme.paper) > 12
    assert contrast(theme.muted, theme.paper) > 4.5


def test_the_page_has_the_same_themes():
    css = resources.files("hasvideo.output").joinpath("page.css").read_text(encoding="utf-8")
    for theme, block in zip(THEMES.values(), re.findall(r":root \{(.*?)\}", css, re.DOTALL), strict=True):
        variables = dict(re.findall(r"--(\w+): (#\w{6})", block))
        assert {name: variables[name] for name in ("paper", "ink", "muted", "line")} == vars(theme)


def test_the_ground_decides_the_theme():
    figure = Figure(facecolor=THEMES["dark"].paper)
    (part,) = figure.subfigures(1, 1, squeeze=False)[0]
    assert [theme_of(figure), theme_of(figure.subplots()), theme_of(part.subplots())] == [THEMES["dark"]] * 3
    for ground in ("white", "none", "#ffeedd"):
        assert theme_of(Figure(facecolor=ground).subplots()) is THEMES["light"]


def test_another_theme_is_refused():
    with pytest.raises(UsageError, match="theme must be light or dark, not 'sepia'"):
        theme_named("sepia")


def test_colours_start_over():
    assert color(9) == CLASSES[1]


def test_the_first_colours_of_voc():
    assert voc_palette()[[0, 1, 15, 255]].tolist() == [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
