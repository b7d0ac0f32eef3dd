"""pytorchvideo's networks as extractors: with weights of no use, but right layouts, inputs, shapes and times."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.extractors import load_extractor
from hasvideo.features.extractors import pytorchvideo as module
from hasvideo.features.extractors.pytorchvideo import CLIPS, Clip, build_trunk, load_pytorchvideo, two_pathways
from hasvideo.networks.pixels import PixelNetwork, SlowAndFast
from tests.features.planted import check_planted_event, features

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    from pytorchvideo.models import hub

NARROW = {
    "x3d": {"stem_dim_in": 4, "head_dim_out": 24},
    "slowfast": {"stem_dim_outs": (16, 2)},
    "mvit": {"spatial_size": 32, "temporal_size": 8, "patch_embed_dim": 8},
    "": {"stem_dim_out": 4},
}
"""Options that make networks small, by how their names begin."""


def shrink(build, **options):
    """A network whose head pools clips and frames of any size."""
    network = build(**options)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, torch.nn.AvgPool3d):
            parent, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(parent), attribute, torch.nn.AdaptiveAvgPool3d(1))
    return network


def liven(network):
    """Random weights by which the features depend on the frames: pytorchvideo's residuals begin as zero."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 and not name.endswith("bias"):
                parameter.fill_(1)
            elif parameter.ndim == 2:
                parameter.mul_(10)
    return network


@pytest.fixture
def small(request, monkeypatch):
    """The name of a network that is narrow and takes clips of 8 small frames from now on."""
    model = request.param
    options = next(options for start, options in NARROW.items() if model.startswith(start))
    monkeypatch.setattr(hub, model, partial(shrink, getattr(hub, model), **options))
    monkeypatch.setitem(CLIPS, model, Clip(8, CLIPS[model].rate, 4, 36, 32))
    return model


