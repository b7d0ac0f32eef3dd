import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from hasvideo.errors import UsageError
from hasvideo.metrics.localization import (
    box_iou,
    centered_box,
    max_box_acc,
    paired_difference,
    score_images,
    whole_image,
)
from hasvideo.types import Box, ImagePrediction


def box(*corners, label="cat", score=1.0):
    return Box(*map(float, corners), label, score)


def ordered(c):
    return [min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])]


BOXES = st.tuples(*[st.integers(0, 12)] * 4).map(ordered)
ROWS = st.lists(BOXES, min_size=1, max_size=4).map(np.array)


@given(ROWS, ROWS)
def test_iou_is_counted_in_pixels(a, b):
    def pixels(corners, last):
        mask = np.zeros((14, 14), bool)
        mask[corners[1] : corners[3] + last, corners[0] : corners[2] + last] = True
        return mask

    for convention, last in (("continuous", 0), ("inclusive", 1)):
        for i, j in np.ndindex(len(a), len(b)):
            one, other = pixels(a[i], last), pixels(b[j], last)
            union = (one | other).sum()
            expected = (one & other).sum() / union if union else 0
            assert box_iou(a, b, convention)[i, j] == pytest.approx(expected)


def test_conventions_differ_and_no_other_is_known():
    a, b = np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])
    assert box_iou(a, b)[0, 0] == pytest.approx(2 / 6)
    assert box_iou(a, b, "inclusive")[0, 0] == pytest.approx(6 / 12)
    with pytest.raises(ValueError, match="'voc'; accepted: continuous, inclusive"):
        box_iou(a, b, "voc")


TRUTH = {
    "right": [box(0, 0, 10, 10)],
    "second": [box(0, 0, 10, 10), box(50, 50, 60, 60)],
    "wrong place": [box(0, 0, 10, 10)],
    "sixth": [box(0, 0, 10, 10)],
    "missing": [box(0, 0, 10, 10)],
}
PREDICTIONS = {
    "right": ImagePrediction(("cat", "dog"), (box(0, 0, 10, 8, score=0.9), box(40, 40, 41, 41, score=0.1))),
    "second": ImagePrediction(("dog", "cat"), (box(0, 0, 10, 10, label="dog"), box(50, 50, 60, 60))),
    "wrong place": ImagePrediction(("cat", "dog"), (box(0, 0, 10, 10, label="dog"), box(0, 0, 4, 10))),
    "sixth": ImagePrediction((*tuple("abcde"), "cat"), (box(0, 0, 5, 10),)),
}


def test_accuracies_by_hand():
    scores = score_images(PREDICTIONS, TRUTH)
    assert scores.images == tuple(TRUTH)
    assert scores.top1_class.tolist() == [True, False, True, False, False]
    assert scores.top5_class.tolist() == [True, True, True, False, False]
    assert scores.gt_known.tolist() == [True, True, False, True, False]  # an IoU of 0.5 is enough
    assert scores.iou == pytest.approx([0.8, 1, 0.4, 0.5, 0])
    assert scores.summary() == pytest.approx(
        {"top1_class": 0.4, "top5_class": 0.6, "top1_loc": 0.2, "top5_loc": 0.4, "gt_known": 0.6}
    )


def test_other_thresholds_and_methods_without_classes():
    assert score_images(PREDICTIONS, TRUTH, iou=0.4).gt_known.tolist() == [True, True, True, True, False]
    only_boxes = {image: ImagePrediction(boxes=p.boxes) for image, p in PREDICTIONS.items()}
    assert score_images(only_boxes, TRUTH).summary() == {
        "top1_class": None,
        "top5_class": None,
        "top1_loc": None,
        "top5_loc": None,
        "gt_known": 0.6,
    }


def test_boxes_of_other_classes_are_no_ground_truth():
    truth = {"i": [box(0, 0, 10, 10), box(20, 20, 30, 30, label="dog")]}
    assert score_images({"i": ImagePrediction(boxes=(box(20, 20, 30, 30),))}, truth).iou.tolist() == [0]


@pytest.mark.parametrize(("truth", "iou"), [({}, 0.5), ({"i": []}, 0.5), (TRUTH, 0), (TRUTH, 1.5)])
def test_wrong_requests(truth, iou):
    with pytest.raises(ValueError, match=r"needs a box|at most 1"):
        score_images(PREDICTIONS, truth, iou)


