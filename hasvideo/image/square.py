"""Images squeezed into squares, as the networks take them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def square(image: np.ndarray, size: int) -> Tensor:
    """An image, uint8 ``(H, W, 3)``, squeezed to uint8 ``(3, size, size)``, bilinear, with antialiasing."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    if tensor.shape[1:] == (size, size):
        return tensor.contiguous()
    scaled = F.interpolate(tensor[None].float(), (size, size), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)[0]
