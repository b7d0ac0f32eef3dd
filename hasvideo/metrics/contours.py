"""Boxes around the connected parts of a map at every threshold at once, as OpenCV's contours have them one by one.

What is above a threshold only grows while the threshold falls: parts are born at maxima and merge at saddles. So the
parts at all thresholds are one tree (the component tree, or max-tree: Salembier et al., IEEE TIP 1998). It is found
while most pixels are only compared with their neighbours:

- Two neighbouring rows, connected by corners too, are one chain: each of its cells, the higher of two pixels, touches
  the next. (Connected by sides only, it is cut where the higher ones of four pixels share a corner only.) Cut at its
  valleys, a chain is a few *runs* that rise and then fall. What is above a threshold within a run is connected, so
  runs take the place of pixels.
- Neighbouring chains meet at pairs of pixels. Of all pairs above each other only those matter whose lower pixel is a
  maximum along its row: any other pair is joined through a better one beside it. Or the rows cross there, one falling
  and one rising: then the two higher pixels of a square share a corner only, and the chains meet at these two.
  (Connected by sides only, at the better one of the square's two pairs.)
- A run that meets a higher one at its own maximum is never alone; it is part of the other. What remains are the maxima
  of the map, a handful. One whose highest meeting is with a higher one ends there and is part of that one from then on.
- A part reaches to the outermost rows in which a maximum along the row is above the threshold, and to the outermost
  columns in which one along the column is. A run's own maximum is the highest of those along rows.
- Holes are parts of the complement. Around it is a frame that is higher than all, so that what touches the border is no
  hole but a part of the frame, most of it from the start.

All of it is numpy on whole stacks of maps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

_CHUNK = 800_000  # pixels of the maps looked at in one go: what stays in a processor's cache
_GROUP = 9  # chunks whose runs are joined in one go,
_MANY = 60_000  # or fewer once they have so many
_SHIFT = 7  # 128 steps of a grey value are told apart, so that slopes are not plateaus
_FAR = np.iinfo(np.int16).max
_OUTSIDE = 256  # a level above all
_NO_MAP = np.iinfo(np.int64).max
_FAR_PACKED = np.full(4, _FAR, np.int16).view(np.int64)[0]
_Meets = tuple[np.ndarray, np.ndarray, np.ndarray]  # two runs each, and the level or value where they do
_Maxima = tuple[np.ndarray, np.ndarray, np.ndarray]  # their run, column or row, and level
_START, _COLUMN, _UPPER, _LOWER, _ABOVE, _BELOW, _CROSSING = (1 << bit for bit in range(7))


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
    step = max(1, min(_CHUNK // (shape[0] * shape[1]), len(maps)))
    group = step * _GROUP
    frame = _Frame(min(group, len(maps)) if largest else step, shape)
    scanners = [_Scanner(frame, diagonal)]
    if holes:
        scanners.append(_Scanner(frame, not diagonal, inverted=True))
    found = [np.zeros((0, 6), np.int64)]
    end = 0
    while end < len(maps):
        first, runs = end, 0
        scans: list[list[_Scan]] = [[] for _ in scanners]
        while end < min(first + group, len(maps)) and runs < _MANY:
            lines = frame.fill(maps[end : end + step], end - first if largest else 0)
            for scanner, scan in zip(scanners, scans, strict=True):
                scan.append(scanner.scan(lines, end - first, sum(len(before.start) for before in scan)))
                runs += len(scan[-1].start)
            end = min(end + step, len(maps))
        every = frame.lines[:, : (end - first) * frame.pairs] if largest else None
        rows = _sweep(_find_runs(scans[0], frame, above), above, every)
        if holes:
            # A grey value's complement is above all cuts but those that it was above itself.
            rest = (len(cuts) - above)[::-1]
            around = _sweep(_find_runs(scans[1], frame, rest, inverted=True), rest)
            rows = np.concatenate([rows, _around_holes(around, len(cuts))])
        rows[:, 0] += first
        found.append(rows)
    rows = np.concatenate(found)
    return SweptBoxes(rows[:, 0], rows[:, 1], rows[:, 2:])


def _check(
    maps: Sequence[np.ndarray] | np.ndarray, cuts: Sequence[int] | np.ndarray, both: bool
) -> tuple[np.ndarray, tuple[int, int]]:
    """How many cuts each grey value is above, int16 ``(256,)``, and the maps' shape."""
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
    return np.searchsorted(cuts, np.arange(256), "left").astype(np.int16), (shape[0], shape[1])


