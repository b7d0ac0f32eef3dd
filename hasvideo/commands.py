"""What every command shares: a parser that fails in one line, config files by name, errors turned into exit codes."""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
import warnings
from argparse import SUPPRESS, _ArgumentGroup, _HelpAction
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, Namespace

import hasvideo
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.help import HelpFormatter, list_settings

COMMANDS = {
    "localize": "find when actions happen in videos, or where objects or segments are in images",
    "evaluate": "score detections against ground truth (mAP at tIoU)",
    "evaluate_images": "score boxes or CAMs of images against ground truth (GT-known, Top-1 Loc, MaxBoxAcc)",
    "extract": "make features of many videos, once, by any number of processes",
    "pack": "pack features of many videos into a few large files, or unpack them",
    "train": "train on your own videos with video-level labels",
    "train_thumos": "train and test on THUMOS 2014, as in the paper",
    "train_imagenet": "train and test on ImageNet, as in the paper",
    "train_segmentation": "train and test segmentation on PASCAL VOC from such a network, as in the paper",
}


class CommandParser(ArgumentParser):
    """A jsonargparse parser whose usage errors are one line on stderr and exit code 2.

    Every option may also come from a YAML file given by ``--config``; what the command line says later wins.

    Args:
        command: name of the command.
        description: a line on what it does.
        examples: command lines to show at the end of the help.
        kwargs: see :class:`jsonargparse.ArgumentParser`.
    """

    def __init__(self, command: str, description: str, examples: Sequence[str] = (), **kwargs: Any) -> None:
        epilog = "\n".join(["examples:", *(f"  {line}" for line in examples)]) if examples else None
        options: dict[str, Any] = {
            "prog": f"hasvideo {command}",
            "formatter_class": HelpFormatter,
            "epilog": epilog,
        } | kwargs
        super().__init__(description=description, allow_abbrev=False, **options)
        self._settings: list[Any] = []
        self._all_settings = False
        self._positionals.title = "arguments"
        self.add_argument("--config", action="config", metavar="FILE",
            help="YAML file with options, yours or hasvideo's, such as configs/thumos14/full.yaml")  # fmt: skip
        self.add_argument("--extends", help=SUPPRESS)  # in a YAML file: another one beside it, read first
        self.add_argument("--version", action="version", version=f"hasvideo {hasvideo.__version__}")
        texts = {"help": "show this help and stop", "version": "show the version and stop"}
        for action in self._actions:
            action.help = texts.get(action.dest, action.help)
            if "--print_config" in action.option_strings:
                action.help, action.metavar = "print all options as YAML for --config, and stop", ""
        self._general = self.add_argument_group("general")
        self._general._group_actions, self._optionals._group_actions = self._optionals._group_actions, []

    def add_settings_group(self, title: str) -> Any:
        """Add a group of options that ``--help`` only names; ``--help-all`` explains them.

        Args:
            title: what they are settings of.
        """
        if not self._settings:
            self._general.add_argument("--help-all", action=_HelpAllAction, help="show the settings too")
            self._general._group_actions.insert(1, self._general._group_actions.pop())
        self._settings.append(self.add_argument_group(title))
        return self._settings[-1]

    def format_help(self, *args: Any) -> str:
        """Format ``--help``: the general options last; of settings their names, or with ``--help-all`` all about them.

        Args:
            args: see :meth:`argparse.ArgumentParser.format_help`.
        """
        groups = self._action_groups
        shown: list[Any] = [
            g for g in groups if g is not self._general and (self._all_settings or g not in self._settings)
        ]
        if self._settings and not self._all_settings:
            names = {g.title: [a.option_strings[0] for a in g._group_actions] for g in self._settings}
            title = "settings (--help-all explains them, with their defaults)"
            shown.append(_ArgumentGroup(self, title, list_settings(names)))
        self._action_groups = [*shown, self._general]
        try:
            return super().format_help(*args)
        finally:
            self._action_groups = groups

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Parse options; every ``--config`` file is preceded by those that it extends.

        Args:
            args: words of the command line; None takes those of the process.
            more: see :meth:`jsonargparse.ArgumentParser.parse_args`.
            kwargs: see there.

        Raises:
            UsageError: a file is missing; one that is extended is, too, or is not YAML, or extends itself.
        """
        options = super().parse_args(_with_bases(sys.argv[1:] if args is None else args), *more, **kwargs)
        logging.getLogger("hasvideo").setLevel(logging.WARNING if options.get("quiet") else logging.INFO)
        return options

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print a message folded to one line, and exit with 2.

        Args:
            message: what is wrong.
            ex: the exception behind it, which is not shown.
        """
        line = " ".join(str(message).split())
        self.exit(2, f"{self.prog}: error: {line} (see {self.prog} --help)\n")
        raise AssertionError("exit() does not return")


DEVICE_HELP = "auto (a GPU that works, else the CPU), cpu, cuda, cuda:1 or mps"
QUIET_HELP = "print no progress, and not which device computes"


