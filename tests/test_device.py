"""Which device computes, on machines with GPUs that work, that do not, and without any."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import subprocess
import sys
import warnings

import pytest
import torch

import hasvideo
from hasvideo import device as module
from hasvideo.commands import run
from hasvideo.device import resolve_device
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features import extractors
from hasvideo.features.extractors import load_extractor
from hasvideo.features.make import Extraction
from hasvideo.features.runtime import resolve_engine
from hasvideo.image.localizer import ImageLocalizer
from hasvideo.localize import main
from hasvideo.segmentation.localizer import Segmenter
from hasvideo.settings import TrainingConfig
from hasvideo.training import Engine
from hasvideo.video.localizer import Localizer
from tests.colours import ColourExtractor, colour_model, paint_video

COMMANDS_WITH_DEVICE = ["localize", "extract", "train", "train_thumos", "train_imagenet", "train_segmentation"]


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that torch sees GPUs: CUDA's as many as are given, those in ``broken`` failing; or Apple's."""

    def pretend(cuda=0, mps=False, broken=()):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", functools.cache(lambda: mps))  # dynamo unwraps it
        there = {"cpu", *(["cuda"] * bool(cuda)), *(f"cuda:{n}" for n in range(cuda)), *(["mps"] * mps)}
        monkeypatch.setattr(module, "_flaw", lambda name: "no kernel" if name in broken or name not in there else None)

    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return pretend