class _Frame:
    """Room for the grey values of a few maps, among zeros.

    Even and odd rows are apart. Before each map and after the last one are two rows of zeros, behind a map of an odd
    number of rows is one more, and before each row is one zero. So no row, column or map has ends that need a look of
    their own: all of the stack can be compared with itself, shifted by one cell or one row.

    Attributes:
        lines: int16 ``(2, pairs of rows, W + 1)``.
        pairs: of rows, a map.
        width: cells of a row.
        rows: of each pair its first row in the map, for as many maps, int16.
        odd: whether the maps have an odd number of rows.
    """

    def __init__(self, maps: int, shape: tuple[int, int]) -> None:
        self.pairs = (shape[0] + 1) // 2 + 1
        self.width = shape[1] + 1
        self.rows = np.tile(np.arange(-2, 2 * self.pairs - 2, 2, dtype=np.int16), maps)
        self.odd = shape[0] % 2 == 1
        self.lines = np.zeros((2, maps * self.pairs + 1, self.width), np.int16)
        self.scaled = {kind: np.empty(shape, kind) for kind in (np.dtype(np.float32), np.dtype(np.float64))}

    def fill(self, maps: Sequence[np.ndarray] | np.ndarray, place: int) -> np.ndarray:
        """Write the maps' grey values and what is behind the point, in steps of 1/128: 0..32640; from a place on.

        Returns:
            The lines of these maps, with the zeros behind.
        """
        for index, source in enumerate(maps, place):
            array = _unit(np.asarray(source))
            # First scaled, then cut off: both at once is slower, as numpy then goes through a buffer.
            scaled = np.multiply(array, 255 << _SHIFT, out=self.scaled[array.dtype])
            rows = self.lines[:, index * self.pairs + 1 : (index + 1) * self.pairs, 1:]
            for odd in range(2):
                half = scaled[odd::2]
                rows[odd, : len(half)] = half
        return self.lines[:, place * self.pairs : (place + len(maps)) * self.pairs + 1]


def _unit(array: np.ndarray) -> np.ndarray:
    """A map scaled to its range."""
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    low, high = np.minimum.reduce(array, axis=None), np.maximum.reduce(array, axis=None)
    if not math.isfinite(high - low):
        raise ValueError("a map has values that are not finite")
    if low == 0 and high == 1:  # as many maps come
        return array
    array = array - low
    array /= high - low if high > low else 1
    return array


def _sweep(runs: _Runs, levels: np.ndarray, lines: np.ndarray | None = None) -> np.ndarray:
    """Boxes ``(N, 6)``: map, cut, corners; of the largest parts if the maps' pixels are given, else of all.

    A pixel's level is the number of cuts that it is above, ``levels[pixel >> 7]``, which never falls as pixels rise;
    it belongs to a part at the cuts before that.
    """
    root, one, other, meet = _contract(runs)
    roots = np.flatnonzero((root == np.arange(len(root))) & (runs.level > 0))
    roots = roots[np.lexsort((runs.level[roots], runs.map[roots]))]
    level, maps = runs.level[roots], runs.map[roots]
    number = np.full(len(root), len(roots))
    number[roots] = np.arange(len(roots))
    number = number.take(root)
    depth = int(levels.max())
    extents = _extents(runs, number, len(roots), depth)
    areas = None if lines is None else _areas(lines, levels, runs, number, maps, depth)
    real = np.flatnonzero(meet)
    death = _merge(number.take(one.take(real)), number.take(other.take(real)), meet.take(real), extents, areas)
    cut = np.arange(depth)[::-1]
    alive = (cut >= death[:-1, None]) & (cut < level[:, None])
    if areas is not None:
        alive &= _is_largest(np.where(alive, areas, 0), maps)
    alive[maps == _NO_MAP] = False
    at = np.flatnonzero(alive)
    part, place = np.divmod(at, depth)
    left, top, right, bottom = extents.take(at).view(np.int16).reshape(-1, 4).T
    return np.stack([maps[part], depth - 1 - place, left, top, 1 - right, 1 - bottom], axis=1)