def add_machine_options(parser: CommandParser) -> None:
    """Add the options that say how videos are read and features made: ``--device`` and the like.

    Args:
        parser: of the command.
    """
    add = parser.add_argument_group("machine").add_argument
    add("--device", default="auto", help=DEVICE_HELP)
    add("--engine", default="auto",
        help="auto (openvino on a CPU where it is installed, else torch), torch or openvino; ray, ray+torch or "
        "ray+openvino: on a Ray cluster")  # fmt: skip
    add("--ray-address", type=str | None, default=None, metavar="ADDRESS",
        help="with ray: HOST:PORT of the cluster, or local: this machine alone [the cluster it is in]")  # fmt: skip
    add("--decoder", default="decord", help="decord, torchcodec or pyav")


def pick_arguments(options: Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """Pick the options that a function has an argument for, of the same name.

    Args:
        options: as parsed.
        function: what is to be called.
    """
    return {name: options[name] for name in inspect.signature(function).parameters if name in options}


class _HelpAllAction(_HelpAction):
    """Show the help with all settings, and exit."""

    def __call__(self, parser: Any, *_: Any) -> None:
        parser._all_settings = True
        parser.print_help()
        parser.exit()


def find_config(name: str | Path) -> Path:
    """Find a YAML file, or else the one of that name that comes with the package.

    A word with a colon in it is taken for YAML itself, which ``--config`` takes too, and comes back as it is.

    Args:
        name: path of the file; of one that comes with the package ``thumos14/full.yaml``, with ``configs/`` before it
            or not.

    Raises:
        UsageError: there is neither; the nearest name of those that come with the package is suggested.
    """
    path = Path(name)
    if path.exists() or ":" in str(name):  # YAML instead of a file, which the parser takes too
        return path
    ours = _packaged_configs()
    packaged = ours.joinpath(*path.parts[path.parts[:1] == ("configs",) :])
    if packaged.is_file():
        return packaged
    known = sorted(file.relative_to(ours.parent).as_posix() for file in ours.glob("*/*.yaml"))
    close = difflib.get_close_matches(path.as_posix(), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"hasvideo has some in {ours}"
    raise UsageError(f"no config {name}; {hint}")


def _packaged_configs() -> Path:
    """Find ``configs/``: inside an installed package, or beside the package in a checkout."""
    package = Path(hasvideo.__file__).parent
    return next(folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir())


def _with_bases(arguments: Sequence[str]) -> list[str]:
    expanded: list[str] = []
    words = iter(arguments)
    for word in words:
        option, joined, value = word.partition("=")
        if option == "--config" and not joined:
            value = next(words, "")
        if option == "--config" and value:
            for path in _bases(find_config(value)):
                expanded += ["--config", str(path)]
        else:
            expanded.append(word)
    return expanded


def _bases(path: Path, below: tuple[Path, ...] = ()) -> list[Path]:
    """List a YAML file after all that it extends: what comes later wins."""
    if path in below:
        raise UsageError(f"{path} extends itself: {' -> '.join(map(str, (*below, path)))}")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        if not below:  # the parser says what is wrong with the file it was given
            return [path]
        raise UsageError(f"{below[-1]} extends {path}, which cannot be read: {error}") from error
    base = settings.get("extends") if isinstance(settings, dict) else None
    return [*(_bases(path.parent / str(base), (*below, path)) if base else []), path]


def run(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: with 0 done, 1 failed work, 2 wrong usage, 130 interrupted.

    Args:
        main: takes the words of the command line; may return the exit code.
        argv: those words; None takes those of the process.
    """
    warnings.formatwarning = _one_line_warning
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("hasvideo: %(message)s"))
    logger = logging.getLogger("hasvideo")
    logger.addHandler(handler)
    try:
        sys.exit(main(argv) or 0)
    except UsageError as error:
        fail(str(error), 2)
    except HasvideoError as error:
        fail(str(error), 1)
    except BrokenPipeError:
        # The reader of our standard output is gone (`| head`): nothing is left to say, to anyone.
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    finally:
        logger.removeHandler(handler)


def _one_line_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"hasvideo: warning: {' '.join(str(message).split())}\n"


def fail(message: str, code: int) -> NoReturn:
    """Print one ``hasvideo: error:`` line on standard error and exit.

    Args:
        message: folded to one line.
        code: the exit code.
    """
    print(f"hasvideo: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


class CallableModule(ModuleType):
    """Lets ``hasvideo.localize`` be both the command module and the function of the same name.

    Importing a submodule binds it on the package, which would otherwise hide the function.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module's function of the same name."""
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


__all__ = [
    "COMMANDS",
    "DEVICE_HELP",
    "QUIET_HELP",
    "CallableModule",
    "CommandParser",
    "Namespace",
    "add_machine_options",
    "fail",
    "find_config",
    "pick_arguments",
    "run",
]
