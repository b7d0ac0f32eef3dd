"""C3D: sizes of the paper, and the layouts of published checkpoints."""

from __future__ import annotations

import pytest
import torch

from hasvideo.errors import HasvideoError
from hasvideo.networks.c3d import C3D, LAYERS, rename_layers


def test_the_sizes_are_those_of_the_paper():
    with torch.device("meta"):
        network = C3D("fc7")
        assert network(torch.zeros(2, 3, 16, 112, 112)).shape == (2, 4096)
    convolutions = [tuple(network.get_submodule(name).weight.shape[:2]) for name in LAYERS[:8]]
    assert convolutions == [(64, 3), (128, 64), (256, 128), (256, 256), (512, 256), (512, 512), (512, 512), (512, 512)]
    assert network.fc6.in_features == 8192


MMACTION = ("conv1a.conv", "conv2a.conv", "conv3a.conv", "conv3b.conv", "conv4a.conv", "conv4b.conv", "conv5a.conv",
            "conv5b.conv", "fc6", "fc7")  # fmt: skip
JFZHANG = ("features.0", "features.3", "features.6", "features.8", "features.11", "features.13", "features.16",
           "features.18", "classifier.0", "classifier.3")  # fmt: skip


@pytest.mark.parametrize(("names", "prefix"), [
    (LAYERS, ""), (LAYERS, "module."), (MMACTION, ""), (MMACTION, "backbone."), (JFZHANG, ""),
])  # fmt: skip
def test_published_layouts_become_ours(names, prefix):
    state = C3D("fc7", 1, 2).state_dict()
    theirs = {prefix + names[LAYERS.index(k.split(".")[0])] + "." + k.split(".")[1]: v for k, v in state.items()}
    theirs["fc8.weight"] = torch.zeros(487, 2)
    found = rename_layers(theirs)
    assert set(found) == set(state)
    assert all(found[name] is state[name] for name in state)


def test_another_network_is_refused():
    with pytest.raises(HasvideoError, match=r"no checkpoint of C3D: it holds layer1\.weight"):
        rename_layers({"layer1.weight": torch.zeros(1)})
