"""Hiding: random cells of a regular grid over the input are replaced by the average input, while training only.

Singh & Lee, ICCV 2017: what the network cannot see it cannot lean on, so it learns all parts of an object or action.
Nothing is hidden while testing. A hidden cell takes the data set's mean, so that the first layer's expected activation
is the same in both. Written once for any number of dimensions: 1 for a video's time, 2 for an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

Fill = float | Sequence[float] | Tensor

# Dtypes that numpy lacks, and those of the same size that carry their bits through it.
_CARRIERS = {torch.bfloat16: torch.int16, torch.float8_e4m3fn: torch.uint8, torch.float8_e5m2: torch.uint8}


def hide(
    x: Tensor,
    cell: int | Sequence[int],
    p: float = 0.5,
    fill: Fill = 0.0,
    generator: torch.Generator | None = None,
    noise: Fill | None = None,
    inplace: bool = False,
) -> Tensor:
    """Hide random cells of a regular grid over the trailing dimensions of a batch.

    >>> hide(images, 32, fill=(0.485, 0.456, 0.406))  # (B, 3, H, W), 32 × 32 pixels a cell
    >>> hide(features, 37, fill=mean)                 # (B, D, T), 37 time steps a cell

    Args:
        x: ``(B, C, *S)``, any dtype; each sample draws its own cells.
        cell: size of a cell in each of the dimensions S, or one for all. The last cells may be cut by the border.
        p: probability, 0..1, that a cell is hidden.
        fill: what hidden cells take: a number, or one a channel ``(C,)``; rounded for integer dtypes.
        generator: source of randomness, on the device of ``x``; torch's own where None.
        noise: standard deviation of Gaussian noise added to the fill, as an ablation; of the same form.
        inplace: write into ``x`` instead of a copy.

    Returns:
        A batch of the same shape and dtype; ``x`` itself where ``inplace``.

    Raises:
        ValueError: a cell size below 1, not one size a dimension, ``p`` outside 0..1, or a fill of another length.
    """
    sizes = x.shape[2:]
    cells = (cell,) * len(sizes) if isinstance(cell, int) else tuple(cell)
    if len(cells) != len(sizes) or min(cells, default=0) < 1:
        raise ValueError(f"cell must be {len(sizes)} sizes >= 1 for a batch of shape {tuple(x.shape)}, got {cell}")
    _check_probability(p)
    return _hide(x, [cells], None, p, fill, noise, generator, inplace)


class PatchHiding(nn.Module):
    """Hides square patches of images while training; shows everything in ``eval()``.

    Args:
        sizes: pixels; each image draws one of them, and 0 hides nothing ("mix" in the paper: 0, 16, 32, 44, 56).
        p: probability, 0..1, that a patch is hidden.
        fill, noise: as in :func:`hide`.
        inplace: write into the given batch.

    Raises:
        ValueError: no sizes or a negative one, or ``p`` outside 0..1.
    """

    fill: Tensor
    noise: Tensor | None

    def __init__(
        self,
        sizes: Sequence[int] = (0, 16, 32, 44, 56),
        p: float = 0.5,
        fill: Fill = 0.0,
        noise: Fill | None = None,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not sizes or min(sizes) < 0:
            raise ValueError(f"sizes must be one or more numbers of pixels >= 0, got {tuple(sizes)}")
        _check_probability(p)
        self.sizes = tuple(sizes)
        self.p = p
        self.inplace = inplace
        _keep_fill(self, fill, noise)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Hide patches of images ``(B, C, H, W)``, or of a single image ``(C, H, W)``.

        Raises:
            ValueError: the fill is neither one number nor one a channel.
        """
        if not self.training:
            return images
        if images.ndim == 3:
            return self(images[None], generator)[0]
        choice = None
        if len(self.sizes) > 1:
            choice = torch.randint(len(self.sizes), images.shape[:1], generator=generator, device=images.device)
        cells = [(size, size) for size in self.sizes]
        return _hide(images, cells, choice, self.p, self.fill, self.noise, generator, self.inplace)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"sizes={self.sizes}, p={self.p}, inplace={self.inplace}"


