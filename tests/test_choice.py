"""Class names as people type them."""

from __future__ import annotations

import pytest

from hasvideo.choice import Choice, resolve_classes, split_classes
from hasvideo.errors import UsageError
from hasvideo.types import BoxRule, IntervalRule

IMAGENET = ("tench, Tinca tinca", "crane", "crane, Grus", "golf ball")


@pytest.mark.parametrize(("text", "expected"), [
    (None, ()),
    ("TENCH", ("tench, Tinca tinca",)),
    ("tench, tinca tinca", ("tench, Tinca tinca",)),
    ("golf ball,tench", ("golf ball", "tench, Tinca tinca")),
    (["crane, Grus", "golf ball "], ("crane, Grus", "golf ball")),
    ("crane", ("crane",)),
])  # fmt: skip
def test_names_in_any_case_and_first_names_will_do(text, expected):
    assert split_classes(text, IMAGENET, "m") == expected


def test_a_first_name_that_two_classes_share_is_not_enough():
    with pytest.raises(UsageError, match=r"no class 'crane'.*did you mean 'crane, bird'"):
        resolve_classes(["crane"], ("crane, bird", "crane, machine"), "m")


def test_an_empty_list_is_refused():
    with pytest.raises(UsageError, match="--classes is empty"):
        split_classes(" , ", IMAGENET, "m")


def test_a_rule_keeps_what_it_has_no_wish_for():
    choice = Choice(threshold=0.3, merge_gap=1.0, every_box=True)
    assert choice.rule(BoxRule(0.2, "minmax")) == BoxRule(0.3, "minmax", every=True)
    assert choice.rule(IntervalRule(min_duration=2.0)) == IntervalRule(0.3, merge_gap=1.0, min_duration=2.0)
    assert Choice().rule(BoxRule(0.1, every=True)) == BoxRule(0.1, every=True)
