"""What the training commands share: their options, curves of a training, and numbers over seeds as text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hasvideo.commands import DEVICE_HELP

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser
    from hasvideo.image.recipe import ImageRecipe
    from hasvideo.segmentation.recipe import SegmentationRecipe
    from hasvideo.video.recipe import Recipe

AnyRecipe = TypeVar("AnyRecipe", "Recipe", "ImageRecipe", "SegmentationRecipe")
RUN_OPTIONS = ("seeds", "resume", "tensorboard", "device")


def add_run_options(parser: CommandParser, written: str) -> Callable[..., Any]:
    """Add ``--output`` and the options of :data:`RUN_OPTIONS`, which say how an experiment is run.

    Args:
        parser: of the command.
        written: what goes to the output folder.

    Returns:
        What adds further options to the same group.
    """
    add: Callable[..., Any] = parser.add_argument_group("run").add_argument
    add("-o", "--output", required=True, metavar="FOLDER", help=f"for {written}")
    add("--seeds", type=int, default=1, help="repeat with so many seeds and report mean ± standard deviation")
    add("--resume", action="store_true", help="go on from what the output folder holds")
    add("--tensorboard", action="store_true", help="also write TensorBoard event files")
    add("--device", default="auto", help=DEVICE_HELP)
    return add


def plot_history(history: Sequence[Mapping[str, float]], folder: Path) -> None:
    """Draw how a training went, as ``curves.png`` in its folder; of several processes the main one does.

    Args:
        history: the metrics of each epoch, as :func:`hasvideo.training.train` returns them.
        folder: where the records of the training are.

    Raises:
        HasvideoError: the file cannot be written.
    """
    from hasvideo.output.evaluation_plots import plot_curves

    if is_main_process():
        plot_curves(history, folder / "curves.png")


def each_seed(recipe: AnyRecipe, seeds: int) -> Iterator[tuple[int, AnyRecipe]]:
    """Yield the recipe's seed and the following ones, each with the recipe that has it.

    Args:
        recipe: what to train.
        seeds: how many seeds.
    """
    for seed in range(recipe.training.seed, recipe.training.seed + seeds):
        yield seed, replace(recipe, training=replace(recipe.training, seed=seed))


def over_seeds(shares: Sequence[float | None]) -> dict[str, Any] | None:
    """Summarise one share over the seeds, in percent.

    Args:
        shares: the share of each seed, 0..1; None where it is not defined.

    Returns:
        ``mean``, ``std`` (None for one seed) and ``seeds``, the single values; None if there are none.
    """
    values = [100 * share for share in shares if share is not None]
    if not values:
        return None
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "seeds": values}


def cell(value: Mapping[str, Any] | None) -> str:
    """Format what :func:`over_seeds` returned: ``58.68 ± 0.41``."""
    if value is None:
        return "-"
    return f"{value['mean']:.2f}" + ("" if value["std"] is None else f" ± {value['std']:.2f}")


def is_main_process() -> bool:
    """Say whether this process writes the files: of several that train together, one does.

    ``torchrun`` and ``accelerate launch`` set ``RANK``. Asking accelerate itself before training would fix its state,
    and the processes would then not find each other.
    """
    return os.environ.get("RANK", "0") == "0"
