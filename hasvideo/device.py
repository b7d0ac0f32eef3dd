"""Whether a torch device can be used here: what localizers of videos and of images ask before they load a model."""

from __future__ import annotations

from hasvideo.errors import UsageError


def check_device(device: str) -> None:
    """Make sure that tensors can be put on a device; for ``cpu`` torch is not even imported.

    Raises:
        UsageError: they cannot.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {device} is not available here ({reason}); use --device cpu") from error
