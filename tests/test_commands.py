"""How commands end, and how they are found."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import hasvideo
from hasvideo.commands import COMMANDS, CommandParser, find_config, pick_arguments, run
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.video.recipe import OWN_VIDEOS, WHY_OWN_VIDEOS, Recipe


def hasvideo_command(*arguments):
    result = subprocess.run([sys.executable, "-m", "hasvideo", *arguments], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize(("error", "code"), [
    (UsageError("no\n such class"), 2), (HasvideoError("no\n such class"), 1), (KeyboardInterrupt(), 130),
])  # fmt: skip
def test_errors_become_one_line_and_a_code(error, code, capsys):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as exit_:
        run(main)
    assert exit_.value.code == code
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert captured.startswith("hasvideo: error: ")
    assert code == 130 or "no such class" in captured


def test_a_main_that_returns_nothing_succeeded():
    with pytest.raises(SystemExit) as exit_:
        run(lambda argv: None)
    assert exit_.value.code == 0


def test_wrong_options_are_one_line_and_code_2(capsys):
    parser = CommandParser("test", "A test.")
    parser.add_argument("--number", type=int | None, default=None)
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(["--number", "many"])
    assert exit_.value.code == 2
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert "number" in captured


def test_the_package_lists_its_commands_and_each_has_help():
    code, out, _ = hasvideo_command()
    assert code == 0
    assert all(name in out for name in COMMANDS)
    for name in COMMANDS:
        code, out, err = hasvideo_command(name, "--help")
        assert code == 0, err
        assert f"hasvideo {name}" in out


def help_of(name, capsys, *words, columns=80):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as exit_:
            importlib.import_module(f"hasvideo.{name}").main([*words])
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_python_in_it_and_fits_the_terminal(name, columns, capsys):
    settings = name.startswith("train")
    text = help_of(name, capsys, "--help-all" if settings else "--help", columns=columns)
    for noise in (
        "type:",
        "null",
        "None",
        "Path",
        "Literal",
        "<class",
        "default: )",
        "default: False",
        "\b",
        "[default",
    ):
        assert noise not in text
    assert not [line for line in text.partition("\nexamples:")[0].splitlines() if len(line) > columns]
    assert text.count("(default: ") == text.count("default: ")  # said once, in one way
    sections = re.findall(r"^([a-z ]+):$", text, re.MULTILINE)
    assert sections[-2 if "\nexamples:" in text else -1] == "general"


def test_help_of_localize_is_in_groups_and_ends_with_three_examples(capsys):
    text = help_of("localize", capsys, "--help")
    sections = re.findall(r"^([a-z ]+):$", text, re.MULTILINE)
    assert sections == ["arguments", "what to find", "output", "videos", "images", "streams", "machine", "general",
                        "examples"]  # fmt: skip
    assert [line.split()[:2] for line in text.rstrip().splitlines()[-3:]] == [["hasvideo", "localize"]] * 3
    assert text.startswith("usage: hasvideo localize [options] inputs ...\n")


def test_usage_names_what_is_needed(capsys):
    text = help_of("train_thumos", capsys, "--help", columns=120)
    usage = "usage: hasvideo train_thumos --features FOLDER --annotations FILE -o FOLDER [options]\n"
    assert text.startswith(usage)


PAPER = {
    "network.layers": "2", "network.channels": "500", "network.kernel": "1", "network.head-kernel": "1",
    "network.pooling": "average", "network.normalisation": "none", "network.classification": "softmax",
    "network.resize": "256", "network.crop": "227", "network.ten-crop": "true",
    "hiding.num-segments": "20", "hiding.p": "0.5", "hiding.fill": "mean", "hiding.sizes": "[0, 16, 32, 44, 56]",
    "hiding.at": "image", "training.epochs": "55", "training.batch-size": "128", "training.optimizer": "sgd",
    "training.learning-rate": "0.01", "training.momentum": "0.9", "training.weight-decay": "0.0005",
    "training.decay-epochs": "30", "training.schedule": "steps",
    "training.steps": "{18: 0.005, 29: 0.001, 43: 0.0005, 52: 0.0001}",
    "threshold-mode": "max",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith("train")])
def test_what_help_calls_the_paper_s_is_the_paper_s(name, capsys):
    blocks = re.split(r"\n(?=  -)", help_of(name, capsys, "--help-all"))
    found = (re.search(r"--([\w.-]+) .*\(default: ([^;]+); the paper's", " ".join(block.split())) for block in blocks)
    claims = [claim.groups() for claim in found if claim]
    threshold = {"threshold": "0.2" if name == "train_imagenet" else "0.5"}
    assert dict(claims) == {option: (PAPER | threshold)[option] for option, _ in claims}
    assert len(claims) >= {"train": 5, "train_segmentation": 0}.get(name, 10)


@pytest.mark.parametrize(("option", "default"), [
    ("hiding.num-segments", "40; 10 to 40 do equally well; the paper: 20"),
    ("hiding.p", "0.25; 0.15 to 0.4 do equally well; the paper's 0.5 hides whole actions"),
    ("network.pooling", "topk; twice the mAP of the paper's average"),
    ("network.topk-divisor", "16; hiding wants few steps; with 5 it costs mAP"),
    ("network.layers", "0; cross-validated; the paper: 2"),
])  # fmt: skip
def test_train_says_why_its_defaults_are_not_the_paper_s(option, default, capsys):
    text = " ".join(help_of("train", capsys, "--help-all").split())
    assert f"(default: {default})" in text.partition(f"--{option} ")[2].partition(" --")[0]


def test_every_default_of_train_that_is_not_the_paper_s_has_its_reason():
    usual, own = Recipe(), OWN_VIDEOS
    for group in ("network", "hiding", "training"):
        for field in fields(getattr(own, group)):
            if getattr(getattr(own, group), field.name) != getattr(getattr(usual, group), field.name):
                assert f"{group}.{field.name}" in WHY_OWN_VIDEOS


@pytest.mark.parametrize(("name", "needed"), [
    ("train_thumos", "features annotations output"), ("train_imagenet", "data output"),
    ("train_segmentation", "data output"),
])  # fmt: skip
def test_every_option_of_an_experiment_reaches_its_function(name, needed):
    module = importlib.import_module(f"hasvideo.{name}")
    options = vars(module._parser().parse_args([word for option in needed.split() for word in (f"--{option}", "x")]))
    settings = {"network", "hiding", "jitter", "training", "threshold", "threshold_mode", "merge_gap", "min_duration",
                "min_class_score", "config", "extends"}  # fmt: skip
    function = getattr(module, name)
    assert set(options) - settings == set(inspect.signature(function).parameters) - {"recipe"}
    assert pick_arguments(options, function) == {key: options[key] for key in set(options) - settings}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith("train")])
def test_help_of_trainings_names_the_settings_and_help_all_explains_them(name, capsys):
    short, full = (help_of(name, capsys, word) for word in ("--help", "--help-all"))
    assert len(short.splitlines()) < 80 < len(full.splitlines())
    assert "settings (--help-all explains them" in short
    assert "  training" in short
    assert ".schedule" in short
    assert "--training.schedule {constant,cosine,steps}" in full
    assert "--training.schedule {" not in short


def test_what_print_config_prints_can_be_read_back(tmp_path, capsys):
    words = ["--data", "d", "-o", "out", "--hiding.p", "0.25"]
    printed = help_of("train_imagenet", capsys, *words, "--print_config")
    (tmp_path / "c.yaml").write_text(printed)
    again = help_of("train_imagenet", capsys, "--config", str(tmp_path / "c.yaml"), "--print_config")
    assert yaml.safe_load(again) == yaml.safe_load(printed)
    assert yaml.safe_load(printed)["hiding"] == {"sizes": [0, 16, 32, 44, 56], "p": 0.25, "at": "image"}


def test_unknown_commands_suggest_the_nearest():
    code, _, err = hasvideo_command("localise")
    assert code == 2
    assert "did you mean localize" in err


def test_version():
    assert hasvideo_command("--version") == (0, f"hasvideo {hasvideo.__version__}\n", "")


def test_the_package_s_functions_stay_callable_after_their_modules_are_imported():
    import hasvideo.evaluate
    import hasvideo.localize

    assert callable(hasvideo.localize)
    assert callable(hasvideo.evaluate)
    with pytest.raises(AttributeError, match="nothing"):
        _ = hasvideo.nothing


HEAVY = "torch", "torchvision", "scipy", "av", "decord", "PIL", "matplotlib", "openvino", "pandas", "accelerate"


def test_importing_the_package_imports_no_heavy_library():
    code = f"import hasvideo, sys; print([m for m in ('numpy', *{HEAVY}) if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_no_command_s_help_imports_a_heavy_library():
    code = f"""