@pytest.fixture(scope="module")
def zoo_file(tmp_path_factory):
    """A file of X3D-XS in the zoo's layout, for seven classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("zoo") / "X3D_XS.pyth"
    torch.save({"model_state": liven(hub.x3d_xs(model_num_class=7)).state_dict()}, path)
    return path


@pytest.mark.parametrize("small", CLIPS, indirect=True)
def test_an_event_shows_where_the_grid_says(small, tmp_path):
    path = tmp_path / "weights.pyth"
    torch.manual_seed(0)
    torch.save({"model_state": liven(getattr(hub, small)()).state_dict()}, path)
    extractor = load_extractor(f"pytorchvideo/{small}", "torch", "cpu", path)
    assert extractor.name == f"pytorchvideo/{small}"
    check_planted_event(extractor)


@pytest.mark.parametrize(("model", "dim"), [
    ("x3d_xs", 2048), ("x3d_s", 2048), ("x3d_m", 2048), ("x3d_l", 2048), ("c2d_r50", 2048), ("i3d_r50", 2048),
    ("slow_r50", 2048), ("slowfast_r50", 2304), ("slowfast_r101", 2304), ("slowfast_16x8_r101_50_50", 2304),
    ("r2plus1d_r50", 2048), ("csn_r101", 2048), ("mvit_base_16x4", 768),
])  # fmt: skip
def test_shapes_at_real_sizes(model, dim):
    clip = CLIPS[model]
    with torch.device("cpu" if model.startswith("mvit") else "meta"):
        trunk, _, found = build_trunk(model)
    network = PixelNetwork(two_pathways(model, trunk), clip.crop, (0.0,) * 3, (1.0,) * 3).eval().to("meta")
    frames = torch.zeros((1, clip.frames, clip.size, clip.size, 3), dtype=torch.uint8, device="meta")
    assert (found, network(frames).shape) == (dim, (1, dim))


@pytest.mark.parametrize("model", CLIPS)
def test_clips_are_as_the_zoo_s_files_are_called(model):
    url = sys.modules[getattr(hub, model).__module__].checkpoint_paths[model]
    clip = CLIPS[model]
    assert "/kinetics/" in url
    assert clip.grid.fps * clip.rate == pytest.approx(30)
    assert clip.crop <= clip.size
    assert 0.4 <= clip.grid.step <= 0.6
    if "x3d" in model:  # {name: (frames, rate)} of the zoo's table; their files do not say
        assert clip[:2] == {"x3d_xs": (4, 12), "x3d_s": (13, 6)}.get(model, (16, 5))
    else:
        frames, rate = map(int, re.search(r"_(\d+)x(\d+)_?", Path(url).name).groups())
        alpha = 4 if "slowfast" in model else 1
        assert clip[:2] == (frames * alpha, rate // alpha)


def test_features_are_what_the_classifier_is_given(zoo_file):
    extractor = load_extractor("pytorchvideo/x3d_xs", "torch", "cpu", zoo_file)
    frames = np.random.default_rng(0).integers(0, 256, (4, 182, 182, 3), dtype=np.uint8)
    network = hub.x3d_xs(head_activation=None, model_num_class=7).eval()
    network.load_state_dict(torch.load(zoo_file)["model_state"])
    with torch.inference_mode():
        clip = (torch.from_numpy(frames).permute(3, 0, 1, 2)[None] / 255 - 0.45) / 0.225
        wanted = network(clip)
        feature = torch.from_numpy(features(extractor, frames)[2])  # whose window is the whole clip
        found = network.blocks[-1].proj(feature)[None]
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max())


def test_slowfast_s_pathways():
    clip = torch.arange(32.0).reshape(1, 1, 32, 1, 1)
    slow, fast = SlowAndFast(4)(clip)
    assert slow.flatten().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert fast is clip


@pytest.mark.parametrize(("name", "file", "error", "message"), [
    ("pytorchvideo/x3d_sx", None, UsageError, "did you mean pytorchvideo/x3d_s"),
    ("pytorchvideo/resnet", None, UsageError, "accepted: x3d_xs, .*slowfast_r50"),
    ("pytorchvideo", None, UsageError, "unknown extractor 'pytorchvideo'; did you mean pytorchvideo/NAME"),
    ("pytorchvideo/x3d_xs", "absent", UsageError, "no such file: .*absent"),
    ("pytorchvideo/x3d_xs", "text", HasvideoError, "cannot read weights from .*text"),
    ("pytorchvideo/x3d_xs", "list", HasvideoError, "list holds no state dict"),
    ("pytorchvideo/x3d_xs", "code", HasvideoError, "cannot read weights from .*code"),
    ("pytorchvideo/x3d_l", "x3d", HasvideoError, r"x3d does not fit the network: it lacks blocks\.1\.res_blocks\.3"),
    ("pytorchvideo/x3d_xs", "slow", HasvideoError, "slow does not fit the network: size mismatch for blocks"),
])  # fmt: skip
def test_weights_that_will_not_do(zoo_file, tmp_path, name, file, error, message):
    (tmp_path / "text").write_text("hello")
    torch.save([1, 2], tmp_path / "list")
    torch.save({"model_state": Path("x")}, tmp_path / "code")  # what only unpickling by running code would load
    shutil.copy(zoo_file, tmp_path / "x3d")
    torch.save({"model_state": hub.slow_r50(stem_dim_out=4).state_dict()}, tmp_path / "slow")
    with pytest.raises(error, match=message) as caught:
        load_extractor(name, "torch", "cpu", None if file is None else tmp_path / file)
    assert "\n" not in str(caught.value)


def test_the_zoo_s_file_is_fetched_once(zoo_file, monkeypatch, tmp_path, capsys):
    asked = []

    def download(url, target, **_):
        asked.append(url)
        shutil.copy(zoo_file, target)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    one, two = (load_pytorchvideo("x3d_xs", "torch", "cpu", None) for _ in range(2))
    assert asked == ["https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/X3D_XS.pyth"]
    given = load_pytorchvideo("x3d_xs", "torch", "cpu", zoo_file)
    assert one.weights_sha256 == two.weights_sha256 == given.weights_sha256
    assert capsys.readouterr().err.count("hasvideo: fetching https") == 1


def test_without_network_there_are_no_random_weights(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    wanted = r"from https.*/SLOW_8x8_R50\.pyth \(no route to host\): .*download that file .* --weights FILE"
    with pytest.raises(HasvideoError, match=wanted):
        load_extractor("pytorchvideo/slow_r50", "torch")


def test_what_is_used_of_pytorchvideo_imports_in_silence():
    code = (
        f"import sys, {module.__name__} as m; m.build_trunk('x3d_xs'); m.build_trunk('mvit_base_16x4'); "
        "print('pytorchvideo.transforms' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
