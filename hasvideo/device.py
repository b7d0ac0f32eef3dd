"""Choose the device that computes, and check that it works, before a network is loaded."""

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

    ``auto`` takes the first GPU on which a small computation succeeds, CUDA before Apple's, else the CPU. The choice is
    logged; a GPU that fails gives a warning. If ``torchrun`` or ``accelerate`` started several processes, each gets a
    CUDA device of its own. Torch, which is slow to import, is not imported for ``cpu``, nor where there is no sign of
    a GPU.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        engine: what runs the network; ``openvino`` computes on the CPU only.

    Returns:
        ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, for torch.

    Raises:
        UsageError: the word is unknown, or the device is not here, does not work, or does not go with the engine.
        HasvideoError: ``auto`` in one of several processes, whose GPU does not work.
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
    """Check that a word names a device, whether there is such a device here or not.

    Raises:
        UsageError: it does not.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device):
        raise UsageError(f"unknown --device {device!r}; accepted: {ACCEPTED}")


def processes() -> int:
    """Count the processes that ``torchrun`` or ``accelerate`` started, this one included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _choose() -> str:
    """Choose a GPU that works, else the CPU, and log which."""
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
    """Name the CUDA device of this process, if there are several processes; else return the name as it is.

    Raises:
        UsageError: a single device was asked for, for all of them.
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
    """Say why a device cannot compute what the networks compute; None if it can."""
    import torch
    from torch.nn import functional

    try:
        ones = torch.ones(1, 1, 2, 2, 2).to(device).to(memory_format=torch.channels_last_3d)
        found = functional.max_pool3d(functional.conv3d(ones, ones), 1).item()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().partition("\n")[0]
    return None if found == 8 else f"the sum of eight ones is {found:g} there"


def _may_have_gpu() -> bool:
    """Look for any sign of a GPU without torch, whose import costs a second and 200 MB that OpenVINO does not need."""
    return sys.platform != "linux" or Path("/dev/kfd").exists() or _has_cuda_driver()  # kfd: AMD's


def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _why_no_gpu() -> str:
    """Say why torch finds no GPU, if its owner can do something about it; else nothing."""
    import torch

    built = torch.version.cuda or torch.version.hip
    return (
        "" if built or not _has_cuda_driver() else " (a GPU's driver is here, but this PyTorch was built without CUDA)"
    )