@pytest.mark.parametrize(("machine", "expected"), [
    ({}, "cpu"),
    ({"cuda": 2}, "cuda"),
    ({"mps": True}, "mps"),
    ({"cuda": 1, "mps": True}, "cuda"),
    ({"cuda": 1, "broken": ["cuda"], "mps": True}, "mps"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:cuda does not work")
def test_auto_takes_a_gpu_that_works_else_the_cpu_and_says_which(gpus, caplog, machine, expected):
    gpus(**machine)
    with caplog.at_level(logging.INFO, "hasvideo"):
        assert resolve_device() == expected
    assert caplog.messages[0].startswith(f"device: {expected}")
    assert len(caplog.messages) == 1


def test_a_gpu_that_fails_is_warned_of_and_the_cpu_taken(gpus):
    gpus(cuda=1, broken=["cuda"])
    with pytest.warns(UserWarning, match=r"^cuda does not work here \(no kernel\)$"):
        assert resolve_device("auto") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device that works")
def test_what_torch_says_of_a_gpu_that_it_cannot_use_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.warns(UserWarning, match=r"cuda does not work here \(.*(CUDA|NVIDIA).*\)"):
        assert resolve_device("auto") == "cpu"
    with pytest.raises(UsageError, match=r"--device cuda is not available here \(.*(CUDA|NVIDIA)"):
        resolve_device("cuda")


@pytest.mark.parametrize(("wish", "reason"), [
    ("cuda", "--device cuda is not available here .no kernel.; accepted: auto, cpu, cuda, cuda:1"),
    ("cuda:3", "--device cuda:3 is not available here"),
    ("mps", "--device mps is not available here"),
    ("gpu", "unknown --device 'gpu'; accepted: auto, cpu, cuda, cuda:1"),
    ("cuda:", "unknown --device"),
    ("CPU", "unknown --device"),
    ("xpu", "unknown --device"),
    ("", "unknown --device"),
])  # fmt: skip
@pytest.mark.parametrize("use", [
    resolve_device,
    lambda device: Localizer(device=device),
    lambda device: ImageLocalizer("absent.ckpt", device),
    lambda device: Segmenter("absent.ckpt", device),
    lambda device: load_extractor("i3d", device=device),
    lambda device: Extraction(device=device).load(),
    lambda device: Engine(torch.nn.Linear(1, 1), None, TrainingConfig(), device=device),
])  # fmt: skip
def test_devices_that_are_not_here_are_wrong_usage_everywhere(gpus, use, wish, reason):
    gpus()
    with pytest.raises(UsageError, match=reason):
        use(wish)


def test_devices_that_are_here_are_taken(gpus):
    gpus(cuda=2)
    assert [resolve_device(wish) for wish in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]


def test_openvino_computes_on_the_cpu(gpus):
    gpus(cuda=1)
    assert resolve_device("auto", "openvino") == "cpu"
    assert resolve_device("cpu", "openvino") == "cpu"
    with pytest.raises(UsageError, match="--engine openvino computes on the CPU: --device cuda is for --engine torch"):
        resolve_device("cuda", "openvino")
    assert resolve_engine("auto", resolve_device("auto", "auto")) == "torch"


def test_extractors_of_others_are_given_what_auto_stands_for(gpus):
    gpus(cuda=1)
    assert load_extractor("tests.test_device:Given").device == "cuda"
    assert load_extractor("tests.test_device:Given", "openvino").device == "cpu"


class Given:
    """An extractor that shows what it was given."""

    def __init__(self, engine, device):
        """Keep the device."""
        self.device = device


def test_each_of_several_processes_has_its_own_gpu_and_one_of_them_says_so(gpus, caplog, monkeypatch):
    gpus(cuda=2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with caplog.at_level(logging.INFO, "hasvideo"):
        for rank in ("0", "1"):
            monkeypatch.setenv("RANK", rank)
            monkeypatch.setenv("LOCAL_RANK", rank)
            assert resolve_device("auto") == resolve_device("cuda") == resolve_device(f"cuda:{rank}") == f"cuda:{rank}"
    assert caplog.messages == ["device: cuda:0"]
    with pytest.raises(UsageError, match="--device cuda:0 is one GPU for 2 processes: cuda gives each its own"):
        resolve_device("cuda:0")


def test_one_of_several_processes_does_not_turn_to_the_cpu_alone(gpus, monkeypatch):
    gpus(cuda=2, broken=["cuda:1"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(HasvideoError, match=r"--device auto: cuda:1 does not work \(no kernel\)"):
        resolve_device("auto")


def test_owners_of_a_gpu_are_told_that_their_torch_is_for_cpus(gpus, caplog, monkeypatch):
    gpus()
    monkeypatch.setattr(module, "_has_cuda_driver", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    with caplog.at_level(logging.INFO, "hasvideo"):
        assert resolve_device() == "cpu"
    assert "this PyTorch was built without CUDA" in caplog.text


def test_a_device_computes_or_its_flaw_is_known():
    assert module._flaw("cpu") is None
    assert module._flaw("meta") is not None  # knows shapes only


def test_torch_is_not_asked_where_there_is_no_sign_of_a_gpu():
    code = (
        "import sys\nfrom hasvideo import device\ndevice._may_have_gpu = lambda: False\n"
        "print(device.resolve_device(), device.resolve_device('auto', 'openvino'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cpu cpu False\n"


@pytest.mark.parametrize("name", COMMANDS_WITH_DEVICE)
def test_every_command_has_the_same_words(name, capsys):
    command = importlib.import_module(f"hasvideo.{name}")
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "auto (a GPU that works, else the CPU), cpu, cuda, cuda:1 or mps (default: auto)" in text


@pytest.mark.parametrize("name", ["train_thumos", "train_imagenet", "train_segmentation"])
def test_a_gpu_that_is_not_there_is_refused_before_the_data_are_read(gpus, name, tmp_path):
    gpus()
    command = importlib.import_module(f"hasvideo.{name}")
    data = ["--features", "no", "--annotations", "no"] if name == "train_thumos" else ["--data", "no"]
    with pytest.raises(UsageError, match="--device cuda is not available here"):
        command.main([*data, "-o", str(tmp_path / "out"), "--device", "cuda"])
    assert not (tmp_path / "out").exists()


def test_a_second_training_may_be_on_another_device(monkeypatch):
    """Accelerate keeps the first one's for the whole program."""
    from accelerate.state import AcceleratorState

    def make():
        return Engine(torch.nn.Linear(1, 1), None, TrainingConfig(), device="cpu").accelerator.device

    assert make() == torch.device("cpu")
    monkeypatch.setitem(AcceleratorState._shared_state, "device", torch.device("cuda"))
    assert make() == torch.device("cpu")


@pytest.mark.parametrize(("more", "expected"), [([], ["hasvideo: device: cpu"]), (["--quiet"], [])])
def test_the_command_says_which_device_unless_it_is_quiet(gpus, tmp_path, monkeypatch, capsys, more, expected):
    monkeypatch.setattr(logging.getLogger("hasvideo"), "handlers", [])
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())
    clip, model = paint_video(tmp_path / "a.mp4", "red"), colour_model(tmp_path / "m.ckpt")
    gpus()
    with pytest.raises(SystemExit) as exit_:
        run(main, [str(clip), "--model", str(model), *more])
    assert exit_.value.code == 0
    assert [line for line in capsys.readouterr().err.splitlines() if "device" in line] == expected


def test_the_function_takes_a_gpu_by_itself_too(gpus, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(extractors, "load_extractor", lambda *args: given.append(args) or ColourExtractor())
    clip, model = paint_video(tmp_path / "a.mp4", "red"), colour_model(tmp_path / "m.ckpt")
    gpus(cuda=1)
    for options in ({}, {"engine": "openvino"}, {"device": "cpu"}, {"device": "cuda"}):
        with contextlib.suppress(UsageError):  # OpenVINO is not installed
            hasvideo.localize(clip, model=model, **options)
    assert [device for _, engine, device, _ in given if engine == "auto"] == ["cuda", "cpu", "cuda"]
    assert all(device == "cpu" for _, engine, device, _ in given if engine == "openvino")
