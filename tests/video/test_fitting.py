import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from hasvideo.checkpoint import load, save
from hasvideo.errors import UsageError
from hasvideo.features.store import FeatureMeta
from hasvideo.networks.config import TemporalConfig
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.settings import TrainingConfig
from hasvideo.types import IntervalRule, TimeGrid
from hasvideo.video.dataset import VideoBatch, VideoSample
from hasvideo.video.fitting import SegmentHider, VideoCriterion, detect, fit
from hasvideo.video.recipe import HidingConfig, Recipe

META = FeatureMeta("i3d", "ab" * 32, TimeGrid(25, 16, 8, -4), 6)
RECIPE = Recipe(
    TemporalConfig(channels=8), HidingConfig(), TrainingConfig(epochs=40, batch_size=5, learning_rate=0.01),
    IntervalRule(0.4, "minmax"), 0.2,
)  # fmt: skip


def planted(videos=20, seed=0):
    """Videos of noise around 1 in which dimension 0 or 1 rises to 4 while action a or b goes on."""
    rng = np.random.default_rng(seed)
    features, labels, spans = [], [], []
    for v in range(videos):
        array = rng.normal(1, 0.1, size=(int(rng.integers(30, 60)), 6))
        first = int(rng.integers(2, len(array) - 14))
        array[first : first + 10, v % 2] += 3
        features.append(array.astype(np.float16))
        labels.append(["ab"[v % 2]])
        spans.append((first, first + 10))
    return features, labels, spans


@pytest.mark.filterwarnings("ignore:hiding with standardised")
@pytest.mark.parametrize("changes", [{}, {"kernel": 3, "pooling": "topk"}, {"normalisation": "standardise"},
                                     {"classification": "sigmoid", "pooling": "max"}, {"layers": 0}])  # fmt: skip
def test_labels_alone_are_enough_to_find_planted_actions(changes):
    features, labels, _ = planted()
    recipe = replace(RECIPE, network=replace(RECIPE.network, **changes))
    model, history = fit(features, labels, META, recipe, progress=False)
    assert history[-1]["accuracy"] > 0.9
    new, new_labels, spans = planted(6, seed=1)
    found = detect(
        model, {f"v{i}": array for i, array in enumerate(new)}, {f"v{i}": len(new[i]) * 0.32 for i in range(6)}
    )
    for detections, (label,), (first, last), array in zip(found, new_labels, spans, new, strict=True):
        best = detections.intervals[0]
        edges = META.grid.edges(len(array), len(array) * 0.32)
        assert best.label == label
        overlap = min(best.end, edges[last]) - max(best.start, edges[first])
        assert overlap / (max(best.end, edges[last]) - min(best.start, edges[first])) > 0.5


