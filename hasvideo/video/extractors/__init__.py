"""Feature extractors: frames in, one feature vector a time step out."""

from __future__ import annotations

import difflib

from hasvideo.errors import UsageError
from hasvideo.video.extractors.base import Extractor

EXTRACTORS = ("i3d",)


def load_extractor(name: str, engine: str = "auto", device: str = "cpu") -> Extractor:
    """The feature extractor of that name, ready to run.

    Raises:
        UsageError: unknown name, engine or device.
        HasvideoError: its weights cannot be had.
    """
    if name == "i3d":
        from hasvideo.video.extractors.i3d import I3DExtractor

        return I3DExtractor(engine, device)
    close = difflib.get_close_matches(name, EXTRACTORS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(f"unknown extractor {name!r}{hint}; accepted: {', '.join(EXTRACTORS)}")


__all__ = ["EXTRACTORS", "Extractor", "load_extractor"]
