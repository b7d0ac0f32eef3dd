"""Which device computes: what every command and class with a ``device`` asks before it loads a network."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
import warnings
from pathlib import Path

from hasvideo.errors import HasvideoError, UsageError

ACCEPTED = "auto, cpu, cuda, cuda:1 (the second GPU), mps"
logger = logging.getLogger(__name__)


def resolve_device(device: str = "auto", engine: str = "auto") -> str:
    """Find the device to compute on, and make sure that it works.

    ``auto`` is a GPU on which a small computation succeeds, CUDA's before Apple's, and else the CPU. Which one is
    logged, and a GPU that fails is warned of. Of several processes that ``torchrun`` or ``accelerate`` started, each
    gets a CUDA device of its own. Torch is not imported for ``cpu``, nor where there is no sign of a GPU.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        engine: of the network; ``openvino`` computes on the CPU only.

    Returns:
        ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, for torch.

    Raises:
        UsageError: no such word, or a device that is not here, does not work, or is not for the engine.
        HasvideoError: ``auto``, and of several processes one has a GPU that does not work.
    """
    check_name(device)
    if engine == "openvino" and device not in ("auto", "cpu"):
        raise UsageError(f"--engine openvino computes on the CPU: --device {device} is for --engine torch")
    if device == "cpu" or engine == "openvino":
        return "cpu"
    if device == "auto":
        return _choose()
    device = _own(device)
    if flaw := _flaw(device):
        raise UsageError(f"--device {device} is not available here ({flaw}); accepted: {ACCEPTED}")
    return device


def check_name(device: str) -> None:
    """Make sure that it is a device's name, whether there is such a device or not.

    Raises:
        UsageError: it is none.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device):
        raise UsageError(f"unknown --device {device!r}; accepted: {ACCEPTED}")


def processes() -> int:
    """How many processes ``torchrun`` or ``accelerate`` started, this one among them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _choose() -> str:
    """A GPU that works, else the CPU; it is logged."""
    chosen, why = "cpu", ""
    if "torch" in sys.modules or _may_have_gpu():
        for device in map(_own, _gpus()):
            if not (flaw := _flaw(device)):
                chosen = device
                break
            if processes() > 1:  # the others would wait for this one, each on its GPU
                raise HasvideoError(f"--device auto: {device} does not work ({flaw}); CUDA_VISIBLE_DEVICES can leave "
                                    "it out, --device cpu does without GPUs")  # fmt: skip
            warnings.warn(f"{device} does not work here ({flaw})", stacklevel=4)
        else:
            why = _why_no_gpu()
    if os.environ.get("RANK", "0") == "0":
        logger.info("device: %s%s", chosen, why)
    return chosen


def _own(device: str) -> str:
    """``cuda`` as this one of several processes means it.

    Raises:
        UsageError: one device for all of them.
    """
    if processes() == 1 or not device.startswith("cuda"):
        return device
    import torch

    own = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % max(torch.cuda.device_count(), 1)}"
    if device not in ("cuda", own):
        raise UsageError(f"--device {device} is one GPU for {processes()} processes: cuda gives each its own")
    return own


def _gpus() -> list[str]:
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [device for device, is_there in there.items() if is_there]


def _flaw(device: str) -> str | None:
    """Why a device cannot compute what the networks do; None if it can."""
    import torch
    from torch.nn import functional

    try:
        ones = torch.ones(1, 1, 2, 2, 2).to(device).to(memory_format=torch.channels_last_3d)
        found = functional.max_pool3d(functional.conv3d(ones, ones), 1).item()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().partition("\n")[0]
    return None if found == 8 else f"the sum of eight ones is {found:g} there"


def _may_have_gpu() -> bool:
    """Whether there is any sign of a GPU: to ask torch takes a second and some 200 MB, which OpenVINO does without."""
    return sys.platform != "linux" or Path("/dev/kfd").exists() or _has_cuda_driver()  # kfd: AMD's


def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _why_no_gpu() -> str:
    """What owners of a GPU should know where torch finds none."""
    import torch

    built = torch.version.cuda or torch.version.hip
    return (
        "" if built or not _has_cuda_driver() else " (a GPU's driver is here, but this PyTorch was built without CUDA)"
    )
