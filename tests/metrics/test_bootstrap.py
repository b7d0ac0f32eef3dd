import copy

import numpy as np
import pytest

from hasvideo.errors import UsageError
from hasvideo.metrics.bootstrap import mean_ap, paired_bootstrap
from hasvideo.metrics.detection import match

TIOU = [0.1, 0.3, 0.5]


def world(noise, seed, videos=12):
    """Ground truth of two classes, and detections that are off by about ``noise`` seconds, with some false alarms."""
    truth_rng, rng = np.random.default_rng(0), np.random.default_rng(seed)
    database, results = {}, {}
    for v in range(videos):
        starts = truth_rng.uniform(0, 50, size=3)
        items = [{"label": "ab"[int(truth_rng.integers(2))], "segment": [float(s), float(s) + 5]} for s in starts]
        database[f"v{v:02}"] = {"subset": "test", "annotations": items}
        found = []
        for item in items:
            start = item["segment"][0] + rng.normal(0, noise)
            found.append({"label": item["label"], "segment": [start, start + 5], "score": float(rng.uniform(0.3, 1))})
        found.append({"label": "a", "segment": [100.0, 101.0], "score": float(rng.uniform(0, 0.9))})
        results[f"v{v:02}"] = found
    return {"database": database}, {"results": results}


def evaluated(noise, seed, protocol="activitynet"):
    truth, found = world(noise, seed)
    return match(found, truth, protocol, TIOU, classes=["a", "b"])


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
def test_every_video_once_is_the_plain_map(protocol):
    matches = evaluated(1.0, 1, protocol)
    assert mean_ap(matches, np.ones((1, 12)))[0] == pytest.approx(matches.summary()["average_mAP"], abs=1e-12)


def test_counts_are_the_same_as_copies_of_the_videos():
    truth, found = world(1.0, 1)
    counts = np.array([2, 0, 1, 3, 0, 1, 1, 0, 2, 1, 0, 1])
    database, results = {}, {}
    for video, count in zip(list(truth["database"]), counts, strict=True):
        for copy_number in range(count):
            database[f"{video}-{copy_number}"] = copy.deepcopy(truth["database"][video])
            results[f"{video}-{copy_number}"] = copy.deepcopy(found["results"][video])
    copied = match({"results": results}, {"database": database}, "activitynet", TIOU).summary()["average_mAP"]
    assert mean_ap(match(found, truth, "activitynet", TIOU), counts[None])[0] == pytest.approx(copied, abs=1e-12)


def test_a_clear_difference_is_clear():
    good, bad = [evaluated(0.2, s) for s in range(4)], [evaluated(3.0, s) for s in range(4)]
    difference = paired_bootstrap(good, bad, draws=300)
    measured = np.mean(
        [g.summary()["average_mAP"] - b.summary()["average_mAP"] for g, b in zip(good, bad, strict=True)]
    )
    assert difference.mean == pytest.approx(measured)
    assert 0 < difference.low < difference.mean < difference.high
    assert difference.positive == 1
    mirrored = paired_bootstrap(bad, good, draws=300)
    assert mirrored.low == pytest.approx(-difference.high)


def test_some_thresholds_alone():
    good, bad = evaluated(0.5, 1), evaluated(2.0, 1)
    difference = paired_bootstrap([good], [bad], [0.3, 0.5], draws=20)
    at = [good.summary()["mAP"][t] - bad.summary()["mAP"][t] for t in ("0.3", "0.5")]
    assert difference.mean == pytest.approx(np.mean(at))
    with pytest.raises(UsageError, match="0.4 was not evaluated"):
        paired_bootstrap([good], [bad], [0.4])


def test_no_difference_is_zero():
    same = [evaluated(1.0, s) for s in range(3)]
    difference = paired_bootstrap(same, same, draws=50)
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_seeds_widen_the_interval_and_draws_repeat():
    ours, theirs = [evaluated(1.0, s) for s in range(4)], [evaluated(1.2, s + 10) for s in range(4)]
    wide, narrow = (paired_bootstrap(ours, theirs, draws=400, over_seeds=over) for over in (True, False))
    assert wide.high - wide.low > narrow.high - narrow.low
    assert wide == paired_bootstrap(ours, theirs, draws=400)


def test_unequal_numbers_of_seeds():
    with pytest.raises(ValueError, match="got 1 and 0"):
        paired_bootstrap([evaluated(1.0, 1)], [])
