"""How commands end, and how they are found."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hasvideo
from hasvideo.commands import COMMANDS, CommandParser, run
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


def test_importing_the_package_imports_no_heavy_library():
    code = (
        "import hasvideo, sys; print([m for m in ('torch', 'numpy', 'av', 'decord', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
