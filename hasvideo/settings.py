"""The settings that every training has, and how settings become options. Without torch, for commands to show."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from hasvideo.errors import UsageError
from hasvideo.help import split_reason

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser

Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "cosine", "steps"]
Precision = Literal["no", "fp16", "bf16"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: what decides the result besides network, data and hiding.

    Raises:
        UsageError: a setting is out of its range.
    """

    epochs: int = 100  # times that every sample is seen [enough for a few hundred videos]
    batch_size: int = 16  # samples of a step, of all processes together
    optimizer: Optimizer = "adam"  # how weights follow the gradient [usual for features]
    learning_rate: float = 1e-3  # size of the steps; cosine and steps begin with it [adam's usual one]
    momentum: float = 0.9  # of sgd [the paper's]
    weight_decay: float = 5e-4  # pull of the weights towards zero [the paper's, for images]
    decay_epochs: int = 0  # only so many epochs have weight decay; 0: all
    schedule: Schedule = "constant"  # of the learning rate; cosine: down to 0, steps: as given [enough for adam]
    steps: dict[int, float] = field(default_factory=dict)  # for schedule steps: {epoch from 0: learning rate}
    smoothness: float = 0.0  # weight in the loss of the CAM's squared steps over time [the paper has none]
    clip_norm: float = 0.0  # norm of the gradient above which it is scaled down; 0: never
    precision: Precision = "no"  # no: float32; fp16, bf16: mixed precision
    seed: int = 0  # of weights, order and hiding
    workers: int = 0  # further processes that load samples [features in memory need none]

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or min(self.workers, self.decay_epochs) < 0:
            raise UsageError(f"epochs and batch_size must be at least 1, workers and decay_epochs 0: got {self}")
        if not (self.learning_rate > 0 and min(self.momentum, self.weight_decay, self.smoothness, self.clip_norm) >= 0):
            raise UsageError(
                f"learning_rate must be above 0; momentum, weight_decay, smoothness, clip_norm at least 0: got {self}"
            )
        check_choices(self, optimizer=Optimizer, schedule=Schedule, precision=Precision)

    def check_without_time(self) -> None:
        """Refuse what trainings on images have no use for.

        Raises:
            UsageError: ``smoothness`` is set.
        """
        if self.smoothness:
            raise UsageError(f"smoothness is for CAMs over time, images have none: got {self.smoothness:g}")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        reached = [start for start in self.steps if start <= epoch] if self.schedule == "steps" else []
        return self.steps[max(reached)] if reached else self.learning_rate

    def decay(self, epoch: int) -> float:
        """Weight decay of an epoch, counted from 0."""
        return self.weight_decay if not self.decay_epochs or epoch < self.decay_epochs else 0.0


def check_choices(settings: Any, **choices: Any) -> None:
    """Raise UsageError where a setting is none of its choices.

    Args:
        settings: a settings dataclass.
        choices: for a setting's name its ``Literal``.
    """
    for name, known in choices.items():
        if getattr(settings, name) not in get_args(known):
            raise UsageError(f"unknown {name} {getattr(settings, name)!r}; accepted: {', '.join(get_args(known))}")


def add_settings(
    parser: CommandParser, groups: Mapping[str, Any], why: Mapping[str, str] = {}, without: Sequence[str] = ()
) -> None:
    """Add an option ``--<group>.<name>`` for each setting of settings dataclasses, but for what the data decide.

    Args:
        parser: of the command.
        groups: settings by group; their values are the defaults.
        why: reason for a default by ``<group>.<name>``, in place of the one that the class has for its own.
        without: names of settings that nothing reads in this task.
    """
    for group, settings in groups.items():
        types, texts = get_type_hints(type(settings)), _comments(type(settings))
        arguments, usual = parser.add_settings_group(group), type(settings)()
        for name in texts:
            if name in (*_FROM_DATA, *without):
                continue
            default, (text, reason) = getattr(settings, name), split_reason(texts[name])
            reason = why.get(f"{group}.{name}", reason if default == getattr(usual, name) else "")
            option = f"--{group}.{name.replace('_', '-')}"
            text += f" [{reason}]" if reason else ""
            arguments.add_argument(option, type=types[name], default=default, help=text)


_FROM_DATA = ("in_channels", "num_classes")
SECONDS = "SECONDS"


def _comments(settings: type) -> dict[str, str]:
    """The comment beside each field of a settings class: one text serves reader and ``--help``."""
    return dict(re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(settings), re.MULTILINE))