def runs(rate, seeds, images=200):
    truth = {str(i): [box(0, 0, 10, 10)] for i in range(images)}
    rng = np.random.default_rng(round(rate * 100))
    hit, miss = ImagePrediction(("cat",), (box(0, 0, 10, 10),)), ImagePrediction(("cat",))
    return [score_images({i: hit if rng.random() < rate else miss for i in truth}, truth) for _ in range(seeds)]


def test_a_clear_difference_is_clear_and_mirrors():
    good, bad = runs(0.8, 3), runs(0.4, 3)
    difference = paired_difference(good, bad)
    measured = np.mean([g.gt_known.mean() - b.gt_known.mean() for g, b in zip(good, bad, strict=True)])
    assert difference.mean == pytest.approx(measured)
    assert 0 < difference.low < difference.mean < difference.high
    assert difference.positive == 1
    assert paired_difference(bad, good).low == pytest.approx(-difference.high)
    assert paired_difference(good, bad, "top1_class").high == 0


def test_interval_of_one_seed_is_that_of_its_images():
    [good], [bad] = runs(0.6, 1), runs(0.5, 1)
    gap = good.gt_known.astype(float) - bad.gt_known
    difference = paired_difference([good], [bad], draws=4000)
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * gap.std() / np.sqrt(len(gap)), rel=0.08)


def test_seeds_that_cancel_out_are_no_difference():
    truth = {str(i): [box(0, 0, 10, 10)] for i in range(49)}
    hit, miss = ImagePrediction(("cat",), (box(0, 0, 10, 10),)), ImagePrediction(("cat",))

    def scores(hits):
        return score_images({image: hit if int(image) in hits else miss for image in truth}, truth)

    # In every draw the first seed gains by the images 20 to 29 what the second one loses by them.
    ours, theirs = [scores(range(30)), scores(())], [scores(range(20)), scores(range(20, 30))]
    difference = paired_difference(ours, theirs, over_seeds=False)
    assert difference.mean == pytest.approx(0)
    assert difference.positive == 0


def test_differences_that_make_no_sense():
    one, two = runs(0.5, 2)
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_difference([one, two], [one])
    with pytest.raises(ValueError, match="same images"):
        paired_difference([one], runs(0.5, 1, images=7))
    with pytest.raises(ValueError, match="unknown measure 'iou'"):
        paired_difference([one], [two], "iou")


def test_baselines_in_both_conventions():
    truth, sizes = {"i": [box(0, 0, 1, 1)]}, {"i": (100, 50)}
    assert whole_image(truth, sizes)["i"].boxes == (box(0, 0, 100, 50),)
    assert whole_image(truth, sizes, "inclusive")["i"].boxes == (box(0, 0, 99, 49),)
    [centred] = centered_box(truth, sizes, (0.5, 0.8))["i"].boxes
    assert centred.corners == pytest.approx((25, 5, 75, 45))


def test_baselines_of_imagenet10(shared_data):
    from hasvideo.datasets.imagenet import read_truth

    found = read_truth(shared_data / "imagenet10")
    truth, sizes = {i: t.boxes for i, t in found.items()}, {i: (t.width, t.height) for i, t in found.items()}
    assert len(truth) == 300
    for predictions, published in ((whole_image(truth, sizes), 38.7), (centered_box(truth, sizes), 54.0)):
        assert 100 * score_images(predictions, truth).gt_known.mean() == pytest.approx(published, abs=0.05)


def public_loop(cams, truth, sizes, every, ious, thresholds):
    """What the public code does, one image, threshold and box after another."""
    correct = np.zeros((len(ious), len(thresholds)))
    for image, cam in cams.items():
        (height, width), (image_width, image_height) = cam.shape, sizes[image]
        scaled = (cam - cam.min()) / (cam.max() - cam.min()) if cam.max() > cam.min() else np.zeros_like(cam)
        grey = (scaled * 255).astype(np.uint8)
        targets = [
            [int(b.xmin * width / image_width), int(b.ymin * height / image_height),
             int(b.xmax * width / image_width), int(b.ymax * height / image_height)]
            for b in truth[image]
        ]  # fmt: skip
        for t, threshold in enumerate(thresholds):
            mask = cv2.threshold(grey, int(threshold * np.max(grey)), 255, cv2.THRESH_BINARY)[1]
            contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
            if contours and not every:
                contours = [max(contours, key=cv2.contourArea)]
            boxes = []
            for x, y, w, h in map(cv2.boundingRect, contours):
                boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
            best = max(inclusive_iou(a, b) for a in boxes or [[0, 0, 0, 0]] for b in targets)
            correct[:, t] += best >= np.array(ious)
    return correct / len(truth)


