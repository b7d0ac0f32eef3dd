"""The four metrics of Long et al. on cases computed by hand, and against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hasvideo.metrics.segmentation import METRICS, confusion_matrix, paired_bootstrap, score_segmentation

ABC = ("a", "b", "c")


def test_a_case_computed_by_hand():
    truth = np.array([[0, 0, 0, 0], [1, 1, 2, 255]], dtype=np.uint8)
    found = np.array([[0, 0, 0, 1], [1, 2, 2, 0]], dtype=np.uint8)
    confusion = confusion_matrix(truth, found, 3)
    assert confusion.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 1]]
    score = score_segmentation(confusion, ABC)
    assert score["pixel_accuracy"] == pytest.approx(5 / 7)
    assert score["mean_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert score["mean_iu"] == pytest.approx((3 / 4 + 1 / 3 + 1 / 2) / 3)
    assert score["fw_iu"] == pytest.approx((4 * 3 / 4 + 2 * 1 / 3 + 1 * 1 / 2) / 7)
    assert score["classes"]["b"] == {"accuracy": 0.5, "iu": pytest.approx(1 / 3), "pixels": 2}
    assert score["absent"] == []


def test_one_class_everywhere():
    """Calling everything the commoner of two classes, three to one."""
    truth = np.array([0, 0, 0, 1])
    score = score_segmentation(confusion_matrix(truth, np.zeros(4, int), 2), ("a", "b"))
    expected = {"pixel_accuracy": 3 / 4, "mean_accuracy": 1 / 2, "mean_iu": 3 / 8, "fw_iu": 9 / 16}
    assert {name: score[name] for name in METRICS} == expected


def test_a_class_without_pixels_is_stated_and_in_no_mean_but_costs_the_class_that_it_was_taken_for():
    truth, found = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 2, 1])
    score = score_segmentation(confusion_matrix(truth, found, 3), ABC)
    assert score["absent"] == ["c"]
    assert score["classes"]["c"] == {"accuracy": None, "iu": None, "pixels": 0}
    assert score["mean_accuracy"] == pytest.approx((3 / 4 + 1) / 2)
    assert score["mean_iu"] == pytest.approx((3 / 4 + 1) / 2)
    assert score["fw_iu"] == pytest.approx((4 * 3 / 4 + 1) / 5)


def test_what_is_called_where_nothing_counts_does_not_matter():
    truth = np.array([0, 1, 255, 255])
    scores = [confusion_matrix(truth, np.array([0, 1, *rest]), 2).tolist() for rest in ((0, 0), (1, 77))]
    assert scores[0] == scores[1] == [[1, 0], [0, 1]]
    assert confusion_matrix(truth, truth, 256, ignore=7).sum() == 4


masks = hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=6).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255])),
        hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)),
    )
)


@given(masks)
def test_the_definitions_pixel_by_pixel(pair):
    truth, found = (array.ravel().tolist() for array in pair)
    pixels = [(t, f) for t, f in zip(truth, found, strict=True) if t != 255]
    confusion = confusion_matrix(*pair, 4)
    if not pixels:
        with pytest.raises(ValueError, match="no pixel"):
            score_segmentation(confusion, "abcd")
        return
    there = sorted({t for t, _ in pixels})
    accuracy, iu, share = [], [], []
    for c in there:
        true = [p for p in pixels if p[0] == c]
        union = [p for p in pixels if c in p]
        hits = pixels.count((c, c))
        accuracy.append(hits / len(true))
        iu.append(hits / len(union))
        share.append(len(true) / len(pixels))
    score = score_segmentation(confusion, "abcd")
    assert score["pixel_accuracy"] == pytest.approx(sum(t == f for t, f in pixels) / len(pixels))
    assert score["mean_accuracy"] == pytest.approx(np.mean(accuracy))
    assert score["mean_iu"] == pytest.approx(np.mean(iu))
    assert score["fw_iu"] == pytest.approx(np.dot(share, iu))
    assert [score["classes"]["abcd"[c]]["iu"] for c in there] == pytest.approx(iu)


@pytest.mark.parametrize(("truth", "found", "message"), [
    ([0, 1], [0], "shape"),
    ([0, 3], [0, 0], "ground truth with labels 0 to 3 for 3 classes"),
    ([0, 1], [0, 255], "prediction with labels 0 to 255"),
    ([-1, 1], [0, 1], "ground truth with labels -1"),
])  # fmt: skip
def test_wrong_numbers(truth, found, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(truth), np.array(found), 3)


def test_a_matrix_of_other_classes():
    with pytest.raises(ValueError, match="2 classes"):
        score_segmentation(np.eye(3, dtype=int), ("a", "b"))


def matrices(rng, seeds, images, accuracy):
    """Confusion matrices of images of ten pixels a class, of which so many are right."""
    right = rng.binomial(10, accuracy, size=(seeds, images, 2))
    return np.stack(
        [np.stack([right[..., 0], 10 - right[..., 0]], -1), np.stack([10 - right[..., 1], right[..., 1]], -1)], -2
    )


def test_bootstrap_tells_a_gap_from_noise():
    rng = np.random.default_rng(0)
    better, worse, same = (matrices(rng, 3, 40, accuracy) for accuracy in (0.8, 0.6, 0.6))
    gaps = paired_bootstrap(better, worse)
    for name in METRICS:
        assert 0 < gaps[name].low < gaps[name].mean < gaps[name].high
        assert gaps[name].positive == 1
    whole = [score_segmentation(m.sum(axis=0), ("a", "b"))["mean_iu"] for m in (*better, *worse)]
    assert gaps["mean_iu"].mean == pytest.approx(np.mean(whole[:3]) - np.mean(whole[3:]))
    noise = paired_bootstrap(same, worse)["mean_iu"]
    assert noise.low < 0 < noise.high
    assert paired_bootstrap(same, same)["mean_iu"].high == 0


def test_bootstrap_needs_pairs():
    with pytest.raises(ValueError, match="equal seeds"):
        paired_bootstrap(np.ones((2, 3, 2, 2)), np.ones((1, 3, 2, 2)))
