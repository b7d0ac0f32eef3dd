"""The localize command and function on painted videos whose answer is known; see tests/colours.py."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

import hasvideo
from hasvideo.errors import DecodeError, HasvideoError, UsageError
from hasvideo.features import extractors
from hasvideo.localize import Localizer, main
from tests.colours import ColourExtractor, colour_model, paint_video
from tests.video_files import constant_times, write_video


@pytest.fixture(autouse=True)
def colour_extractor(monkeypatch):
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())


@pytest.fixture
def model(tmp_path) -> str:
    return str(colour_model(tmp_path / "colours.ckpt"))


@pytest.fixture
def clip(tmp_path) -> Path:
    """Black, red, red, green, black: a second each."""
    return paint_video(tmp_path / "clip.mp4", "black", "red", "red", "green", "black")


def spans(detections, label):
    return sorted((round(i.start, 3), round(i.end, 3)) for i in detections.intervals if i.label == label)


def command(capsys, *arguments):
    """Exit code, standard output and the lines of standard error that are no progress bar."""
    try:
        code = main([str(a) for a in arguments])
    except HasvideoError as error:  # what hasvideo.commands.run turns into one line
        code = 2 if isinstance(error, UsageError) else 1
        return code, "", [str(error)]
    except SystemExit as exit_:
        code = exit_.code
    out, err = capsys.readouterr()
    lines = [line.rpartition("\r")[2] for line in err.splitlines()]
    return code, out, [line for line in lines if line.strip() and "s of video" not in line]


def test_actions_are_found_where_they_are(clip, model):
    found = hasvideo.localize(clip, model=model, classes=["red", "green"])
    assert spans(found, "red") == [(1.0, 3.0)]
    assert spans(found, "green") == [(3.0, 4.0)]
    assert [i.score for i in found.intervals] == sorted((i.score for i in found.intervals), reverse=True)
    assert all(0 < i.score <= 1 for i in found.intervals)
    assert found.info.duration == pytest.approx(5.0)
    assert found.video == "clip"


def test_a_part_of_the_video_keeps_the_video_s_own_times(clip, model):
    found = hasvideo.localize(clip, model=model, classes=["red"], start=2.0, end=4.0)
    assert spans(found, "red") == [(2.0, 3.0)]
    assert found.edges[0] == 2.0
    assert found.edges[-1] == pytest.approx(4.0)


def test_probable_classes_are_chosen_and_named_ones_always_looked_for(clip, model):
    probable = hasvideo.localize(clip, model=model, min_class_score=0.0, top_k=2)
    assert len(probable.activations) == 2
    assert [a.score for a in probable.activations] == sorted((a.score for a in probable.activations), reverse=True)
    assert hasvideo.localize(clip, model=model, min_class_score=0.999).intervals == ()
    named = hasvideo.localize(clip, model=model, classes=["BLUE"], min_class_score=0.999)
    assert [a.label for a in named.activations] == ["blue"]


def test_rules_given_win_over_the_model_s(clip, model):
    strict = hasvideo.localize(clip, model=model, classes=["red"], min_duration=2.5)
    assert strict.intervals == ()
    assert strict.rule.min_duration == 2.5
    assert strict.rule.threshold == 0.5


def test_a_localizer_serves_many_videos(clip, model, tmp_path):
    localizer = Localizer(model)
    other = paint_video(tmp_path / "other.mp4", "green", "black")
    assert spans(hasvideo.localize(clip, model=localizer, classes=["green"]), "green") == [(3.0, 4.0)]
    assert spans(hasvideo.localize(other, model=localizer, classes=["green"]), "green") == [(0.0, 1.0)]


@pytest.mark.parametrize(("options", "message"), [
    ({"classes": ["redd"]}, "no class 'redd'; did you mean 'red'"),
    ({"threshold": 2}, "fraction from 0 to 1, got 2"),
    ({"threshold_mode": "mean"}, "accepted: max, minmax"),
    ({"decoder": "ffmpeg"}, "known: decord, pyav, torchcodec"),
    ({"engine": "onnx"}, "accepted: auto, torch, openvino"),
    ({"device": "cuda:7"}, "--device cuda:7 is not available"),
    ({"start": 9.0}, r"after the end of the video \(5\.00 s\)"),
    ({"start": 3.0, "end": 2.0}, "end must be after start"),
    ({"min_class_score": 1.5}, "number from 0 to 1, got 1.5"),
    ({"top_k": 0}, "number of classes from 1, got 0"),
])  # fmt: skip
def test_wrong_requests_are_refused_with_what_is_accepted(clip, model, options, message):
    with pytest.raises(UsageError, match=message):
        hasvideo.localize(clip, model=model, **options)


def test_models_that_are_none(clip, tmp_path):
    (tmp_path / "text.ckpt").write_text("not a model")
    with pytest.raises(UsageError, match="neither kinetics400 nor a checkpoint"):
        hasvideo.localize(clip, model=str(tmp_path / "absent.ckpt"))
    with pytest.raises(HasvideoError, match="not a hasvideo checkpoint"):
        hasvideo.localize(clip, model=str(tmp_path / "text.ckpt"))


def test_a_model_trained_on_other_weights_is_refused(clip, tmp_path):
    with pytest.raises(HasvideoError, match="trained on features of colour with weights beef"):
        hasvideo.localize(clip, model=str(colour_model(tmp_path / "x.ckpt", weights_sha256="beef")))


def test_the_table_goes_to_standard_output_and_nothing_else(clip, model, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, errors = command(capsys, clip, "--model", model, "--classes", "red,green")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines() if "red" in line or "green" in line] == [
        ["1.00", "3.00", "red"], ["3.00", "4.00", "green"],
    ]  # fmt: skip
    assert errors == []
    assert sorted(tmp_path.iterdir()) == before


def test_every_format_is_written_and_listed(clip, model, capsys, tmp_path):
    code, _, errors = command(capsys, clip, "--model", model, "-f", "all", "-o", tmp_path / "out")
    assert code == 0
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"clip.json", "clip.csv", "clip.srt", "clip.vtt", "clip.ass", "clip.eaf", "clip.png", "clip.html"} <= files
    assert len(errors) == len(files)


def test_a_broken_video_does_not_stop_the_others(clip, model, capsys, tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    code, out, errors = command(
        capsys, tmp_path / "text.mp4", tmp_path / "absent.mp4", clip, "--model", model, "-f", "csv", "-o", tmp_path
    )
    assert code == 1
    assert "red" in out
    assert sum("text.mp4" in e for e in errors) == 1
    assert sum("absent.mp4" in e for e in errors) == 1
    assert sorted(p.name for p in tmp_path.glob("*.csv")) == ["clip.csv"]


def test_links_are_videos_and_one_that_leads_nowhere_does_not_stop_the_others(clip, model, capsys, tmp_path):
    (tmp_path / "again.mp4").symlink_to(clip)
    (tmp_path / "gone.mp4").symlink_to("moved.mp4")
    code, _, (error, *_) = command(capsys, tmp_path, "--model", model, "-f", "csv", "-o", tmp_path)
    assert code == 1
    assert error == f"hasvideo: error: {tmp_path}/gone.mp4 is a link to moved.mp4, which is not there"
    assert sorted(p.name for p in tmp_path.glob("*.csv")) == ["again.csv", "clip.csv"]


def test_inputs_of_equal_stem_do_not_overwrite_each_other(model, capsys, tmp_path):
    for folder, colour in (("a", "red"), ("b", "green")):
        (tmp_path / folder).mkdir()
        paint_video(tmp_path / folder / "clip.mp4", colour, "black")
    code, _, _ = command(
        capsys, tmp_path / "a", tmp_path / "b", "--model", model, "-f", "json", "-o", tmp_path / "out",
        "--results", tmp_path / "all.json", "--classes", "red, green", "--threshold", "0.9",
    )  # fmt: skip
    assert code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a__clip.mp4.json", "b__clip.mp4.json"}
    results = json.loads((tmp_path / "all.json").read_text())["results"]
    assert {video: found[0]["label"] for video, found in results.items()} == {
        "a__clip.mp4": "red", "b__clip.mp4": "green",
    }  # fmt: skip


def test_skip_existing_leaves_finished_videos_alone(clip, model, capsys, tmp_path):
    arguments = (clip, "--model", model, "-f", "csv", "-o", tmp_path / "out", "--skip-existing")
    assert "red" in command(capsys, *arguments)[1]
    (tmp_path / "out" / "clip.csv").write_text("mine")
    code, out, errors = command(capsys, *arguments)
    assert (code, out) == (0, "")
    assert "skipped" in errors[0]
    assert (tmp_path / "out" / "clip.csv").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["with space.mp4", "quo\"te's.mp4", "🎬 été.mp4", "-dash.mp4", "a#b?c%20.mp4", "x[1].mp4"]
)
def test_awkward_names(model, capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    paint_video(tmp_path / name, "red", "black")
    code, out, _ = command(capsys, "--model", model, "-f", "all", "-o", "out", "--", name)
    assert code == 0
    assert "red" in out
    assert (tmp_path / "out" / f"{Path(name).stem}.html").exists()


def test_options_may_come_from_a_file_and_the_command_line_wins(clip, model, capsys, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text(f"model: {model}\nclasses: green\nmin_duration: 3\n")
    assert "no action" in command(capsys, clip, "--config", config)[1]
    assert "green" in command(capsys, clip, "--config", config, "--min-duration", "0.5")[1]


@pytest.mark.parametrize("arguments", [["clip.mp4", "-f", "clips"], ["-f", "clips"], ["-f", "json", "clips"]])
def test_a_folder_is_never_meant_by_the_name_of_a_format(clip, model, tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    paint_video(tmp_path / "clips" / "other.mp4", "red")
    code, out, (error,) = command(capsys, *arguments, "--model", model)
    assert (code, out) == (2, "")
    assert error.startswith("unknown output format 'clips'; accepted: json, csv,")
    assert error.endswith("; to localize clips, name it before -f")


@pytest.mark.parametrize("word", ["clips/", "./clips", "clips/*", "clips/other.mp4"])
def test_what_is_spelled_like_a_path_is_none_of_the_formats_before_it(model, tmp_path, capsys, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    paint_video(tmp_path / "clips" / "other.mp4", "red")
    assert command(capsys, "-f", "json", word, "-o", "out", "--model", model)[0] == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["other.json"]


def test_results_are_what_their_suffix_says(clip, model, tmp_path, capsys):
    other = paint_video(tmp_path / "a.mp4", "black", "red")
    arguments = (clip, other, "--model", model, "--classes", "red,green", "--results", tmp_path / "all.csv")
    assert command(capsys, *arguments)[0] == 0
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in lines] == [
        "video,start,end,label", "a,1,2,red", "clip,1,3,red", "clip,3,4,green",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "order", [["{clip}", "-f", "json", "csv"], ["-f", "json", "csv", "{clip}"], ["-f", "json,csv", "{clip}"]]
)
def test_formats_may_stand_before_and_after_the_videos(clip, model, tmp_path, capsys, order):
    arguments = [word.format(clip=clip) for word in order]
    assert command(capsys, *arguments, "-o", tmp_path / "out", "--model", model)[0] == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"clip.json", "clip.csv"}


def test_one_format_and_a_list_of_classes_may_come_from_a_file(clip, model, tmp_path, capsys):
    config = tmp_path / "options.yaml"
    config.write_text(f"format: json\noutput: {tmp_path}/out\nclasses: [red, green]\n")
    assert command(capsys, clip, "--config", config, "--model", model)[0] == 0
    results = json.loads((tmp_path / "out" / "clip.json").read_text())["results"]["clip"]
    assert {r["label"] for r in results} == {"red", "green"}


def test_an_interrupted_batch_keeps_its_results(clip, model, tmp_path, monkeypatch):
    other = paint_video(tmp_path / "second.mp4", "green")
    found = Localizer.__call__

    def interrupted(self, path, *rest, **options):
        if path == other:
            raise KeyboardInterrupt
        return found(self, path, *rest, **options)

    monkeypatch.setattr(Localizer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([str(clip), str(other), "--model", model, "--results", str(tmp_path / "all.json")])
    assert list(json.loads((tmp_path / "all.json").read_text())["results"]) == ["clip"]


def test_a_library_that_fails_on_one_video_does_not_stop_the_others(clip, model, tmp_path, monkeypatch, capsys):
    other = paint_video(tmp_path / "a.mp4", "green")
    found = Localizer.__call__

    def broken(self, path, *rest, **options):
        if path == other:
            raise RuntimeError("of a library")
        return found(self, path, *rest, **options)

    monkeypatch.setattr(Localizer, "__call__", broken)
    code, out, errors = command(capsys, other, clip, "--model", model)
    assert code == 1
    assert "red" in out
    assert len(errors) == 1
    assert "a.mp4: unexpected RuntimeError: of a library" in errors[0]


def test_a_class_may_be_given_as_a_string(clip, model):
    assert spans(hasvideo.localize(clip, model=model, classes="red"), "red") == [(1.0, 3.0)]


def test_the_built_in_classes_are_listed_without_fetching_weights(monkeypatch, capsys):
    monkeypatch.setattr("hasvideo.weights.load_weights", lambda name: pytest.fail("weights were loaded"))
    code, out, _ = command(capsys, "--list-classes")
    assert code == 0
    assert len(out.splitlines()) == 400
    assert "playing cricket" in out.splitlines()


def test_classes_are_listed(model, capsys):
    assert command(capsys, "--list-classes", "--model", model)[:2] == (0, "red\ngreen\nblue\n")


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "no videos or images given"),
    (["{clip}", "-f", "jsn"], "did you mean json"),
    (["{clip}", "-f", "xyz"], "unknown output format 'xyz'; accepted: json"),
    (["{clip}", "--results", "{folder}/all.tsv"], "accepted: .json, .csv, .parquet, .xlsx"),
    (["{clip}", "--results", "{folder}/all"], "the suffix says the format"),
    (["{clip}", "--results", "{folder}/all.coco.json"], "accepted: .json, .csv"),
    (["{clip}", "--results", "{folder}/empty"], "accepted: .json, .csv"),
    (["{clip}", "--classes", "gren"], "did you mean 'green'"),
    (["{clip}", "--top-k", "many"], "top_k"),
    (["{clip}", "--nonsense"], "nonsense"),
    (["{clip}", "--start", "70"], "after the end"),
    (["{clip}", "--skip-existing"], "--format"),
    (["{clip}", "-o", "{folder}/out"], "say which"),
    (["{clip}", "--embed-video"], "--embed-video is for html: add -f html"),
    (["{clip}", "--labelstudio-prefix", "https://example.org", "-f", "html"], "add -f labelstudio"),
    (["{clip}", "--classes", " , "], "--classes is empty"),
    (["{clip}", "--threshold", "half"], "threshold"),
    (["{clip}", "--threshold-mode", "mean"], "threshold-mode"),
    ([""], "empty name"),
    (["x" * 300], "cannot look at"),
    (["{folder}/absent.mp4"], "absent.mp4"),
    (["{folder}/empty"], "no videos in folder"),
    (["{folder}/*.nothing"], "no file matches"),
])  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(clip, model, capsys, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    filled = [a.format(clip=clip, folder=tmp_path) for a in arguments]
    code, out, errors = command(capsys, *filled, "--model", model)
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]
    assert out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"plain text, not a video\n" * 50, b"\x00\x00\x00\x18ftypmp42" + bytes(64)])
def test_files_that_are_no_videos_fail_in_one_line(model, capsys, tmp_path, content):
    (tmp_path / "bad.mp4").write_bytes(content)
    code, _, errors = command(capsys, tmp_path / "bad.mp4", "--model", model, "-f", "all", "-o", tmp_path / "out")
    assert code == 1
    assert len(errors) == 1
    assert "bad.mp4" in errors[0]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("movflags", ["faststart", ""])
def test_a_video_cut_at_every_twentieth_is_reported_and_the_batch_goes_on(clip, model, capsys, tmp_path, movflags):
    options = {"movflags": movflags} if movflags else {}
    whole = write_video(tmp_path / "whole.mp4", constant_times(10, 60), container_options=options).read_bytes()
    cuts = [tmp_path / f"cut{percent:02}.mp4" for percent in range(5, 100, 5)]
    for percent, path in zip(range(5, 100, 5), cuts, strict=True):
        path.write_bytes(whole[: len(whole) * percent // 100])
    code, out, errors = command(
        capsys, *cuts, clip, "--model", model, "-f", "json", "-o", tmp_path / "out", "--classes", "red"
    )
    assert code == 1
    assert out.count("clip.mp4") == 1
    failed = [path for path in cuts if any(path.name in line for line in errors)]
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert written == {"clip.json"} | {f"{p.stem}.json" for p in cuts if p not in failed}
    assert len(failed) >= 17  # the last cuts may take no more than the half second that is tolerated
    assert len([line for line in errors if "error" in line]) == len(failed)


def test_the_readable_part_of_a_truncated_video_can_be_asked_for(model, tmp_path):
    video = write_video(tmp_path / "v.mp4", constant_times(10, 60), container_options={"movflags": "faststart"})
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(DecodeError, match=r"v\.mp4.*--end (\S+) reads the readable part") as caught:
        hasvideo.localize(video, model=model)
    end = float(str(caught.value).partition("--end ")[2].split()[0])
    assert 0 < end < 6
    assert hasvideo.localize(video, model=model, end=end).edges[-1] == pytest.approx(end)


def test_an_output_that_cannot_be_written_stops_before_the_work(clip, model, capsys, tmp_path):
    (tmp_path / "file").touch()
    code, out, errors = command(capsys, clip, "--model", model, "-f", "json", "-o", tmp_path / "file" / "deep")
    assert (code, out) == (1, "")
    assert "cannot write" in errors[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_stops_before_the_work(clip, model, capsys, tmp_path):
    (tmp_path / "ro").mkdir()
    (tmp_path / "ro").chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, _, errors = command(capsys, clip, "--model", model, "-f", "json", "-o", tmp_path / "ro")
    assert code == 1
    assert "cannot write" in errors[0]


def test_an_interrupt_leaves_no_half_written_file(clip, model, tmp_path, monkeypatch):
    import hasvideo.output.writers as writers

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writers.FORMATS["png"], "write", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        main([str(clip), "--model", model, "-f", "json", "png", "-o", str(tmp_path / "out")])
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["clip.json"]
