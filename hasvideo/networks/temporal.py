"""The temporal localization network: a few convolutions over time and the CAM head (paper, action localization)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.cam import CamHead, Pooling
from hasvideo.hiding import length_mask

Normalisation = Literal["none", "standardise", "l2"]
Classification = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class TemporalConfig:
    """What a :class:`TemporalNetwork` is made of; it travels in the checkpoint."""

    in_channels: int = 1024  # D of the features: 1024 for I3D RGB, 2048 with flow, 4096 for C3D
    num_classes: int = 20  # outputs of the head: the classes of THUMOS 2014
    layers: int = 2  # the paper's two temporal convolutions; 0 is a head right on the features
    channels: int = 500  # kernels in each convolution, the paper's
    kernel: int = 1  # time steps a kernel sees; the paper's convolutions are 1×1
    dropout: float = 0.0  # after each convolution; the paper names none for videos
    pooling: Pooling = "average"  # GAP, the paper's; max and topk are its rivals
    topk_divisor: int = 5  # topk pools the T // 5 highest time steps, used with pooling = topk only
    bias: bool = True  # of the head, added at every time step of the CAM
    normalisation: Normalisation = "none"  # raw features, as in the paper
    classification: Classification = "softmax"  # the paper's; sigmoid makes classes independent

    def __post_init__(self) -> None:
        if min(self.in_channels, self.num_classes, self.channels) < 1 or self.layers < 0:
            raise ValueError(f"TemporalConfig needs positive sizes and layers >= 0, got {self}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that time steps keep their place, got {self.kernel}")
        for name, known in (("normalisation", Normalisation), ("classification", Classification)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(get_args(known))}")

    def to_dict(self) -> dict[str, Any]:
        """Plain dict for JSON; ``TemporalConfig(**d)`` reads it back."""
        return asdict(self)


class TemporalNetwork(nn.Module):
    """Classifies a video from its features and says, by the temporal CAM, which of them spoke for each class.

    The statistics of the training features are buffers of the network, so that they travel with it: ``feature_mean``
    is what hidden segments are filled with, and with ``normalisation="standardise"`` both of them scale the input.
    Normalisation comes after hiding, so a hidden segment always means "the average feature", in either case.

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
        self.head = CamHead(sizes[-1], config.num_classes, config.pooling, config.topk_divisor, config.bias)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Classify a batch, padded or packed.

        Inside, videos lie end to end, a few zeros apart where a kernel would else reach from one into the next: time
        steps of padding cost nothing, and no video sees another.

        Args:
            features: raw, any float dtype: ``(B, T, D)`` padded behind each video, or ``(sum of lengths, D)`` packed.
            lengths: number of features of each video, ``(B,)``, each at least 1; all T where None.

        Returns:
            Class scores (logits) ``(B, C)`` and the temporal CAM ``(B, C, T)``, 0 at padding.
        """
        if features.ndim == 3:
            if lengths is None:
                lengths = torch.full(features.shape[:1], features.shape[1], device=features.device)
            mask = length_mask(lengths, features.shape[1])  # (B, T)
            features = features[mask]
        else:
            assert lengths is not None, "packed features need lengths"
            mask = length_mask(lengths, int(lengths.max()))
        answers = self._answers(features.to(self.head.weight.dtype), lengths)  # (sum of lengths, C)
        cam = answers.new_zeros(*mask.shape, answers.shape[1])
        cam[mask] = answers
        cam = cam.transpose(1, 2)
        return self.head.pool(cam, mask), cam

    def probabilities(self, scores: Tensor) -> Tensor:
        """Class probabilities, 0..1, of scores ``(B, C)``: over all classes (softmax) or each by itself (sigmoid)."""
        return scores.softmax(dim=-1) if self.config.classification == "softmax" else scores.sigmoid()

    def _answers(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The head's answer at each time step of packed videos, ``(sum of lengths, C)``."""
        hidden = self._normalise(features)
        gap = self.config.kernel // 2 if self.config.layers else 0
        if gap:
            steps = int(lengths.max()) + gap
            real = length_mask(lengths, steps)[length_mask(lengths + gap, steps)]  # False at the zeros between videos
            hidden = hidden.new_zeros(len(real), hidden.shape[1]).masked_scatter(real[:, None], hidden)
        for convolution in self.convolutions:
            hidden = F.relu(convolution(hidden.t()[None])[0].t())  # (time steps, channels)
            hidden = F.dropout(hidden, self.config.dropout, self.training)
            if gap:
                hidden = hidden.masked_fill(~real[:, None], 0)
        if gap:
            hidden = hidden[real]
        return self.head.cam(hidden.t()[None])[0].t()

    def _normalise(self, features: Tensor) -> Tensor:
        if self.config.normalisation == "standardise":
            return (features - self.feature_mean) / self.feature_std
        if self.config.normalisation == "l2":
            return F.normalize(features, dim=-1)
        return features
