"""Which classes are localized in a file, and how: what the localizers of videos and of images are asked."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hasvideo.errors import UsageError
from hasvideo.types import Activation, ThresholdMode

if TYPE_CHECKING:
    from hasvideo.extents import Rule
    from hasvideo.inputs import Medium

TOP_K = 5

_ONLY_FOR: Mapping[str, Mapping[str, Any]] = {
    "videos": {"start": None, "end": None, "merge_gap": None, "min_duration": None}
    | {"decoder": "decord", "engine": "auto", "weights": None, "ray_address": None}
    | {"embed_video": False, "labelstudio_prefix": None},
    "images": {"every_box": False, "ground_truth": None},
}
"""Options, with their defaults, that have a meaning for one medium only."""

_ONLY_FOR_CAMS: Mapping[str, Any] = {
    "classes": None,
    "top_k": TOP_K,
    "min_class_score": None,
    "threshold": None,
    "threshold_mode": None,
    **_ONLY_FOR["images"],
}
"""Those that choose among class activation maps, or cut them: a segmentation network has none."""


@dataclass(frozen=True)
class Choice:
    """Which classes are localized, and how; None leaves it to the model.

    Attributes:
        classes: names; these and no others, however improbable. Empty: the most probable ones.
        top_k: at most so many of the most probable classes.
        min_class_score: probability that the file shows the class at all, 0..1, from which a class is localized.
        threshold: see :class:`hasvideo.types.IntervalRule` and :class:`hasvideo.types.BoxRule`.
        threshold_mode: the ``mode`` of the same rules.
        merge_gap: of videos, see :class:`hasvideo.types.IntervalRule`.
        min_duration: of videos, see :class:`hasvideo.types.IntervalRule`.
        every_box: of images, see ``every`` of :class:`hasvideo.types.BoxRule`.

    Raises:
        UsageError: a value is out of its range.
    """

    classes: tuple[str, ...] = ()
    top_k: int = TOP_K
    min_class_score: float | None = None
    threshold: float | None = None
    threshold_mode: ThresholdMode | None = None
    merge_gap: float | None = None
    min_duration: float | None = None
    every_box: bool = False

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UsageError(f"top-k is a number of classes from 1, got {self.top_k}")
        if self.min_class_score is not None and not 0 <= self.min_class_score <= 1:
            raise UsageError(f"min-class-score is a number from 0 to 1, got {self.min_class_score}")

    def rule(self, default: Rule) -> Rule:
        """Return a model's rule with what was chosen otherwise.

        Args:
            default: the model's rule.

        Raises:
            UsageError: a value is out of its range.
        """
        from hasvideo.extents import check_rule

        wishes = {
            "threshold": self.threshold,
            "mode": self.threshold_mode,
            "merge_gap": self.merge_gap,
            "min_duration": self.min_duration,
            "every": self.every_box or None,
        }
        known = {k: v for k, v in wishes.items() if v is not None and hasattr(default, k)}
        return check_rule(replace(default, **known))  # type: ignore[arg-type]

    def select(self, activations: Sequence[Activation], default_score: float) -> tuple[Activation, ...]:
        """Select the activations of the chosen classes, in their order.

        Args:
            activations: of every class of the model, by falling score.
            default_score: probability from which a class is localized where none was chosen.
        """
        if self.classes:
            return tuple(a for a in activations if a.label in self.classes)
        least = default_score if self.min_class_score is None else self.min_class_score
        return tuple(a for a in activations[: self.top_k] if a.score >= least)


def resolve_classes(names: Sequence[str], known: Sequence[str], model: str) -> tuple[str, ...]:
    """Find the model's spelling of class names given in any case.

    Of a class called by several names, as ImageNet's ``tench, Tinca tinca``, the first one will do where no other
    class has it.

    Args:
        names: as given.
        known: the model's classes.
        model: its name, for the message.

    Raises:
        UsageError: the model does not know a name; the nearest ones are suggested.
    """
    spellings = _spellings(known)
    for name in names:
        if name.casefold() not in spellings:
            close = [spellings[c] for c in difflib.get_close_matches(name.casefold(), spellings, n=3)]
            close = list(dict.fromkeys(close))
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"it knows {len(known)} classes"
            raise UsageError(f"model {model} has no class {name!r}; {hint} (--list-classes shows all)")
    return tuple(spellings[name.casefold()] for name in names)


def split_classes(text: str | Sequence[str] | None, known: Sequence[str], model: str) -> tuple[str, ...]:
    """Split what ``--classes`` was given into the model's class names.

    Args:
        text: a list of names, one name that may hold a comma itself, or several separated by commas; None: none.
        known: the model's classes.
        model: its name, for the message.

    Raises:
        UsageError: there is none among them, or the model does not know one.
    """
    if text is None:
        return ()
    if isinstance(text, str):
        text = [text] if text.strip().casefold() in _spellings(known) else text.split(",")
    names = [name.strip() for name in text if name.strip()]
    if not names:
        raise UsageError("--classes is empty; leave it out for the most probable classes")
    return resolve_classes(names, known, model)


def check_options(options: Mapping[str, Any], medium: Medium, model: str) -> None:
    """Refuse options that have no meaning for a medium, or for a kind of model.

    Args:
        options: values by name; options that any medium knows are not looked at.
        medium: what the model is for.
        model: its name, for the message.

    Raises:
        UsageError: an option for the other medium, or for another kind of model, is not at its default.
    """
    _refuse(options, _ONLY_FOR[medium.other.many], f"{medium.other.many}; {medium.why_not(model)}")
    if medium.kind == "segments":
        _refuse(options, _ONLY_FOR_CAMS, f"models that localize objects; model {model} tells the class of every pixel")


def _refuse(options: Mapping[str, Any], defaults: Mapping[str, Any], reason: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in defaults.items() if options.get(name, value) != value]
    if given:
        raise UsageError(f"{' '.join(given)} {'is' if len(given) == 1 else 'are'} for {reason}")


def _spellings(known: Sequence[str]) -> dict[str, str]:
    first = [name.partition(",")[0].casefold() for name in known]
    counts = Counter(first)
    short = {spelling: name for spelling, name in zip(first, known, strict=True) if counts[spelling] == 1}
    return short | {name.casefold(): name for name in known}
