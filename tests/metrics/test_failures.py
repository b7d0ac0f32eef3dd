import numpy as np
import pytest

from hasvideo.metrics.failures import Change, FailureRule, find_failures, judge_box, most_changed, transitions
from hasvideo.types import Box, ImagePrediction

ONE = [(20, 20, 60, 60)]
TWO = [(20, 20, 40, 40), (50, 20, 70, 40)]


@pytest.mark.parametrize(
    ("box", "truth", "outcome"),
    [
        (None, ONE, "no box"),
        ((22, 20, 60, 60), ONE, "hit"),
        ((20, 20, 70, 40), TWO, "merged"),  # IoU 0.4 with each
        ((10, 20, 63, 40), TWO, "context"),  # of the second, 13 of 20 columns
        ((10, 20, 64, 40), TWO, "merged"),  # 14 of 20: 0.7
        ((25, 25, 40, 40), ONE, "part"),
        ((16, 25, 56, 30), ONE, "part"),  # 36 of 40 columns
        ((15, 25, 55, 30), ONE, "elsewhere"),  # 35 of 40
        ((0, 0, 90, 90), ONE, "context"),
        ((24, 0, 100, 100), ONE, "context"),  # 36 of its 40 columns
        ((25, 0, 100, 100), ONE, "elsewhere"),
        ((80, 80, 90, 90), ONE, "elsewhere"),
        ((0, 0, 90, 90), TWO, "merged"),  # that there is context too does not matter
    ],
)
def test_what_each_miss_is_called(box, truth, outcome):
    found, iou = judge_box(None if box is None else np.array(box, float), np.array(truth, float), FailureRule())
    assert found == outcome
    assert (found == "hit") == (iou >= 0.5)


def test_shares_are_parameters():
    box, truth = np.array([20, 20, 66, 40.0]), np.array([*TWO, (0, 0, 1, 1)], float)
    assert judge_box(box, truth, FailureRule())[0] == "merged"
    assert judge_box(box, truth, FailureRule(covered=0.9))[0] == "context"
    assert judge_box(box, truth, FailureRule(iou=0.4))[0] == "hit"


def predicted(**boxes):
    return {image: ImagePrediction(boxes=(Box(*map(float, b), "cat", 1.0),)) for image, b in boxes.items()}


TRUTH = {image: [Box(20.0, 20.0, 60.0, 60.0, "cat", 1.0)] for image in "abcd"}
BEFORE = find_failures(predicted(a=(20, 20, 60, 60), b=(25, 25, 40, 40), c=(0, 0, 90, 90)), TRUTH)
AFTER = find_failures(predicted(a=(20, 20, 50, 60), b=(20, 20, 60, 60), c=(0, 0, 90, 90), d=(20, 20, 30, 30)), TRUTH)


def test_counts_and_shares():
    assert BEFORE.outcomes == {"a": "hit", "b": "part", "c": "context", "d": "no box"}
    assert BEFORE.counts() == {"hit": 1, "merged": 0, "part": 1, "context": 1, "elsewhere": 0, "no box": 1}
    assert BEFORE.shares() == pytest.approx(
        {"merged": 0, "part": 1 / 3, "context": 1 / 3, "elsewhere": 0, "no box": 1 / 3}
    )
    perfect = find_failures(predicted(a=(20, 20, 60, 60)), {"a": TRUTH["a"]})
    assert set(perfect.shares().values()) == {None}


def test_a_box_of_another_class_is_none():
    other = {"a": ImagePrediction(boxes=(Box(20.0, 20.0, 60.0, 60.0, "dog", 1.0),))}
    assert find_failures(other, {"a": TRUTH["a"]}).outcomes == {"a": "no box"}


def test_from_before_to_after():
    table = transitions(BEFORE, AFTER)
    assert {(row, column): n for row, of in table.items() for column, n in of.items() if n} == {
        ("hit", "hit"): 1,
        ("part", "hit"): 1,
        ("context", "context"): 1,
        ("no box", "part"): 1,
    }


def test_the_images_that_changed_most():
    better, worse = most_changed(BEFORE, AFTER, 5)
    assert [change.image for change in better] == ["b", "d"]
    assert worse == [Change("a", 1.0, 0.75)]
    assert most_changed(BEFORE, AFTER, 1)[0] == better[:1]
    assert most_changed(AFTER, BEFORE, 5)[0] == [Change("a", 0.75, 1.0)]


def test_only_the_same_images_compare():
    with pytest.raises(ValueError, match="same images"):
        transitions(BEFORE, find_failures({}, {"a": TRUTH["a"]}))
