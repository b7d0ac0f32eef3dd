"""State dicts of networks from files that users give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hasvideo.errors import HasvideoError
from hasvideo.files import file_sha256

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPINGS = ("state_dict", "model_state", "model")  # as Lightning, pytorchvideo and others save it


def read_state(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read the state dict in a ``.pth`` file, by itself or in a training's checkpoint, and the file's sha256.

    Raises:
        UsageError: no such file.
        HasvideoError: it cannot be read, or holds something else.
    """
    from torch import Tensor

    from hasvideo.networks.pretrained import read_file

    content = read_file(path)
    for name in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise HasvideoError(f"{path} holds no state dict of a network")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}, file_sha256(path)