import contextlib, importlib, io, sys
for name in {[*COMMANDS]}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        importlib.import_module("hasvideo." + name).main(["--help"])
    print(out.getvalue().startswith("usage: hasvideo " + name), [m for m in {HEAVY} if m in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == ["True []"] * len(COMMANDS)


def numbers_parser():
    parser = CommandParser("test", "A test.")
    parser.add_argument("--group.first", type=int, default=1)
    parser.add_argument("--group.second", type=int, default=2)
    parser.add_argument("--third", type=int, default=3)
    return parser


def test_a_config_that_extends_another_differs_in_what_it_names_only(tmp_path):
    (tmp_path / "base.yaml").write_text("group: {first: 10, second: 20}\nthird: 30\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "middle.yaml").write_text("extends: ../base.yaml\ngroup: {first: 11}\n")
    (tmp_path / "deep" / "child.yaml").write_text("extends: middle.yaml\ngroup:\n  second: 22\n")
    for words in (["--config", "deep/child.yaml"], ["--config=deep/child.yaml"]):
        words[-1] = words[-1].replace("deep", str(tmp_path / "deep"))
        options = numbers_parser().parse_args([*words, "--third", "33"])
        assert (options.group.first, options.group.second, options.third) == (11, 22, 33)


@pytest.mark.parametrize(("text", "reason"), [
    ("extends: absent.yaml", "absent.yaml, which cannot be read"),
    ("extends: child.yaml", "extends itself"),
    ("extends: broken.yaml", "broken.yaml, which cannot be read"),
])  # fmt: skip
def test_a_wrong_extends_is_a_usage_error(tmp_path, text, reason):
    (tmp_path / "child.yaml").write_text(text)
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(UsageError, match=reason):
        numbers_parser().parse_args(["--config", str(tmp_path / "child.yaml")])


@pytest.mark.parametrize(("name", "hint"), [
    ("configs/thumos/full.yaml", "did you mean configs/thumos14/full.yaml?"),
    ("absent.yaml", "hasvideo has some in"),
])  # fmt: skip
def test_a_config_that_is_not_there_is_a_usage_error(name, hint):
    with pytest.raises(UsageError, match=f"no config {name}; ") as error:
        numbers_parser().parse_args(["--config", name])
    assert hint in str(error.value)


@pytest.mark.parametrize("name", ["configs/thumos14/hide_and_seek.yaml", "thumos14/hide_and_seek.yaml"])
def test_configs_that_come_with_the_package_are_found_from_everywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == Path(__file__).parents[1] / "configs" / "thumos14" / "hide_and_seek.yaml"


def test_a_file_of_one_s_own_goes_before_one_that_comes_with_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path("configs", "thumos14", "full.yaml")
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_config(str(own)) == own


def test_options_may_be_given_as_yaml_without_a_file():
    assert numbers_parser().parse_args(["--config", "third: 33"]).third == 33