def test_hiding_with_standardised_features_is_warned_of():
    features, labels, _ = planted(4)
    short = replace(RECIPE, training=replace(RECIPE.training, epochs=1))
    standardised = replace(short, network=replace(RECIPE.network, normalisation="standardise"))
    with pytest.warns(UserWarning, match="normalisation center or none keeps its gain"):
        fit(features, labels, META, standardised, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(features, labels, META, short, progress=False)
        fit(features, labels, META, replace(standardised, hiding=HidingConfig(p=0.0)), progress=False)


def test_the_model_carries_all_that_localize_needs(tmp_path):
    features, labels, _ = planted()
    model, _ = fit(features, labels, META, RECIPE, name="mine", progress=False)
    save(model, tmp_path / "m.ckpt")
    loaded = load(tmp_path / "m.ckpt")
    assert (loaded.classes, loaded.extractor, loaded.weights_sha256, loaded.grid) == (
        ("a", "b"),
        "i3d",
        "ab" * 32,
        META.grid,
    )
    assert (loaded.rule, loaded.min_class_score) == (RECIPE.rule, RECIPE.min_class_score)
    together = np.concatenate(features).astype(np.float64)
    np.testing.assert_allclose(loaded.network.feature_mean, together.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(loaded.network.feature_std, together.std(axis=0), rtol=1e-5)


def test_a_seed_decides_the_model_and_what_ran_before_does_not():
    features, labels, _ = planted()
    short = replace(RECIPE, training=replace(RECIPE.training, epochs=3))
    first, _ = fit(features, labels, META, short, progress=False)
    torch.rand(5)
    second, _ = fit(features, labels, META, short, progress=False)
    other, _ = fit(features, labels, META, replace(short, training=replace(short.training, seed=1)), progress=False)
    assert torch.equal(first.network.head.weight, second.network.head.weight)
    assert not torch.equal(first.network.head.weight, other.network.head.weight)


def test_the_background_class_is_learnt_and_never_reported():
    features, labels, _ = planted()
    rng = np.random.default_rng(5)
    features += [rng.normal(1, 0.1, size=(40, 6)).astype(np.float16) for _ in range(8)]
    labels += [["none"]] * 8
    model, _ = fit(features, labels, META, replace(RECIPE, hiding=HidingConfig(p=0)), background="none", progress=False)
    found = detect(model, {f"v{i}": array for i, array in enumerate(features)})
    assert [{i.label for i in detections.intervals} for detections in found] == [
        set() if label == ["none"] else set(label) for label in labels
    ]


def sample(length=40):
    return VideoSample(torch.rand(length, 6) + 5, torch.zeros(2))


@pytest.mark.parametrize("normalisation", ["none", "standardise", "l2"])
def test_a_hidden_segment_is_the_average_raw_feature_under_any_normalisation(normalisation):
    network = TemporalNetwork(TemporalConfig(6, 2, normalisation=normalisation))
    network.feature_mean.uniform_(1, 2)
    network.feature_std.uniform_(1, 2)
    hidden = SegmentHider(network, HidingConfig(p=1))(sample(), torch.Generator()).features
    torch.testing.assert_close(hidden, network.feature_mean.expand(40, 6))
    if normalisation == "standardise":
        assert network._normalise(hidden).abs().max() == 0


def test_fills():
    network = TemporalNetwork(TemporalConfig(6, 2))
    network.feature_mean.fill_(3)
    network.feature_std.fill_(0.1)
    zero = SegmentHider(network, HidingConfig(p=1, fill="zero"))(sample(), torch.Generator()).features
    assert zero.abs().sum() == 0
    noise = SegmentHider(network, HidingConfig(p=1, fill="noise"))(sample(400), torch.Generator()).features
    assert noise.mean().item() == pytest.approx(3, abs=0.02)
    assert noise.std().item() == pytest.approx(0.1, rel=0.1)


class Fixed(torch.nn.Module):
    def forward(self, features, lengths):
        return features, None


def criterion(classification, scores, targets):
    batch = VideoBatch(torch.tensor(scores), torch.ones(len(scores)), torch.tensor(targets))
    return VideoCriterion(classification)(Fixed(), batch)


def test_softmax_loss_normalises_multi_hot_targets():
    values = criterion("softmax", [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    log_sum = np.log(np.exp(2) + 2)
    assert values["loss"].tolist() == pytest.approx([(log_sum - 2 + log_sum) / 2, np.log(3)])
    assert values["accuracy"].tolist() == [1, 0]


def test_sigmoid_loss_is_the_mean_over_classes():
    values = criterion("sigmoid", [[0.0, 0.0]], [[1.0, 0.0]])
    assert values["loss"].tolist() == pytest.approx([np.log(2)])


def test_a_video_without_labels_pulls_on_no_class_in_softmax():
    assert criterion("softmax", [[1.0, 2.0]], [[0.0, 0.0]])["loss"].tolist() == [0]


@pytest.mark.parametrize(("build", "message"), [
    (lambda: HidingConfig(p=1.5), "p from 0 to 1"),
    (lambda: HidingConfig(fill="black"), "black.*mean, zero, noise"),
    (lambda: TemporalConfig(dropout=1.0), "dropout"),
])  # fmt: skip
def test_bad_settings(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_duration_defaults_to_the_features_extent():
    features, labels, _ = planted(4)
    model, _ = fit(features, labels, META, replace(RECIPE, training=TrainingConfig(epochs=1)), progress=False)
    found = detect(model, {"v": features[0]})[0]
    assert found.info.duration == pytest.approx(len(features[0]) * 0.32 - 0.16 + 4 / 25)


def test_roughness_counts_steps_inside_each_video():
    from hasvideo.video.fitting import _roughness

    cam = torch.tensor([[[0.0, 1.0, 3.0, 99.0]], [[1.0, 1.0, 1.0, 2.0]]])
    assert _roughness(cam, torch.tensor([3, 4])).tolist() == pytest.approx([(1 + 4) / 3, 1 / 4])
