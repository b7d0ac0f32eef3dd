"""What the commands that reproduce the paper's tables share: numbers over seeds, and how they are printed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def over_seeds(shares: Sequence[float | None]) -> dict[str, Any] | None:
    """``mean``, ``std`` (None for one seed) and ``seeds`` of shares 0..1, in percent; None if there are none."""
    values = [100 * share for share in shares if share is not None]
    if not values:
        return None
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "seeds": values}


def cell(value: Mapping[str, Any] | None) -> str:
    """What :func:`over_seeds` gave as text: ``58.68 ± 0.41``."""
    if value is None:
        return "-"
    return f"{value['mean']:.2f}" + ("" if value["std"] is None else f" ± {value['std']:.2f}")


def is_main_process() -> bool:
    """Whether this is the one of several training processes that writes files: ``torchrun`` and ``accelerate`` say so.

    Asking accelerate itself before training would settle its state, and the processes would then not find each other.
    """
    return os.environ.get("RANK", "0") == "0"