def inclusive_iou(a, b):
    def area(left, top, right, bottom):
        return max(0, right - left + 1) * max(0, bottom - top + 1)

    shared = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return shared / (area(*a) + area(*b) - shared)


@pytest.mark.parametrize("every", [True, False])
def test_max_box_acc_is_that_of_the_published_loop(every):
    rng = np.random.default_rng(3)
    cams, truth, sizes = {}, {}, {}
    for i in range(40):
        image = f"{i:02}"
        cams[image] = ndimage.gaussian_filter(rng.random((32 + i % 2, 40)), 1 + i % 4).astype(np.float32)
        sizes[image] = int(rng.integers(50, 300)), int(rng.integers(50, 300))
        ends = np.sort(rng.random((int(rng.integers(1, 4)), 2, 2)) * sizes[image], axis=1)
        truth[image] = [box(*low, *(high + 1)) for low, high in ends]
    cams["flat"], sizes["flat"], truth["flat"] = np.ones((32, 40)), (40, 32), [box(0, 0, 1, 0)]
    ious, thresholds = (0.3, 0.5, 0.7), np.arange(0, 1, 0.03)
    found = max_box_acc(cams, truth, sizes, every=every, thresholds=thresholds)
    expected = public_loop(cams, truth, sizes, every, ious, thresholds)
    assert found.curve.tolist() == expected.tolist()
    assert found.best == pytest.approx(dict(zip(ious, expected.max(axis=1), strict=True)))
    assert found.mean == pytest.approx(expected.max(axis=1).mean())
    assert 0 < found.mean < 1


def test_ground_truth_is_scaled_to_the_pixel_of_the_published_code():
    cam = np.zeros((224, 224), np.float32)
    cam[:112, :112] = 1
    truth, sizes = {"i": [box(0, 0, 110, 110)]}, {"i": (220, 220)}
    # 110 * 224 / 220 is 112, but 110 * (224 / 220) is 111.99..., and that is pixel 111.
    assert max_box_acc({"i": cam}, truth, sizes, ious=(1.0,), thresholds=np.array([0.5])).mean == 1


def test_max_box_acc_needs_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"pip install 'hasvideo\[maxboxacc\]'"):
        max_box_acc({"right": np.eye(4)}, TRUTH, {"right": (10, 10)})


def bump(left, top, right, bottom, side=20):
    cam = np.zeros((side, side), np.float32)
    cam[top:bottom, left:right] = 1
    cam[top, left] = 2
    return cam


def test_max_box_acc_by_hand():
    truth, sizes = {"a": [box(2, 2, 12, 12)], "b": [box(0, 0, 50, 100)]}, {"a": (20, 20), "b": (100, 100)}
    cams = {"a": bump(2, 2, 12, 12), "b": bump(0, 0, 5, 20)}
    found = max_box_acc(cams, truth, sizes, convention="continuous", thresholds=np.array([0.1, 0.6]))
    assert found.curve.tolist() == [[1, 0], [1, 0], [0.5, 0]]  # b: an IoU of 0.5; above 0.6 only one pixel is left
    assert found.best_threshold == {0.3: 0.1, 0.5: 0.1, 0.7: 0.1}
    assert found.mean == pytest.approx(2.5 / 3)
    half = max_box_acc({"a": cams["a"]}, truth, sizes, every=False, ious=(0.5,))
    assert half.mean == 0.5  # b has no CAM and is missed


@pytest.mark.parametrize("thresholds", [np.array([-0.1]), np.array([0.5, 1.0]), np.array([])])
def test_thresholds_out_of_range(thresholds):
    with pytest.raises(ValueError, match="from 0 to below 1"):
        max_box_acc({}, TRUTH, {}, thresholds=thresholds)
