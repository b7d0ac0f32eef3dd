"""The settings of a training: what a localizer is made of besides its videos. Without torch, for commands to show."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from hasvideo.errors import UsageError
from hasvideo.help import split_reason
from hasvideo.types import IntervalRule, ThresholdMode

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser, Namespace

Pooling = Literal["average", "max", "topk"]
Normalisation = Literal["none", "center", "standardise", "l2"]
Classification = Literal["softmax", "sigmoid"]
Fill = Literal["mean", "zero", "noise"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "cosine", "steps"]
Precision = Literal["no", "fp16", "bf16"]


@dataclass(frozen=True)
class TemporalConfig:
    """What a :class:`hasvideo.networks.temporal.TemporalNetwork` is made of; it travels in the checkpoint.

    Raises:
        UsageError: a setting is out of its range.
    """

    in_channels: int = 1024  # D of the features: 1024 for I3D RGB, 2048 with flow, 4096 for C3D
    num_classes: int = 20  # outputs of the head: the classes of THUMOS 2014
    layers: int = 2  # temporal convolutions before the head; 0: the head sees the features [the paper's]
    channels: int = 500  # kernels in each of these convolutions [the paper's]
    kernel: int = 1  # time steps that such a kernel sees, an odd number [the paper's]
    dropout: float = 0.0  # share of the numbers dropped after each convolution [the paper names none for videos]
    input_dropout: float = 0.0  # share of the normalised features' numbers dropped [the paper has none]
    head_kernel: int = 1  # time steps that the classifier sees, an odd number [the paper's]
    pooling: Pooling = "average"  # over time, to a class's score: mean, maximum, or mean of the highest [the paper's]
    topk_divisor: int = 5  # N: with pooling topk, the highest T // N of T time steps count [unused in the paper]
    bias: bool = True  # the head has a bias, which every time step of the CAM gets
    smoothing: int = 0  # times that the CAM is averaged over neighbours, 1/4 1/2 1/4 [the paper has none]
    normalisation: Normalisation = "none"  # of features; center: less their mean, l2: of length 1 [the paper's]
    classification: Classification = "softmax"  # softmax: classes compete; sigmoid: each on its own [the paper's]

    def __post_init__(self) -> None:
        if min(self.in_channels, self.num_classes, self.channels, self.topk_divisor) < 1 or self.layers < 0:
            raise UsageError(f"a network needs positive sizes and layers >= 0, got {self}")
        for name in ("kernel", "head_kernel"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise UsageError(f"{name} must be odd, so that time steps keep their place, got {getattr(self, name)}")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        check_choices(self, pooling=Pooling, normalisation=Normalisation, classification=Classification)

    def to_dict(self) -> dict[str, Any]:
        """Plain dict for JSON; ``TemporalConfig(**d)`` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class HidingConfig:
    """What is hidden from the network while it trains.

    Raises:
        UsageError: a setting is out of its range.
    """

    num_segments: int = 20  # equal parts of a video, each hidden or shown as a whole [the paper's]
    p: float = 0.5  # probability that a part is hidden; 0 hides nothing, the Video-GAP baseline [the paper's]
    fill: Fill = "mean"  # what hidden features become: the training features' mean, zero, or noise [the paper's]

    def __post_init__(self) -> None:
        if self.num_segments < 1 or not 0 <= self.p <= 1:
            raise UsageError(f"hiding needs num_segments >= 1 and p from 0 to 1, got {self}")
        check_choices(self, fill=Fill)


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


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a localizer besides its videos. The defaults are the paper's, where it names them."""

    network: TemporalConfig = field(default_factory=TemporalConfig)  # in_channels and num_classes follow the data
    hiding: HidingConfig = field(default_factory=HidingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    rule: IntervalRule = field(default_factory=IntervalRule)  # how localize reads the CAM by default
    min_class_score: float = 0.1  # probability from which a class is localized in a video


def check_choices(settings: Any, **choices: Any) -> None:
    """Raise UsageError where a setting is none of its choices.

    Args:
        settings: a settings dataclass.
        choices: for a setting's name its ``Literal``.
    """
    for name, known in choices.items():
        if getattr(settings, name) not in get_args(known):
            raise UsageError(f"unknown {name} {getattr(settings, name)!r}; accepted: {', '.join(get_args(known))}")


OWN_VIDEOS = Recipe(
    network=TemporalConfig(
        layers=0, head_kernel=3, input_dropout=0.7, pooling="topk", topk_divisor=16, normalisation="center"
    ),
    hiding=HidingConfig(num_segments=40, p=0.25),
    training=TrainingConfig(epochs=100, schedule="cosine", weight_decay=0.0, smoothness=1.0),
    rule=IntervalRule(threshold=0.2),
    min_class_score=0.05,
)
"""What ``hasvideo train`` trains by default."""

WHY_OWN_VIDEOS = {
    "network.layers": "cross-validated; the paper: 2",
    "network.channels": "the paper's; unused with 0 layers",
    "network.kernel": "the paper's; unused with 0 layers",
    "network.dropout": "unused with 0 layers",
    "network.input_dropout": "raised mAP from 58 to 68 in cross-validation; the paper has none",
    "network.head_kernel": "cross-validated, with the dropout; the paper: 1",
    "network.pooling": "twice the mAP of the paper's average",
    "network.topk_divisor": "hiding wants few steps; with 5 it costs mAP",
    "network.normalisation": "mAP 80 in cross-validation; 74 with none, the paper's; 63 with standardise",
    "hiding.num_segments": "10 to 40 do equally well; the paper: 20",
    "hiding.p": "0.15 to 0.4 do equally well; the paper's 0.5 hides whole actions",
    "training.schedule": "cross-validated",
    "training.weight_decay": "cross-validated; the paper, for images: 0.0005",
    "training.smoothness": "raised mAP from 68 to 78 in cross-validation; the paper has none",
    "threshold": "no network was best at the paper's 0.5",
    "min_class_score": "every network was best at it",
}
"""Why a default of ``hasvideo train`` is as it is, by setting: docs/results.md has the numbers."""


def add_options(parser: CommandParser, defaults: Recipe, why: Mapping[str, str] = {}) -> None:
    """Add an option for each setting, such as ``--hiding.p``; in a YAML file the groups are nested.

    Args:
        parser: of the command.
        defaults: values of all settings.
        why: see :func:`add_settings`; without a group for the settings of how a CAM is read.
    """
    add_settings(parser, {group: getattr(defaults, group) for group in _GROUPS}, why)
    rule, group = defaults.rule, parser.add_settings_group("intervals")

    def add(name: str, default: Any, text: str, **kwargs: Any) -> None:
        reason = f" [{why[name]}]" if name in why else ""
        group.add_argument(f"--{name.replace('_', '-')}", default=default, help=text + reason, **kwargs)

    add("threshold", rule.threshold, "fraction of the CAM's range from which a time step is in", type=float)
    add("threshold_mode", rule.mode, "the range: 0 to the maximum, or minimum to maximum",
        choices=get_args(ThresholdMode))  # fmt: skip
    add("merge_gap", rule.merge_gap, "join intervals of a class that are no further apart", type=float, metavar=SECONDS)
    add("min_duration", rule.min_duration, "drop shorter intervals", type=float, metavar=SECONDS)
    add("min_class_score", defaults.min_class_score, "probability from which a class is localized", type=float)


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


def from_options(options: Namespace) -> Recipe:
    """The recipe that the options of :func:`add_options` say.

    Raises:
        UsageError: a setting is out of its range.
    """
    from hasvideo.extents import check_rule

    if not 0 <= options.min_class_score <= 1:
        raise UsageError(f"min_class_score is a probability, 0 to 1, got {options.min_class_score}")
    network, hiding, training = (kind(**vars(options[group])) for group, kind in _GROUPS.items())
    rule = IntervalRule(options.threshold, options.threshold_mode, options.merge_gap, options.min_duration)
    return Recipe(network, hiding, training, check_rule(rule), options.min_class_score)


_GROUPS = {"network": TemporalConfig, "hiding": HidingConfig, "training": TrainingConfig}
_FROM_DATA = ("in_channels", "num_classes")
SECONDS = "SECONDS"


def _comments(settings: type) -> dict[str, str]:
    """The comment beside each field of a settings class: one text serves reader and ``--help``."""
    return dict(re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(settings), re.MULTILINE))
