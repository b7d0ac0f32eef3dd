"""Boxes around contours, against labelling what is above each threshold, and against boxes drawn by hand."""

import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hasvideo.errors import UsageError
from hasvideo.metrics.contours import contour_boxes, has_opencv

EIGHT = np.ones((3, 3), int)


def grey_of(array):
    low, high = array.min(), array.max()
    return ((array - low) / (high - low) * 255).astype(np.uint8) if high > low else np.zeros(array.shape, np.uint8)


def labelled_boxes(mask):
    """Boxes of the parts of a mask and of its holes, which do not touch the border."""
    height, width = mask.shape
    parts = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(ndimage.label(mask, EIGHT)[0])]
    for y, x in ndimage.find_objects(ndimage.label(~mask)[0]):
        if x.start > 0 and y.start > 0 and x.stop < width and y.stop < height:
            parts.append((x.start - 1, y.start - 1, x.stop + 1, y.stop + 1))
    return sorted(parts)


def found(array, cuts, **options):
    return [sorted(map(tuple, boxes.tolist())) for boxes in contour_boxes(array, cuts, **options)]


MAPS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 5))
)
CUTS = st.lists(st.integers(0, 254), min_size=1, max_size=8)


@given(MAPS, CUTS)
def test_the_same_boxes_as_labelling_each_threshold(array, cuts):
    assert found(array, cuts) == [labelled_boxes(grey_of(array) > cut) for cut in cuts]


@pytest.mark.parametrize("shape", [(3, 3), (2, 5)])
def test_every_small_map_of_two_values(shape):
    cells = shape[0] * shape[1]
    for bits in range(1, 2**cells - 1):
        mask = (bits >> np.arange(cells) & 1).astype(bool).reshape(shape)
        assert found(mask.astype(np.float32), [0]) == [labelled_boxes(mask)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_smooth_maps_of_any_type(dtype):
    array = (1000 * ndimage.gaussian_filter(np.random.default_rng(0).random((60, 75)), 4)).astype(dtype)
    cuts = (np.arange(0, 1, 0.01) * 255).astype(int)
    grey = grey_of(array.astype(np.float64) if dtype == np.float16 else array)
    assert found(array, cuts) == [labelled_boxes(grey > cut) for cut in cuts]


def test_two_bumps_merge_at_their_saddle():
    array = np.array([[0, 0, 0, 0, 0], [0, 255, 100, 200, 0], [0, 0, 0, 0, 0]], np.float32)
    both, apart = [(1, 1, 4, 2)], [(1, 1, 2, 2), (3, 1, 4, 2)]
    assert found(array, [0, 99, 100, 199, 200]) == [both, both, apart, apart, [(1, 1, 2, 2)]]


def test_a_ring_has_a_hole():
    ring = np.ones((6, 6))
    ring[2:4, 2:4] = ring[0] = 0
    assert found(ring, [10]) == [[(0, 1, 6, 6), (1, 1, 5, 5)]]
    assert found(ring, [10], largest=True) == [[(0, 1, 6, 6)]]


def test_the_largest_encloses_most_and_need_not_have_most_pixels():
    block_and_line = np.zeros((12, 20))
    block_and_line[1, 1:19] = 1  # 18 pixels in a row: its polygon is flat
    block_and_line[4:7, 4:7] = 1  # 9 pixels
    assert found(block_and_line, [0], largest=True) == [[(4, 4, 7, 7)]]
    block_and_ring = np.zeros((12, 20))
    block_and_ring[1:10, 1:10] = 1
    block_and_ring[2:9, 2:9] = 0  # 32 pixels around 8 x 8
    block_and_ring[2:9, 12:19] = 1  # 49 pixels, 6 x 6
    assert found(block_and_ring, [0], largest=True) == [[(1, 1, 10, 10)]]


def test_a_flat_map_has_no_box():
    assert found(np.full((4, 4), 3.0), [0, 100]) == [[], []]
    assert found(np.full((4, 4), 3, np.uint8), [0], largest=True) == [[]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(wrong):
    with pytest.raises(ValueError, match="not finite"):
        contour_boxes(np.array([[0.0, wrong], [1, 2]]), [0])


@pytest.mark.parametrize("left", [None, ModuleType("cv2")])
def test_without_opencv_or_with_an_empty_one(monkeypatch, left):
    assert has_opencv()
    monkeypatch.setitem(sys.modules, "cv2", left)
    assert not has_opencv()
    with pytest.raises(UsageError, match=r"needs OpenCV: pip install 'hasvideo\[maxboxacc\]'"):
        contour_boxes(np.eye(3), [0])
