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
  of the map, a handful. One whose highest meeting is with a higher one ends there and is part of that one from then on.
- A part reaches to the outermost rows in which one of its runs is above the threshold, and to the outermost columns in
  which a maximum along the column is.
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

_CHUNK = 400_000  # pixels of the maps looked at in one go: what stays in a processor's cache
_GROUP = 12  # chunks whose runs are joined in one go,
_MANY = 60_000  # or fewer once they have so many
_SHIFT = 7  # 128 steps of a grey value are told apart, so that slopes are not plateaus
_FAR = np.iinfo(np.int16).max
_OUTSIDE = 256  # a level above all
_NO_MAP = np.iinfo(np.int64).max
_FAR_PACKED = np.full(4, _FAR, np.int16).view(np.int64)[0]
_Meets = tuple[np.ndarray, np.ndarray, np.ndarray]  # two runs each, and the level or value where they do
_START, _COLUMN, _HERE, _THERE, _CORNER = (1 << bit for bit in range(5))


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
                scan.append(scanner.scan(lines, end - first))
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
    """Room for the grey values of a few maps, among zeros.

    Even and odd rows are apart. Before each map and after the last one are two rows of zeros, behind a map of an odd
    number of rows is one more, and before each row is one zero. So no row, column or map has ends that need a look of
    their own: all of the stack can be compared with itself, shifted by one cell or one row.

    Attributes:
        lines: int16 ``(2, pairs of rows, W + 1)``.
        pairs: of rows, a map.
        width: cells of a row.
        odd: whether the maps have an odd number of rows.
    """

    def __init__(self, maps: int, shape: tuple[int, int]) -> None:
        self.pairs = (shape[0] + 1) // 2 + 1
        self.width = shape[1] + 1
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
    number = number[root]
    depth = int(levels.max())
    extents = _extents(runs, number, len(roots), depth)
    areas = None if lines is None else _areas(lines, levels, runs, number, len(roots), depth)
    real = np.flatnonzero(meet)
    death = _merge(number[one[real]], number[other[real]], meet[real], extents, areas)[: len(roots)]
    cut = np.arange(depth)[::-1, None]
    alive = (cut >= death) & (cut < level)
    if areas is not None:
        alive &= _is_largest(np.where(alive, areas, 0), maps)
    alive[:, maps == _NO_MAP] = False
    at = np.flatnonzero(alive)
    place, part = np.divmod(at, len(roots))
    left, top, right, bottom = extents.take(at + place).view(np.int16).reshape(-1, 4).T
    return np.stack([maps[part], depth - 1 - place, left, top, 1 - right, 1 - bottom], axis=1)


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


