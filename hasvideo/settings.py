"""The settings that every training has, and how settings become options. Without torch, for commands to show."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hasvideo.errors import UsageError
from hasvideo.help import split_reason
from hasvideo.types import BoxRule, IntervalRule

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser, Namespace

AnyRecipe = TypeVar("AnyRecipe")
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
        """Return the learning rate of an epoch.

        Args:
            epoch: counted from 0.
        """
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        reached = [start for start in self.steps if start <= epoch] if self.schedule == "steps" else []
        return self.steps[max(reached)] if reached else self.learning_rate

    def decay(self, epoch: int) -> float:
        """Return the weight decay of an epoch.

        Args:
            epoch: counted from 0.
        """
        return self.weight_decay if not self.decay_epochs or epoch < self.decay_epochs else 0.0


def check_choices(settings: Any, **choices: Any) -> None:
    """Refuse a setting that is none of its choices.

    Args:
        settings: a settings dataclass.
        choices: for a setting's name its ``Literal``.

    Raises:
        UsageError: a setting is something else; the message lists the choices.
    """
    for name, known in choices.items():
        if getattr(settings, name) not in get_args(known):
            raise UsageError(f"unknown {name} {getattr(settings, name)!r}; accepted: {', '.join(get_args(known))}")


SECONDS = "SECONDS"
_FROM_DATA = ("in_channels", "num_classes")
_NAMES = {"mode": "threshold_mode"}  # a bare --mode would not say of what
_RULES: dict[Any, str] = {IntervalRule: "intervals", BoxRule: "boxes"}
_RULE_HELP = {
    "threshold": "fraction of the CAM's range from which a time step or a pixel is in",
    "mode": "the range: 0 to the maximum, or minimum to maximum",
    "merge_gap": "join intervals of a class that are at most so many seconds apart",
    "min_duration": "drop intervals of fewer seconds",
}


def add_options(parser: CommandParser, recipe: Any, why: Mapping[str, str] = {}, skip: Sequence[str] = ()) -> None:
    """Add an option for each setting of a recipe; in a YAML file the groups are nested.

    A recipe is a dataclass of groups, which are dataclasses; the comment beside a field is its help. An option begins
    with its group, as in ``--hiding.p``. Settings of the rule and of the recipe itself do not: ``--threshold``.

    Args:
        parser: of the command.
        recipe: its values are the defaults.
        why: reason for a default by the setting's name in YAML, such as ``hiding.p``, in place of the comment's.
        skip: names of settings that this task has no use for.
    """
    for name, part in vars(recipe).items():
        if type(part) in _RULES:
            group, prefix, texts = parser.add_settings_group(_RULES[type(part)]), "", _RULE_HELP
        elif is_dataclass(part):
            group, prefix, texts = parser.add_settings_group(name), f"{name}.", _comments(type(part))
        else:
            part, prefix, texts = recipe, "", {name: _comments(type(recipe))[name]}  # in the group before it
        texts = {key: text for key, text in texts.items() if hasattr(part, key) and key not in (*_FROM_DATA, *skip)}
        _add(group, prefix, part, texts, why)


def from_options(options: Namespace, kind: type[AnyRecipe]) -> AnyRecipe:
    """Build the recipe that the options of :func:`add_options` describe.

    Args:
        options: as parsed; other options may be among them.
        kind: class of the recipe.

    Raises:
        UsageError: a setting is out of its range.
    """

    def part(name: str, of: Any) -> Any:
        if of in _RULES:
            given = {key: options[_NAMES.get(key, key)] for key in _RULE_HELP if hasattr(of, key)}
        elif is_dataclass(of):
            given = vars(options[name])
        else:
            return options[name]
        return of(**given)

    return kind(**{name: part(name, of) for name, of in get_type_hints(kind).items()})


def _add(group: Any, prefix: str, settings: Any, texts: Mapping[str, str], why: Mapping[str, str]) -> None:
    """Add an option for each setting with a text; the text's reason is one for the class's own default only."""
    types, usual = get_type_hints(type(settings)), type(settings)()
    for name, known in texts.items():
        option, default, (text, reason) = prefix + _NAMES.get(name, name), getattr(settings, name), split_reason(known)
        reason = why.get(option, reason if default == getattr(usual, name) else "")
        text += f" [{reason}]" if reason else ""
        kind = types[name]
        accepts = {"choices": get_args(kind)} if get_origin(kind) is Literal else {"type": kind}  # the plainer error
        group.add_argument(f"--{option.replace('_', '-')}", default=default, help=text, **accepts)


def _comments(settings: type) -> dict[str, str]:
    """Read the comment beside each field of a settings class: one text serves reader and ``--help``."""
    lines = (line.strip().partition("  # ") for line in inspect.getsource(settings).splitlines())
    comments = {code.partition(":")[0]: comment for code, _, comment in lines}
    return {field.name: comments[field.name] for field in fields(settings)}
