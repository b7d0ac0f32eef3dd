"""Boxes around the connected parts of a map at every threshold at once, as OpenCV's contours have them one by one.

What is above a threshold only grows while the threshold falls: parts are born at maxima and merge at saddles. So the
parts at all thresholds are one tree (the component tree, or max-tree: Salembier et al., IEEE TIP 1998). It is found
while most pixels are only compared with their neighbours:

- Two neighbouring rows, connected by corners too, are one chain: each of its cells, the higher of two pixels, touches
  the next. (Connected by sides only, every row is a chain of its own.) Cut at its valleys, a chain is a few *runs* that
  rise and then fall. What is above a threshold within a run is connected, so runs take the place of pixels.
- Neighbouring chains meet at pairs of pixels. Of all pairs above each other only those matter whose lower value is a
  maximum along the row: any other pair is joined through a better one beside it. Diagonal pairs matter only where both
  pixels are above the other two of their square.
- A run that meets a higher one at its own maximum is never alone; it is part of the other. What remains are the maxima
  of the map, a handful, which merge one after another by falling threshold.
- A part reaches to the outermost rows in which one of its runs is above the threshold, and to the outermost columns in
  which a maximum along the column is.

All but the last merging is numpy on whole stacks of maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_CHUNK = 400_000  # pixels of the maps looked at in one go: what stays in a processor's cache
_SHIFT = 7  # 128 steps of a grey value are told apart, so that slopes are not plateaus
_FAR = np.iinfo(np.int16).max


@dataclass(frozen=True)
class SweptBoxes:
    """Boxes of many maps at many thresholds as columns, N rows in no particular order.

    Attributes:
        map: index of the map, int ``(N,)``.
        cut: index of the threshold, int ``(N,)``.
        corners: ``xmin, ymin, xmax, ymax`` in pixels, int ``(N, 4)``; a box ends behind its last pixel, so that a box
            around all of a map is ``0, 0, width, height``.
    """

    map: np.ndarray
    cut: np.ndarray
    corners: np.ndarray


def sweep_boxes(
    maps: Sequence[np.ndarray] | np.ndarray,
    cuts: Sequence[int] | np.ndarray,
    *,
    diagonal: bool = True,
    holes: bool = False,
    largest: bool = False,
) -> SweptBoxes:
    """Boxes around the connected parts of ``grey > cut``, for every map and every cut.

    ``grey`` is the map as whole numbers, its minimum 0 and its maximum 255, the rest cut off after the point:
    ``uint8((map - min) / (max - min) * 255)`` in the map's own precision, as in the code of Choe et al. (CVPR 2020). A
    map that is the same everywhere has no boxes.

    Args:
        maps: float ``(H, W)`` each, all of one shape, of at least 2 and below 32767 pixels a side; or a stack of them.
        cuts: whole numbers from 0 to 254, ascending, each once.
        diagonal: pixels that share a corner are connected, as along OpenCV's contours; else only those that share a
            side.
        holes: also the boxes of the contours around holes, which ``cv2.findContours`` finds in mode ``RETR_TREE``. A
            hole is a part of the rest (connected by sides, without ``diagonal`` by corners too) that does not touch the
            border; its contour runs over the pixels around it.
        largest: only the part with the most pixels; of equal ones any.

    Raises:
        ValueError: cuts or maps are not as described, or a map is not finite.
    """
    above, shape = _check(maps, cuts, holes and largest)
    found = [np.zeros((0, 6), np.int64)]
    step = max(1, _CHUNK // (shape[0] * shape[1]))
    for first in range(0, len(maps), step):
        lines = _framed(maps[first : first + step], shape)
        rows = _sweep(lines, shape[0], above, diagonal, largest=largest)
        if holes:
            # A grey value's complement is above all cuts but those that it was above itself.
            rest = _sweep(lines ^ _FAR, shape[0], (len(cuts) - above)[::-1], not diagonal, inverted=True)
            rows = np.concatenate([rows, _around_holes(rest, len(cuts))])
        rows[:, 0] += first
        found.append(rows)
    rows = np.concatenate(found)
    return SweptBoxes(rows[:, 0], rows[:, 1], rows[:, 2:])


def _check(
    maps: Sequence[np.ndarray] | np.ndarray, cuts: Sequence[int] | np.ndarray, both: bool
) -> tuple[np.ndarray, tuple[int, int]]:
    """How many cuts each grey value is above, int ``(256,)``, and the maps' shape."""
    cuts = np.asarray(cuts)
    if len(cuts) == 0 or cuts[0] < 0 or cuts[-1] > 254 or (np.diff(cuts) <= 0).any():
        raise ValueError(f"cuts must be ascending whole numbers from 0 to 254, got {cuts.tolist()}")
    if both:
        raise ValueError("the largest part is no hole: holes and largest exclude each other")
    shapes = {np.shape(m) for m in maps} or {(2, 2)}
    shape = shapes.pop()
    if shapes or len(shape) != 2 or min(shape) < 2 or max(shape) >= _FAR:
        raise ValueError(f"maps must all be of one shape (H, W), 2 to {_FAR - 1} each, got {shape}, {shapes or ''}")
    return np.searchsorted(cuts, np.arange(256), "left"), (shape[0], shape[1])


