"""Hiding patches: ``hasvideo.hiding.hide`` beside a plain triple loop over batch, rows and columns.

    python benchmarks/hiding_speed.py

The loop stands here twice: drawing from a ``torch.Generator``, which is what ``hide`` does (exact under a seed, also in
a DataLoader worker), and from Python's ``random``, the cheapest draw there is. Both write a slice of the image for each
hidden patch. ``in place`` writes into the batch, as a training step does; ``copy`` leaves the batch as it is (the loop
clones it first). Figures are medians; the order within a round is loop, loop, hide, so that noise meets all alike.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hasvideo.hiding import hide

SIZES = (16, 32, 44, 56, 112)
MEAN = torch.tensor([0.485, 0.456, 0.406])


def loop(images: Tensor, size: int, draw: Callable[[], float]) -> Tensor:
    batch, _, height, width = images.shape
    fill = MEAN[:, None, None]
    for sample in range(batch):
        for top in range(0, height, size):
            for left in range(0, width, size):
                if draw() < 0.5:
                    images[sample, :, top : top + size, left : left + size] = fill
    return images


def seconds(contestants: list[Callable[[], object]], budget: float) -> list[float]:
    """Median duration of each, timed in turns for ``budget`` seconds, at least five rounds."""
    rounds: list[list[float]] = [[] for _ in contestants]
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(rounds[0]) < 5:
        for durations, contestant in zip(rounds, contestants, strict=True):
            start = time.perf_counter()
            contestant()
            durations.append(time.perf_counter() - start)
    return [statistics.median(durations) for durations in rounds]


def contest(batch: int, size: int, inplace: bool, budget: float) -> list[float]:
    images, generator = torch.rand(batch, 3, 224, 224), torch.Generator().manual_seed(0)

    def target() -> Tensor:
        return images if inplace else images.clone()

    return seconds(
        [
            lambda: loop(target(), size, lambda: torch.rand((), generator=generator).item()),
            lambda: loop(target(), size, random.random),
            lambda: hide(images, size, 0.5, MEAN, generator, inplace=inplace),
        ],
        budget,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each line of the table")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print("images of 3 x 224 x 224, p = 0.5; medians in milliseconds; hide is so many times as fast as either loop")
    print("threads batch patch               loop  loop,random     hide   times as fast")
    for threads, batch, size, inplace in itertools.product(arguments.threads, (1, 64), SIZES, (True, False)):
        torch.set_num_threads(threads)
        times = contest(batch, size, inplace, arguments.seconds)
        setting = f"{threads:>7} {batch:>5} {size:>5} {'in place' if inplace else 'copy':>8}"
        ratios = f"{times[0] / times[2]:>8.1f} {times[1] / times[2]:>6.1f}"
        print(f"{setting} {times[0] * 1e3:>9.3f} {times[1] * 1e3:>12.3f} {times[2] * 1e3:>8.3f} {ratios}")


if __name__ == "__main__":
    main()
