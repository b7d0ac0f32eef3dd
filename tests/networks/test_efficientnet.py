"""EfficientNet-Lite0 with its real weights knows what is in a photograph."""

from __future__ import annotations

import matplotlib.cbook
import numpy as np
import torch
from PIL import Image

from hasvideo.networks.efficientnet import EfficientNetLite0
from hasvideo.networks.pixels import PixelNetwork
from hasvideo.weights import load_weights

ACADEMIC_GOWN, MILITARY_UNIFORM = 400, 652


def test_it_sees_the_uniform_that_grace_hopper_wears():
    network = EfficientNetLite0()
    missing, strange = network.load_state_dict(load_weights("efficientnet-lite0"), strict=False)
    assert not strange
    assert all(name.endswith("num_batches_tracked") for name in missing)
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        image = Image.open(file).convert("RGB")
    image = image.resize((256, image.height * 256 // image.width), Image.Resampling.BICUBIC)
    frames = torch.from_numpy(np.array(image))[None]
    with torch.inference_mode():
        logits = PixelNetwork(network, 224, (127.0,) * 3, (128.0,) * 3).eval()(frames)[0]
    assert {ACADEMIC_GOWN, MILITARY_UNIFORM} <= set(logits.topk(3).indices.tolist())
