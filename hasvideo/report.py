"""What the training commands share: their options, runs with several seeds, and numbers over seeds as text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hasvideo.commands import DEVICE_HELP
from hasvideo.errors import UsageError
from hasvideo.files import write_text

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser
    from hasvideo.image.recipe import ImageRecipe
    from hasvideo.segmentation.recipe import SegmentationRecipe
    from hasvideo.video.recipe import Recipe

AnyRecipe = TypeVar("AnyRecipe", "Recipe", "ImageRecipe", "SegmentationRecipe")
Tested = TypeVar("Tested")


def add_run_options(parser: CommandParser, written: str) -> Callable[..., Any]:
    """Add the options that say how an experiment is run: ``--output``, ``--seeds`` and the like.

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


def with_seeds(recipe: AnyRecipe, seeds: int) -> list[AnyRecipe]:
    """Copy a recipe for each run of an experiment: with its own seed and the following ones.

    Args:
        recipe: what to train.
        seeds: how many runs.

    Raises:
        UsageError: there is no run.
    """
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {seeds}")
    first = recipe.training.seed
    return [replace(recipe, training=replace(recipe.training, seed=seed)) for seed in range(first, first + seeds)]


def run_experiment(
    recipes: Sequence[AnyRecipe],
    output: Path,
    train: Callable[..., tuple[Any, Sequence[Mapping[str, float]]]],
    test: Callable[[Any, Path], Tested],
    **options: Any,
) -> list[Tested]:
    """Train and test once for each seed, in a folder ``seed-N``, and draw the curves of each training.

    Args:
        recipes: what :func:`with_seeds` returned.
        output: the folder that holds those of the seeds.
        train: takes a recipe, the ``name`` and ``folder`` of the model, and the options; returns the model and the
            metrics of each epoch.
        test: takes the model and its folder, and writes both the model and what it found there.
        options: ``resume``, ``tensorboard`` and ``device``: see :func:`hasvideo.training.train`.

    Returns:
        What ``test`` returned for each recipe.

    Raises:
        HasvideoError: a training fails, or a file cannot be written.
    """
    results = []
    for recipe in recipes:
        folder = output / f"seed-{recipe.training.seed}"
        model, history = train(recipe, name=str(folder / "model.ckpt"), folder=folder, **options)
        plot_history(history, folder)
        results.append(test(model, folder))
    return results


def write_report(report: Mapping[str, Any], text: str, output: Path) -> None:
    """Write ``results.json`` and ``results.txt``; of several processes the main one does.

    Args:
        report: numbers of the experiment.
        text: the same for people to read.
        output: folder of the experiment.

    Raises:
        HasvideoError: a file cannot be written.
    """
    if is_main_process():
        write_text(output / "results.json", json.dumps(report, indent=1) + "\n")
        write_text(output / "results.txt", text)


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
