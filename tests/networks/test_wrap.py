"""CAMs of torchvision's classifiers, and the refusal of those whose head is not pooling and one linear layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from hasvideo.errors import HasvideoError
from hasvideo.networks.gap import normalise
from hasvideo.networks.wrap import wrap_classifier
from tests.networks.settled import settle


def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    quick = {"init_weights": False} if name in ("googlenet", "vgg11") else {}
    model = models.get_model(name, weights=None, num_classes=6, **quick)
    nn.init.normal_([m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1].bias)
    return settle(model, torch.randn(4, 3, 64, 64))


@pytest.mark.parametrize(
    "name",
    ["resnet18", "densenet121", "mobilenet_v2", "efficientnet_b0", "regnet_y_400mf", "shufflenet_v2_x0_5", "googlenet"],
)
def test_the_mean_of_the_cam_is_the_models_own_answer(name):
    network = wrap_classifier(classifier(name), size=64).eval()
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        scores, cam = network.localize(images)
        own = network.model(normalise(images, network.image_mean, network.image_std))
        assert torch.equal(network(images), scores)
    assert cam.shape == (2, 6, 2, 3)
    assert torch.equal(scores, own)
    torch.testing.assert_close(cam.mean((2, 3)), own, rtol=1e-4, atol=1e-4 * own.abs().max().item())
    assert cam.std(dim=(2, 3)).max() > 1e-2 * own.abs().max()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alexnet", "AlexNet gives no CAM: its last linear layer, of 4096 inputs, is not given .* of 256 channels"),
        ("vgg11", "VGG gives no CAM: .* other layers stand between them"),
        ("convnext_tiny", "ConvNeXt gives no CAM: its last linear layer, of 768 .* of 768 channels, as it is"),
        ("mobilenet_v3_small", "MobileNetV3 gives no CAM: .* of 1024 inputs, .* of 576 channels"),
        ("squeezenet1_1", "SqueezeNet gives no CAM: it has no linear layer after its average pooling"),
    ],
)
def test_other_heads_are_refused(name, message):
    with pytest.raises(HasvideoError, match=message):
        wrap_classifier(classifier(name), size=64)


class Classifier(nn.Module):
    """Averages four channels by ``mean`` and classifies them; what is done to the answers is given."""

    def __init__(self, after=lambda scores: scores) -> None:
        super().__init__()
        self.convolution, self.fc, self.after = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 2, bias=False), after

    def forward(self, images):
        return self.after(self.fc(self.convolution(images).relu().mean([2, 3])))


def test_the_cam_by_hand():
    model = Classifier()
    nn.init.zeros_(model.convolution.weight)
    nn.init.constant_(model.convolution.bias, 2.0)
    model.convolution.weight.data[0, 0] = 1 / 64  # channel 0: 2 + mean red of 8 x 8 pixels, before ReLU
    model.fc.weight.data = torch.tensor([[1.0, 0, 0, 0], [0, 3.0, 0, 0]])
    network = wrap_classifier(model, 16, image_mean=(100, 0, 0), image_std=(10, 1, 1)).eval()
    images = torch.full((1, 3, 8, 16), 100, dtype=torch.uint8)
    images[:, 0, :, 8:] = 150
    scores, cam = network.localize(images)
    torch.testing.assert_close(cam, torch.tensor([[[[2.0, 7.0]], [[6.0, 6.0]]]]))
    torch.testing.assert_close(scores, torch.tensor([[4.5, 6.0]]))


def test_answers_changed_after_the_linear_layer_are_refused():
    with pytest.raises(HasvideoError, match="what it answers is not what its last linear layer gives"):
        wrap_classifier(Classifier(lambda scores: scores.softmax(1)), 16)
    with pytest.raises(HasvideoError, match="what it answers is not"):
        wrap_classifier(Classifier(lambda scores: {"scores": scores}), 16)


def test_a_map_of_one_cell_shows_nothing():
    with pytest.raises(HasvideoError, match="no CAM of 8 pixels: its feature map is one cell"):
        wrap_classifier(Classifier(), 8)


def test_no_pooling():
    with pytest.raises(HasvideoError, match="Sequential gives no CAM: it averages no feature map"):
        wrap_classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)), 8)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_in_its_mode(training):
    model = classifier("resnet18").train(training)
    before = model.bn1.running_mean.clone()
    network = wrap_classifier(model, 64)
    assert network.training is model.training is training
    assert torch.equal(model.bn1.running_mean, before)


def test_a_refused_model_stays_in_its_mode():
    model = Classifier(lambda scores: scores.softmax(1)).train()
    with pytest.raises(HasvideoError):
        wrap_classifier(model, 16)
    assert model.training
