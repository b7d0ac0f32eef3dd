"""Boxes around the connected parts of a map at every threshold at once, as OpenCV's contours have them one by one.

What is above a threshold only grows while the threshold falls: parts are born at maxima and merge at saddles. So the
parts at all thresholds are one tree (the component tree, or max-tree: Salembier et al., IEEE TIP 1998). It is found
while most pixels are only compared with their neighbours:

- Two neighbouring rows, connected by corners too, are one chain: each of its cells, the higher of two pixels, touches
  the next. (Connected by sides only, it is cut where the higher ones of four pixels share a corner only.) Cut at its
  valleys, a chain is a few *runs* that rise and then fall. What is above a threshold within a run is connected, so
  runs take the place of pixels.
- Neighbouring chains meet at pairs of pixels. Of all pairs above each other only those matter whose lower value is a
  maximum along the row: any other pair is joined through a better one beside it. Diagonal pairs matter only where both
  pixels are above the other two of their square.
- A run that meets a higher one at its own maximum is never alone; it is part of the other. What remains are the maxima
  of the map, a handful, which merge one after another by falling threshold.
- A part reaches to the outermost rows in which one of its runs is above the threshold, and to the outermost columns in
  which a maximum along the column is.
- Holes are parts of the complement. Around it is a frame that is higher than all, so that what touches the border is no
  hole but a part of the frame, most of it from the start.

All but the last merging is numpy on whole stacks of maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_CHUNK = 400_000  # pixels of the maps looked at in one go: what stays in a processor's cache
_GROUP = 8  # chunks whose runs are joined in one go
_SHIFT = 7  # 128 steps of a grey value are told apart, so that slopes are not plateaus
_FAR = np.iinfo(np.int16).max
_OUTSIDE = 256  # a level above all
_Meets = tuple[np.ndarray, np.ndarray, np.ndarray]  # two runs each, and the level or value where they do
_BITS = _START, _UPPER, _LOWER, _HERE, _THERE = tuple(np.uint8(1 << bit) for bit in range(5))


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
        ValueError: cuts or maps are not as described, a map is not finite, or both holes and largest are asked for.
    """
    above, shape = _check(maps, cuts, holes and largest)
    found = [np.zeros((0, 6), np.int64)]
    step = max(1, min(_CHUNK // (shape[0] * shape[1]), len(maps)))
    group = step if largest else step * _GROUP
    frame = _Frame(min(group, len(maps)), shape)
    scanner = _Scanner(step, frame, diagonal)
    complement = _Scanner(step, frame, not diagonal, inverted=True) if holes else None
    for first in range(0, len(maps), group):
        some = maps[first : first + group]
        frame.fill(some)
        rows = _sweep(frame, len(some), scanner, above, largest)
        if complement:
            # A grey value's complement is above all cuts but those that it was above itself.
            rest = _sweep(frame, len(some), complement, (len(cuts) - above)[::-1])
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
    if len(cuts) == 0 or (cuts != np.trunc(cuts)).any() or cuts[0] < 0 or cuts[-1] > 254 or (np.diff(cuts) <= 0).any():
        raise ValueError(f"cuts must be ascending whole numbers from 0 to 254, got {cuts.tolist()}")
    if both:
        raise ValueError("the largest part is no hole: holes and largest exclude each other")
    shapes = {np.shape(m) for m in maps} or {(2, 2)}
    shape = shapes.pop()
    if shapes or len(shape) != 2 or min(shape) < 2 or max(shape) >= _FAR:
        found = ", ".join(map(str, [shape, *shapes]))
        raise ValueError(f"maps must all be of one shape (H, W), 2 to {_FAR - 1} each, got {found}")
    return np.searchsorted(cuts, np.arange(256), "left"), (shape[0], shape[1])


class _Frame:
    """Room for the grey values of a group of maps, among zeros.

    Even and odd rows are apart. Before each map and after the last one are two rows of zeros, behind a map of an odd
    number of rows is one more, and before each row is one zero. So no row, column or map has ends that need a look of
    their own: all of the stack can be compared with itself, shifted by one cell or one row.

    Attributes:
        lines: int16 ``(2, pairs of rows, W + 1)``.
        pairs: of rows, a map.
    """

    def __init__(self, maps: int, shape: tuple[int, int]) -> None:
        self.pairs = (shape[0] + 1) // 2 + 1
        self.lines = np.zeros((2, maps * self.pairs + 1, shape[1] + 1), np.int16)
        self.scaled = {kind: np.empty(shape, kind) for kind in (np.dtype(np.float32), np.dtype(np.float64))}

    def fill(self, maps: Sequence[np.ndarray] | np.ndarray) -> None:
        """Write the maps' grey values and what is behind the point, in steps of 1/128: 0..32640."""
        for index, source in enumerate(maps):
            array = _unit(np.asarray(source))
            # First scaled, then cut off: both at once is slower, as numpy then goes through a buffer.
            scaled = np.multiply(array, 255 << _SHIFT, out=self.scaled[array.dtype])
            rows = self.lines[:, index * self.pairs + 1 : (index + 1) * self.pairs, 1:]
            for odd in range(2):
                half = scaled[odd::2]
                rows[odd, : len(half)] = half


def _unit(array: np.ndarray) -> np.ndarray:
    """A map scaled to its range."""
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    low, high = array.min(), array.max()
    if not np.isfinite(high - low):
        raise ValueError("a map has values that are not finite")
    if low == 0 and high == 1:  # as many maps come
        return array
    array = array - low
    array /= high - low if high > low else 1
    return array


def _sweep(frame: _Frame, maps: int, scanner: _Scanner, levels: np.ndarray, largest: bool = False) -> np.ndarray:
    """Boxes ``(N, 6)``: map, cut, corners; of the frame's first ``maps``.

    A pixel's level is the number of cuts that it is above, ``levels[pixel >> 7]``, which never falls as pixels rise;
    it belongs to a part at the cuts before that.
    """
    runs = _find_runs(frame, maps, scanner, levels)
    root, one, other, meet = _contract(runs)
    roots = np.flatnonzero((root == np.arange(len(root))) & (runs.level > 0))
    number = np.full(len(root) + 1, len(roots))
    number[roots] = np.arange(len(roots))
    number = number[root]
    depth = int(levels.max())
    extents = _extents(runs, number, len(roots), depth)
    areas = _areas(frame.lines[:, : maps * frame.pairs], levels, runs, number, len(roots), depth) if largest else None
    edges = _highest(number[one], number[other], meet, len(roots) + 1)
    death = _merge(edges, runs.level[roots].tolist(), extents, areas)
    cut = np.arange(depth)
    alive = (cut >= np.array(death, dtype=np.int64)[:, None]) & (cut < runs.level[roots][:, None])
    if areas is not None:
        alive &= _is_largest(np.where(alive, areas, 0), runs.map[roots])
    if runs.outside is not None:
        alive[0] = False
    part, cut = np.nonzero(alive)
    left, top, right, bottom = extents[:, part, cut].astype(np.int64)
    return np.stack([runs.map[roots][part], cut, left, top, 1 - right, 1 - bottom], axis=1)


@dataclass(frozen=True)
class _Runs:
    """N runs of a stack of maps, where they meet, and the maxima along columns.

    Attributes:
        start: first cell ``(N,)``.
        level: of the run's maximum ``(N,)``.
        map: that the run is in ``(N,)``.
        rows: the first of the run's two rows ``(N,)``.
        tops: levels of the run's maxima in its first and in its second row, ``(N,)`` each.
        columns: of maxima along columns their run, column and level, ``(M,)`` each.
        one, other, meet: two runs, and the level of the lower pixel of the pair where they meet ``(E,)``.
        outside: whether a run reaches the frame, bool ``(N,)``; None where the frame is low.
    """

    start: np.ndarray
    level: np.ndarray
    map: np.ndarray
    rows: np.ndarray
    tops: list[np.ndarray]
    columns: tuple[np.ndarray, np.ndarray, np.ndarray]
    one: np.ndarray
    other: np.ndarray
    meet: np.ndarray
    outside: np.ndarray | None


def _find_runs(frame: _Frame, maps: int, scanner: _Scanner, levels: np.ndarray) -> _Runs:
    scans: list[_Scan] = []
    runs = 0
    for first in range(0, maps, scanner.maps):
        begin, end = first * frame.pairs, min(first + scanner.maps, maps) * frame.pairs
        scans.append(scanner.scan(frame.lines[:, begin : end + 1], begin, runs))
        runs += len(scans[-1].start)
    scan = _Scan(*(np.concatenate(part) for part in zip(*scans, strict=True)))

    def level(pixels: np.ndarray) -> np.ndarray:
        return levels[pixels >> _SHIFT]

    tops = [level(scan.upper_top), level(scan.lower_top)]
    pair = scan.start // frame.lines.shape[2]
    index = pair // frame.pairs
    valley = level(scan.valley)
    split = np.flatnonzero(valley)
    return _Runs(
        start=scan.start,
        level=np.maximum(*tops),
        map=index,
        rows=2 * (pair - index * frame.pairs - 1),
        tops=tops,
        columns=(scan.column_run, scan.column, level(scan.column_top)),
        one=np.concatenate([split - 1, scan.here]),
        other=np.concatenate([split, scan.there]),
        meet=np.concatenate([valley[split], level(scan.meet)]),
        outside=pair != np.append(pair[1:], -1) if scanner.inverted else None,
    )


class _Scan(NamedTuple):
    """What a look at every pixel finds of N runs, M maxima along columns and E pairs where runs of two chains meet.

    Attributes:
        start: cell before the first that is higher ``(N,)``.
        valley: where the run meets the one before, 0 for none ``(N,)``.
        upper_top, lower_top: the run's maximum in its first and in its second row ``(N,)``.
        column_run, column, column_top: a maximum's run, column and value ``(M,)``.
        here, there, meet: a run, one of the next chain, and the lower pixel of the pair ``(E,)``.
    """

    start: np.ndarray
    valley: np.ndarray
    upper_top: np.ndarray
    lower_top: np.ndarray
    column_run: np.ndarray
    column: np.ndarray
    column_top: np.ndarray
    here: np.ndarray
    there: np.ndarray
    meet: np.ndarray


class _Scanner:
    """Looks at every pixel of a few maps, in memory that is kept: new memory costs more than what is done in it.

    Args:
        maps: looked at in one go.
        frame: that they are in.
        diagonal: see :func:`sweep_boxes`.
        inverted: take the complement, frame included, which is then higher than all. So all that touches the border is
            one part.
    """

    def __init__(self, maps: int, frame: _Frame, diagonal: bool, inverted: bool = False) -> None:
        self.maps = maps
        self.diagonal = diagonal
        self.inverted = inverted
        self.pairs = frame.pairs
        self.width = frame.lines.shape[2]
        self._allocate((maps * frame.pairs + 1) * self.width)

    def _allocate(self, cells: int) -> None:
        self.complement = np.empty((2, cells), np.int16)
        self.chain = np.empty(cells, np.int16)
        self.floor = np.empty(cells - self.width, np.int16)
        self.inner = np.empty(cells, bool)
        self.outer = np.empty(cells - self.width, bool)
        self.marks = np.empty(cells, np.uint8)
        self.column = np.tile(np.arange(-1, self.width - 1, dtype=np.int16), cells // self.width)
        self.flags = np.empty((3, cells), bool)

    def scan(self, lines: np.ndarray, pair: int, runs: int) -> _Scan:
        """Look at some maps and the zeros behind, which begin at a pair of rows; before them are so many runs."""
        width, marks = self.width, self.marks
        lines = lines.reshape(2, -1)
        if lines.shape[1] != len(marks):
            self._allocate(lines.shape[1])
            marks = self.marks
        upper, lower = np.bitwise_xor(lines, _FAR, out=self.complement) if self.inverted else lines
        over, under = lower[:-width], upper[width:]
        chain = np.maximum(upper, lower, out=self.chain)
        floor = np.minimum(over, under, out=self.floor)
        inner = np.greater(lower, upper, out=self.inner)
        outer = np.greater(under, over, out=self.outer)
        self._mark_all(chain, floor, inner, outer)
        across = self._corners(over, under, outer) if self.diagonal else self._corners(upper, lower, inner)
        if not self.diagonal:
            marks[across + 1] |= _START
        at = np.flatnonzero(np.not_equal(marks, 0, out=self.flags[0]))
        kind = marks[at]
        run = np.cumsum(kind & _START, dtype=np.int64) - 1
        start, top, bottom, here, there = (np.flatnonzero((kind & bit) != 0) for bit in _BITS)
        start, column = at[start], np.concatenate([at[top], at[bottom]])
        meets = run[here], run[there], floor[at[here]]
        if self.diagonal:
            valley = chain[start]
            meets = self._meet_across(across, start, over, under, meets)
        else:
            before = start - 1
            valley = np.maximum(np.minimum(upper[start], upper[before]), np.minimum(lower[start], lower[before]))
        valley[0] = 0
        return _Scan(
            start=start + pair * width,
            valley=valley,
            upper_top=np.maximum.reduceat(upper, start),
            lower_top=np.maximum.reduceat(lower, start),
            column_run=np.concatenate([run[top], run[bottom]]) + runs,
            column=self.column[column],
            column_top=np.concatenate([upper[at[top]], lower[at[bottom]]]),
            here=meets[0] + runs,
            there=meets[1] + runs,
            meet=meets[2],
        )

    def _meet_across(
        self, left: np.ndarray, start: np.ndarray, over: np.ndarray, under: np.ndarray, meets: _Meets
    ) -> _Meets:
        """Add the runs that meet across the squares with these left cells."""
        right = over[left + 1] > over[left]
        here, there = left + right, left + 1 - right
        return (
            np.append(meets[0], np.searchsorted(start, here, "right") - 1),
            np.append(meets[1], np.searchsorted(start, there + self.width, "right") - 1),
            np.append(meets[2], np.minimum(over[here], under[there])),
        )

    def _mark_all(self, chain: np.ndarray, floor: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> None:
        """Mark where runs start, columns stop rising from row to row, and the lower of two chains' pixels does."""
        width, marks = self.width, self.marks
        marks.fill(0)
        rises = np.greater(chain[1:], chain[:-1], out=self.flags[0, 1:])
        self._mark(rises[1:], rises[:-1], _START, 1)
        marks[0] = _START
        self._mark(outer, inner[width:], _UPPER, width)
        self._mark(inner[:-width], outer, _LOWER, 0)
        if self.inverted:  # the frame's own are of no use
            rows = marks.reshape(-1, width)
            rows[:: self.pairs] &= ~_UPPER
            rows[self.pairs - 1 :: self.pairs] &= ~_LOWER
        rises = np.greater(floor[1:], floor[:-1], out=self.flags[0, : len(floor) - 1])
        self._mark(rises[:-1], rises[1:], _HERE, 1)
        self._mark(rises[:-1], rises[1:], _THERE, width + 1)

    def _mark(self, this: np.ndarray, other: np.ndarray, bit: np.uint8, first: int) -> None:
        """Mark where this is and the other is not."""
        flags = np.greater(this, other, out=self.flags[1, : len(this)]).view(np.uint8)
        np.multiply(flags, bit, out=flags)
        self.marks[first : first + len(this)] |= flags

    def _corners(self, over: np.ndarray, under: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Squares, as their left cells, whose two higher pixels share a corner only; ``down`` is ``under > over``."""
        climbs, other, turns = self.flags[:, : len(over) - 1]
        np.greater(over[1:], over[:-1], out=climbs)
        np.greater(under[1:], under[:-1], out=other)
        np.not_equal(climbs, other, out=climbs)
        np.not_equal(down[1:], down[:-1], out=turns)
        return np.flatnonzero(np.logical_and(climbs, turns, out=turns))


def _contract(runs: _Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Join runs to those that they are never without: the run that stands for each, and what is left to meet."""
    root = np.arange(len(runs.level))
    one, other, meet = runs.one, runs.other, runs.meet
    if runs.outside is not None:
        root[runs.outside] = 0
        runs.level[0] = _OUTSIDE
        one, other, meet = _apart(root[one], root[other], meet)
    while True:
        # At equal levels the later one is joined to, so that no circle of runs can come about.
        one, other = np.minimum(one, other), np.maximum(one, other)
        joined = meet == runs.level[one]
        up = np.flatnonzero(joined)
        down = np.flatnonzero((meet == runs.level[other]) & ~joined)
        if not (len(up) or len(down)):  # no run is joined to another for good
            return root, one, other, meet
        into = np.arange(len(root))
        into[one[up]] = other[up]
        into[other[down]] = one[down]
        into = _follow(into)
        root = into[root]
        one, other, meet = _apart(into[one], into[other], meet)


def _apart(one: np.ndarray, other: np.ndarray, meet: np.ndarray) -> _Meets:
    """Those that are not the same."""
    apart = np.flatnonzero(one != other)
    return one[apart], other[apart], meet[apart]


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
    run, column, level = runs.columns
    upper, lower = runs.tops
    for axis, part, place, top in (
        (0, number[run], column, level),
        (1, number, runs.rows, upper),
        (1, number, runs.rows + 1, lower),
    ):
        at, short = part * (depth + 1) + top, place.astype(np.int16)
        np.minimum.at(reach[axis].reshape(-1), at, short)
        np.minimum.at(reach[axis + 2].reshape(-1), at, -short)
    return np.minimum.accumulate(reach[:, :count, :0:-1], axis=2)[:, :, ::-1]


def _areas(
    lines: np.ndarray, levels: np.ndarray, runs: _Runs, number: np.ndarray, count: int, depth: int
) -> np.ndarray:
    """Pixels of what each maximum stands for at each cut, int ``(count, depth)``."""
    lines = lines.reshape(2, -1)
    key = np.repeat(number * 256, np.diff(runs.start, append=lines.shape[1])) + (lines >> _SHIFT)
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
    reach = list(extents.swapaxes(0, 1))  # to take a row out of a list is faster than out of an array

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
        below = reach[keep][:, :meet]
        np.minimum(below, reach[lose][:, :meet], out=below)
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
