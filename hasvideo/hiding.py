"""Hide random cells of the input while training: the one idea of Hide-and-Seek.

What a network cannot see it cannot lean on, so it learns all parts of an object or of an action. Nothing is hidden
while testing. A hidden cell takes the mean of the training data, so that the first layer expects the same in training
as in testing (Singh & Lee, ICCV 2017, section 3.1).

The cells form a regular grid, written once for any number of dimensions: 1 for a video's time, 2 for an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Fill = float | Sequence[float] | Tensor


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
    hidden = torch.rand(len(x), *_grid(x, cells), generator=generator, device=x.device) < p  # (B, *grid)
    return _hide_cells(x, [(cells, hidden)], fill, noise, generator, inplace)


class _Hiding(nn.Module):
    """What both kinds of hiding keep."""

    fill: Tensor
    noise: Tensor | None

    def __init__(self, p: float, fill: Fill, noise: Fill | None, inplace: bool) -> None:
        super().__init__()
        _check_probability(p)
        self.p, self.inplace = p, inplace
        for name, value in (("fill", fill), ("noise", noise)):
            # A buffer follows the module to its device. It is no state: whoever makes the module knows it.
            tensor = None if value is None else torch.as_tensor(value, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)


class PatchHiding(_Hiding):
    """Hide square patches of images while training; show everything in ``eval()``.

    Args:
        sizes: pixels; each image draws one of them, and 0 hides nothing ("mix" in the paper: 0, 16, 32, 44, 56).
        p: probability, 0..1, that a patch is hidden.
        fill: what hidden patches take, as in :func:`hide`.
        noise: what is added to it, as in :func:`hide`.
        inplace: write into the given batch.

    Raises:
        ValueError: no sizes or a negative one, or ``p`` outside 0..1.
    """

    def __init__(
        self,
        sizes: Sequence[int] = (0, 16, 32, 44, 56),
        p: float = 0.5,
        fill: Fill = 0.0,
        noise: Fill | None = None,
        inplace: bool = False,
    ) -> None:
        super().__init__(p, fill, noise, inplace)
        if not sizes or min(sizes) < 0:
            raise ValueError(f"sizes must be one or more numbers of pixels >= 0, got {tuple(sizes)}")
        self.sizes = tuple(sizes)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Hide patches of images ``(B, C, H, W)``, or of a single image ``(C, H, W)``.

        Raises:
            ValueError: the fill is neither one number nor one a channel.
        """
        if not self.training:
            return images
        if images.ndim == 3:
            return self(images[None], generator)[0]
        count, device = len(images), images.device
        choice = torch.zeros(count, device=device)
        if len(self.sizes) > 1:
            choice = torch.randint(len(self.sizes), (count,), generator=generator, device=device)
        # One draw, for the finest grid, serves all sizes: so how much is drawn depends on shapes alone.
        finest = _grid(images, [min((size for size in self.sizes if size), default=0)] * 2)
        hidden = torch.rand(count, *finest, generator=generator, device=device) < self.p
        chosen = [((size, size), hidden & (choice == k)[:, None, None]) for k, size in enumerate(self.sizes) if size]
        return _hide_cells(images, chosen, self.fill, self.noise, generator, self.inplace)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"sizes={self.sizes}, p={self.p}, inplace={self.inplace}"


