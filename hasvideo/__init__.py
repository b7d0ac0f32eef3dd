"""hasvideo: Hide-and-Seek (Singh & Lee, ICCV 2017) for videos and images.

Labels that say only *what* happens are enough to find *when* or *where*: random cells of the input are hidden
while a classifier trains, everything is shown while testing, and the class activation map is thresholded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasvideo.evaluate import evaluate as evaluate
    from hasvideo.extract import extract as extract
    from hasvideo.localize import localize as localize
    from hasvideo.types import Box as Box
    from hasvideo.types import Detections as Detections
    from hasvideo.types import ImageDetections as ImageDetections
    from hasvideo.types import Interval as Interval
    from hasvideo.types import TimeGrid as TimeGrid
    from hasvideo.types import VideoInfo as VideoInfo

__version__ = "0.1.0"

_HOME = {
    "evaluate": "hasvideo.evaluate",
    "extract": "hasvideo.extract",
    "localize": "hasvideo.localize",
    "Box": "hasvideo.types",
    "Detections": "hasvideo.types",
    "ImageDetections": "hasvideo.types",
    "Interval": "hasvideo.types",
    "TimeGrid": "hasvideo.types",
    "VideoInfo": "hasvideo.types",
}
__all__ = [
    "Box",
    "Detections",
    "ImageDetections",
    "Interval",
    "TimeGrid",
    "VideoInfo",
    "evaluate",
    "extract",
    "localize",
]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that ``import hasvideo`` stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module 'hasvideo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