@dataclass(frozen=True)
class _Runs:
    """N runs of a stack of maps, where they meet, and the maxima along columns and rows.

    Attributes:
        start: first cell ``(N,)``.
        level: of the run's maximum ``(N,)``.
        map: that the run is in ``(N,)``.
        columns, rows: of maxima along columns and along rows their run, column or row, and level, ``(M,)`` each.
        one, other, meet: two runs, and the level of the lower pixel of the pair where they meet ``(E,)``.
        outside: whether a run reaches the frame, bool ``(N,)``; None where the frame is low.
    """

    start: np.ndarray
    level: np.ndarray
    map: np.ndarray
    columns: _Maxima
    rows: _Maxima
    one: np.ndarray
    other: np.ndarray
    meet: np.ndarray
    outside: np.ndarray | None


def _find_runs(scans: list[_Scan], frame: _Frame, levels: np.ndarray, inverted: bool = False) -> _Runs:
    """The runs of a group of maps that was looked at chunk by chunk."""
    scan = _Scan(*(np.concatenate(part) for part in zip(*scans, strict=True)))

    def level(pixels: np.ndarray) -> np.ndarray:
        return levels.take(pixels >> _SHIFT)

    height = level(scan.row_value)
    top = level(scan.first)
    np.maximum.at(top, scan.row_run, height)
    valley = level(scan.valley)
    split = np.flatnonzero(valley)
    pair = scan.start // frame.width
    return _Runs(
        start=scan.start,
        level=top,
        map=pair // frame.pairs,
        columns=(scan.column_run, scan.column, level(scan.column_value)),
        rows=(scan.row_run, scan.row, height),
        one=np.concatenate([split - 1, scan.one]),
        other=np.concatenate([split, scan.other]),
        meet=np.concatenate([valley.take(split), level(scan.meet)]),
        outside=pair != np.append(pair[1:], -1) if inverted else None,
    )


class _Scan(NamedTuple):
    """What a look at every pixel finds: N runs, and where they meet and have maxima.

    Attributes:
        start: first cell, a valley ``(N,)``.
        first: the higher of its two pixels ``(N,)``.
        valley: where the run meets the one before, 0 for none ``(N,)``.
        column_run, column, column_value: of maxima along columns their run, column and value, ``(M,)`` each.
        row_run, row, row_value: the same along rows.
        one, other, meet: two runs of neighbouring chains, and the value of the lower pixel of the pair where they meet
            ``(E,)``.
    """

    start: np.ndarray
    first: np.ndarray
    valley: np.ndarray
    column_run: np.ndarray
    column: np.ndarray
    column_value: np.ndarray
    row_run: np.ndarray
    row: np.ndarray
    row_value: np.ndarray
    one: np.ndarray
    other: np.ndarray
    meet: np.ndarray


