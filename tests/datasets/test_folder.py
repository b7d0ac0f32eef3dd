import pytest

from hasvideo.datasets.folder import (
    LabelledVideo,
    check_classes,
    class_folders,
    hold_out,
    labelled_features,
    labelled_files,
    read_labels,
)
from hasvideo.errors import HasvideoError, UsageError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_a_class(tmp_path):
    touch(tmp_path, "wave/a.mp4", "wave/day 1/b.MOV", "none/c.avi", "none/notes.txt", ".cache/x.mp4")
    videos = class_folders(tmp_path)
    assert {name: video.labels for name, video in videos.items()} == {"c": ("none",), "a": ("wave",), "b": ("wave",)}
    assert videos["b"].path == tmp_path / "wave" / "day 1" / "b.MOV"


@pytest.mark.parametrize(("files", "message"), [
    (["wave/a.mp4", "stray.mp4"], r"without a label lie beside the class folders of .*: stray\.mp4"),
    (["wave/a.mp4", "jump/a.mov"], r"two videos are named 'a': .*jump/a\.mov and .*wave/a\.mp4"),
    (["wave/a.mp4", "jump/readme.txt"], "class 'jump': no videos in folder"),
    (["a.mp4"], "holds no folders: give a folder that holds a folder for each class, or --labels"),
])  # fmt: skip
def test_folders_that_are_wrong(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(UsageError, match=message):
        class_folders(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(UsageError, match="is no folder"):
        class_folders(tmp_path / "absent")


def test_labels_from_a_csv_file(tmp_path):
    touch(tmp_path / "videos", "a.mp4", "b.mov", "c.d.mkv")
    labels = write(
        tmp_path / "labels.csv", "\ufeffvideo, label, note\na,wave,\nb.mov,hug,x\na,hug,\na,wave,again\nc.d,wave,\n"
    )
    videos = labelled_files([str(tmp_path / "videos")], labels)
    assert {name: video.labels for name, video in videos.items()} == {
        "a": ("hug", "wave"), "b": ("hug",), "c.d": ("wave",),
    }  # fmt: skip
    assert videos["b"].path == tmp_path / "videos" / "b.mov"


def test_labels_name_videos_with_and_without_folder_and_ending(tmp_path):
    touch(tmp_path / "videos", "a.mp4", "trial.1.mp4", "c.MOV")
    labels = write(tmp_path / "labels.csv", "Video;Label\nd/a.mp4;wave\na;hug\ntrial.1;hug\nd\\c.mov;wave\n")
    videos = labelled_files([str(tmp_path / "videos")], labels)
    assert {name: video.labels for name, video in videos.items()} == {
        "a": ("hug", "wave"), "trial.1": ("hug",), "c": ("wave",),
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"not among those given: a\.avi"):
        labelled_files([str(tmp_path / "videos")], write(tmp_path / "labels.csv", "video,label\na.avi,x\n"))


def test_labels_of_features_go_by_the_features_names(tmp_path):
    labels = write(tmp_path / "labels.csv", "video,label\na.mp4,x\na,y\nb.mp4,x\nv/lost.mp4,y\n")
    videos = labelled_features({"a", "b.mp4", "b.avi"}, labels)
    assert {name: video.labels for name, video in videos.items()} == {
        "a": ("x", "y"), "b.mp4": ("x",), "lost": ("y",),
    }  # fmt: skip


def test_a_link_is_labelled_by_its_own_name(tmp_path):
    touch(tmp_path, "pool/1.mp4", "videos/a.mp4")
    for name in ("b.mp4", "c.mp4"):
        (tmp_path / "videos" / name).symlink_to(tmp_path / "pool" / "1.mp4")
    labels = write(tmp_path / "labels.csv", "video,label\na,wave\nb,hug\nc.mp4,kick\n")
    videos = labelled_files([str(tmp_path / "videos")], labels)
    assert {name: video.labels for name, video in videos.items()} == {"a": ("wave",), "b": ("hug",), "c": ("kick",)}


@pytest.mark.parametrize("place", ["gone.mp4", "wave/gone.mp4"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, place):
    touch(tmp_path, "wave/a.mp4", "jump/b.mp4")
    (tmp_path / place).symlink_to("moved.mp4")
    with pytest.raises(UsageError, match=r"gone\.mp4"):
        class_folders(tmp_path)
    with pytest.raises(UsageError, match=r"gone\.mp4 is a link to moved\.mp4, which is not there"):
        labelled_files([str(tmp_path / place)], tmp_path / "labels.csv")


def test_labels_and_videos_must_fit(tmp_path):
    touch(tmp_path / "videos", "a.mp4", "b.mp4")
    folder = [str(tmp_path / "videos")]
    with pytest.raises(UsageError, match=r"labels\.csv has no label for 1 videos: b"):
        labelled_files(folder, write(tmp_path / "labels.csv", "video,label\na,wave\n"))
    with pytest.raises(UsageError, match=r"labels 2 videos that are not among those given: x, y\.mp4"):
        labelled_files(folder, write(tmp_path / "labels.csv", "video,label\na,wave\nb,wave\nx,wave\ny.mp4,wave\n"))
    touch(tmp_path / "videos", "a.avi")
    with pytest.raises(UsageError, match="two videos are named 'a'"):
        labelled_files(folder, write(tmp_path / "labels.csv", "video,label\na,wave\nb,wave\n"))
    with pytest.raises(UsageError, match="no such file or folder"):
        labelled_files([str(tmp_path / "absent")], tmp_path / "labels.csv")


def test_many_names_are_cut_short(tmp_path):
    touch(tmp_path / "videos", *(f"v{i}.mp4" for i in range(9)))
    with pytest.raises(UsageError, match="8 videos: v1, v2, v3, v4, v5 and 3 more"):
        labelled_files([str(tmp_path / "videos")], write(tmp_path / "labels.csv", "video,label\nv0,wave\n"))


@pytest.mark.parametrize(("text", "message"), [
    ("", "the first line must name the columns video, label; it lacks video. It is nothing"),
    ("a,wave\n", "it lacks video. It is 'a,wave'; separators tried: a comma, a semicolon, a tab, a bar"),
    ("video,label\na,wave\nb,\n", r"labels\.csv:3: video and label must both be filled"),
    ("video,label\nonly\n", r"labels\.csv:2"),
    ("video,label\n", "has no rows"),
])  # fmt: skip
def test_csv_files_that_are_wrong(tmp_path, text, message):
    with pytest.raises(HasvideoError, match=message):
        read_labels(write(tmp_path / "labels.csv", text))


def test_csv_files_that_cannot_be_read(tmp_path):
    with pytest.raises(HasvideoError, match="cannot read"):
        read_labels(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"video,label\n\x81\xfe,a\n")
    with pytest.raises(HasvideoError, match=r"binary.csv is not UTF-8 text, nor Windows-1252 \(byte 12\)"):
        read_labels(tmp_path / "binary.csv")


def videos(**labels):
    return {name: LabelledVideo(tuple(of)) for name, of in labels.items()}


def test_classes_that_can_be_learnt():
    check_classes(videos(a=["x"], b=["x", "y"], c=["y"], d=["none"], e=["none"]), "none")


@pytest.mark.parametrize(("given", "message"), [
    (videos(a=["x"], b=["x"], c=["y"]), r"at least 2 videos; fewer have: y \(1\)"),
    (videos(a=["x"], b=["x"]), "at least 2 classes, got x; add another class, or videos of none as class 'none'"),
    (videos(a=["x"], b=["x", "none"], c=["none"]), "labelled 'none' and something else at once: b"),
])  # fmt: skip
def test_classes_that_cannot(given, message):
    with pytest.raises(UsageError, match=message):
        check_classes(given, "none")


def test_hold_out_takes_of_every_class_and_leaves_two():
    given = videos(**{f"x{i}": ["x"] for i in range(10)}, **{f"y{i}": ["y"] for i in range(3)}, z0=["z"], z1=["z"])
    chosen = hold_out(given, 0.2, seed=0)
    assert sorted(name[0] for name in chosen) == ["x", "x", "y"]
    assert chosen == hold_out(given, 0.2, seed=0)
    assert any(hold_out(given, 0.2, seed=s) != chosen for s in range(1, 5))
    assert sorted(name[0] for name in hold_out(given, 1.0, seed=0)) == ["x"] * 8 + ["y"]
    assert hold_out(given, 0, seed=0) == []


def test_hold_out_with_several_labels_a_video_leaves_two_of_each():
    given = videos(a=["x", "y"], b=["x", "y"], c=["x", "y"], d=["x"], e=["x"])
    rest = [given[name].labels for name in given if name not in hold_out(given, 0.9, seed=3)]
    assert all(sum(label in labels for labels in rest) >= 2 for label in "xy")