def _find_runs(scans: list[_Scan], frame: _Frame, levels: np.ndarray, inverted: bool = False) -> _Runs:
    """The runs of a group of maps that was looked at chunk by chunk."""
    scan = _Scan(*(np.concatenate(part) for part in zip(*scans, strict=True)))

    def level(pixels: np.ndarray) -> np.ndarray:
        return levels.take(pixels >> _SHIFT)

    run = np.cumsum(scan.kind & _START, dtype=np.int64) - 1
    column, here, there = (np.flatnonzero((scan.kind & bit) != 0) for bit in (_COLUMN, _HERE, _THERE))
    tops = [level(scan.upper_top), level(scan.lower_top)]
    pair = scan.start // frame.width
    index = pair // frame.pairs
    valley = level(scan.valley)
    split = np.flatnonzero(valley)
    cell = scan.cell.take(column)
    return _Runs(
        start=scan.start,
        level=np.maximum(*tops),
        map=index,
        rows=2 * (pair - index * frame.pairs - 1),
        tops=tops,
        columns=(run.take(column), cell - cell // frame.width * frame.width - 1, level(scan.chain.take(column))),
        one=np.concatenate([split - 1, run.take(here), np.searchsorted(scan.start, scan.here, "right") - 1]),
        other=np.concatenate([split, run.take(there), np.searchsorted(scan.start, scan.there, "right") - 1]),
        meet=np.concatenate([valley[split], level(scan.floor.take(here)), level(scan.meet)]),
        outside=pair != np.append(pair[1:], -1) if inverted else None,
    )


class _Scan(NamedTuple):
    """What a look at every pixel finds: K marked cells, N runs, C corners at which runs of two chains meet.

    Attributes:
        cell: the marked cells, ascending ``(K,)``.
        kind: what each is, bits: the start of a run; a maximum along the column; a maximum of the floor, seen from its
            own chain; the same seen from the next chain, in the same order; a square's left cell, see ``_corners``
            ``(K,)``.
        chain, floor: the higher of the chain's two pixels there; the lower of its and the next chain's pixels that
            touch ``(K,)`` each.
        start: cell before the first of a run that is higher ``(N,)``.
        valley: where the run meets the one before, 0 for none ``(N,)``.
        upper_top, lower_top: the run's maximum in its first and in its second row ``(N,)``.
        here, there, meet: cells of two chains that touch by corners, and the lower value ``(C,)``.
    """

    cell: np.ndarray
    kind: np.ndarray
    chain: np.ndarray
    floor: np.ndarray
    start: np.ndarray
    valley: np.ndarray
    upper_top: np.ndarray
    lower_top: np.ndarray
    here: np.ndarray
    there: np.ndarray
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
        self.floor = np.empty(max(0, cells - self.frame.width), np.int16)
        self.inner = np.empty(cells, bool)
        self.outer = np.empty(len(self.floor), bool)
        self.marks = np.zeros(cells + -cells % 4, np.uint8)
        self.flags = np.empty((3, cells), bool)
        self.wide = np.empty(cells, np.int32)

    def scan(self, lines: np.ndarray, place: int) -> _Scan:
        """Look at some maps and the zeros behind; ``place`` is the number of the group's maps before."""
        width = self.frame.width
        lines = lines.reshape(2, -1)
        if lines.shape[1] != len(self.chain):
            self._allocate(lines.shape[1])
        upper, lower = np.bitwise_xor(lines, _FAR, out=self.complement) if self.inverted else lines
        over, under = lower[:-width], upper[width:]
        chain = np.maximum(upper, lower, out=self.chain)
        floor = np.minimum(over, under, out=self.floor)
        inner = np.greater(lower, upper, out=self.inner)
        outer = np.greater(under, over, out=self.outer)
        self._mark_all(chain, floor, inner, outer)
        if self.diagonal:
            self._mark(self._corners(over, under, outer), _CORNER, 0)
        else:
            self._mark(self._corners(upper, lower, inner), _START, 1)
        cell, kind = _nonzero(self.marks)
        start = cell[np.flatnonzero((kind & _START) != 0)]
        valley = chain[start] if self.diagonal else _step(upper, lower, start)
        valley[0] = 0
        here, there, meet = _meet_across(cell[np.flatnonzero((kind & _CORNER) != 0)], over, under)
        offset = place * self.frame.pairs * width
        return _Scan(
            cell=cell + offset,
            kind=kind,
            chain=chain.take(cell),
            floor=floor.take(cell, mode="clip"),  # the last row, of zeros, has none
            start=start + offset,
            valley=valley,
            upper_top=self._tops(upper, start),
            lower_top=self._tops(lower, start),
            here=here + offset,
            there=there + (offset + width),
            meet=meet,
        )

    def _tops(self, row: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Maxima of the runs."""
        np.copyto(self.wide, row)  # numpy takes twice as long for 16 bits
        return np.maximum.reduceat(self.wide, start)

    def _mark_all(self, chain: np.ndarray, floor: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> None:
        """Mark where runs start, columns stop rising from row to row, and the lower of two chains' pixels does."""
        width, marks = self.frame.width, self.marks
        cells = len(chain)
        rises, flags, other = self.flags
        np.greater(chain[1:], chain[:-1], out=rises[1:])
        np.greater(rises[2:], rises[1:-1], out=marks[1 : cells - 1].view(bool))
        marks[0], marks[cells - 1] = _START, 0
        np.greater(outer, inner[width:], out=flags[width:])
        np.greater(inner[width:-width], outer[width:], out=other[width:-width])
        np.logical_or(flags[width:-width], other[width:-width], out=flags[width:-width])
        if self.inverted:  # the frame's own are of no use
            rows = flags.reshape(-1, width)
            rows[:: self.frame.pairs] = False
            if self.frame.odd:
                rows[self.frame.pairs - 1 :: self.frame.pairs] = False
        self._mark(flags[width:], _COLUMN, width)
        rises = np.greater(floor[1:], floor[:-1], out=self.flags[0, : len(floor) - 1])
        tops = np.greater(rises[:-1], rises[1:], out=self.flags[1, : len(rises) - 1])
        self._mark(tops, _HERE, 1)
        self._mark(tops, _THERE // _HERE, width + 1)

    def _mark(self, where: np.ndarray, bit: int, first: int) -> None:
        """Mark cells from the first on where the flags are set; they are multiplied by the mark themselves."""
        flags = where.view(np.uint8)
        if bit > 1:
            np.multiply(flags, np.uint8(bit), out=flags)
        marks = self.marks[first : first + len(flags)]
        np.bitwise_or(marks, flags, out=marks)

    def _corners(self, over: np.ndarray, under: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Squares, as their left cells, whose two higher pixels share a corner only; ``down`` is ``under > over``."""
        climbs, other, turns = self.flags[:, : len(over) - 1]
        np.greater(over[1:], over[:-1], out=climbs)
        np.greater(under[1:], under[:-1], out=other)
        np.not_equal(climbs, other, out=climbs)
        np.not_equal(down[1:], down[:-1], out=turns)
        return np.logical_and(climbs, turns, out=turns)


def _nonzero(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where bytes are not zero, and what they are: as few are, four at a time are looked at first."""
    words = marks.view(np.uint32)
    some = np.flatnonzero(words != 0)
    few = words[some].view(np.uint8)
    at = np.flatnonzero(few != 0)
    return (some << 2)[at >> 2] + (at & 3), few[at]


def _step(upper: np.ndarray, lower: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Up to which value these cells and those before them touch by sides."""
    before = cell - 1
    return np.maximum(np.minimum(upper[cell], upper[before]), np.minimum(lower[cell], lower[before]))


def _meet_across(left: np.ndarray, over: np.ndarray, under: np.ndarray) -> _Meets:
    """The higher pixels, which share a corner, of the squares with these left cells; and the lower one's value."""
    right = over[left + 1] > over[left]
    here, there = left + right, left + 1 - right
    return here, there, np.minimum(over[here], under[there])


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
        _follow(into, np.flatnonzero(into != own))
        root = into.take(root)
        one, other, meet = _apart(into.take(one), into.take(other), meet)


def _apart(one: np.ndarray, other: np.ndarray, meet: np.ndarray) -> _Meets:
    """Those that are not the same."""
    apart = np.flatnonzero(one != other)
    return one.take(apart), other.take(apart), meet.take(apart)


def _follow(into: np.ndarray, moved: np.ndarray) -> None:
    """Let pointers, all but some to themselves, point to where they lead in the end (pointer jumping)."""
    last, further = moved, into.take(moved)
    while not np.array_equal(last, further):
        into[moved] = last = further
        further = into.take(further)


def _extents(runs: _Runs, number: np.ndarray, count: int, depth: int) -> np.ndarray:
    """Least ``x, y, -x, -y`` of what each maximum stands for, by falling cut, ``(depth, count + 1)``.

    The four, of 16 bits each, are packed into one int64, which is faster to take. The last column stands for nothing.
    """
    reach = np.full((depth + 1, count + 1, 4), _FAR, np.int16)
    flat = reach.reshape(-1)
    run, column, level = runs.columns
    upper, lower = runs.tops
    for axis, part, place, top in (
        (0, number.take(run), column, level),
        (1, number, runs.rows, upper),
        (1, number, runs.rows + 1, lower),
    ):
        at, short = ((depth - top) * (count + 1) + part) * 4, place.astype(np.int16)
        np.minimum.at(flat[axis:], at, short)
        np.minimum.at(flat[axis + 2 :], at, -short)
    for higher, at_cut in pairwise(reach):  # np.minimum.accumulate takes ten times as long
        np.minimum(higher, at_cut, out=at_cut)
    return reach[:depth].view(np.int64)[..., 0]


def _areas(
    lines: np.ndarray, levels: np.ndarray, runs: _Runs, number: np.ndarray, count: int, depth: int
) -> np.ndarray:
    """Pixels of what each maximum stands for, by falling cut, int ``(depth, count)``."""
    lines = lines.reshape(2, -1)
    key = np.repeat(number * 256, np.diff(runs.start, append=lines.shape[1])) + (lines >> _SHIFT)
    pixels = np.bincount(key.reshape(-1), minlength=(count + 1) * 256).reshape(-1, 256)[:count]
    least = np.searchsorted(levels, np.arange(depth)[::-1], "right")  # grey value above each cut
    return np.cumsum(pixels[:, ::-1], axis=1).T[255 - least]


def _merge(
    one: np.ndarray, other: np.ndarray, meet: np.ndarray, extents: np.ndarray, areas: np.ndarray | None
) -> np.ndarray:
    """Join maxima, which are numbered by level, where they meet, and what they reach.

    In each round all those are joined to another whose highest meeting is with a higher one (Boruvka, 1926).

    Returns:
        The level at which each is no part of its own any more.
    """
    depth, count = extents.shape
    own, death = np.arange(count), np.zeros(count, np.int64)
    one, other, meet = _apart(one, other, meet)
    while len(one):
        best = np.zeros(count, np.int64)
        np.maximum.at(best, one, meet * count + other)
        np.maximum.at(best, other, meet * count + one)
        level, into = np.divmod(best, count)
        lose = np.flatnonzero(into > own)
        death[lose] = level[lose]
        into = np.maximum(into, own)
        _follow(into, lose)
        lose = lose[np.argsort(into[lose], kind="stable")]
        keep = into[lose]
        joint = np.arange(depth)[:, None] >= depth - death[lose]
        reach = np.where(joint, extents.take(lose, axis=1), _FAR_PACKED)
        pixels = None if areas is None else np.where(joint, areas[:, lose], 0)
        first = np.flatnonzero(np.append(True, keep[1:] != keep[:-1]))
        end = np.append(first[1:], len(keep))
        while len(first):  # those that are joined to the same one come one after another
            both = [some.view(np.int16) for some in (extents.take(keep[first], axis=1), reach.take(first, axis=1))]
            extents[:, keep[first]] = np.minimum(*both).view(np.int64)
            if areas is not None and pixels is not None:
                areas[:, keep[first]] += pixels[:, first]
            more = first + 1 < end
            first, end = first[more] + 1, end[more]
        one, other, meet = _apart(into[one], into[other], meet)
    return death


def _is_largest(areas: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Whether a part is the largest of its map at a cut, the first of equal ones, bool ``(depth, parts)``.

    Args:
        areas: of the parts, 0 where there is none, ``(depth, parts)``.
        maps: that the parts are in, ascending ``(parts,)``.
    """
    # Unequal within a map: of equal areas the first part's is the greater.
    ranked = areas * (len(maps) + 1) + np.arange(len(maps), 0, -1)
    begin = np.flatnonzero(np.diff(maps, prepend=-1))
    best = np.maximum.reduceat(ranked, begin, axis=1) if len(maps) else ranked
    return ranked == np.repeat(best, np.diff(begin, append=len(maps)), axis=1)


def _around_holes(rest: np.ndarray, cuts: int) -> np.ndarray:
    """The holes, which the parts of the complement are, with boxes grown by the pixels around them."""
    index, cut, left, top, right, bottom = rest.T
    return np.stack([index, cuts - 1 - cut, left - 1, top - 1, right + 1, bottom + 1], axis=1)
