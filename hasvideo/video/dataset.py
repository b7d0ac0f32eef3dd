"""Hand videos to training: sequences of features with video-level labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.store import FeatureStore


class VideoSample(NamedTuple):
    """One video: features float32 ``(T, D)`` and a 1 for each of its classes, float32 ``(C,)``."""

    features: Tensor
    target: Tensor


class VideoBatch(NamedTuple):
    """Videos end to end: features ``(sum of lengths, D)`` and targets ``(B, C)``, float32; lengths int64 ``(B,)``."""

    features: Tensor
    lengths: Tensor
    targets: Tensor


class FeatureVideos(Dataset[VideoSample]):
    """Feature sequences of videos with their labels, as a torch data set.

    Args:
        features: ``(T, D)`` of each video, float16 or float32, in memory or on disk; converted when asked for.
        labels: classes of each video.
        classes: all class names, in the order of the network's outputs.

    Raises:
        UsageError: a label is not among the classes.
        ValueError: there are not as many lists of labels as sequences.
    """

    def __init__(self, features: Sequence[np.ndarray], labels: Sequence[Iterable[str]], classes: Sequence[str]) -> None:
        self.features = features
        self.targets = multi_hot(labels, classes)
        if len(self.targets) != len(features):
            raise ValueError(f"{len(features)} feature sequences with {len(self.targets)} lists of labels")

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> VideoSample:
        # A copy, even if it is float32 already: hiding changes the sample in place, and the next epoch needs it whole.
        return VideoSample(torch.from_numpy(np.array(self.features[index], np.float32)), self.targets[index])


def collate(samples: Sequence[VideoSample]) -> VideoBatch:
    """Pack videos into a batch, without padding."""
    return VideoBatch(
        torch.cat([s.features for s in samples]),
        torch.tensor([len(s.features) for s in samples]),
        torch.stack([s.target for s in samples]),
    )


def multi_hot(labels: Sequence[Iterable[str]], classes: Sequence[str]) -> Tensor:
    """Encode labels as float32 ``(V, C)``: 1 if a video has a class, else 0.

    Args:
        labels: classes of each video.
        classes: all class names, in the order of the columns.

    Raises:
        UsageError: a label is not among the classes.
    """
    column = {name: index for index, name in enumerate(classes)}
    targets = torch.zeros(len(labels), len(classes))
    for row, names in enumerate(labels):
        for name in names:
            if name not in column:
                raise UsageError(f"label {name!r} is not among the classes: {', '.join(classes)}")
            targets[row, column[name]] = 1
    return targets


class StoredFeatures(Sequence[np.ndarray]):
    """Features of videos, ``(T, D)`` each, that stay on disk: those of a video are read whenever they are asked for.

    No file stays open or mapped: a system does not allow 100 000 of them.

    Args:
        store: feature folder, packed or not.
        videos: ids.

    Raises:
        HasvideoError: when features are asked for that are missing or damaged.
    """

    def __init__(self, store: FeatureStore, videos: Sequence[str]) -> None:
        self.store, self.videos = store, videos

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return StoredFeatures(self.store, self.videos[index])
        return self.store.load(self.videos[index])


def load_features(store: FeatureStore, videos: Sequence[str], mmap: bool = False) -> Sequence[np.ndarray]:
    """Load the features of videos, ``(T, D)`` each, in the dtype that they have on disk.

    Args:
        store: feature folder.
        videos: ids.
        mmap: leave the features on disk, and read those of a video whenever they are used.

    Raises:
        HasvideoError: a video has none, or its file is damaged; damage to a file left on disk shows when it is read.
    """
    missing = store.lacking(videos)
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise HasvideoError(f"{store.folder} has no features of {len(missing)} of {len(videos)} videos: {shown}")
    return StoredFeatures(store, videos) if mmap else [store.load(video) for video in videos]


def feature_statistics(features: Iterable[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each dimension over all features of all videos, float32 ``(D,)``.

    One pass, a video at a time, combined in float64 (Chan et al. 1979). A dimension that never varies gets deviation 1,
    so that dividing by it changes nothing. There must be at least one video.
    """
    count, mean, squares = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for array in features:
        variance, centre = torch.var_mean(torch.from_numpy(np.array(array, np.float64)), dim=0, correction=0)
        total = count + len(array)
        offset = centre - mean
        squares = squares + variance * len(array) + offset**2 * (count * len(array) / total)
        mean, count = mean + offset * (len(array) / total), total
    deviation = (squares / count).sqrt()
    return mean.float(), torch.where(deviation > 0, deviation, 1.0).float()
