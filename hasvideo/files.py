"""Read files; write them whole or not at all, by writing beside the target and renaming."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hasvideo.errors import HasvideoError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; rename it to ``target`` on success, remove it on any error.

    The temporary name keeps the target's suffix, since some libraries choose the format by it.

    Raises:
        HasvideoError: the folder cannot be made, or the file cannot be written (read-only, disk full). Every OSError
            of the block becomes this one, even if another file caused it.
    """
    target = Path(target)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".tmp-", suffix=target.suffix, dir=target.parent)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        temporary = None
    except OSError as error:
        raise HasvideoError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            _remove(temporary)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically; see :func:`atomic_path`, also for errors."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_bytes(target: Path, data: bytes) -> None:
    """Write bytes atomically; see :func:`atomic_path`, also for errors."""
    with atomic_path(target) as path:
        path.write_bytes(data)


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        HasvideoError: it cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise HasvideoError(f"{path} is not UTF-8 text (byte {error.start})") from error


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder: Path) -> None:
    """Make the folder if it is not there, and check that files can be written to it, before work begins.

    Raises:
        HasvideoError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HasvideoError(f"cannot write to {folder}: {error.strerror or error}") from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    # POSIX has no call that only reads the mask.
    mask = os.umask(0)
    os.umask(mask)
    return mask
