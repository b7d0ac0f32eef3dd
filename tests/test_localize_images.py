"""The localize command on painted images whose boxes are known; see tests/image/colours.py."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hasvideo.features import extractors
from hasvideo.image.localizer import ImageLocalizer
from hasvideo.localize import main
from tests.colours import ColourExtractor, paint_video
from tests.colours import colour_model as video_model
from tests.image.colours import colour_model, paint, pass_pixels_through
from tests.test_localize import command

CAMS = (".cam.png", ".cam.svg", ".cam.pdf")
FIT = "for images give --model a checkpoint made by hasvideo train_imagenet"


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    pass_pixels_through(monkeypatch)
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())


@pytest.fixture
def model(tmp_path) -> str:
    return str(colour_model(tmp_path / "colours.ckpt"))


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of two images."""
    paint(tmp_path / "pictures" / "a.png", red=(4, 6, 16, 20))
    paint(tmp_path / "pictures" / "b.bmp", green=(0, 0, 16, 32))
    return tmp_path / "pictures"


@pytest.fixture
def image(pictures) -> Path:
    return pictures / "a.png"


def localize(capsys, *arguments):
    return command(capsys, *arguments, "--quiet")


def test_the_table_goes_to_standard_output_and_nothing_else(image, model, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, errors = localize(capsys, image, "--model", model)
    assert (code, errors) == (0, [])
    heading, names, row = out.strip().splitlines()
    assert heading == f"{image}  (32 x 32)"
    assert names.split() == ["label", "score", "xmin", "ymin", "xmax", "ymax"]
    label, score, *corners = row.split()
    assert (label, corners) == ("red", ["4", "6", "16", "20"])
    assert 0 < float(score) <= 1
    assert sorted(tmp_path.iterdir()) == before


def test_all_formats_of_a_folder_are_written_and_listed(pictures, model, capsys, tmp_path):
    code, _, errors = localize(capsys, pictures, "--model", model, "-f", "all", "-o", tmp_path / "out")
    assert code == 0
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert files == {f"{name}{suffix}" for name in "ab" for suffix in (".json", ".csv", ".coco.json", *CAMS)}
    assert len(errors) == len(files)


def test_pictures_never_replace_the_images_and_are_not_localized_in_turn(pictures, model, capsys):
    before = {p.name: p.read_bytes() for p in pictures.iterdir()}
    for _ in range(2):
        code, out, _ = localize(capsys, pictures, "--model", model, "-f", "png", "-o", pictures)
        assert code == 0
        assert out.count("label") == 2
    assert {p.name for p in pictures.iterdir()} == {*before, "a.cam.png", "b.cam.png"}
    assert all((pictures / name).read_bytes() == content for name, content in before.items())


@pytest.mark.parametrize("name", ["all.json", "all.coco.json"])
def test_results_of_all_images_go_to_one_file(pictures, model, capsys, tmp_path, name):
    assert localize(capsys, pictures, "--model", model, "--results", tmp_path / name)[0] == 0
    written = json.loads((tmp_path / name).read_text())
    if name == "all.json":
        assert list(written["results"]) == ["a", "b"]
        assert written["results"]["b"]["boxes"][0]["box"] == [0, 0, 16, 32]
        assert written["results"]["b"]["classes"][0]["label"] == "green"
    else:
        assert [(r["image_id"], r["category_id"], r["bbox"]) for r in written] == [
            ("a", 1, [4, 6, 12, 14]), ("b", 2, [0, 0, 16, 32]),
        ]  # fmt: skip


def test_images_of_equal_stem_do_not_overwrite_each_other(image, model, capsys, tmp_path):
    other = paint(tmp_path / "more" / "a.png", blue=(0, 0, 8, 8))
    arguments = (image, other, "--model", model, "-f", "json", "-o", tmp_path / "out")
    assert localize(capsys, *arguments)[0] == 0
    labels = {p.name: next(iter(json.loads(p.read_text())["results"].values()))["boxes"][0]["label"]
              for p in (tmp_path / "out").iterdir()}  # fmt: skip
    assert labels == {"pictures__a.png.json": "red", "more__a.png.json": "blue"}


def test_skip_existing_leaves_finished_images_alone(image, model, capsys, tmp_path):
    arguments = (image, "--model", model, "-f", "csv", "-o", tmp_path / "out", "--skip-existing")
    assert "red" in localize(capsys, *arguments)[1]
    (tmp_path / "out" / "a.csv").write_text("mine")
    code, out, errors = localize(capsys, *arguments)
    assert (code, out) == (0, "")
    assert "skipped" in errors[0]
    assert (tmp_path / "out" / "a.csv").read_text() == "mine"


def test_recursion(pictures, model, capsys):
    paint(pictures / "deep" / "c.png", blue=(0, 0, 8, 8))
    assert "blue" not in localize(capsys, pictures, "--model", model)[1]
    assert "blue" in localize(capsys, pictures, "--model", model, "--recursive")[1]


def test_unreadable_images_do_not_stop_the_others(pictures, model, capsys, tmp_path):
    whole = (pictures / "a.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) * 2 // 3])
    (pictures / "empty.jpg").touch()
    (pictures / "text.jpg").write_text("hello")
    (pictures / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")
    paint_video(tmp_path / "clip.mp4", "red").rename(pictures / "video.jpg")
    code, out, errors = localize(capsys, pictures, "absent.png", "--model", model, "-f", "csv", "-o", tmp_path / "out")
    assert code == 1
    assert out.count("label") == 2
    failed = [line for line in errors if "error" in line]
    assert len(failed) == 6
    for name in ("cut.png", "empty.jpg", "text.jpg", "photo.heic", "video.jpg", "absent.png"):
        assert sum(name in line for line in failed) == 1
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.csv", "b.csv"}


def test_images_that_are_not_rgb_are_converted(tmp_path, model, capsys):
    folder = tmp_path / "kinds"
    red = Image.open(paint(folder / "rgb.png", red=(8, 8, 24, 24)))
    red.convert("CMYK").save(folder / "cmyk.tif")
    red.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    alpha = red.convert("RGBA")
    alpha.putalpha(255)
    alpha.save(folder / "alpha.png")
    ramp = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(folder / "deep.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, out, _ = localize(capsys, folder, "--model", model, "--classes", "red")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.startswith("red")]
    assert [corners for _, _, *corners in rows] == [["8", "8", "24", "24"]] * 4
    assert "no object found (closest class: red" in out  # in the grey one


def test_an_empty_folder_is_named(pictures, model, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, errors = localize(capsys, tmp_path / "empty", "--model", model)
    assert (code, out, len(errors)) == (2, "", 1)
    assert "no images in folder" in errors[0]
    code, out, errors = localize(capsys, tmp_path / "empty", pictures, "--model", model)
    assert (code, out.count("label"), len(errors)) == (1, 2, 1)


def test_an_animation_is_taken_by_its_first_frame_with_a_warning(image, model, capsys, tmp_path):
    first = Image.open(image).convert("RGB")
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (32, 32), "blue")])
    with pytest.warns(UserWarning, match=r"moving\.gif has 2 frames"):
        code, out, _ = localize(capsys, tmp_path / "moving.gif", "--model", model)
    assert code == 0
    assert "red" in out


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "b.bmp"], [""]])
def test_images_and_a_model_for_videos_do_not_fit(pictures, capsys, names):
    code, out, errors = localize(capsys, *(pictures / name for name in names), "-f", "coco")
    assert (code, out) == (2, "")
    (error,) = errors
    assert "model kinetics400 localizes actions in videos" in error
    assert FIT in error
    assert "a.png" in error
    assert ("1 more" in error) == (names != ["a.png"])