def _framed(maps: Sequence[np.ndarray] | np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The maps' grey values and what is behind the point, in steps of 1/128, among zeros: int16 ``(2, chains, W + 1)``.

    Even and odd rows are apart. Before each map is a row of zeros, or two, so that it has an even number of them; after
    the last are two, and before each row is one zero.
    """
    height, width = shape
    above = 2 - height % 2
    lines = np.zeros((2, len(maps) * (height + above) // 2 + 1, width + 1), np.int16)
    rows = lines[:, :-1].reshape(2, len(maps), -1, width + 1)[..., 1:]
    for index, source in enumerate(maps):
        array = np.asarray(source)
        array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
        low, high = array.min(), array.max()
        if not np.isfinite(high - low):
            raise ValueError("a map has values that are not finite")
        if low != 0 or high != 1:
            array = array - low
            array /= high - low if high > low else 1
        for first in range(2):
            np.multiply(
                array[(first - above) % 2 :: 2], 255 << _SHIFT, out=rows[first, index, (above - first + 1) // 2 :], casting="unsafe"
            )
    return lines


def _sweep(lines: np.ndarray, height: int, levels: np.ndarray, diagonal: bool, largest: bool = False, inverted: bool = False) -> np.ndarray:
    """Boxes ``(N, 6)``: map, cut, corners.

    A pixel's level is the number of cuts that it is above, ``levels[pixel >> 7]``, which never falls as pixels rise;
    it belongs to a part at the cuts before that.
    """
    runs = _find_runs(lines, height, levels, diagonal, inverted)
    root, one, other, meet = _contract(runs)
    roots = np.flatnonzero((root == np.arange(len(root))) & (runs.level > 0))
    number = np.full(len(root) + 1, len(roots))
    number[roots] = np.arange(len(roots))
    depth = int(levels.max())
    extents = _extents(runs, number[root], len(roots), depth)
    areas = _areas(lines, levels, runs, number[root], len(roots), depth) if largest else None
    edges = _highest(number[one], number[other], meet, len(roots) + 1)
    death = _merge(edges, runs.level[roots].tolist(), extents, areas)
    cut = np.arange(depth)
    alive = (cut >= np.array(death, dtype=np.int64)[:, None]) & (cut < runs.level[roots][:, None])
    if areas is not None:
        alive &= _is_largest(np.where(alive, areas, 0), runs.map[roots])
    if inverted:
        alive[:1] = False
    part, cut = np.nonzero(alive)
    left, top, right, bottom = extents[:, part, cut].astype(np.int64)
    return np.stack([runs.map[roots][part], cut, left, top, 1 - right, 1 - bottom], axis=1)


@dataclass(frozen=True)
class _Runs:
    """N runs of a stack of maps, where they meet, and the maxima along columns.

    Attributes:
        level: of the run's maximum ``(N,)``.
        map: that the run is in ``(N,)``.
        cells: of the run ``(N,)``.
        rows: a run, a row and the level of the run's maximum in that row, each ``(N,)``; of each row of the chains.
        columns: likewise of maxima along columns, ``(M,)`` each.
        one, other, meet: two runs, and the level of the lower pixel of the pair where they meet ``(E,)``.
    """

    level: np.ndarray
    map: np.ndarray
    cells: np.ndarray
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    one: np.ndarray
    other: np.ndarray
    meet: np.ndarray
    outside: np.ndarray | None


def _find_runs(lines: np.ndarray, height: int, levels: np.ndarray, diagonal: bool, inverted: bool) -> _Runs:
    width = lines.shape[2]
    above = 2 - height % 2
    upper, lower = lines.reshape(2, -1)
    over, under = lower[:-width], upper[width:]
    chain = np.maximum(upper, lower)
    starts = np.zeros(len(chain), bool)
    rises = chain[1:] > chain[:-1]
    np.greater(rises[1:], rises[:-1], out=starts[1:-1])
    starts[0] = True
    if not diagonal:
        starts[_diagonals(upper, lower, chain) + 1] = True
    starts = np.flatnonzero(starts)

    def run_of(cell: np.ndarray) -> np.ndarray:
        return np.searchsorted(starts, cell, "right") - 1

    def level(pixels: np.ndarray) -> np.ndarray:
        return levels[pixels >> _SHIFT]

    tops = [level(np.maximum.reduceat(line, starts)) for line in (upper, lower)]
    at_chain = starts // width
    index, row = np.divmod(2 * at_chain, height + above)
    row -= above
    columns = []
    for line, cells in zip((upper, lower), _column_maxima(upper, lower, lines.shape, (height + above) // 2 if inverted else None), strict=True):
        columns.append((run_of(cells), cells % width - 1, level(line[cells])))
    floor = np.minimum(over, under)
    rises = floor[1:] > floor[:-1]
    here = there = np.flatnonzero(rises[:-1] > rises[1:]) + 1
    met = floor[here]
    if diagonal:
        valley = level(chain[starts[1:]])
        at = _diagonals(over, under, np.maximum(over, under))
        right = over[at + 1] > over[at]
        here, there = np.concatenate([here, at + right]), np.concatenate([here, at + 1 - right])
        met = np.minimum(over[here], under[there])
    else:
        before = starts[1:] - 1
        valley = level(np.maximum(np.minimum(upper[before], upper[starts[1:]]), np.minimum(lower[before], lower[starts[1:]])))
    split = np.flatnonzero(valley)
    return _Runs(
        level=np.maximum.reduce(tops),
        map=index,
        cells=np.diff(starts, append=len(chain)),
        rows=[(slice(None), row + i, top) for i, top in enumerate(tops)],
        columns=columns,
        one=np.concatenate([split, run_of(here)]),
        other=np.concatenate([split + 1, run_of(there + width)]),
        meet=np.concatenate([valley[split], level(met)]),
        outside=at_chain != np.append(at_chain[1:], len(chain)) if inverted else None,
    )


def _column_maxima(upper, lower, shape, frame) -> tuple[np.ndarray, np.ndarray]:
    """Pixels at which a column stops rising, as positions in the stack."""
    width = shape[2]
    inner = lower > upper
    outer = upper[width:] > lower[:-width]
    stops = outer > inner[width:]
    if frame:
        stops.reshape(-1, width)[frame - 1 :: frame] = False
    return width + np.flatnonzero(stops), np.flatnonzero(inner[:-width] > outer)


def _diagonals(over: np.ndarray, under: np.ndarray, higher: np.ndarray) -> np.ndarray:
    """Squares, as positions of their left pixels, whose two highest pixels share a corner only."""
    by_sides = np.maximum(np.minimum(over[1:], over[:-1]), np.minimum(under[1:], under[:-1]))
    return np.flatnonzero(np.minimum(higher[1:], higher[:-1]) > by_sides)


def _contract(runs: _Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Join runs to those that they are never without: the run that stands for each, and what is left to meet."""
    root = np.arange(len(runs.level))
    one, other, meet, top = runs.one, runs.other, runs.meet, runs.level
    if runs.outside is not None:
        root[runs.outside] = 0
        top[0] = 256
        one, other = root[one], root[other]
        apart = np.flatnonzero(one != other)
        one, other, meet = one[apart], other[apart], meet[apart]
    while True:
        # At equal levels the later one is joined to, so that no circle of runs can come about.
        one, other = np.minimum(one, other), np.maximum(one, other)
        up = meet == runs.level[one]
        down = (meet == runs.level[other]) & ~up
        if not (up.any() or down.any()):  # no run is joined to another for good
            return root, one, other, meet
        into = np.arange(len(root))
        into[one[up]] = other[up]
        into[other[down]] = one[down]
        into = _follow(into)
        root, one, other = into[root], into[one], into[other]
        apart = np.flatnonzero(one != other)
        one, other, meet = one[apart], other[apart], meet[apart]


def _follow(into: np.ndarray) -> np.ndarray:
    """Where each pointer leads in the end (pointer jumping)."""
    while True:
        further = into[into]
        if np.array_equal(further, into):
            return into
        into = further


def _extents(runs: _Runs, number: np.ndarray, count: int, depth: int) -> np.ndarray:
    """How far what each maximum stands for reaches at each cut: least ``x, y, -x, -y``, int16 ``(4, count, depth)``."""
    reach = np.full((4, count + 1, depth + 1), _FAR, np.int16)
    for axis, found in enumerate((runs.columns, runs.rows)):
        for run, place, level in found:
            at, short = number[run] * (depth + 1) + level, place.astype(np.int16)
            np.minimum.at(reach[axis].reshape(-1), at, short)
            np.minimum.at(reach[axis + 2].reshape(-1), at, -short)
    return np.minimum.accumulate(reach[:, :count, :0:-1], axis=2)[:, :, ::-1]


def _areas(lines: np.ndarray, levels: np.ndarray, runs: _Runs, number: np.ndarray, count: int, depth: int) -> np.ndarray:
    """Pixels of what each maximum stands for at each cut, int ``(count, depth)``."""
    key = np.repeat(number * 256, runs.cells) + (lines >> _SHIFT).reshape(2, -1)
    pixels = np.bincount(key.reshape(-1), minlength=(count + 1) * 256).reshape(-1, 256)[:count]
    by_level = pixels @ (levels[:, None] == np.arange(depth + 1))
    return np.cumsum(by_level[:, :0:-1], axis=1)[:, ::-1]


def _highest(one: np.ndarray, other: np.ndarray, meet: np.ndarray, count: int) -> Iterator[tuple[int, int, int]]:
    """The highest meeting of each two, by falling level; those of level 0 never take place."""
    key = np.sort((np.minimum(one, other) * count + np.maximum(one, other)) * 256 + meet)
    key = key[np.flatnonzero(np.append(key[1:] // 256 != key[:-1] // 256, True))] if len(key) else key
    key = key[key % 256 > 0]
    pair, meet = np.divmod(key, 256)
    order = np.argsort(-meet, kind="stable")
    one, other = np.divmod(pair[order], count)
    return zip(one.tolist(), other.tolist(), meet[order].tolist(), strict=True)


def _merge(
    edges: Iterator[tuple[int, int, int]], level: list[int], extents: np.ndarray, areas: np.ndarray | None
) -> list[int]:
    """Join maxima where they meet, and what they reach: the level at which each is no part of its own any more."""
    parent, death = list(range(len(level))), [0] * len(level)

    def find(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for one, other, meet in edges:
        keep, lose = find(one), find(other)
        if keep == lose:
            continue
        if level[keep] < level[lose]:
            keep, lose = lose, keep
        parent[lose], death[lose] = keep, meet
        below = extents[:, keep, :meet]
        np.minimum(below, extents[:, lose, :meet], out=below)
        if areas is not None:
            areas[keep, :meet] += areas[lose, :meet]
    return death


def _is_largest(areas: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Whether a part is the largest of its map at a cut, the first of equal ones, bool ``(parts, depth)``.

    Args:
        areas: of the parts, 0 where there is none, ``(parts, depth)``.
        maps: that the parts are in, ascending ``(parts,)``.
    """
    # Unequal within a map: of equal areas the first part's is the greater.
    ranked = areas * (len(maps) + 1) + np.arange(len(maps), 0, -1)[:, None]
    begin = np.flatnonzero(np.diff(maps, prepend=-1))
    best = np.maximum.reduceat(ranked, begin, axis=0) if len(maps) else ranked
    return ranked == np.repeat(best, np.diff(begin, append=len(maps)), axis=0)


def _around_holes(rest: np.ndarray, cuts: int) -> np.ndarray:
    """The holes, which the parts of the complement are, with boxes grown by the pixels around them."""
    index, cut, left, top, right, bottom = rest.T
    return np.stack([index, cuts - 1 - cut, left - 1, top - 1, right + 1, bottom + 1], axis=1)
