"""Run a network of fixed input size as fast as the machine can: PyTorch, or OpenVINO on CPUs.

OpenVINO reads its own file of the network, which is made from the PyTorch network once and kept in the cache; from then
on PyTorch is not even imported for it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hasvideo
from hasvideo.device import resolve_device
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.weights import cache_folder

if TYPE_CHECKING:
    from torch import nn

ENGINES = ("auto", "torch", "openvino")
Runner = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Network:
    """A network to compile.

    Attributes:
        name: unique for architecture and weights; names the compiled file.
        build: makes the network, in eval mode; only called where it is needed.
        shape: of its one input; -1 where it takes any size.
        dtype: of its input, ``uint8`` or ``float32``.
        example: a smaller shape to trace the network on, whose sizes take the same padding.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    dtype: str
    example: tuple[int, ...]


def resolve_engine(engine: str, device: str) -> str:
    """Choose ``torch`` or ``openvino`` for a wish of ``auto``, ``torch`` or ``openvino`` and a device of torch's.

    Raises:
        UsageError: unknown engine, or OpenVINO is not installed.
    """
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}; accepted: {', '.join(ENGINES)}; ray, ray+torch, ...")
    installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not installed:
        raise UsageError("--engine openvino needs OpenVINO: pip install 'hasvideo[openvino]'")
    return "openvino" if engine != "torch" and installed and device == "cpu" else "torch"


def compile_network(network: Network, engine: str = "auto", device: str = "auto") -> Runner:
    """Compile a network to a function from an input array ``network.shape`` to the output array, float32.

    It takes other sizes too, as far as the network does. For these OpenVINO reads a second file, on their first use,
    and computes some 4 % slower, in 1.6 times the memory.

    Raises:
        UsageError: see :func:`resolve_engine` and :func:`hasvideo.device.resolve_device`.
        HasvideoError: the network cannot be built or its compiled file not written.
    """
    device = resolve_device(device, engine)
    if resolve_engine(engine, device) == "torch":
        return _torch_runner(network, device)
    return _openvino_runner(network)


def _torch_runner(network: Network, device: str) -> Runner:
    import torch

    five_dimensional = len(network.shape) == 5
    layout = torch.channels_last_3d if five_dimensional else torch.channels_last
    module = network.build().to(device).to(memory_format=layout)

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(np.ascontiguousarray(x)).to(device)).float().cpu().numpy()

    return run


def _openvino_runner(network: Network) -> Runner:
    folder = cache_folder() / "openvino"
    # f32: some CPUs would otherwise compute in bf16 and miss the 1e-4 that results are promised to.
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "CACHE_DIR": str(folder / "compiled")}

    @functools.cache
    def request(shape: tuple[int, ...]) -> Any:
        file = _openvino_file(replace(network, shape=shape), folder)
        return _openvino_core().compile_model(file, "CPU", options).create_infer_request()

    def run(x: np.ndarray) -> np.ndarray:
        shape = tuple(size if size == own else -1 for size, own in zip(x.shape, network.shape, strict=True))
        return next(iter(request(shape).infer([np.ascontiguousarray(x)]).values())).copy()

    request(network.shape)  # what goes wrong should go wrong before a video is read
    return run


@functools.cache
def _openvino_core() -> Any:
    # One for the whole process: a core's CPU plugin gives the thread a stack for signals and frees it with its last
    # network. Of several cores that do not end in reverse order a freed one stays in place, and the next signal that
    # Python handles (a child's end, Ctrl-C) is a segmentation fault.
    return _import_openvino().Core()


def _import_openvino() -> Any:
    # OpenVINO's converter reports its use over the network, from a forked process, if it finds this package.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _openvino_file(network: Network, folder: Path) -> Path:
    """Return OpenVINO's file of the network in the cache, which is made on first use."""
    from filelock import FileLock

    version = importlib.metadata.version("openvino")
    shape = "x".join(map(str, network.shape))
    target = folder / f"{network.name}-{shape}-{_code_version()}-{version}"
    file = target / "network.xml"
    if file.exists():
        return file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not file.exists():
                with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as temporary:
                    _convert(network, Path(temporary) / "network.xml")
                    Path(temporary).rename(target)
    except OSError as error:
        raise HasvideoError(f"cannot write the compiled network to {folder}: {error.strerror or error}") from error
    return file


def _convert(network: Network, file: Path) -> None:
    import warnings

    import torch

    ov = _import_openvino()
    example = torch.zeros(network.example, dtype=getattr(torch, network.dtype))
    kind = ov.Type.u8 if network.dtype == "uint8" else ov.Type.f32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on tracing: of shapes that are fixed here, and of its own end some day
        model = ov.convert_model(network.build(), example_input=example, input=[(list(network.shape), kind)])
    ov.save_model(model, file, compress_to_fp16=False)


def _code_version() -> str:
    """Hash the networks' code: a changed architecture must not meet a file compiled from the old one."""
    digest = hashlib.sha256(hasvideo.__version__.encode())
    for path in sorted((Path(__file__).parents[1] / "networks").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
