"""Ready-made features of every layout become one canonical folder, and wrong lengths are told."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import numpy as np
import pytest

from data_prep.features import disagreement, main, resample
from data_prep.pickles import stream_object_array
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.store import FeatureStore
from hasvideo.types import TimeGrid

RNG = np.random.default_rng(0)


def array(length, dim=4, dtype=np.float32):
    return RNG.normal(size=(length, dim)).astype(dtype)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def annotations(folder, **durations):
    database = {v: {"subset": "test", "duration": d, "fps": 30.0, "annotations": []} for v, d in durations.items()}
    path = folder / "annotations.json"
    path.write_text(json.dumps({"database": database}))
    return str(path)


def convert(tmp_path, layout, source, *options):
    main([layout, str(source), "-o", str(tmp_path / "out"), "--dtype", "float32", *options])
    return FeatureStore(tmp_path / "out")


def test_streams_stand_side_by_side(tmp_path, capsys):
    rgb, flow = array(10), array(10)
    for split, video in (("train", "v1"), ("test", "v2")):
        save(tmp_path / "features" / split / "rgb" / f"{video}.npy", rgb)
        save(tmp_path / "features" / split / "flow" / f"{video}.npy", flow)
    store = convert(tmp_path, "streams", tmp_path / "features", "--annotations", annotations(tmp_path, v1=6.4, v2=6.5))
    assert store.videos() == ["v1", "v2"]
    assert store.grid == TimeGrid(25, 16, 16)
    np.testing.assert_array_equal(store.load("v1"), np.concatenate([rgb, flow], axis=1))
    assert capsys.readouterr() == (f"{tmp_path / 'out'}: 2 videos\n", "")


@pytest.mark.parametrize(("shape", "seems", "remedy"), [
    ((30, 10, 64), "features of 10 crops (T, 10, D)", "array.mean(axis=1)"),
    ((10, 30, 64), "features of 10 crops (10, T, D)", "array.mean(axis=0)"),
    ((30, 5, 64), "features of 5 crops (T, 5, D)", "array.mean(axis=1)"),
    ((1, 30, 64), "a batch of one (1, T, D)", "array[0]"),
    ((30, 1, 64), "features with an axis too many (T, 1, D)", "array[:, 0]"),
    ((30, 64, 7, 7), "maps that are not pooled over space (T, D, H, W)", "array.mean(axis=(2, 3))"),
    ((64,), "one feature of the whole video (D)", "array[None]"),
])  # fmt: skip
@pytest.mark.parametrize("layout", ["flat", "streams"])
def test_other_layouts_of_an_array_are_told_with_the_remedy(tmp_path, shape, seems, remedy, layout):
    values = np.zeros(shape, np.float32)
    for folder in ("rgb", "flow") if layout == "streams" else (".",):
        save(tmp_path / "features" / folder / "v.npy", values)
    with pytest.raises(HasvideoError) as caught:
        convert(tmp_path, layout, tmp_path / "features")
    assert f"v.npy has shape {shape}" in str(caught.value) or f"v has shape {shape}" in str(caught.value)
    assert str(caught.value).endswith(f": it looks like {seems}; {remedy} makes (T, D) of it")
    made = eval(remedy, {"array": values})
    assert made.ndim == 2
    assert made.shape[1] == 64
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("known", ["lengths of two", "a duration"])
def test_transposed_features_are_told_before_anything_is_written(tmp_path, known):
    save(tmp_path / "features" / "a.npy", array(1024, 30))
    if known == "a duration":  # 30 features, 1 024 numbers each
        options = ("--annotations", annotations(tmp_path, a=4.4))
    else:
        options = ()
        save(tmp_path / "features" / "b.npy", array(1024, 45))
    with pytest.raises(
        HasvideoError, match=r"\(1024, 30\).* it looks like transposed features \(D, T\); array\.T makes"
    ):
        convert(tmp_path, "flat", tmp_path / "features", *options)
    assert not (tmp_path / "out").exists()


def test_one_stream_alone(tmp_path):
    rgb = array(10)
    save(tmp_path / "features" / "rgb" / "v.npy", rgb)
    store = convert(tmp_path, "streams", tmp_path / "features", "--streams", "rgb")
    np.testing.assert_array_equal(store.load("v"), rgb)


def test_streams_of_different_lengths(tmp_path):
    save(tmp_path / "features" / "rgb" / "v.npy", array(10))
    save(tmp_path / "features" / "flow" / "v.npy", array(9))
    assert convert(tmp_path, "streams", tmp_path / "features").load("v").shape == (9, 8)
    save(tmp_path / "features" / "flow" / "v.npy", array(8))
    with pytest.raises(HasvideoError, match=r"different numbers of features: .*rgb/v\.npy: 10, .*flow/v\.npy: 8"):
        convert(tmp_path, "streams", tmp_path / "features")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_joint_arrays_in_the_order_of_their_names(tmp_path, protocol):
    arrays = np.empty(3, dtype=object)
    arrays[:] = [array(n, dim=2048) for n in (5, 9, 7)]
    with (tmp_path / "joint.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(arrays))
        pickle.dump(arrays, file, protocol)
    np.save(tmp_path / "videoname.npy", np.array([b"v2", b"v1", b"v3"]))
    store = convert(tmp_path, "joint", tmp_path / "joint.npy")
    for video, expected in zip(("v2", "v1", "v3"), arrays, strict=True):
        np.testing.assert_array_equal(store.load(video), expected)


def test_joint_needs_as_many_names_as_arrays(tmp_path):
    arrays = np.empty(2, dtype=object)
    arrays[:] = [array(5), array(6)]
    np.save(tmp_path / "joint.npy", arrays, allow_pickle=True)
    with pytest.raises(UsageError, match=r"no videoname\.npy"):
        convert(tmp_path, "joint", tmp_path / "joint.npy")
    np.save(tmp_path / "names.npy", np.array(["v1"]))
    with pytest.raises(HasvideoError, match="holds 2 arrays, .* 1 names"):
        convert(tmp_path, "joint", tmp_path / "joint.npy", "--names", str(tmp_path / "names.npy"))


def test_joint_arrays_never_stand_in_memory_together(tmp_path):
    arrays = np.empty(40, dtype=object)
    arrays[:] = [np.full((500, 1024), i, np.float32) for i in range(40)]  # 2 MB each
    np.save(tmp_path / "joint.npy", arrays, allow_pickle=True)
    del arrays
    tracemalloc.start()
    values = [part[0, 0] for part in stream_object_array(tmp_path / "joint.npy")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values == list(range(40))
    assert peak < 16e6


@pytest.mark.parametrize("content", [b"", b"garbage", "plain", "evil"])
def test_joint_files_that_are_none(tmp_path, content):
    path = tmp_path / "joint.npy"
    if content == "plain":
        np.save(path, array(4))
    elif content == "evil":
        evil = np.empty(1, dtype=object)
        evil[0] = Evil()
        np.save(path, evil, allow_pickle=True)
    else:
        path.write_bytes(content)
    with pytest.raises(HasvideoError, match=r"cannot load .*joint\.npy"):
        list(stream_object_array(path))


class Evil:
    def __reduce__(self):
        return (eval, ("this must never be evaluated",))  # not print, which Ray replaces by its own


def test_flat_features_at_another_frame_rate_are_resampled(tmp_path):
    times = {fps: (np.arange(100) * 4 + 8) / fps for fps in (30.0, 25.0)}
    for video, fps in (("a", 30.0), ("b", 25.0)):
        save(tmp_path / "flat" / f"{video}.npy", np.repeat(times[fps][:, None], 4, axis=1).astype(np.float32))
    meta = tmp_path / "meta.csv"
    meta.write_text("video,duration_s,fps\na,13.8,30.00003\nb,16.5,25\n")
    store = convert(tmp_path, "flat", tmp_path / "flat", "--meta", str(meta))
    assert store.grid == TimeGrid(30, 16, 4)
    np.testing.assert_allclose(store.load("a")[:, 0], times[30.0], atol=1e-5)
    resampled = store.load("b")[:, 0]
    inside = store.grid.centers(len(resampled))[1:]
    np.testing.assert_allclose(resampled[1:], inside, atol=1e-4)  # the first lies before the first of the original
    assert times[25.0][-1] - inside[-1] < 4 / 30


def test_resampling_at_the_same_rate_changes_nothing():
    features = array(7)
    assert resample(features, TimeGrid(30, 16, 4), 30.00003) is features


def test_pairs(tmp_path):
    rgb, flow = array(5), array(5)
    save(tmp_path / "i3d" / "my video_rgb.npy", rgb)
    save(tmp_path / "i3d" / "my video_flow.npy", flow)
    save(tmp_path / "i3d" / "my video_timestamps_ms.npy", np.arange(5.0))
    with pytest.raises(UsageError, match="needs --fps"):
        convert(tmp_path, "pairs", tmp_path / "i3d")
    store = convert(tmp_path, "pairs", tmp_path / "i3d", "--fps", "25")
    assert store.videos() == ["my video"]
    assert store.grid == TimeGrid(25, 64, 64)
    np.testing.assert_array_equal(store.load("my video"), np.concatenate([rgb, flow], axis=1))


def test_pickles_of_one_video_and_of_many(tmp_path):
    folder, grid = tmp_path / "tsp", ["--fps", "15", "--window", "16", "--stride", "1", "--extractor", "tsp"]
    folder.mkdir()
    first, second = array(5), array(6)
    (folder / "v1.pkl").write_bytes(pickle.dumps(first))
    store = convert(tmp_path, "pickles", folder, *grid)
    np.testing.assert_array_equal(store.load("v1"), first)
    assert store.meta.extractor == "tsp"
    (tmp_path / "all.pkl").write_bytes(pickle.dumps({"v2": second}, protocol=2))
    np.testing.assert_array_equal(convert(tmp_path, "pickles", tmp_path / "all.pkl", *grid).load("v2"), second)


def test_pickles_with_code_or_without_arrays_are_refused(tmp_path):
    grid = ["--fps", "15", "--window", "16", "--stride", "1"]
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v": Evil()}))
    with pytest.raises(HasvideoError, match=r"evil\.pkl: it asks for builtins\.eval"):
        convert(tmp_path, "pickles", tmp_path / "evil.pkl", *grid)
    (tmp_path / "odd.pkl").write_bytes(pickle.dumps({"v": "text"}))
    with pytest.raises(HasvideoError, match=r"odd\.pkl: 'v' is no array but str"):
        convert(tmp_path, "pickles", tmp_path / "odd.pkl", *grid)


def test_a_wrong_length_names_the_video_and_by_how_much(tmp_path):
    for video, length in (("v1", 62), ("v2", 80), ("v3", 62)):
        save(tmp_path / "features" / "rgb" / f"{video}.npy", array(length))
    arguments = ["--streams", "rgb", "--annotations", annotations(tmp_path, v1=40, v2=40, v3=40)]
    with pytest.warns(UserWarning, match=r"^v2: 80 features, but 40 s make 61 to 64 \(\+16, \+10\.2 s\)$"):
        assert len(convert(tmp_path, "streams", tmp_path / "features", *arguments).videos()) == 3


def test_most_lengths_wrong_means_a_wrong_grid(tmp_path):
    for video in ("v1", "v2"):
        save(tmp_path / "features" / "rgb" / f"{video}.npy", array(62))
    arguments = ["--streams", "rgb", "--stride", "8", "--annotations", annotations(tmp_path, v1=40, v2=40)]
    with (
        pytest.warns(UserWarning, match="62 features"),
        pytest.raises(HasvideoError, match="2 of 2 videos disagree.*stride 8"),
    ):
        convert(tmp_path, "streams", tmp_path / "features", *arguments)


@pytest.mark.parametrize(("length", "complaint"), [(61, ""), (64, ""), (60, "-1, -0.6 s"), (65, "+1, +0.6 s")])
def test_lengths_that_fit(length, complaint):
    assert complaint in disagreement(length, 40.0, TimeGrid(25, 16, 16))
    assert bool(complaint) == bool(disagreement(length, 40.0, TimeGrid(25, 16, 16)))


def test_nothing_found(tmp_path):
    (tmp_path / "empty").mkdir()
    for layout in ("streams", "flat"):
        with pytest.raises(HasvideoError, match="no features found"):
            convert(tmp_path, layout, tmp_path / "empty")


def test_the_real_features_fit_their_videos(tmp_path, shared_data, capsys):
    folder = shared_data / "ut-composed"
    main(["flat", str(folder / "i3d_features"), "-o", str(tmp_path / "out"), "--fps", "25", "--window", "99",
          "--stride", "8", "--offset", "-44", "--annotations", str(folder / "annotations.json")])  # fmt: skip
    assert capsys.readouterr().err == ""
    store = FeatureStore(tmp_path / "out")
    assert len(store.videos()) == 100
    assert store.meta.dim == 1024