def test_a_trained_model_for_videos_does_not_fit_either(image, capsys, tmp_path):
    code, _, errors = localize(capsys, image, "--model", video_model(tmp_path / "v.ckpt"))
    assert code == 2
    assert FIT in errors[0]


def test_videos_and_a_model_for_images_do_not_fit(model, capsys, tmp_path):
    clip = paint_video(tmp_path / "clip.mp4", "red")
    code, _, errors = localize(capsys, clip, "--model", model)
    assert code == 2
    assert len(errors) == 1
    assert "clip.mp4 is a video" in errors[0]
    assert "for videos give --model kinetics400 or a checkpoint made by hasvideo train" in errors[0]


def test_of_a_folder_of_both_the_model_takes_its_own(pictures, model, capsys, tmp_path):
    paint_video(pictures / "clip.mp4", "red", "black")
    code, out, errors = localize(capsys, pictures, "--model", model)
    assert (code, out.count("label")) == (0, 2)
    assert len(errors) == 1
    assert "warning: left out a video: model" in errors[0]
    code, out, errors = localize(capsys, pictures, "--model", video_model(tmp_path / "v.ckpt"))
    assert (code, out.count("start")) == (0, 1)
    assert "warning: left out 2 images" in errors[0]
    assert FIT in errors[0]


