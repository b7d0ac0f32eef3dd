"""The temporal localization network: a few convolutions over time and the CAM head (paper, action localization)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.cam import CamHead
from hasvideo.hiding import length_mask
from hasvideo.networks.config import TemporalConfig


class TemporalNetwork(nn.Module):
    """Classify videos by their features, and show by the temporal CAM which of these spoke for each class.

    The statistics of the training features are buffers of the network, so that they travel with it. Hidden segments are
    filled with ``feature_mean``. Of the normalisations, ``center`` subtracts it, ``standardise`` also divides by
    ``feature_std``, and ``l2`` uses neither: it scales every feature to length 1. Features are normalised after hiding,
    so that a hidden segment is the average feature in each case.

    A video's results do not depend on what it is batched with.

    Args:
        config: architecture and input size.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.in_channels))
        self.register_buffer("feature_std", torch.ones(config.in_channels))
        sizes = [config.in_channels] + [config.channels] * config.layers
        self.convolutions = nn.ModuleList(
            nn.Conv1d(into, out, config.kernel, padding=config.kernel // 2) for into, out in pairwise(sizes)
        )
        seen = sizes[-1] * config.head_kernel
        self.head = CamHead(seen, config.num_classes, config.pooling, config.topk_divisor, config.bias)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Classify a batch, padded or packed.

        Inside, videos lie end to end, so that padding costs no time. A few zeros between them keep a kernel from
        reaching from one video into the next.

        Args:
            features: raw, any float dtype: ``(B, T, D)`` padded behind each video, or ``(sum of lengths, D)`` packed.
            lengths: number of features of each video, ``(B,)``, each at least 1; None means T for all.

        Returns:
            Class scores (logits) ``(B, C)`` and the temporal CAM ``(B, C, T)``, 0 at padding.

        Raises:
            ValueError: packed features without lengths.
        """
        if features.ndim == 3:
            if lengths is None:
                lengths = torch.full(features.shape[:1], features.shape[1], device=features.device)
            mask = length_mask(lengths, features.shape[1])  # (B, T)
            features = features[mask]
        else:
            if lengths is None:
                raise ValueError("packed features (sum of lengths, D) need lengths")
            mask = length_mask(lengths, int(lengths.max()))
        answers = self._answers(features.to(self.head.weight.dtype), lengths)  # (sum of lengths, C)
        cam = answers.new_zeros(*mask.shape, answers.shape[1])
        cam[mask] = answers
        cam = cam.transpose(1, 2)
        for _ in range(self.config.smoothing):
            cam = _smooth(cam, lengths).masked_fill(~mask[:, None], 0)
        return self.head.pool(cam, mask), cam

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turn scores ``(B, C)`` into probabilities, 0..1: over all classes (softmax) or each by itself (sigmoid)."""
        return scores.softmax(dim=-1) if self.config.classification == "softmax" else scores.sigmoid()

    def _answers(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Compute the head's answer at each time step of packed videos, ``(sum of lengths, C)``."""
        hidden = F.dropout(self._normalise(features), self.config.input_dropout, self.training)
        gap = max(self.config.kernel // 2 if self.config.layers else 0, self.config.head_kernel // 2)
        if gap:
            steps = int(lengths.max()) + gap
            real = length_mask(lengths, steps)[length_mask(lengths + gap, steps)]  # False at the zeros between videos
            hidden = hidden.new_zeros(len(real), hidden.shape[1]).masked_scatter(real[:, None], hidden)
        for convolution in self.convolutions:
            hidden = F.relu(convolution(hidden.t()[None])[0].t())  # (time steps, channels)
            hidden = F.dropout(hidden, self.config.dropout, self.training)
            if gap:
                hidden = hidden.masked_fill(~real[:, None], 0)
        if self.config.head_kernel > 1:
            hidden = _with_neighbours(hidden, self.config.head_kernel)
        if gap:
            hidden = hidden[real]
        return self.head.cam(hidden.t()[None])[0].t()

    def _normalise(self, features: Tensor) -> Tensor:
        if self.config.normalisation == "center":
            return features - self.feature_mean
        if self.config.normalisation == "standardise":
            return (features - self.feature_mean) / self.feature_std
        if self.config.normalisation == "l2":
            return F.normalize(features, dim=-1)
        return features


def _with_neighbours(hidden: Tensor, kernel: int) -> Tensor:
    """Concatenate, at each time step, the channels of the ``kernel`` steps around it: (N, D) -> (N, kernel * D)."""
    reach = kernel // 2
    padded = F.pad(hidden, (0, 0, reach, reach))
    return torch.cat([padded[shift : shift + len(hidden)] for shift in range(kernel)], dim=1)


def _smooth(cam: Tensor, lengths: Tensor) -> Tensor:
    """Average each time step of ``(B, C, T)`` with its neighbours, 1/4 1/2 1/4; an end is its own neighbour."""
    steps = torch.arange(cam.shape[2], device=cam.device)
    after = torch.minimum(steps + 1, lengths[:, None] - 1)  # (B, T)
    neighbours = cam[:, :, (steps - 1).clamp(min=0)] + cam.gather(2, after[:, None].expand_as(cam))
    return cam / 2 + neighbours / 4