class _Scanner:
    """Looks at every pixel of a few maps, in memory that is kept: new memory costs more than what is done in it.

    Args:
        frame: that the maps are in.
        diagonal: see :func:`sweep_boxes`.
        inverted: take the complement, frame included, which is then higher than all. So all that touches the border is
            one part.
    """

    def __init__(self, frame: _Frame, diagonal: bool, inverted: bool = False) -> None:
        self.frame = frame
        self.diagonal = diagonal
        self.inverted = inverted
        self._allocate(0)

    def _allocate(self, cells: int) -> None:
        self.complement = np.empty((2, cells), np.int16)
        self.chain = np.empty(cells, np.int16)
        self.inner = np.empty(cells, bool)
        self.outer = np.empty(max(0, cells - self.frame.width), bool)
        self.steps = np.zeros((2, cells), bool)
        self.peaks = np.zeros((2, cells), bool)
        self.flags = np.empty((2, cells), bool)
        self.marks = np.zeros(cells + -cells % 4, np.uint8)

    def scan(self, lines: np.ndarray, place: int, runs: int) -> _Scan:
        """Look at some maps and the zeros behind; ``place`` and ``runs`` count the group's maps and runs before."""
        width = self.frame.width
        lines = lines.reshape(2, -1)
        if lines.shape[1] != len(self.chain):
            self._allocate(lines.shape[1])
        upper, lower = lines = np.bitwise_xor(lines, _FAR, out=self.complement) if self.inverted else lines
        over, under = lower[:-width], upper[width:]
        chain = np.maximum(upper, lower, out=self.chain)
        np.greater(lower, upper, out=self.inner)
        outer = np.greater(under, over, out=self.outer)
        np.greater(lines[:, 1:], lines[:, :-1], out=self.steps[:, 1:])
        self._mark_all()
        cell, kind = _nonzero(self.marks)
        run = np.cumsum(kind & _START, dtype=np.int32)
        run += np.int32(runs - 1)

        def find(bit: int) -> np.ndarray:
            return np.flatnonzero((kind & bit) != 0)

        def run_at(cells: np.ndarray) -> np.ndarray:
            return np.searchsorted(start, cells, "right") + (runs - 1)

        start = cell.take(find(_START))
        first = chain.take(start)
        valley = first.copy() if self.diagonal else _step(upper, lower, start)
        valley[0] = 0
        at_column, at_upper, at_lower = find(_COLUMN), find(_UPPER), find(_LOWER)
        column, high, low = cell.take(at_column), cell.take(at_upper), cell.take(at_lower)
        row_run = np.concatenate([run.take(at_upper), run.take(at_lower)])
        row_value = np.concatenate([upper.take(high), lower.take(low)])
        # Which of them are below a higher pixel of the chain above, and which above one of the chain below: as many as
        # the cells of those are marked, and in the same order.
        lesser = np.flatnonzero(np.concatenate([~outer.take(high - width), outer.take(low)]))
        crossing = cell.take(find(_CROSSING))
        here, there, meet = (_meet_across if self.diagonal else _meet_beside)(crossing, over, under)
        rows = self.frame.rows
        return _Scan(
            start=start + place * self.frame.pairs * width,
            first=first,
            valley=valley,
            column_run=run.take(at_column),
            column=(column - column // width * width - 1).astype(np.int16),
            column_value=chain.take(column),
            row_run=row_run,
            row=np.concatenate([rows.take(high // width), rows.take(low // width) + np.int16(1)]),
            row_value=row_value,
            one=np.concatenate([row_run.take(lesser), run_at(here)]),
            other=np.concatenate([run.take(find(_ABOVE)), run.take(find(_BELOW)), run_at(there + width)]),
            meet=np.concatenate([row_value.take(lesser), meet]),
        )

    def _mark_all(self) -> None:
        """Mark where runs start, where there are maxima along columns and rows, and where two chains meet."""
        width, marks, inner, outer = self.frame.width, self.marks, self.inner, self.outer
        cells = len(self.chain)
        flags, other = self.flags
        rises = np.greater(self.chain[1:], self.chain[:-1], out=flags[1:])
        np.greater(rises[1:], rises[:-1], out=marks[1 : cells - 1].view(bool))
        marks[0], marks[cells - 1] = _START, 0
        # In columns: of a chain's pixels the upper one, which is above both next to it, or the lower one.
        np.greater(outer, inner[width:], out=flags[width:])
        np.greater(inner[width:-width], outer[width:], out=other[width:-width])
        np.logical_or(flags[width:-width], other[width:-width], out=flags[width:-width])
        np.greater(self.steps[:, :-1], self.steps[:, 1:], out=self.peaks[:, :-1])
        if self.inverted:  # the frame's own are of no use
            rows = flags.reshape(-1, width)
            rows[:: self.frame.pairs] = False
            if self.frame.odd:
                rows[self.frame.pairs - 1 :: self.frame.pairs] = False
            self.peaks[:, ::width] = False
        self._mark(flags[width:], _COLUMN, width)
        upper, lower = self.peaks
        self._mark(np.greater(upper[width:], outer, out=flags[width:]), _ABOVE, 0)
        self._mark(np.logical_and(lower[:-width], outer, out=flags[width:]), _BELOW, width)
        self._mark(upper, _UPPER, 0)
        self._mark(lower, _LOWER, 0)
        self._mark(self._crossings(self.steps[1, :-width], self.steps[0, width:], outer), _CROSSING, 0)
        if not self.diagonal:
            self._mark(self._crossings(self.steps[0], self.steps[1], inner), _START, 1)

    def _mark(self, where: np.ndarray, bit: int, first: int) -> None:
        """Mark cells from the first on where the flags are set; they are multiplied by the mark themselves."""
        flags = where.view(np.uint8)
        if bit > 1:
            flags *= np.uint8(bit)
        marks = self.marks[first : first + len(flags)]
        marks |= flags

    def _crossings(self, over: np.ndarray, under: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Squares, as their left cells, whose two higher pixels share a corner only.

        Args:
            over, under: whether the squares' upper and lower pixels rise to each cell from the one before.
            down: whether at each cell the lower pixel is the higher one.
        """
        unlike, turns = self.flags[:, : len(down) - 1]
        np.not_equal(over[1:], under[1:], out=unlike)
        np.not_equal(down[1:], down[:-1], out=turns)
        return np.logical_and(unlike, turns, out=turns)


def _nonzero(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where bytes are not zero, and what they are: as few are, four at a time are looked at first."""
    some = np.flatnonzero(marks.view(np.uint32) != 0)
    few = marks.view(np.uint32).take(some).view(np.uint8)
    at = np.flatnonzero(few != 0)
    some -= np.arange(len(some))
    some *= 4
    return some.take(at >> 2) + at, few.take(at)


def _step(upper: np.ndarray, lower: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Up to which value these cells and those before them touch by sides."""
    before = cell - 1
    return np.maximum(np.minimum(upper[cell], upper[before]), np.minimum(lower[cell], lower[before]))


def _meet_across(left: np.ndarray, over: np.ndarray, under: np.ndarray) -> _Meets:
    """The higher pixels, which share a corner, of the squares with these left cells; and the lower one's value."""
    right = over.take(left + 1) > over.take(left)
    here, there = left + right, left + 1 - right
    return here, there, np.minimum(over.take(here), under.take(there))


def _meet_beside(left: np.ndarray, over: np.ndarray, under: np.ndarray) -> _Meets:
    """The better pair, one above the other, of the squares with these left cells; and the lower one's value."""
    first, second = (np.minimum(over.take(cell), under.take(cell)) for cell in (left, left + 1))
    here = left + (second > first)
    return here, here, np.maximum(first, second)


def _contract(runs: _Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Join runs to those that they are never without: the run that stands for each, and what is left to meet."""
    own = np.arange(len(runs.level))
    root = own.copy()
    one, other, meet = runs.one, runs.other, runs.meet
    if runs.outside is not None:
        root[runs.outside] = 0
        runs.level[0], runs.map[0] = _OUTSIDE, _NO_MAP
        one, other, meet = _apart(root[one], root[other], meet)
    while True:
        # At equal levels the later one is joined to, so that no circle of runs can come about.
        one, other = np.minimum(one, other), np.maximum(one, other)
        joined = meet == runs.level.take(one)
        up = np.flatnonzero(joined)
        down = np.flatnonzero((meet == runs.level.take(other)) & ~joined)
        if not (len(up) or len(down)):  # no run is joined to another for good
            return root, one, other, meet
        into = own.copy()
        into[one.take(up)] = other.take(up)
        into[other.take(down)] = one.take(down)
        into = _follow(into)
        root = into.take(root)
        one, other, meet = _apart(into.take(one), into.take(other), meet)


def _apart(one: np.ndarray, other: np.ndarray, meet: np.ndarray) -> _Meets:
    """Those that are not the same."""
    apart = np.flatnonzero(one != other)
    return one.take(apart), other.take(apart), meet.take(apart)


def _follow(into: np.ndarray) -> np.ndarray:
    """Where pointers, of which some point to themselves, lead in the end (pointer jumping)."""
    while True:
        further = into.take(into)
        if np.array_equal(into, further):
            return into
        into = further


def _extents(runs: _Runs, number: np.ndarray, count: int, depth: int) -> np.ndarray:
    """Least ``x, y, -x, -y`` of what each maximum stands for, by falling cut, ``(count + 1, depth)``.

    The four, of 16 bits each, are packed into one int64, which is faster to take. The last row stands for nothing.
    """
    reach = np.full((depth + 1, count + 1, 4), _FAR, np.int16)
    flat = reach.reshape(-1)
    first = np.arange(depth, -1, -1) * (4 * (count + 1))  # of each level
    second = 4 * number
    for axis, (run, place, level) in enumerate((runs.columns, runs.rows)):
        at = first.take(level) + second.take(run)
        np.minimum.at(flat[axis:], at, place)
        np.minimum.at(flat[axis + 2 :], at, -place)
    for higher, at_cut in pairwise(reach):  # np.minimum.accumulate takes ten times as long
        np.minimum(higher, at_cut, out=at_cut)
    return np.ascontiguousarray(reach[:depth].view(np.int64)[..., 0].T)


def _areas(
    lines: np.ndarray, levels: np.ndarray, runs: _Runs, number: np.ndarray, maps: np.ndarray, depth: int
) -> np.ndarray:
    """Pixels of what each maximum stands for, by falling cut, int ``(count, depth)``; 1 for the only one of a map.

    Args:
        maps: that the maxima are in, ascending ``(count,)``.
    """
    lines = lines.reshape(2, -1)
    pixels = np.zeros((len(maps), 256), np.int64)
    pixels[:, -1] = 1
    edges = np.arange(runs.map[-1] + 2)
    first, start = np.searchsorted(runs.map, edges), np.append(runs.start, lines.shape[1])
    for (begin, end), (low, high) in zip(pairwise(first), pairwise(np.searchsorted(maps, edges)), strict=True):
        count = high - low
        if count > 1:
            # Runs that are above no cut stand for nothing.
            own = np.where(runs.level[begin:end] > 0, number[begin:end] - low, count)
            grey = lines[:, start[begin] : start[end]] >> _SHIFT
            key = np.repeat(256 * own, np.diff(start[begin : end + 1])) + grey
            pixels[low:high] = np.bincount(key.reshape(-1), minlength=256 * (count + 1)).reshape(-1, 256)[:count]
    least = np.searchsorted(levels, np.arange(depth)[::-1], "right")  # grey value above each cut
    return np.cumsum(pixels[:, ::-1], axis=1)[:, 255 - least]


def _merge(
    one: np.ndarray, other: np.ndarray, meet: np.ndarray, extents: np.ndarray, areas: np.ndarray | None
) -> np.ndarray:
    """Join maxima, which are numbered by level, where they meet, and what they reach.

    In each round all those are joined to another whose highest meeting is with a higher one (Boruvka, 1926).

    Returns:
        The level at which each is no part of its own any more.
    """
    count, depth = extents.shape
    own, death = np.arange(count), np.zeros(count, np.int64)
    one, other, meet = _apart(one, other, meet.astype(np.int64))
    while len(one):
        best = np.zeros(count, np.int64)
        np.maximum.at(best, one, meet * count + other)
        np.maximum.at(best, other, meet * count + one)
        level, into = np.divmod(best, count)
        lose = np.flatnonzero(into > own)
        death[lose] = level[lose]
        into = _follow(np.maximum(into, own))
        lose = lose[np.argsort(into[lose], kind="stable")]
        keep = into[lose]
        joint = np.arange(depth) >= depth - death[lose, None]
        reach = np.where(joint, extents.take(lose, axis=0), _FAR_PACKED)
        pixels = None if areas is None else np.where(joint, areas[lose], 0)
        first = np.flatnonzero(np.append(True, keep[1:] != keep[:-1]))
        end = np.append(first[1:], len(keep))
        while len(first):  # those that are joined to the same one come one after another
            both = [some.view(np.int16) for some in (extents.take(keep[first], axis=0), reach.take(first, axis=0))]
            extents[keep[first]] = np.minimum(*both).view(np.int64)
            if areas is not None and pixels is not None:
                areas[keep[first]] += pixels[first]
            more = first + 1 < end
            first, end = first[more] + 1, end[more]
        one, other, meet = _apart(into[one], into[other], meet)
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
    best = np.maximum.reduceat(ranked, begin) if len(maps) else ranked
    return ranked == np.repeat(best, np.diff(begin, append=len(maps)), axis=0)


def _around_holes(rest: np.ndarray, cuts: int) -> np.ndarray:
    """The holes, which the parts of the complement are, with boxes grown by the pixels around them."""
    index, cut, left, top, right, bottom = rest.T
    return np.stack([index, cuts - 1 - cut, left - 1, top - 1, right + 1, bottom + 1], axis=1)