def test_of_files_of_both_the_fitting_ones_are_done(image, model, capsys, tmp_path):
    clip = paint_video(tmp_path / "clip.mp4", "red")
    code, out, errors = localize(capsys, clip, image, "--model", model)
    assert code == 1
    assert "red" in out
    assert len(errors) == 1
    assert "clip.mp4 is a video" in errors[0]


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["-f", "srt"], 2, "'srt' is for videos; accepted for images: json, csv, coco, png, svg, pdf, all"),
    (["-f", "coc"], 2, "did you mean coco"),
    (["--start", "1"], 2, "--start is for videos; model"),
    (["--weights", "x.pth"], 2, "--weights is for videos; model"),
    (["--merge-gap", "1", "--decoder", "pyav"], 2, "--merge-gap --decoder are for videos"),
    (["--embed-video"], 2, "--embed-video is for videos"),
    (["--classes", "gren"], 2, "did you mean 'green'"),
    (["--threshold", "2"], 2, "fraction from 0 to 1"),
    (["--skip-existing"], 2, "--format"),
    (["-o", "out"], 2, "say which"),
    (["--ground-truth", "truth.csv"], 2, "-f png"),
    (["--ground-truth", "absent", "-f", "png"], 2, "absent"),
    (["--theme", "dark", "-f", "json"], 2, "--theme is for pictures: add -f png, svg or pdf"),
    (["--theme", "sepia", "-f", "png"], 2, "sepia"),
    (["--model", "absent.ckpt"], 2, "neither kinetics400 nor a checkpoint"),
    (["-f", "json", "-o", "{folder}/file/deep"], 1, "cannot write"),
    (["--results", "all.tsv"], 2, "accepted: .json, .coco.json, .csv, .parquet, .xlsx"),
    (["--results", "{folder}/file/all.json"], 1, "cannot write"),
])  # fmt: skip
def test_wrong_usage_is_one_line(image, model, capsys, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    found, _, errors = localize(capsys, image, "--model", model, *(a.format(folder=tmp_path) for a in arguments))
    assert found == code
    assert len(errors) == 1
    assert message in errors[0]
    assert not (tmp_path / "out").exists()


def test_an_option_for_images_is_refused_for_videos(capsys, tmp_path):
    clip = paint_video(tmp_path / "clip.mp4", "red")
    code, _, errors = localize(capsys, clip, "--every-box", "--model", video_model(tmp_path / "v.ckpt"))
    assert code == 2
    assert "--every-box is for images" in errors[0]


def test_classes_of_a_model_for_images_are_listed(model, capsys):
    assert localize(capsys, "--list-classes", "--model", model)[:2] == (0, "red\ngreen\nblue\n")


def test_a_library_that_fails_on_one_image_does_not_stop_the_others(pictures, model, monkeypatch, capsys):
    found = ImageLocalizer.__call__

    def broken(self, path, *rest, **options):
        if path.name == "a.png":
            raise RuntimeError("of a library")
        return found(self, path, *rest, **options)

    monkeypatch.setattr(ImageLocalizer, "__call__", broken)
    code, out, errors = localize(capsys, pictures, "--model", model)
    assert code == 1
    assert "green" in out
    assert len(errors) == 1
    assert "a.png: unexpected RuntimeError: of a library" in errors[0]


def test_an_interrupted_batch_keeps_its_results(pictures, model, tmp_path, monkeypatch):
    found = ImageLocalizer.__call__

    def interrupted(self, path, *rest, **options):
        if path.name == "b.bmp":
            raise KeyboardInterrupt
        return found(self, path, *rest, **options)

    monkeypatch.setattr(ImageLocalizer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([str(pictures), "--model", model, "--results", str(tmp_path / "all.json"), "--quiet"])
    assert list(json.loads((tmp_path / "all.json").read_text())["results"]) == ["a"]


class TestGroundTruth:
    """Known boxes, handed to the picture."""

    @pytest.fixture
    def drawn(self, monkeypatch):
        """What the picture is drawn of, by image."""
        import hasvideo.output.overlay as overlay

        seen = {}
        monkeypatch.setattr(overlay, "draw_image", lambda found, *_: seen.update({found.image: found}) or _figure())
        return seen

    def test_boxes_of_a_csv_file_reach_the_picture(self, pictures, model, capsys, tmp_path, drawn):
        truth = tmp_path / "LOC_val_solution.csv"
        truth.write_text("ImageId,PredictionString\na,n1 4 6 16 20 n1 20 20 30 30 \n")
        (tmp_path / "LOC_synset_mapping.txt").write_text("n1 red, scarlet\n")
        arguments = (pictures, "--model", model, "-f", "png", "-o", tmp_path / "out", "--ground-truth", truth)
        assert localize(capsys, *arguments)[0] == 0
        assert [(b.label, b.corners) for b in drawn["a"].truth] == [
            ("red, scarlet", (4, 6, 16, 20)), ("red, scarlet", (20, 20, 30, 30)),
        ]  # fmt: skip
        assert drawn["b"].truth == ()

    def test_unusable_boxes_are_left_out_with_a_warning(self, image, model, capsys, tmp_path, drawn):
        (tmp_path / "truth.csv").write_text("ImageId,PredictionString\na,n1 4 6 16 20\nb,n1 9 9 3 3\n")
        arguments = ("-f", "png", "-o", tmp_path / "out", "--ground-truth", tmp_path / "truth.csv")
        code, _, errors = localize(capsys, image, "--model", model, *arguments)
        assert code == 0
        assert "warning: 1 unusable entries" in errors[0]
        assert "truth.csv:3: box" in errors[0]
        assert [b.corners for b in drawn["a"].truth] == [(4, 6, 16, 20)]

    def test_boxes_for_another_size_are_left_out_with_a_warning(self, image, model, capsys, tmp_path, drawn):
        corners = {"xmin": 1, "ymin": 2, "xmax": 300, "ymax": 400}
        box = "".join(f"<{side}>{value}</{side}>" for side, value in corners.items())
        (tmp_path / "xml").mkdir()
        (tmp_path / "xml" / "a.xml").write_text(
            "<annotation><size><width>500</width><height>400</height></size>"
            f"<object><name>n1</name><bndbox>{box}</bndbox></object></annotation>"
        )
        arguments = ("-f", "png", "-o", tmp_path / "out", "--ground-truth", tmp_path / "xml")
        code, _, errors = localize(capsys, image, "--model", model, *arguments)
        assert code == 0
        assert "not drawn: they are for 500 x 400 pixels, the image has 32 x 32" in errors[0]
        assert drawn["a"].truth == ()

    def test_boxes_of_other_images_only_are_a_mistake(self, image, model, capsys, tmp_path):
        (tmp_path / "truth.csv").write_text("ImageId,PredictionString\nother,n1 4 6 16 20\n")
        arguments = ("-f", "png", "-o", tmp_path / "out", "--ground-truth", tmp_path / "truth.csv")
        code, _, errors = localize(capsys, image, "--model", model, *arguments)
        assert code == 2
        assert "knows none of the images, such as a" in errors[0]


def _figure():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))
