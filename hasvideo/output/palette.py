"""Colours: of classes, which colour-blind people can tell apart; of light and dark themes; of PASCAL VOC's masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from hasvideo.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.artist import Artist

CLASSES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#A848F0", "#C0A860")
"""Six of Okabe & Ito, Color Universal Design (2008), strongest contrast on white first. Violet and sand stand in for
their black and yellow, of which a dark page hides one and a white page the other."""

BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, _VIOLET, _SAND = CLASSES

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True)
class Theme:
    """Colours of all that is drawn in no class's colour, each ``#RRGGBB``; the page has the same.

    Attributes:
        paper: of the ground.
        ink: of what is read first.
        muted: of what is read second.
        line: of axes, grids, and what matters least.
    """

    paper: str
    ink: str
    muted: str
    line: str


THEMES: dict[ThemeName, Theme] = {
    "light": Theme("#ffffff", "#1f2328", "#5b626a", "#d4d8dd"),
    "dark": Theme("#15181c", "#e8eaed", "#a3abb5", "#3a4048"),
}


def theme_named(name: ThemeName) -> Theme:
    """Look up a theme by its name.

    Raises:
        UsageError: there is no such theme.
    """
    if name not in THEMES:
        raise UsageError(f"theme must be {' or '.join(get_args(ThemeName))}, not {name!r}")
    return THEMES[name]


def theme_of(artist: Artist) -> Theme:
    """Choose the theme by the ground that something is drawn on: dark on a dark ground, light on any other.

    So a caller's own figure chooses by its ``facecolor``.

    Args:
        artist: a figure, or something in one, such as axes.
    """
    from matplotlib.colors import to_rgba

    figure = artist.figure
    assert figure is not None  # axes without a figure cannot be drawn into
    *rgb, alpha = to_rgba(figure.figure.get_facecolor())  # of the whole figure: a subfigure has no ground of its own
    return THEMES["dark" if alpha > 0 and max(rgb) < 0.5 else "light"]


def color(index: int) -> str:
    """Return the colour of the ``index``-th class, ``#RRGGBB``; after eight classes the colours repeat."""
    return CLASSES[index % len(CLASSES)]


def voc_palette() -> np.ndarray:
    """Return the colour of each class number in PASCAL VOC's masks, uint8 ``(256, 3)``; 0 is black, 255 is cream.

    Bits 0, 1 and 2 of a number are the highest bits of red, green and blue, bits 3, 4 and 5 the next ones, and so on,
    as in VOCdevkit's ``VOClabelcolormap``.
    """
    numbers, colours = np.arange(256), np.zeros((256, 3), dtype=np.uint8)
    for level in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * level + channel) & 1) << (7 - level)).astype(np.uint8)
    return colours
