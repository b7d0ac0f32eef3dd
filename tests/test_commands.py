"""How commands end, and how they are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hasvideo
from hasvideo.commands import COMMANDS, CommandParser, find_config, run
from hasvideo.errors import HasvideoError, UsageError


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
