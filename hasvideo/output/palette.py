"""One palette for plots, pages and subtitles: eight colours that colour-blind people can tell apart."""

from __future__ import annotations

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#F0E442")
"""Okabe & Ito, Color Universal Design (2008), strongest contrast on white first; grey stands in for black,
which cannot be seen on a dark page."""


def color(index: int) -> str:
    """Colour of the ``index``-th class, ``#RRGGBB``; the palette starts over after eight."""
    return OKABE_ITO[index % len(OKABE_ITO)]
