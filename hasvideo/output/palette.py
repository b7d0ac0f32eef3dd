"""The palette of plots, pages and subtitles, which colour-blind people can tell apart, and PASCAL VOC's of masks."""

from __future__ import annotations

import numpy as np

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#F0E442")
"""Okabe & Ito, Color Universal Design (2008), strongest contrast on white first; grey stands in for black,
which cannot be seen on a dark page."""


INK, MUTED = "#1f2328", "#5b626a"
"""Of what is read first, and of what stands beside it."""


def color(index: int) -> str:
    """Colour of the ``index``-th class, ``#RRGGBB``; the palette starts over after eight."""
    return OKABE_ITO[index % len(OKABE_ITO)]


def voc_palette() -> np.ndarray:
    """The colours of class numbers in the masks of PASCAL VOC, uint8 ``(256, 3)``; 0 is black, 255 is cream.

    Bits 0, 1 and 2 of a number are the highest bits of red, green and blue, bits 3, 4 and 5 the next ones, and so on,
    as in VOCdevkit's ``VOClabelcolormap``.
    """
    numbers, colours = np.arange(256), np.zeros((256, 3), dtype=np.uint8)
    for level in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * level + channel) & 1) << (7 - level)).astype(np.uint8)
    return colours
