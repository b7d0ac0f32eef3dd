"""An event in a still video, which features must show where their grid says, and nowhere else."""

from __future__ import annotations

import numpy as np

LENGTH = 45
EVENT = slice(20, 26)


def features(extractor, frames, chunk=LENGTH):
    return np.concatenate(list(extractor(frames[i : i + chunk] for i in range(0, len(frames), chunk))))


def check_planted_event(extractor):
    """Shape, determinism, time grid; and neither chunks nor a clip's place in the batch matter."""
    grid = extractor.grid
    frames = np.full((LENGTH, extractor.size, extractor.size, 3), 30, np.uint8)
    still = features(extractor, frames[:8])[0]
    frames[EVENT] = np.random.default_rng(0).integers(0, 256, frames[EVENT].shape, dtype=np.uint8)
    found = features(extractor, frames)
    assert found.dtype == np.float32
    assert found.shape[1] == extractor.dim
    assert len(found) >= grid.count(LENGTH)
    np.testing.assert_array_equal(features(extractor, frames), found)
    np.testing.assert_allclose(features(extractor, frames, 7), found, rtol=1e-4, atol=1e-5)
    later = features(extractor, frames[grid.stride :])
    for number, feature in enumerate(found):
        first = grid.offset + number * grid.stride
        sees_it = first < EVENT.stop and first + grid.window > EVENT.start
        change = np.abs(feature - still).max() / np.abs(still).max()
        assert (change > 1e-2) == sees_it, (number, change)
        if first >= grid.stride and first + grid.window <= LENGTH:
            np.testing.assert_allclose(later[number - 1], feature, rtol=1e-4, atol=1e-5)
