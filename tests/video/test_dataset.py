import numpy as np
import psutil
import pytest
import torch

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.types import TimeGrid
from hasvideo.video.dataset import FeatureVideos, collate, feature_statistics, load_features, multi_hot


def arrays(lengths=(3, 1, 7), dim=5, dtype=np.float16):
    rng = np.random.default_rng(0)
    return [rng.normal(3, 2, size=(n, dim)).astype(dtype) for n in lengths]


def test_samples_and_batches():
    features = arrays()
    videos = FeatureVideos(features, [["b"], [], ["a", "b"]], ["a", "b"])
    batch = collate([videos[i] for i in range(len(videos))])
    assert batch.features.dtype == torch.float32
    np.testing.assert_array_equal(batch.features.numpy(), np.concatenate(features).astype(np.float32))
    assert batch.lengths.tolist() == [3, 1, 7]
    assert batch.targets.tolist() == [[0, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_changing_a_sample_leaves_the_data_set_alone(dtype):
    videos = FeatureVideos(arrays(dtype=dtype), [["a"]] * 3, ["a"])
    before = videos[0].features.clone()
    videos[0].features.zero_()
    assert torch.equal(videos[0].features, before)


def test_unknown_label():
    with pytest.raises(UsageError, match="label 'c' is not among the classes: a, b"):
        multi_hot([["a"], ["c"]], ["a", "b"])


def test_statistics_are_those_of_all_features_together():
    features = arrays((3, 1, 700))
    features[0][:, 2], features[1][:, 2], features[2][:, 2] = 4, 4, 4
    mean, std = feature_statistics(features)
    together = np.concatenate(features).astype(np.float64)
    np.testing.assert_allclose(mean, together.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std[[0, 1, 3, 4]], together.std(axis=0)[[0, 1, 3, 4]], rtol=1e-6)
    assert std[2] == 1


def test_loading_from_a_store(tmp_path):
    store = FeatureStore.create(tmp_path, FeatureMeta("i3d", "", TimeGrid(25, 16, 8), 5))
    for video, array in zip("abc", arrays(), strict=True):
        store.save(video, array)
    for mmap in (False, True):
        for ours, theirs in zip(load_features(store, ["b", "a"], mmap), [arrays()[1], arrays()[0]], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(HasvideoError, match="no features of 2 of 3 videos: x, y"):
        load_features(store, ["x", "a", "y"])


def test_features_on_disk_leave_no_file_open_or_mapped(tmp_path):
    """A process may have 1024 files open on most systems, and a mapped one counts."""
    store = FeatureStore.create(tmp_path, FeatureMeta("i3d", "", TimeGrid(25, 16, 8), 5))
    store.save("v", arrays()[0])
    before = psutil.Process().num_fds()
    features = load_features(store, ["v"] * 50, mmap=True)
    videos = FeatureVideos(features, [["a"]] * 50, ["a"])
    kept = [*features, *features[10:12], *(videos[i].features for i in range(50))]
    assert len(kept) == 102
    assert psutil.Process().num_fds() <= before  # what others left open may be collected meanwhile
    np.testing.assert_array_equal(features[10:12][1], arrays()[0])
    store.save("v", arrays()[2])
    assert videos[3].features.shape == (7, 5)
