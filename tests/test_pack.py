"""The pack command: a packed folder is the folder it was packed from, to whatever reads it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.extract import main as extract
from hasvideo.features import shards
from hasvideo.features.manifest import MANIFEST
from hasvideo.features.shards import INDEX
from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.files import file_sha256
from hasvideo.pack import main, pack
from hasvideo.types import TimeGrid
from hasvideo.video.dataset import load_features
from tests.colours import paint_video

META = FeatureMeta("i3d", "ab" * 32, TimeGrid(25, 16, 8, -4), 4)


def folder(path, videos, meta=META):
    store = FeatureStore.create(path, meta)
    for number, video in enumerate(videos):
        store.save(video, np.random.default_rng(number).normal(size=(3 + number, 4)))
    return store


@pytest.fixture
def store(tmp_path):
    """Of 24, 32, 40, 48 and 56 bytes, and one of 80 in float32, which save() would not write but load() reads."""
    store = folder(tmp_path / "features", ["a", "b.mp4", "c d", "é", "f"])
    np.save(store.path("wide"), np.linspace(0, 1, 20, dtype=np.float32).reshape(5, 4))
    return store


def packed(store, **options):
    return pack(store.folder, store.folder.parent / "packed", progress=False, **options).store


def test_a_packed_folder_reads_like_the_one_it_was_packed_from(store):
    ours = packed(store, shard_size="0.1kB")
    assert ours.videos() == store.videos() == ["a", "b.mp4", "c d", "f", "wide", "é"]
    assert (ours.meta, "é" in ours, "x" in ours) == (META, True, False)
    assert ours.lacking(["x", "a", "y"]) == ["x", "y"]
    for video in store.videos():
        for mmap in (False, True):
            loaded = ours.load(video, mmap)
            assert loaded.dtype == store.load(video).dtype
            np.testing.assert_array_equal(loaded, store.load(video))
        assert isinstance(ours.load(video, mmap=True), np.memmap)
        assert ours.describe(video) == store.describe(video)
        assert ours.sha256(video) == file_sha256(store.path(video))
    assert sorted(p.name for p in ours.folder.iterdir()) == [
        "features.json", INDEX, *(f"shard-0000{i}.safetensors" for i in range(4)),
    ]  # fmt: skip
    assert all((ours.folder / f"shard-0000{i}.safetensors").stat().st_size < 500 for i in range(4))


def test_shards_are_filled_up_to_the_size_and_no_video_is_divided(store):
    shard_of = json.loads((packed(store, shard_size="100").folder / INDEX).read_text())
    assert shard_of["metadata"] == {"total_size": 24 + 32 + 40 + 56 + 80 + 48}
    assert shard_of["weight_map"] == {
        "a": "shard-00000.safetensors", "b.mp4": "shard-00000.safetensors", "c d": "shard-00000.safetensors",
        "f": "shard-00001.safetensors", "wide": "shard-00002.safetensors", "é": "shard-00003.safetensors",
    }  # fmt: skip
    one_each = pack(store.folder, store.folder.parent / "small", shard_size="1", progress=False)
    assert one_each.shards == 6


def test_shards_are_safetensors_files_to_other_programs(store):
    path = packed(store).folder / "shard-00000.safetensors"
    theirs = load_file(path)
    assert set(theirs) == set(store.videos())
    for video, array in theirs.items():
        np.testing.assert_array_equal(array, store.load(video))
    with safe_open(path, "pt") as file:  # PyTorch's reader needs every array aligned
        assert file.get_tensor("wide").tolist() == store.load("wide").tolist()
        assert file.get_slice("é")[1:3].tolist() == store.load("é")[1:3].tolist()


def test_unpacking_gives_back_every_byte(store, tmp_path):
    again = pack(packed(store).folder, tmp_path / "again", unpack=True, progress=False).store
    assert {p.name: p.read_bytes() for p in again.folder.iterdir()} == {
        p.name: p.read_bytes() for p in store.folder.iterdir()
    }


def test_a_packed_folder_is_not_unpacked_into(store, tmp_path):
    target, other = packed(store).folder, folder(tmp_path / "other", ["z"])
    before = {path.name for path in target.iterdir()}
    for source in (target, other.folder):
        with pytest.raises(UsageError, match="is packed: choose another folder to unpack into"):
            pack(source, target, unpack=True, progress=False)
    assert {path.name for path in target.iterdir()} == before


def test_folders_are_packed_into_one(store, tmp_path):
    other = folder(tmp_path / "other", ["z"])
    both = pack([packed(store).folder, other.folder], tmp_path / "both", progress=False).store
    assert both.videos() == sorted([*store.videos(), "z"])
    np.testing.assert_array_equal(both.load("z"), other.load("z"))
    np.testing.assert_array_equal(both.load("f"), store.load("f"))
    with pytest.raises(UsageError, match=r"'z' is in .*other and in .*both"):
        pack([other.folder, both.folder], tmp_path / "twice", progress=False)
    with pytest.raises(UsageError, match="the same folder is given twice: .*other .*other"):
        pack([other.folder, other.folder / ".." / "other"], tmp_path / "twice", progress=False)
    odd = folder(tmp_path / "odd", ["y"], FeatureMeta("c3d", "", META.grid, 4))
    with pytest.raises(HasvideoError, match=r"odd holds other features than .*other"):
        pack([other.folder, odd.folder], tmp_path / "twice", progress=False)


def test_shards_of_a_run_cut_off_that_no_video_is_in_any_more_are_removed(store, tmp_path, monkeypatch):
    def fail(*_):
        raise HasvideoError("disk full")

    monkeypatch.setattr(shards, "write_index", fail)
    with pytest.raises(HasvideoError, match="disk full"):
        packed(store, shard_size="1")
    monkeypatch.undo()
    assert len(list((tmp_path / "packed").glob("shard-*"))) == 6
    opened = packed(store, shard_size="1MB")
    assert [path.name for path in opened.folder.glob("shard-*")] == ["shard-00000.safetensors"]
    assert opened.videos() == store.videos()


def test_cut_off_it_goes_on_from_the_finished_shards(store, tmp_path, monkeypatch):
    """The third shard cannot be written; after that the first is out of date, the second finished."""
    write, target = shards.write_shard, tmp_path / "packed"

    def fail_at_the_third(path, *arguments):
        if path.name == "shard-00002.safetensors":
            raise HasvideoError("disk full")
        write(path, *arguments)

    monkeypatch.setattr(shards, "write_shard", fail_at_the_third)
    with pytest.raises(HasvideoError, match="disk full"):
        packed(store, shard_size="100")
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"holds no features\.json"):
        FeatureStore(target)
    store.save("a", np.full((3, 4), 9))
    second = (target / "shard-00001.safetensors").stat().st_ino
    result = pack(store.folder, target, shard_size="100", progress=False)
    assert (result.videos, result.kept, result.shards) == (6, 1, 4)
    assert (target / "shard-00001.safetensors").stat().st_ino == second
    for video in store.videos():
        np.testing.assert_array_equal(result.store.load(video), store.load(video))


def test_damaged_features_are_not_packed(store):
    np.save(store.path("b.mp4"), np.full((2, 4), np.nan, np.float16))
    with pytest.raises(HasvideoError, match=r"b\.mp4\.npy has numbers that are not finite"):
        packed(store)
    assert not list((store.folder.parent / "packed").glob("*"))


def test_nothing_is_overwritten_or_added(store):
    ours = packed(store)
    with pytest.raises(UsageError, match="packed is a feature folder already; choose another"):
        packed(store)
    with pytest.raises(HasvideoError, match="is packed, nothing can be added.*--unpack"):
        ours.save("x", np.zeros((2, 4)))
    with pytest.raises(HasvideoError, match=f"no features of video 'x': .*{INDEX} does not name it"):
        ours.load("x")


def rewrite_header(path, change):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def _cut(ours):
    path = ours / "shard-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def _lose(ours):
    (ours / "shard-00001.safetensors").unlink()


def _foreign(ours):
    (ours / "shard-00000.safetensors").write_bytes(b"no shard, but many more bytes than a header")


def _empty(ours):
    (ours / "shard-00000.safetensors").write_bytes(b"")


def _type(ours):
    rewrite_header(ours / "shard-00000.safetensors", lambda header: header["a"].update(dtype="BF16"))


def _overlong(ours):
    rewrite_header(ours / "shard-00000.safetensors", lambda header: header["a"].update(shape=[300, 4]))


def _flat(ours):
    rewrite_header(ours / "shard-00000.safetensors", lambda header: header["a"].update(shape=[12]))


def _twice(ours):
    """The file of another shard takes the place of the first: what it holds belongs to both now."""
    (ours / "shard-00000.safetensors").write_bytes((ours / "shard-00001.safetensors").read_bytes())


def _twice_in_one(ours):
    path = ours / INDEX
    path.write_text(path.read_text().replace('"f":', '"a":'))


def _elsewhere(ours):
    path = ours / INDEX
    path.write_text(path.read_text().replace('"a":', '"../a":'))


def _not_in_it(ours):
    path = ours / INDEX
    path.write_text(path.read_text().replace('"a":', '"a2":').replace('"f":', '"a":'))


def _no_index(ours):
    (ours / INDEX).write_text('{"weights": {}}')


@pytest.mark.parametrize(("damage", "message"), [
    (_cut, r"shard-00000\.safetensors is cut off, damaged or no safetensors file"),
    (_lose, r"names shard-00001\.safetensors, which is not in the folder"),
    (_foreign, r"shard-00000\.safetensors is cut off, damaged or no safetensors file"),
    (_empty, r"shard-00000\.safetensors is cut off, damaged or no safetensors file"),
    (_type, r"shard-00000\.safetensors: video 'a' holds BF16; accepted: float16"),
    (_overlong, r"shard-00000\.safetensors is cut off, damaged or no safetensors file"),
    (_flat, r"shard-00000\.safetensors: video 'a' has shape \(12,\); features\.json promises \(T, 4\)"),
    (_twice, r"video 'f' is in two shards, shard-00001\.safetensors and shard-00000\.safetensors"),
    (_twice_in_one, r"is no index of shards: .*'a' is in it twice"),
    (_elsewhere, r"'\.\./a' is not the name of a video"),
    (_not_in_it, r"video 'a' is not in shard-00001\.safetensors, which it names for it"),
    (_no_index, r"is no index of shards: KeyError"),
])  # fmt: skip
def test_damage_is_told_in_one_line(store, damage, message):
    ours = packed(store, shard_size="100").folder
    damage(ours)
    with pytest.raises(HasvideoError, match=message) as caught:
        FeatureStore(ours).load("a")
    assert "\n" not in str(caught.value)


def test_opening_a_large_shard_reads_its_header_only(tmp_path):
    """Of a shard of 40 GB, all a hole in the file, one video is read."""
    store = folder(tmp_path / "features", ["a", "b"])
    ours, rows = packed(store).folder, 5 * 10**9
    path = ours / "shard-00000.safetensors"

    def stretch(header):
        header["b"] = {"dtype": "F16", "shape": [rows, 4], "data_offsets": [24, 24 + rows * 8]}

    rewrite_header(path, stretch)
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        file.truncate(8 + length + 24 + rows * 8)
    opened = FeatureStore(ours)
    np.testing.assert_array_equal(opened.load("a"), store.load("a"))
    np.testing.assert_array_equal(opened.load("b", mmap=True)[:4], store.load("b"))
    assert opened.describe("b") == ((rows, 4), "float16")
    assert opened.load("b", mmap=True)[rows // 2].tolist() == [0, 0, 0, 0]


def test_extract_knows_packed_and_unpacked_features_for_finished_ones(tmp_path, capsys):
    paint_video(tmp_path / "red.mp4", "red")
    colour = ["--extractor", "tests.colours:ColourExtractor", "--quiet"]
    made, ours, again = (str(tmp_path / name) for name in ("made", "packed", "again"))
    assert extract([str(tmp_path), "-o", made, *colour]) == 0
    main([made, "-o", ours, "--quiet"])
    main([ours, "-o", again, "--unpack", "--quiet"])
    capsys.readouterr()
    for output in (ours, again):
        assert extract([str(tmp_path), "-o", output, "--verify", *colour]) == 0
        assert capsys.readouterr().out == f"{output}: features of 0 videos made, 1 were there\n"
    paint_video(tmp_path / "green.mp4", "green")
    assert extract([str(tmp_path), "-o", again, *colour]) == 0
    assert load_features(FeatureStore(again), ["green"])[0].argmax(axis=1).tolist() == [1, 1]
    with pytest.raises(HasvideoError, match="packed is packed, nothing can be added"):
        extract([str(tmp_path), "-o", ours, *colour])


def test_unpacking_adds_to_what_extract_has_written(tmp_path):
    paint_video(tmp_path / "red.mp4", "red")
    paint_video(tmp_path / "green.mp4", "green")
    colour = ["--extractor", "tests.colours:ColourExtractor", "--quiet"]
    red, both = tmp_path / "one", tmp_path / "both"
    assert extract([str(tmp_path / "red.mp4"), "-o", str(red), *colour]) == 0
    assert extract([str(tmp_path / "green.mp4"), "-o", str(both), *colour]) == 0
    before = (both / MANIFEST).read_bytes()
    main([str(red), "-o", str(both), "--unpack", "--quiet"])
    assert (both / MANIFEST).read_bytes() == before + (red / MANIFEST).read_bytes()


def test_the_command(store, capsys):
    target = str(store.folder.parent / "packed")
    main([str(store.folder), "-o", target, "--shard-size", "100", "--quiet"])
    assert capsys.readouterr().out == f"{target}: features of 6 videos in 4 shards\n"


@pytest.mark.parametrize("size", ["", "0", "-1", "2 GiB", "large", "0.1"])
def test_wrong_sizes(store, size):
    with pytest.raises(UsageError, match="shard size is a number of bytes"):
        packed(store, shard_size=size)


def test_wrong_folders(tmp_path):
    for arguments in (["-o", "x"], [str(tmp_path), "-o", "x"], [str(tmp_path / "absent"), "-o", "x"]):
        with pytest.raises(UsageError, match="no feature folder|not a feature folder"):
            main(arguments)
    FeatureStore.create(tmp_path / "empty", META)
    with pytest.raises(UsageError, match=r"no features in .*empty"):
        main([str(tmp_path / "empty"), "-o", str(tmp_path / "x")])
