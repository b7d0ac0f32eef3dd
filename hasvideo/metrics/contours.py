"""Boxes around the contours of a map at given thresholds, found by OpenCV as in the code of Choe et al. (CVPR 2020).

OpenCV comes as several packages that exclude each other (``opencv-python``, ``opencv-python-headless`` and others). Any
of them will do, so none is required; the extra ``maxboxacc`` installs one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hasvideo.errors import UsageError

NEEDS_OPENCV = "MaxBoxAcc needs OpenCV: pip install 'hasvideo[maxboxacc]'"
"""What to tell a user who has no OpenCV."""


def contour_boxes(cam: np.ndarray, cuts: Sequence[int] | np.ndarray, *, largest: bool = False) -> list[np.ndarray]:
    """Put a box around every contour of ``grey > cut``, for each cut; contours around holes have boxes too.

    ``grey`` is the map as whole numbers from 0 (its minimum) to 255 (its maximum), rounded down. Pixels that share a
    corner are connected.

    Args:
        cam: map ``(H, W)``.
        cuts: grey values, whole numbers 0..254.
        largest: keep only the contour whose polygon has the largest area (``cv2.contourArea``).

    Returns:
        For each cut, boxes ``xmin, ymin, xmax, ymax`` in pixels, int ``(N, 4)``. A box ends behind its last pixel, so
        one around the whole map is ``0, 0, W, H``. A map that is the same everywhere has no boxes.

    Raises:
        UsageError: OpenCV is not installed.
        ValueError: the map has a value that is not finite.
    """
    cv2, grey = load_opencv(), _grey_values(cam)
    found = []
    for cut in cuts:
        _, above = cv2.threshold(grey, int(cut), 255, cv2.THRESH_BINARY)
        # Versions differ in how many values they return, and agree in the place of the contours from the end.
        contours = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
        if largest and contours:
            contours = [max(contours, key=cv2.contourArea)]
        boxes = np.array([cv2.boundingRect(contour) for contour in contours], int).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # OpenCV gives width and height
        found.append(boxes)
    return found


def load_opencv() -> Any:
    """Import OpenCV.

    Raises:
        UsageError: it is not installed or does not load.
    """
    try:
        import cv2
        from cv2 import findContours  # noqa: F401
    except (ImportError, AttributeError) as error:  # two packages in one place leave a cv2 that is broken or empty
        raise UsageError(f"{NEEDS_OPENCV} ({error})") from error
    return cv2


def has_opencv() -> bool:
    """Say whether OpenCV can be used."""
    try:
        load_opencv()
    except UsageError:
        return False
    return True


def _grey_values(cam: np.ndarray) -> np.ndarray:
    cam = np.asarray(cam, np.float32 if cam.dtype == np.float32 else np.float64)
    low, high = cam.min(), cam.max()
    if not np.isfinite(high - low):
        raise ValueError("a map has values that are not finite")
    return ((cam - low) / (high - low or 1) * 255).astype(np.uint8)
