"""Loading torchvision's ImageNet weights, from state dicts of random numbers in their layout."""

from __future__ import annotations

import urllib.error

import pytest
import torch
from torchvision import models

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import TRUNKS, GapNetwork
from hasvideo.networks.pretrained import load_pretrained
from hasvideo.networks.trunk import IMAGENET_MEAN, IMAGENET_STD, Trunk
from tests.networks.settled import settle

ARCHITECTURES = ("alexnet", "googlenet", "resnet50")


@pytest.fixture(scope="module")
def classifiers() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    options = {"googlenet": {"init_weights": False, "transform_input": True}}
    found = {name: models.get_model(name, weights=None, **options.get(name, {})) for name in ARCHITECTURES}
    return {name: settle(model, torch.randn(2, 3, 96, 96)) for name, model in found.items()}


def network(architecture: str, **changes) -> GapNetwork:
    torch.manual_seed(1)
    return GapNetwork(ImageConfig(architecture, num_classes=5, **changes)).eval()


@pytest.mark.parametrize(
    ("architecture", "last", "layer", "changes"),
    [
        ("alexnet", "features.11", "rest.5", {"batch_norm": False}),
        ("googlenet", "inception4e", "rest.inception4e", {}),
        ("resnet50", "layer3", "rest.layer3", {}),
    ],
)
def test_shared_layers_then_answer_as_torchvisions(classifiers, architecture, last, layer, changes):
    theirs, ours = classifiers[architecture], network(architecture, **changes)
    load_pretrained(ours, theirs.state_dict())
    seen = {}
    for who, module in (("theirs", theirs.get_submodule(last)), ("ours", ours.get_submodule(layer))):
        module.register_forward_hook(lambda *call, who=who: seen.update({who: call[-1]}))
    images = torch.randint(0, 256, (1, 3, 96, 96))
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        theirs((images / 255 - mean) / std)  # as torchvision's documentation says that its weights want them
        ours(images)
    spread = seen["theirs"].std().item()
    assert spread > 0.01
    torch.testing.assert_close(seen["ours"], seen["theirs"], rtol=0, atol=1e-3 * spread)


@pytest.mark.parametrize(
    ("architecture", "changes", "count"),
    [
        ("alexnet", {}, 5),  # kernels alone
        ("alexnet", {"batch_norm": False}, 10),
        ("googlenet", {}, 45 * 5),  # 3 + 7 x 6 convolutions: kernel, scale, shift, running mean and variance
        ("resnet50", {}, 53 * 5),
    ],
)
def test_names_say_what_was_loaded_and_the_rest_stays(classifiers, architecture, changes, count):
    ours = network(architecture, **changes)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    loaded = load_pretrained(ours, classifiers[architecture].state_dict())
    changed = [name for name, tensor in ours.state_dict().items() if not torch.equal(tensor, before[name])]
    assert len(loaded) == count
    assert {name for name in loaded if name.endswith(("0.weight", "conv.weight"))} <= set(changed)
    assert set(changed) <= {*loaded, "image_mean", "image_std"}


def test_the_images_statistics_become_those_of_the_weights(classifiers):
    ours = network("resnet50")
    load_pretrained(ours, classifiers["resnet50"].state_dict())
    assert ours.image_mean.tolist() == pytest.approx(IMAGENET_MEAN)
    assert ours.image_std.tolist() == pytest.approx(IMAGENET_STD)


def test_a_file_will_do(classifiers, tmp_path):
    torch.save(classifiers["alexnet"].state_dict(), tmp_path / "alexnet.pth")
    ours = network("alexnet")
    load_pretrained(ours, tmp_path / "alexnet.pth")
    assert torch.equal(ours.first[0].weight, classifiers["alexnet"].features[0].weight)


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        ("alexnet", {"width": 0.5}, r"features.0.weight has shape \(64, 3, 11, 11\), this alexnet's \(32, 3, 11, 11\)"),
        ("alexnet", {"half_size": True}, r"features.0.weight has shape .* no half_size"),
        ("googlenet", {"batch_norm": False}, r"have no conv1.0.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(classifiers, architecture, changes, message):
    ours = network(architecture, **changes)
    before = ours.state_dict()["head.weight"].clone(), ours.image_mean.clone()
    with pytest.raises(HasvideoError, match=message):
        load_pretrained(ours, classifiers[architecture].state_dict())
    assert torch.equal(ours.head.weight, before[0])
    assert torch.equal(ours.image_mean, before[1])


def test_weights_of_another_architecture_are_refused(classifiers):
    with pytest.raises(HasvideoError, match=r"have no features.0.weight, so they are not torchvision's .* alexnet"):
        load_pretrained(network("alexnet"), classifiers["resnet50"].state_dict())


def test_an_architecture_without_weights_says_so(monkeypatch):
    monkeypatch.setitem(TRUNKS, "alexnet", lambda _: Trunk(torch.nn.Identity(), torch.nn.Identity(), 3, 3))
    with pytest.raises(UsageError, match="no pretrained weights for alexnet"):
        load_pretrained(network("alexnet"))


def test_unreadable_files_are_named(tmp_path):
    ours, path = network("alexnet"), tmp_path / "weights.pth"
    with pytest.raises(UsageError, match=r"no such file: .*weights.pth"):
        load_pretrained(ours, path)
    path.write_bytes(b"not weights")
    with pytest.raises(
        HasvideoError, match=r"cannot read weights from .*weights.pth: it holds none, or more than weights$"
    ):
        load_pretrained(ours, path)
    torch.save({"model": {}, "epoch": 3}, path)
    with pytest.raises(HasvideoError, match=r"weights.pth holds a dict of model, epoch: the state dict .* is expected"):
        load_pretrained(ours, path)
    torch.save([1], path)
    with pytest.raises(HasvideoError, match=r"weights.pth holds list"):
        load_pretrained(ours, path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_a_connection_the_error_says_what_to_do(architecture, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(HasvideoError) as raised:
        load_pretrained(network(architecture))
    message = str(raised.value)
    assert f"pretrained weights of {architecture} could not be fetched from https://download.pytorch.org" in message
    assert "no route to host" in message
    assert f"{tmp_path}/hub/checkpoints" in message
    assert "\n" not in message
