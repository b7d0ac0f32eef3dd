"""The sweep against labelling the map at one threshold after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hasvideo.metrics import contours
from hasvideo.metrics.contours import sweep_boxes

EIGHT = np.ones((3, 3), int)


def grey_of(array):
    low, high = array.min(), array.max()
    return ((array - low) / (high - low) * 255).astype(np.uint8) if high > low else np.zeros(array.shape, np.uint8)


def parts(mask, diagonal):
    labelled, _ = ndimage.label(mask, EIGHT if diagonal else None)
    return [
        ((x.start, y.start, x.stop, y.stop), int((labelled[y, x] == k).sum()))
        for k, (y, x) in enumerate(ndimage.find_objects(labelled), 1)
    ]


def holes(mask, diagonal):
    height, width = mask.shape
    return [
        (left - 1, top - 1, right + 1, bottom + 1)
        for (left, top, right, bottom), _ in parts(~mask, not diagonal)
        if left > 0 and top > 0 and right < width and bottom < height
    ]


def swept(maps, cuts, **options):
    found = {}
    boxes = sweep_boxes(maps, cuts, **options)
    for index, cut, corners in zip(boxes.map.tolist(), boxes.cut.tolist(), boxes.corners.tolist(), strict=True):
        found.setdefault((index, cut), []).append(tuple(corners))
    return {key: sorted(value) for key, value in found.items()}


def one_by_one(maps, cuts, diagonal=True, with_holes=False):
    found = {}
    for index, array in enumerate(maps):
        for number, cut in enumerate(cuts):
            mask = grey_of(array) > cut
            boxes = [box for box, _ in parts(mask, diagonal)] + (holes(mask, diagonal) if with_holes else [])
            if boxes:
                found[index, number] = sorted(boxes)
    return found


SIDES = st.tuples(st.integers(2, 9), st.integers(2, 9))
STACKS = SIDES.flatmap(
    lambda shape: st.lists(arrays(np.float64, shape, elements=st.integers(0, 5)), min_size=1, max_size=3)
)
CUTS = st.lists(st.integers(0, 254), min_size=1, max_size=8, unique=True).map(sorted)


@given(STACKS, CUTS, st.booleans())
def test_the_same_parts_as_labelling_each_threshold(maps, cuts, diagonal):
    assert swept(maps, cuts, diagonal=diagonal) == one_by_one(maps, cuts, diagonal)


@given(STACKS, CUTS, st.booleans())
def test_the_same_holes_as_labelling_what_is_not_above(maps, cuts, diagonal):
    assert swept(maps, cuts, diagonal=diagonal, holes=True) == one_by_one(maps, cuts, diagonal, with_holes=True)


@given(STACKS, CUTS)
def test_the_largest_part_has_the_most_pixels(maps, cuts):
    found = swept(maps, cuts, largest=True)
    for index, array in enumerate(maps):
        for number, cut in enumerate(cuts):
            sizes = parts(grey_of(array) > cut, diagonal=True)
            most = max((size for _, size in sizes), default=0)
            boxes = found.get((index, number), [])
            assert len(boxes) == bool(sizes)
            assert set(boxes) <= {box for box, size in sizes if size == most}


@pytest.mark.parametrize("shape", [(3, 3), (2, 5)])
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("with_holes", [True, False])
def test_every_small_map_of_three_values(shape, diagonal, with_holes):
    cells = shape[0] * shape[1]
    maps = (np.arange(3**cells)[:, None] // 3 ** np.arange(cells) % 3).astype(np.float32)
    maps = maps[(maps.min(1) == 0) & (maps.max(1) == 2)].reshape(-1, *shape)
    of_masks = {}
    for bits in range(2**cells):
        mask = (bits >> np.arange(cells) & 1).astype(bool).reshape(shape)
        boxes = [box for box, _ in parts(mask, diagonal)] + (holes(mask, diagonal) if with_holes else [])
        of_masks[mask.tobytes()] = sorted(boxes)
    expected = {(index, cut): of_masks[(array > cut).tobytes()] for index, array in enumerate(maps) for cut in range(2)}
    assert swept(maps, [0, 127], diagonal=diagonal, holes=with_holes) == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_smooth_maps_of_any_type(dtype):
    rng = np.random.default_rng(0)
    maps = [(1000 * ndimage.gaussian_filter(rng.random((60, 75)), 4)).astype(dtype) for _ in range(4)]
    cuts = (np.arange(0, 1, 0.01) * 255).astype(int)
    if dtype == np.float16:  # it is scaled in double precision
        maps = [array.astype(np.float64) for array in maps]
        assert swept([array.astype(dtype) for array in maps], cuts) == one_by_one(maps, cuts)
    else:
        assert swept(maps, cuts) == one_by_one(maps, cuts)


def test_many_maps_are_the_same_as_each_alone():
    rng = np.random.default_rng(1)
    maps = np.stack([ndimage.gaussian_filter(rng.random((224, 224)), 20) for _ in range(20)])  # several chunks
    cuts = [0, 30, 128, 200, 254]
    together = swept(maps, cuts, holes=True)
    for index, array in enumerate(maps):
        assert swept([array], cuts, holes=True) == {(0, c): b for (i, c), b in together.items() if i == index}


@pytest.mark.parametrize("height", [22, 23])
@pytest.mark.parametrize("options", [{}, {"holes": True}, {"largest": True}])
def test_maps_looked_at_in_many_goes(monkeypatch, height, options):
    rng = np.random.default_rng(2)
    maps = [ndimage.gaussian_filter(rng.random((height, 30)), 2) for _ in range(37)]
    together = swept(maps, [0, 30, 128, 200], **options)
    monkeypatch.setattr(contours, "_CHUNK", 2 * height * 30)
    assert swept(maps, [0, 30, 128, 200], **options) == together
    monkeypatch.setattr(contours, "_MANY", 100)  # runs, of about three chunks
    assert swept(maps, [0, 30, 128, 200], **options) == together


def test_two_bumps_merge_at_their_saddle():
    array = np.array([[0, 0, 0, 0, 0], [0, 255, 100, 200, 0], [0, 0, 0, 0, 0]], np.float32)
    assert swept([array], [0, 99, 100, 199, 200]) == {
        (0, 0): [(1, 1, 4, 2)],
        (0, 1): [(1, 1, 4, 2)],
        (0, 2): [(1, 1, 2, 2), (3, 1, 4, 2)],
        (0, 3): [(1, 1, 2, 2), (3, 1, 4, 2)],
        (0, 4): [(1, 1, 2, 2)],
    }


def test_a_ring_has_a_hole():
    ring = np.ones((6, 6))
    ring[2:4, 2:4] = ring[0] = 0
    assert swept([ring], [10], holes=True) == {(0, 0): [(0, 1, 6, 6), (1, 1, 5, 5)]}


def test_a_flat_map_has_no_box_and_no_maps_have_none():
    assert swept([np.full((4, 4), 3.0)], [0, 100], holes=True) == {}
    assert len(sweep_boxes([], [0]).map) == 0


@pytest.mark.parametrize(
    ("maps", "cuts", "message"),
    [
        ([np.zeros((3, 3))], [], "cuts must be"),
        ([np.zeros((3, 3))], [3, 3], "cuts must be"),
        ([np.zeros((3, 3))], [0, 255], "cuts must be"),
        ([np.zeros((3, 3)), np.zeros((3, 4))], [0], "one shape"),
        ([np.zeros((1, 3))], [0], "one shape"),
        ([np.array([[0.0, np.nan], [1, 2]])], [0], "not finite"),
        ([np.array([[0.0, np.inf], [1, 2]])], [0], "not finite"),
        ([np.zeros((3, 3))], [0.5, 1.2], "ascending whole numbers"),
        ([np.zeros((3, 3)), np.zeros((4, 3))], [0], r"got \(\d, 3\), \(\d, 3\)$"),
    ],
)
def test_wrong_input(maps, cuts, message):
    with pytest.raises(ValueError, match=message):
        sweep_boxes(maps, cuts)


def test_the_largest_part_is_no_hole():
    with pytest.raises(ValueError, match="exclude each other"):
        sweep_boxes([np.zeros((3, 3))], [0], holes=True, largest=True)
