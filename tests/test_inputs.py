"""Files, folders, patterns and the ids made from them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.errors import DecodeError
from hasvideo.frames.decode import open_reader
from hasvideo.inputs import IMAGE, VIDEO, file_ids, find_files, find_videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.MKV", "notes.txt", "deep/a.mp4", ".hidden.mp4", "x[1].mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(arguments, **options):
    return {video: path.name for video, path in find_videos([str(a) for a in arguments], **options).files.items()}


def test_a_folder_means_its_videos(folder):
    assert names([folder]) == {"a": "a.MKV", "b": "b.mp4", "x[1]": "x[1].mp4"}


def test_recursive_looks_deeper_and_equal_stems_stay_apart(folder):
    assert names([folder], recursive=True) == {
        "a.MKV": "a.MKV", "b": "b.mp4", "a.mp4": "a.mp4", "x[1]": "x[1].mp4",
    }  # fmt: skip


def test_patterns_match_and_brackets_in_real_names_are_no_pattern(folder):
    assert names([folder / "*.mp4"]) == {"b": "b.mp4", "x[1]": "x[1].mp4"}
    assert names([folder / "x[1].mp4"]) == {"x[1]": "x[1].mp4"}


def test_the_same_file_twice_is_one_video(folder):
    assert names([folder / "b.mp4", folder / "deep" / ".." / "b.mp4", folder]) == {
        "b": "b.mp4", "a": "a.MKV", "x[1]": "x[1].mp4",
    }  # fmt: skip


def test_two_links_to_one_file_are_two_videos(folder):
    (folder / "c.mp4").symlink_to("b.mp4")
    (folder / "deep" / "d.mp4").symlink_to(folder / "b.mp4")
    assert names([folder / "b.mp4", folder / "c.mp4", folder / "deep"]) == {
        "b": "b.mp4", "c": "c.mp4", "a": "a.mp4", "d": "d.mp4",
    }  # fmt: skip
    assert set(names([folder, folder / "deep" / ".." / "c.mp4"])) == {"a", "b", "c", "x[1]"}


def test_a_folder_and_a_link_to_it_give_each_file_twice(folder):
    (folder / "again").symlink_to("deep")
    assert find_videos([f"{folder}/deep", f"{folder}/again"]).files == {
        "deep__a.mp4": folder / "deep" / "a.mp4", "again__a.mp4": folder / "again" / "a.mp4",
    }  # fmt: skip


def test_what_follows_a_link_and_two_dots_lies_where_the_link_leads(folder):
    (folder / "x" / "y").mkdir(parents=True)
    (folder / "x" / "b.mp4").touch()
    (folder / "link").symlink_to("x/y")
    given = [folder / "b.mp4", folder / "link" / ".." / "b.mp4", folder / "x" / "b.mp4"]
    assert {p.resolve() for p in find_videos(map(str, given)).files.values()} == {folder / "b.mp4", folder / "x/b.mp4"}


@pytest.mark.parametrize("medium", [VIDEO, IMAGE])
@pytest.mark.parametrize("argument", ["", "*.*", "**", "gone{suffix}"])
def test_a_link_that_leads_nowhere_is_named_and_the_rest_goes_on(tmp_path, medium, argument):
    suffix = ".mp4" if medium is VIDEO else ".png"
    (tmp_path / f"there{suffix}").touch()
    (tmp_path / f"gone{suffix}").symlink_to("moved")
    found = find_files([str(tmp_path / argument.format(suffix=suffix)), f"{tmp_path}/there{suffix}"], medium)
    assert list(found.files) == ["there"]
    ((what, error),) = found.missing
    assert what == str(tmp_path / f"gone{suffix}")
    assert str(error) == f"{what} is a link to moved, which is not there"


def test_links_that_are_not_for_this_medium_are_not_complained_about(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "round.mp4").symlink_to("round.mp4")
    for name in ("gone.png", "gone.txt"):
        (tmp_path / name).symlink_to("moved")
    found = find_videos([str(tmp_path)])
    assert ([what for what, _ in found.missing], found.left_out) == ([f"{tmp_path}/round.mp4"], 1)


@pytest.mark.parametrize("deep", ["{folder}", "{folder}/**/*.mp4", "{folder}/**"])
def test_links_to_folders_are_followed_out_but_never_round(folder, tmp_path_factory, deep):
    other = tmp_path_factory.mktemp("other")
    (other / "o.mp4").touch()
    (other / "back").symlink_to(folder)
    (other / "self").symlink_to(other)
    (folder / "out").symlink_to(other)
    (folder / "deep" / "up").symlink_to("..")
    (folder / "latest").symlink_to("deep")
    (folder / "above").symlink_to(folder.parent)
    found = find_videos([deep.format(folder=folder)], recursive=True)
    paths = {str(path.relative_to(folder)) for path in found.files.values()}
    assert paths - {"a.MKV", "notes.txt"} == {"b.mp4", "x[1].mp4", "deep/a.mp4", "out/o.mp4"}


def test_a_named_file_may_end_in_anything(folder):
    assert names([folder / "notes.txt"]) == {"notes": "notes.txt"}


@pytest.mark.parametrize("argument", ["deep/nothing*", "empty"])
def test_what_is_not_there_is_reported_and_the_rest_goes_on(folder, argument):
    (folder / "empty").mkdir()
    found = find_videos([str(folder / argument), str(folder / "b.mp4")])
    assert list(found.files) == ["b"]
    ((what, error),) = found.missing
    assert argument in what
    assert argument in str(error)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.JPEG", "c.png", "d.gif", "c.cam.png", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(("medium", "names", "left_out"), [
    (VIDEO, ["a.mp4"], 2), (IMAGE, ["b.JPEG", "c.png", "d.gif"], 1),
])  # fmt: skip
def test_of_a_folder_of_both_the_asked_for_are_taken_and_the_others_counted(both, medium, names, left_out):
    found = find_files([str(both)], medium)
    assert sorted(path.name for path in found.files.values()) == names
    assert (found.missing, found.left_out) == ((), left_out)


def test_a_named_file_of_the_other_kind_is_refused_in_one_message(both):
    found = find_files([str(both / "b.JPEG"), str(both / "c.png"), str(both / "a.mp4")], VIDEO, hint="do this")
    assert list(found.files) == ["a"]
    ((_, error),) = found.missing
    assert str(error) == f"{both}/b.JPEG and 1 more are images; do this"
    ((_, error),) = find_files([str(both / "a.mp4")], IMAGE).missing
    assert str(error) == f"{both}/a.mp4 is a video, not an image"


def test_a_folder_or_pattern_of_the_other_kind_only_is_refused_like_its_files(both):
    (both / "a.mp4").unlink()
    for argument in (both, both / "*.png"):
        ((_, error),) = find_files([str(argument)], VIDEO).missing
        assert "image" in str(error)


def test_a_pattern_takes_what_may_be_meant(both):
    found = find_files([str(both / "[bc].*")], IMAGE)
    assert sorted(path.name for path in found.files.values()) == ["b.JPEG", "c.cam.png", "c.png"]
    assert find_files([str(both / "[ab].*")], IMAGE).left_out == 1


def test_an_animation_may_pass_for_a_video(both):
    assert list(find_files([str(both / "d.gif")], VIDEO).files) == ["d"]


def test_an_animated_webp_is_called_one(tmp_path):
    from PIL import Image

    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.webp")
    ((_, moving), (_, still)) = (
        find_files([str(tmp_path / name)], VIDEO, hint="do this").missing[0] for name in ("moving.webp", "still.webp")
    )
    assert str(moving) == (
        f"{tmp_path}/moving.webp is an animated WebP, which is not read as a video: convert it to MP4, WebM or GIF"
    )
    assert str(still) == f"{tmp_path}/still.webp is an image; do this"
    with pytest.raises(DecodeError, match="an animated WebP, which is not read as a video"):
        open_reader(tmp_path / "moving.webp")
    with pytest.raises(DecodeError, match="a still image"):
        open_reader(tmp_path / "still.webp")


def test_the_time_that_ids_take_grows_with_their_number_only():
    paths = [Path(f"videos/{folder}/video_{number}.mp4") for number in range(10_000) for folder in "ab"]
    began = time.process_time()
    assert len(file_ids(paths)) == 20_000
    assert time.process_time() - began < 5  # a comparison of each with each takes minutes


def test_ids_of_equal_names_take_their_folders_along():
    paths = [Path("a/x.mp4"), Path("b/x.mp4"), Path("c/X.avi"), Path("c/y.mp4")]
    assert file_ids(paths) == {"a__x.mp4": paths[0], "b__x.mp4": paths[1], "X.avi": paths[2], "y": paths[3]}


@given(st.lists(st.text("ab/.", min_size=1, max_size=8).filter(lambda t: Path(t).name not in ("", "..")), unique=True))
def test_every_path_keeps_an_id_of_its_own_that_is_a_file_name(texts):
    paths = list({Path(t) for t in texts})
    ids = file_ids(paths)
    assert sorted(ids.values()) == sorted(paths)
    assert len({i.casefold() for i in ids}) == len(paths)
    assert not any("/" in i for i in ids)
    assert file_ids(paths[::-1]) == ids


def test_streams_are_taken_where_they_are_asked_for():
    arguments = ["-", "rtsp://user:secret@camera/yard", "http://host/picture.jpg"]
    inputs = find_files(arguments, VIDEO, streams=True)
    assert {file_id: str(path) for file_id, path in inputs.files.items()} == {
        "stdin": "standard input", "yard": "rtsp://camera/yard",
    }  # fmt: skip
    assert [argument for argument, _ in inputs.missing] == ["http://host/picture.jpg"]
    assert find_videos(arguments).files == {}
