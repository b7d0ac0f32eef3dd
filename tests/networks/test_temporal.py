import dataclasses

import pytest
import torch

from hasvideo.networks.config import TemporalConfig
from hasvideo.networks.temporal import TemporalNetwork

SMALL = TemporalConfig(in_channels=6, num_classes=3, channels=5)


def network(**changes):
    torch.manual_seed(0)
    net = TemporalNetwork(dataclasses.replace(SMALL, **changes)).eval()
    net.feature_mean.normal_()
    net.feature_std.uniform_(0.5, 2)
    return net


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_shapes(layers):
    scores, cam = network(layers=layers)(torch.randn(4, 9, 6))
    assert scores.shape == (4, 3)
    assert cam.shape == (4, 3, 9)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("pooling", ["average", "max", "topk"])
@pytest.mark.parametrize("normalisation", ["none", "standardise", "l2"])
def test_results_do_not_depend_on_the_batch(kernel, pooling, normalisation):
    net = network(kernel=kernel, pooling=pooling, normalisation=normalisation)
    features, lengths = torch.randn(4, 12, 6), torch.tensor([12, 1, 5, 8])
    features[1, 1:] = 1e6  # whatever lies in the padding
    scores, cam = net(features, lengths)
    for i, n in enumerate(lengths.tolist()):
        alone_scores, alone_cam = net(features[i : i + 1, :n])
        torch.testing.assert_close(scores[i], alone_scores[0])
        torch.testing.assert_close(cam[i, :, :n], alone_cam[0])
        assert cam[i, :, n:].abs().sum() == 0
    packed = torch.cat([video[:n] for video, n in zip(features, lengths, strict=True)])
    for ours, theirs in zip(net(packed, lengths), (scores, cam), strict=True):
        assert torch.equal(ours, theirs)


def test_packed_features_need_lengths():
    with pytest.raises(ValueError, match="need lengths"):
        network()(torch.randn(5, 6))


def test_average_pooled_cam_is_the_score():
    scores, cam = network()(torch.randn(2, 7, 6))
    torch.testing.assert_close(cam.mean(dim=2), scores)


def test_standardised_input_equals_raw_input_standardised_by_hand():
    standardised, raw = network(normalisation="standardise"), network()
    x = torch.randn(1, 4, 6)
    torch.testing.assert_close(standardised(x)[0], raw((x - raw.feature_mean) / raw.feature_std)[0])


def test_l2_ignores_the_length_of_a_feature():
    net, x = network(normalisation="l2"), torch.randn(1, 4, 6)
    torch.testing.assert_close(net(x)[0], net(x * 7)[0])


def test_statistics_travel_in_the_state_dict():
    assert {"feature_mean", "feature_std"} <= set(network().state_dict())


def test_probabilities():
    scores = torch.tensor([[0.0, 0.0, 0.0]])
    torch.testing.assert_close(network().probabilities(scores), torch.full((1, 3), 1 / 3))
    torch.testing.assert_close(network(classification="sigmoid").probabilities(scores), torch.full((1, 3), 0.5))


def test_dropout_only_while_training():
    net, x = network(dropout=0.5), torch.randn(1, 50, 6)
    assert torch.equal(net(x)[0], net(x)[0])
    net.train()
    assert not torch.equal(net(x)[0], net(x)[0])


def test_half_precision_features():
    net, x = network(), torch.randn(1, 4, 6).half()
    torch.testing.assert_close(net(x)[0], net(x.float())[0])


@pytest.mark.parametrize(("changes", "message"), [
    ({"kernel": 2}, "kernel must be odd.*got 2"),
    ({"num_classes": 0}, "positive sizes.*num_classes=0"),
    ({"normalisation": "whiten"}, "whiten.*none, center, standardise, l2"),
    ({"classification": "hinge"}, "hinge.*softmax, sigmoid"),
])  # fmt: skip
def test_bad_configurations(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changes)


def test_config_round_trip():
    assert TemporalConfig(**SMALL.to_dict()) == SMALL


def test_smoothing_averages_neighbours_inside_each_video_only():
    network = TemporalNetwork(TemporalConfig(1, 1, layers=0, bias=False, smoothing=1)).eval()
    network.head.weight.data.fill_(1.0)
    features = torch.tensor([[[4.0], [0.0], [8.0], [100.0]], [[1.0], [1.0], [1.0], [1.0]]])
    with torch.no_grad():
        scores, cam = network(features, torch.tensor([3, 4]))
    assert cam[0, 0].tolist() == [3.0, 3.0, 6.0, 0.0]
    assert cam[1, 0].tolist() == [1.0] * 4
    assert scores[0].item() == pytest.approx(4.0)


@pytest.mark.parametrize("layers", [0, 1])
def test_a_head_kernel_sees_neighbours_of_the_same_video_only(layers):
    torch.manual_seed(0)
    network = TemporalNetwork(TemporalConfig(4, 3, layers=layers, channels=5, head_kernel=3, normalisation="center"))
    network.feature_mean.uniform_()
    network.eval()
    features = torch.randn(2, 6, 4)
    with torch.no_grad():
        _, together = network(features, torch.tensor([4, 6]))
        _, alone = network(features[:1, :4])
        changed = features.clone()
        changed[0, 2] += 1.0
        _, moved = network(changed, torch.tensor([4, 6]))
    assert torch.allclose(together[0, :, :4], alone[0], atol=1e-6)
    touched = (moved - together).abs().amax(dim=1) > 1e-6
    assert touched.tolist() == [[False, True, True, True, False, False], [False] * 6]


def test_center_takes_the_training_mean_off():
    network = TemporalNetwork(TemporalConfig(2, 1, layers=0, bias=False, normalisation="center")).eval()
    network.feature_mean.copy_(torch.tensor([1.0, 2.0]))
    network.head.weight.data.fill_(1.0)
    with torch.no_grad():
        assert network(torch.tensor([[[1.0, 2.0], [2.0, 5.0]]]))[1].tolist() == [[[0.0, 4.0]]]


def test_input_dropout_is_for_training_only():
    network = TemporalNetwork(TemporalConfig(50, 2, layers=0, input_dropout=0.9))
    features = torch.ones(1, 3, 50)
    with torch.no_grad():
        assert not network.train()(features)[1].equal(network(features)[1])
        assert network.eval()(features)[1].equal(network(features)[1])
