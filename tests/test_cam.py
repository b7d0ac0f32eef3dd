import pytest
import torch

from hasvideo.cam import CamHead

POOLINGS = ("average", "max", "topk")


def head_1d(pooling="average", topk_divisor=2):
    head = CamHead(2, 1, pooling, topk_divisor)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 10.0]]))
        head.bias.fill_(0.5)
    return head


FEATURES = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 0.0]]])  # (1, 2, 4): answers 1.5, 2.5, 13.5, 4.5


@pytest.mark.parametrize(("pooling", "score"), [("average", 5.5), ("max", 13.5), ("topk", 9.0)])
def test_known_cam_and_scores(pooling, score):
    head = head_1d(pooling)
    assert head.cam(FEATURES).tolist() == [[[1.5, 2.5, 13.5, 4.5]]]
    assert head.pool(head.cam(FEATURES)).item() == pytest.approx(score)
    assert head(FEATURES).item() == pytest.approx(score)


@pytest.mark.parametrize(("pooling", "score"), [("average", 2.0), ("max", 2.5), ("topk", 2.5)])
def test_padding_never_counts(pooling, score):
    head = head_1d(pooling)
    mask = torch.tensor([[True, True, False, False]])
    assert head(FEATURES, mask).item() == pytest.approx(score)
    assert head.pool(head.cam(FEATURES), mask).item() == pytest.approx(score)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [(7,), (4, 5), (2, 3, 4)])
def test_any_number_of_dimensions(pooling, size):
    torch.manual_seed(0)
    head, features = CamHead(6, 3, pooling), torch.randn(2, 6, *size)
    cam = head.cam(features)
    assert cam.shape == (2, 3, *size)
    flat = head.cam(features.flatten(2))
    torch.testing.assert_close(cam.flatten(2), flat)
    torch.testing.assert_close(head(features), head.pool(flat))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_masked_batch_equals_its_samples_alone(pooling):
    torch.manual_seed(0)
    head, features, lengths = CamHead(4, 3, pooling, 3), torch.randn(3, 4, 11), torch.tensor([11, 2, 7])
    together = head(features, torch.arange(11) < lengths[:, None])
    alone = torch.cat([head(features[i : i + 1, :, :n]) for i, n in enumerate(lengths)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_gets_no_gradient(pooling):
    head, features = CamHead(2, 2, pooling), torch.randn(1, 2, 5, requires_grad=True)
    head(features, torch.tensor([[True, True, True, False, False]])).sum().backward()
    assert torch.isfinite(features.grad).all()
    assert features.grad[0, :, 3:].abs().sum() == 0
    assert features.grad[0, :, :3].abs().sum() > 0


def test_no_bias():
    assert CamHead(2, 3, bias=False).cam(torch.zeros(1, 2, 4)).abs().sum() == 0


@pytest.mark.parametrize(("arguments", "message"), [({"pooling": "mean"}, "mean.*average, max, topk"),
                                                    ({"topk_divisor": 0}, "at least 1, got 0")])  # fmt: skip
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CamHead(2, 3, **arguments)