class SegmentHiding(nn.Module):
    """Hides segments of videos while training; shows everything in ``eval()``.

    Each video is divided over its own true length into ``num_segments`` segments, equal up to one feature; a video of
    fewer features has one a segment.

    Args:
        num_segments: segments of a video (paper: 20).
        p: probability, 0..1, that a segment is hidden.
        fill, noise: as in :func:`hide`; the channels are the features' dimensions (paper: the mean of the features).
        inplace: write into the given batch.

    Raises:
        ValueError: no segments, or ``p`` outside 0..1.
    """

    fill: Tensor
    noise: Tensor | None

    def __init__(
        self, num_segments: int = 20, p: float = 0.5, fill: Fill = 0.0, noise: Fill | None = None, inplace: bool = False
    ) -> None:
        super().__init__()
        if num_segments < 1:
            raise ValueError(f"num_segments must be at least 1, got {num_segments}")
        _check_probability(p)
        self.num_segments = num_segments
        self.p = p
        self.inplace = inplace
        _keep_fill(self, fill, noise)

    def forward(
        self, features: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Hide segments of features ``(B, T, D)`` with true lengths, int ``(B,)``, 1..T (all T where None).

        Raises:
            ValueError: the fill is neither one number nor one a dimension.
        """
        if not self.training:
            return features
        batch, steps, _ = features.shape
        device = features.device
        if lengths is None:
            lengths = torch.full((batch,), steps, device=device)
        hidden = torch.rand(batch, self.num_segments, generator=generator, device=device) < self.p
        segments = torch.arange(steps, device=device) * self.num_segments // lengths[:, None]  # (B, T)
        hidden = hidden.gather(1, segments.clamp(max=self.num_segments - 1)) & length_mask(lengths, steps)
        fill = _per_channel(self.fill, features, 2)
        if not _numpy_serves(features, self.noise):
            return _cover(features, hidden, fill, self.noise, 2, generator, self.inplace)
        array = _array(features) if self.inplace else _array(features).copy("K")
        array[hidden.numpy()] = _array(fill)
        return features if self.inplace else _tensor(array, features.dtype)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"num_segments={self.num_segments}, p={self.p}, inplace={self.inplace}"


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Bool ``(B, size)``: True on the first ``lengths[b]`` time steps of video b, for lengths int ``(B,)``."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _hide(
    x: Tensor,
    cells: Sequence[tuple[int, ...]],
    choice: Tensor | None,
    p: float,
    fill: Fill,
    noise: Fill | None,
    generator: torch.Generator | None,
    inplace: bool,
) -> Tensor:
    """Hide cells of size ``cells[choice[b]]`` in sample b, of ``cells[0]`` where there is no choice; 0 hides none."""
    sizes = tuple(x.shape[2:])
    grids = [_grid(sizes, cell) for cell in cells]
    # One draw on the finest grid serves every cell size, so that how much is drawn depends on shapes alone.
    finest = grids[0] if choice is None else map(max, *grids)
    draw = torch.rand(x.shape[0], *finest, generator=generator, device=x.device)
    fill = _per_channel(fill, x, 1)
    if not (_numpy_serves(x, noise) and x.stride(-1) == 1):
        mask = torch.zeros_like(x[:, 0], dtype=torch.bool)
        for cell, hidden in _choose(draw < p, cells, grids, choice):
            mask = mask | _expand(hidden, cell, sizes)
        return _cover(x, mask, fill, noise, 1, generator, inplace)
    array = _array(x) if inplace else _array(x).copy("K")
    for cell, hidden in _choose(draw.numpy() < p, cells, grids, choice if choice is None else choice.numpy()):
        _fill_cells(array, hidden, cell, _array(fill))
    return x if inplace else _tensor(array, x.dtype)


def _choose(hidden: Any, cells: Sequence[tuple[int, ...]], grids: Sequence[tuple[int, ...]], choice: Any) -> list:
    """Pairs of a cell size and which of its cells are hidden ``(B, *grid)``; tensors or arrays, as given."""
    if choice is None:
        return [] if 0 in cells[0] else [(cells[0], hidden)]
    chosen = [hidden & (choice == k).reshape(-1, *[1] * (hidden.ndim - 1)) for k in range(len(cells))]
    return [
        (cell, rows[(slice(None), *map(slice, grid))])
        for cell, rows, grid in zip(cells, chosen, grids, strict=True)
        if 0 not in cell
    ]


def _fill_cells(array: np.ndarray, hidden: np.ndarray, cell: tuple[int, ...], values: np.ndarray) -> None:
    """Write ``values (C,)`` or ``(1,)`` into the cells of ``array (B, C, *S)`` where ``hidden (B, *grid)``.

    A row of a cell is handled as one opaque number, and only hidden rows are touched: many times as fast as choosing
    element by element with a mask. S's last dimension must be contiguous.
    """
    for region in _regions(array.shape, cell, array.itemsize):
        rows = array[region.positions].view(region.row).reshape(region.split)
        content = values.repeat(region.width).view(region.row)
        rows.transpose(region.order)[hidden[region.cells]] = content.reshape(region.content)


class _Region(NamedTuple):
    """A part of an input in which all cells have one size."""

    positions: tuple[Any, ...]  # of the part in the input
    cells: tuple[slice, ...]  # of the part in the grid
    width: int  # of a cell's row
    row: np.dtype  # such a row as one opaque number
    split: tuple[int, ...]  # shape of the part by cells: (B, C, g, c, g, c, ..., g), where c is a cell's size in rows
    order: tuple[int, ...]  # axes of that as (B, *grid, C, *rows)
    content: tuple[int, ...]  # shape of a cell's content that broadcasts to (C, *rows)


@lru_cache(maxsize=64)
def _regions(shape: tuple[int, ...], cell: tuple[int, ...], itemsize: int) -> tuple[_Region, ...]:
    """The region of the whole cells, and those of the cells that the ends of one or more dimensions cut."""
    dims = len(cell)
    order = (0, *range(2, 2 + 2 * dims, 2), 1, *range(3, 1 + 2 * dims, 2))
    regions = []
    content = (-1, *[1] * (dims - 1))
    for spans in itertools.product(*map(_spans, shape[2:], cell)):
        positions, cells, counts, extents = zip(*spans, strict=True)
        split = (*shape[:2], *itertools.chain(*zip(counts, extents, strict=True)))[:-1]
        width, row = extents[-1], np.dtype((np.void, extents[-1] * itemsize))
        regions.append(_Region((..., *positions), (slice(None), *cells), width, row, split, order, content))
    return tuple(regions)


def _spans(size: int, cell: int) -> list[tuple[slice, slice, int, int]]:
    """The whole cells of a dimension, and the one that its end cuts: positions, cells, their number, their size."""
    whole, rest = divmod(size, cell)
    end = whole * cell
    spans = [(slice(0, end), slice(0, whole), whole, cell)] if whole else []
    return [*spans, (slice(end, size), slice(whole, whole + 1), 1, rest)] if rest else spans


def _grid(sizes: tuple[int, ...], cell: tuple[int, ...]) -> tuple[int, ...]:
    """Cells in each dimension, the cut ones too; 0 for cells of size 0."""
    return tuple(-(-size // c) if c else 0 for size, c in zip(sizes, cell, strict=True))


def _expand(hidden: Tensor, cell: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Mask ``(B, *S)`` of the positions in hidden cells ``(B, *grid)``."""
    for dim, (c, size) in enumerate(zip(cell, sizes, strict=True), start=1):
        hidden = hidden.index_select(dim, torch.arange(size, device=hidden.device) // c)
    return hidden


def _cover(
    x: Tensor,
    mask: Tensor,
    fill: Tensor,
    noise: Fill | None,
    axis: int,
    generator: torch.Generator | None,
    inplace: bool,
) -> Tensor:
    """Put fill ``(C,)`` and noise where ``mask`` (the shape of ``x`` without its channel axis) is True."""
    shape = [1] * x.ndim
    shape[axis] = -1
    values = fill.reshape(shape)
    if noise is not None:
        draw = torch.randn(x.shape, generator=generator, device=x.device)
        values = (values + draw * _per_channel(noise, draw, axis).reshape(shape)).to(x.dtype)
    covered = torch.where(mask.unsqueeze(axis), values, x)
    return x.copy_(covered) if inplace else covered


def _per_channel(values: Fill, x: Tensor, axis: int) -> Tensor:
    """One value, or one a channel, ``(C,)`` or ``(1,)``, in the dtype of ``x``."""
    tensor = values if isinstance(values, Tensor) else torch.as_tensor(values, dtype=torch.float32)
    if tensor.numel() not in (1, x.shape[axis]):
        raise ValueError(f"fill must be one number or one a channel ({x.shape[axis]}), got {tensor.numel()}")
    if not (x.is_floating_point() or x.is_complex()):
        tensor = tensor.round()
    return tensor.to(x.device, x.dtype).flatten()


def _keep_fill(module: nn.Module, fill: Fill, noise: Fill | None) -> None:
    """Make fill and noise follow the module to its device. They are no state: whoever makes the module knows them."""
    for name, value in (("fill", fill), ("noise", noise)):
        tensor = None if value is None else torch.as_tensor(value, dtype=torch.float32)
        module.register_buffer(name, tensor, persistent=False)


def _numpy_serves(x: Tensor, noise: Fill | None) -> bool:
    """Whether numpy may write the cells: on the CPU, outside a graph, constant values, no memory shared by cells."""
    return (
        type(x) is Tensor
        and x.device.type == "cpu"
        and not x.requires_grad
        and x.layout is torch.strided
        and noise is None
        and 0 not in x.stride()
        and not torch.compiler.is_compiling()
    )


def _array(x: Tensor) -> np.ndarray:
    return x.view(_CARRIERS[x.dtype]).numpy() if x.dtype in _CARRIERS else x.numpy()


def _tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(array).view(dtype)


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, 0..1, got {p}")
