"""Extractors by networks over clips and frames: with weights of no use, but right shapes and times."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.extractors import efficientnet, load_extractor
from hasvideo.features.extractors import torchvision as module
from hasvideo.features.extractors.clips import ClipExtractor, centred_grid
from hasvideo.networks.c3d import C3D
from hasvideo.networks.efficientnet import EfficientNetLite0
from hasvideo.networks.pixels import PixelNetwork, remove_classifier
from hasvideo.types import TimeGrid
from tests.features.planted import check_planted_event, features


def seeded(build, *arguments, **options):
    torch.manual_seed(0)
    return build(*arguments, **options).state_dict()


def underscored(state):
    return {".".join(p if p.isdigit() or p in _LAST else f"_{p}" for p in k.split(".")): v for k, v in state.items()}


_LAST = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of random weights, each in the form in which they come."""
    root = tmp_path_factory.mktemp("weights")
    torch.save(seeded(torchvision.models.get_model, "mc3_18", num_classes=7), root / "mc3_18")
    torch.save({"state_dict": seeded(torchvision.models.get_model, "resnet18")}, root / "resnet18")
    torch.save(underscored(seeded(EfficientNetLite0)), root / "efficientnet_lite0")
    torch.save(seeded(C3D, "fc7", 2, 8), root / "c3d")
    return root


@pytest.fixture(scope="module", params=[
    ("torchvision/mc3_18", "mc3_18", 512),
    ("torchvision/resnet18", "resnet18", 512),
    ("efficientnet_lite0", "efficientnet_lite0", 1280),
    ("c3d", "c3d", 8),
    ("c3d/fc7", "c3d", 8),
])  # fmt: skip
def extractor(request, files):
    """Each of them, torchvision's on small frames for the time that it takes."""
    name, file, dim = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "preprocessing", lambda _: module.Pixels(36, 32, (120.0,) * 3, (60.0,) * 3))
        patch.setattr(efficientnet, "SIZE", 40)
        patch.setattr(efficientnet, "CROP", 32)
        patch.setitem(module.VIDEO_GRIDS, "mc3_18", centred_grid(15.0, 8, 4))
        found = load_extractor(name, "torch", "cpu", files / file)
    assert (found.name, found.dim) == (name, dim)
    return found


def test_an_event_shows_where_the_grid_says_and_chunks_do_not_matter(extractor):
    check_planted_event(extractor)


@pytest.mark.parametrize(("model", "dim"), [
    ("r3d_18", 512), ("mc3_18", 512), ("r2plus1d_18", 512), ("s3d", 1024), ("mvit_v1_b", 768), ("mvit_v2_s", 768),
    ("swin3d_t", 768), ("resnet50", 2048), ("vit_b_16", 768), ("convnext_tiny", 768), ("googlenet", 1024),
])  # fmt: skip
def test_shapes_of_torchvision_s_networks_at_their_real_sizes(model, dim):
    pixels = module.preprocessing(module._default_weights(model))
    grid = module.VIDEO_GRIDS.get(model, module._IMAGES)
    time = () if grid.window == 1 else (grid.window,)
    options = {"init_weights": False} if model == "googlenet" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(model, weights=None, **options)
        assert remove_classifier(network)[1] == dim
        frames = torch.zeros((1, *time, pixels.size, pixels.size, 3), dtype=torch.uint8)
        assert PixelNetwork(network, pixels.crop, pixels.mean, pixels.std).eval()(frames).shape == (1, dim)


def test_preprocessing_is_that_of_the_weights():
    pixels = module.preprocessing(torchvision.models.video.R3D_18_Weights.DEFAULT)
    assert pixels[:2] == (128, 112)
    np.testing.assert_allclose(pixels.mean, 255 * np.array([0.43216, 0.394666, 0.37645]))
    network = PixelNetwork(torch.nn.Identity(), 2, (1.0, 2.0, 3.0), (2.0, 2.0, 2.0))
    frames = torch.arange(48, dtype=torch.uint8).reshape(1, 4, 4, 3)
    wanted = (frames[0, 1:3, 1:3].float() - torch.tensor([1.0, 2.0, 3.0])) / 2
    assert network(frames).equal(wanted.permute(2, 0, 1).reshape(1, -1))


def test_how_many_clips_are_computed_together_does_not_matter():
    torch.manual_seed(0)
    pooled = torch.nn.Sequential(torch.nn.Conv3d(3, 5, 3), torch.nn.AdaptiveAvgPool3d(1))
    network = PixelNetwork(pooled, 8, (0.0,) * 3, (255.0,) * 3).eval()
    frames = np.random.default_rng(0).integers(0, 256, (29, 8, 8, 3), dtype=np.uint8)
    one, three = (
        ClipExtractor("x", TimeGrid(10, 6, 4, -1), 8, 5, "ab", lambda: network, "auto", "cpu", batch=batch)
        for batch in (1, 3)
    )
    assert features(one, frames).shape == (8, 5)
    np.testing.assert_allclose(features(three, frames), features(one, frames), atol=1e-6)


@pytest.mark.parametrize(("name", "file", "error", "message"), [
    ("torchvision/r3d18", None, UsageError, "did you mean torchvision/r3d_18"),
    ("torchvision/resnet18", "absent", UsageError, "no such file: .*absent"),
    ("torchvision/resnet18", "text", HasvideoError, "cannot read weights from .*text"),
    ("torchvision/resnet18", "list", HasvideoError, "list holds no state dict"),
    ("torchvision/resnet34", "resnet18", HasvideoError, r"resnet18 does not fit the network: it lacks layer1\.2"),
    ("torchvision/resnet18", "resnet34", HasvideoError, r"resnet34 does not fit .* has what the network has not"),
    ("torchvision/resnet18", "mc3_18", HasvideoError, r"mc3_18 does not fit the network"),
    ("c3d", None, UsageError, "no weights of its own: give --weights FILE"),
    ("c3d", "resnet18", HasvideoError, "resnet18: no checkpoint of C3D"),
    ("c3d/fc9", None, UsageError, "c3d/fc9.*accepted: c3d"),
])  # fmt: skip
def test_weights_that_will_not_do(files, name, file, error, message):
    (files / "text").write_text("hello")
    torch.save([1, 2], files / "list")
    torch.save(torch.load(files / "resnet18")["state_dict"] | {"layer1.2.x": torch.zeros(1)}, files / "resnet34")
    with pytest.raises(error, match=message):
        load_extractor(name, "torch", "cpu", None if file is None else files / file)


def test_without_network_there_are_no_random_weights(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(HasvideoError, match=r"could not be fetched from https.*no route to host"):
        load_extractor("torchvision/squeezenet1_1", "torch")