class SegmentHiding(_Hiding):
    """Hide segments of videos while training; show everything in ``eval()``.

    Each video is divided over its own true length into ``num_segments`` segments, equal up to one feature; a video of
    fewer features has one a segment.

    Args:
        num_segments: segments of a video (paper: 20).
        p: probability, 0..1, that a segment is hidden.
        fill: what hidden features take, as in :func:`hide`, a channel being a dimension (paper: the features' mean).
        noise: what is added to it, as in :func:`hide`.
        inplace: write into the given batch.

    Raises:
        ValueError: no segments, or ``p`` outside 0..1.
    """

    def __init__(
        self, num_segments: int = 20, p: float = 0.5, fill: Fill = 0.0, noise: Fill | None = None, inplace: bool = False
    ) -> None:
        super().__init__(p, fill, noise, inplace)
        if num_segments < 1:
            raise ValueError(f"num_segments must be at least 1, got {num_segments}")
        self.num_segments = num_segments

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
        if lengths is None:
            lengths = torch.full((batch,), steps, device=features.device)
        drawn = torch.rand(batch, self.num_segments, generator=generator, device=features.device) < self.p
        segment = torch.arange(steps, device=features.device) * self.num_segments // lengths[:, None]  # (B, T)
        hidden = drawn.gather(1, segment.clamp(max=self.num_segments - 1)) & length_mask(lengths, steps)
        # A time step is a cell of its own here, and the features' dimensions are its channels.
        covered = _hide_cells(features.mT, [((1,), hidden)], self.fill, self.noise, generator, self.inplace)
        return features if self.inplace else covered.mT

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"num_segments={self.num_segments}, p={self.p}, inplace={self.inplace}"


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Mark the time steps that videos have, bool ``(B, size)``: the first ``lengths[b]`` of video b.

    Args:
        lengths: int ``(B,)``.
        size: time steps of the longest.
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _hide_cells(
    x: Tensor,
    chosen: Sequence[tuple[Sequence[int], Tensor]],
    fill: Fill,
    noise: Fill | None,
    generator: torch.Generator | None,
    inplace: bool,
) -> Tensor:
    """Hide cells of ``x (B, C, *S)``: pairs of a cell's size and which of its cells, bool ``(B, *grid)``."""
    if inplace and 0 in x.stride():
        raise RuntimeError("cannot hide in place in a batch of which several numbers are a single memory location")
    values = _per_channel(fill, x)
    if noise is None:
        out = x if inplace else x.clone()
        for cell, hidden in chosen:
            _write_cells(out, cell, hidden, values)
        return out
    mask = torch.zeros_like(x[:, :1], dtype=torch.bool)
    for cell, hidden in chosen:
        _write_cells(mask, cell, hidden, hidden.new_ones(()))
    draw = torch.randn(x.shape, generator=generator, device=x.device)
    noisy = torch.where(mask, (values + draw * _per_channel(noise, draw)).to(x.dtype), x)
    return x.copy_(noisy) if inplace else noisy


def _write_cells(x: Tensor, cell: Sequence[int], hidden: Tensor, values: Tensor) -> None:
    """Write values that broadcast to ``(C, *S)`` into the hidden cells, and touch no others.

    A view of ``x`` that has cells and what is in a cell as dimensions of their own, (B, *grid, C, *cell), can be
    indexed by ``hidden (B, *grid)``. Cells that the border cuts are smaller, so they are a view of their own.
    """
    dims = len(cell)
    order = (0, *range(2, 2 + 2 * dims, 2), 1, *range(3, 3 + 2 * dims, 2))
    for parts in itertools.product(*map(_whole_and_cut, x.shape[2:], cell)):
        view, marks = x, hidden
        for dim, (first, count, size) in enumerate(parts):
            view = view.narrow(2 + 2 * dim, first, count * size).unflatten(2 + 2 * dim, (count, size))
            marks = marks.narrow(1 + dim, first // cell[dim], count)
        view.permute(order)[marks] = values


def _whole_and_cut(size: int, cell: int) -> list[tuple[int, int, int]]:
    """First position, number and size of a dimension's whole cells, and of the one that its end cuts."""
    whole, rest = divmod(size, cell)
    return [part for part in ((0, whole, cell), (whole * cell, 1, rest)) if part[1] and part[2]]


def _grid(x: Tensor, cell: Sequence[int]) -> list[int]:
    """Cells in each dimension of ``x (B, C, *S)``, the cut ones too; 0 for cells of size 0."""
    return [-(-size // c) if c else 0 for size, c in zip(x.shape[2:], cell, strict=True)]


def _per_channel(values: Fill, x: Tensor) -> Tensor:
    """One value, or one a channel of ``x (B, C, *S)``, shaped ``(1 or C, 1, ...)``, in the dtype of ``x``."""
    tensor = torch.as_tensor(values, dtype=torch.float32)
    if tensor.numel() not in (1, x.shape[1]):
        raise ValueError(f"fill must be one number or one a channel ({x.shape[1]}), got {tensor.numel()}")
    if not (x.is_floating_point() or x.is_complex()):
        tensor = tensor.round()
    return tensor.to(x.device, x.dtype).reshape(-1, *[1] * (x.ndim - 2))


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, 0..1, got {p}")
