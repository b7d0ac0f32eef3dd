import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import hasvideo.training
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.settings import TrainingConfig
from hasvideo.training import Augmented, Engine, EpochBatches, train

CONFIG = TrainingConfig(epochs=4, batch_size=4, learning_rate=0.01)


@pytest.fixture(autouse=True)
def save_after_every_epoch(monkeypatch):
    monkeypatch.setattr(hasvideo.training, "_SECONDS_BETWEEN_STATES", 0.0)


def criterion(network, batch):
    x, y = batch
    error = (network(x)[:, 0] - y) ** 2
    return {"loss": error, "close": (error < 0.1).float()}


def problem(count=10, noisy=True):
    """A linear regression whose inputs are noisy in every epoch anew, and a network with dropout."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, generator=generator)
    data = TensorDataset(x, x @ torch.tensor([1.0, -2.0, 0.5]))
    augmented = Augmented(data, lambda s, g: (s[0] + 0.1 * torch.randn(3, generator=g) * noisy, s[1]), seed=7)
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2 * noisy), nn.Linear(8, 1)), augmented


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def run(config=CONFIG, noisy=True, **options):
    network, samples = problem(noisy=noisy)
    history = train(network, criterion, samples, config, progress=False, **options)
    return weights(network), history


def test_the_loss_falls_and_all_is_recorded(tmp_path):
    _, history = run(TrainingConfig(epochs=60, batch_size=4, learning_rate=0.02), noisy=False, folder=tmp_path)
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]
    assert [m["epoch"] for m in history] == list(range(1, 61))
    assert 0 <= history[-1]["close"] <= 1
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == history


def test_metrics_are_means_over_samples_not_batches():
    class Echo(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 0 + x[:, :1]

    data = TensorDataset(torch.arange(5.0)[:, None], torch.zeros(5))
    history = train(Echo(1, 1), criterion, data, TrainingConfig(epochs=1, batch_size=4), progress=False)
    assert history[0]["loss"] == pytest.approx(np.mean(np.arange(5.0) ** 2))


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd"}, {"schedule": "cosine"}])
def test_a_run_cut_off_and_resumed_ends_with_the_same_bits(tmp_path, changes):
    check_resume(tmp_path, **changes)


def test_so_does_one_with_loading_processes(tmp_path):
    # In a process of its own: loading processes are forks, and other tests leave threads behind that forks don't bear.
    code = "import sys, pathlib, tests.test_training as t; t.check_resume(pathlib.Path(sys.argv[1]), workers=2)"
    words = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def check_resume(tmp_path, **changes):
    config = TrainingConfig(**{**vars(CONFIG), **changes})
    straight, history = run(config)

    class CutError(Exception):
        pass

    def cut(network, batch):
        values = criterion(network, batch)
        calls.append(1)
        if len(calls) == 2 * 3 + 2:  # in the middle of the third epoch
            raise CutError
        return values

    calls = []
    network, samples = problem()
    with pytest.raises(CutError):
        train(network, cut, samples, config, folder=tmp_path, progress=False)
    torch.manual_seed(99)
    resumed, resumed_history = run(config, folder=tmp_path, resume=True)
    assert torch.equal(resumed, straight)
    drop_time = [{k: v for k, v in m.items() if k != "seconds"} for m in history]
    assert [{k: v for k, v in m.items() if k != "seconds"} for m in resumed_history] == drop_time
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == config.epochs


def test_resume_goes_beyond_a_finished_run(tmp_path):
    straight, _ = run(TrainingConfig(**{**vars(CONFIG), "epochs": 6}))
    run(folder=tmp_path)
    longer, history = run(TrainingConfig(**{**vars(CONFIG), "epochs": 6}), folder=tmp_path, resume=True)
    assert torch.equal(longer, straight)
    assert len(history) == 6


def test_without_resume_a_run_starts_over(tmp_path):
    first, _ = run(folder=tmp_path)
    second, _ = run(folder=tmp_path)
    assert torch.equal(first, second)


def test_the_seed_decides_and_loading_processes_do_not():
    base, _ = run()
    assert torch.equal(run(TrainingConfig(**{**vars(CONFIG), "workers": 2}))[0], base)
    assert not torch.equal(run(TrainingConfig(**{**vars(CONFIG), "seed": 1}))[0], base)


def test_resume_refuses_other_settings_and_foreign_files(tmp_path):
    run(folder=tmp_path)
    with pytest.raises(HasvideoError, match=r"state\.pt: its learning_rate is 0\.01, not 0\.1"):
        run(TrainingConfig(**{**vars(CONFIG), "learning_rate": 0.1}), folder=tmp_path, resume=True)
    (tmp_path / "state.pt").write_bytes(b"garbage")
    with pytest.raises(HasvideoError, match="not a state of this training"):
        run(folder=tmp_path, resume=True)


def test_a_state_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    run(folder=tmp_path)
    before = (tmp_path / "state.pt").read_bytes()

    def fail(state, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(HasvideoError, match=r"cannot write .*state\.pt: No space left"):
        run(folder=tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    def explode(network, batch):
        values = criterion(network, batch)
        return {"loss": values["loss"] * float("inf")}

    network, samples = problem()
    with pytest.raises(HasvideoError, match=r"the loss became (inf|nan) in epoch 1, step 1; try a lower learning rate"):
        train(network, explode, samples, CONFIG, folder=tmp_path, progress=False)


def test_gradient_clipping_limits_the_step():
    def steep(network, batch):
        return {"loss": criterion(network, batch)["loss"] * 1e4}

    sgd = {"epochs": 1, "batch_size": 10, "optimizer": "sgd", "learning_rate": 1.0, "weight_decay": 0.0}
    network, samples = problem()
    before = weights(network)
    train(network, steep, samples, TrainingConfig(**sgd, clip_norm=0.5), progress=False)
    assert (weights(network) - before).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_validation_is_recorded_in_eval_mode():
    network, samples = problem()
    _, validation = problem(noisy=False)
    history = train(network, criterion, samples, CONFIG, validation=validation.samples, progress=False)
    assert history[-1]["val_loss"] == pytest.approx(
        Engine(network, criterion, CONFIG).evaluate(validation.samples)["loss"]
    )


def test_bf16_trains():
    _, history = run(TrainingConfig(epochs=30, batch_size=4, learning_rate=0.02, precision="bf16"), noisy=False)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_tensorboard_files_hold_the_metrics(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, history = run(folder=tmp_path, tensorboard=True)
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([m["loss"] for m in history])


def test_schedules():
    assert [TrainingConfig(epochs=2, learning_rate=0.5).rate(e) for e in (0, 1)] == [0.5, 0.5]
    cosine = TrainingConfig(epochs=10, learning_rate=0.5, schedule="cosine")
    assert cosine.rate(0) == 0.5
    assert cosine.rate(5) == pytest.approx(0.25)
    assert 0 < cosine.rate(9) < 0.02
    steps = TrainingConfig(schedule="steps", learning_rate=1.0, steps={18: 0.5, 29: 0.1})
    assert [steps.rate(e) for e in (0, 17, 18, 28, 29, 60)] == [1, 1, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"optimizer": "lbfgs"},
                                     {"schedule": "warm"}, {"precision": "int8"}, {"clip_norm": -1}])  # fmt: skip
def test_bad_settings(changes):
    with pytest.raises(UsageError, match=next(iter(changes))):
        TrainingConfig(**changes)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("samples", [1, 7, 10])
def test_processes_share_every_batch(samples, world):
    alone = EpochBatches(samples, 4, (0, 3))
    assert sorted(i for batch in alone for i in batch) == list(range(samples))
    parts = [EpochBatches(samples, 4, (0, 3), rank, world) for rank in range(world)]
    for number, batch in enumerate(alone):
        counted = [list(part)[number][: part.sizes[number][1]] for part in parts]
        assert sorted(i for share in counted for i in share) == sorted(batch)
        assert all(list(part)[number] for part in parts)
        assert {part.sizes[number][0] for part in parts} == {len(batch)}


def test_order_changes_with_the_epoch():
    assert list(EpochBatches(50, 50, (0, 1))) != list(EpochBatches(50, 50, (0, 2)))
    assert list(EpochBatches(5, 2)) == [[0, 1], [2, 3], [4]]


def test_augmentation_changes_with_epoch_and_sample_alone():
    data = Augmented(TensorDataset(torch.zeros(3)), lambda s, g: torch.rand((), generator=g).item(), seed=1)
    first = [data[i] for i in range(3)]
    assert [data[i] for i in (2, 1, 0)] == first[::-1]
    data.epoch = 1
    assert not set(first) & {data[i] for i in range(3)}


PROCESSES = """
import os, sys, torch
tests, folder = sys.argv[1:]
sys.path.insert(0, tests)
from test_training import CONFIG, criterion, problem, weights
from hasvideo.video.recipe import TrainingConfig
from hasvideo.training import train
network, samples = problem(count=9)
network[2].p = 0.0  # the noise of dropout is the process's own
history = train(network, criterion, samples, TrainingConfig(**{**vars(CONFIG), "clip_norm": 0.5}),
                validation=samples.samples, folder=folder, device="cpu", progress=False)
torch.save((weights(network), history), f"{folder}/result-{os.environ.get('RANK', 0)}.pt")
"""


def run_script(folder, *launcher):
    folder.mkdir()
    script = folder / "run.py"
    script.write_text(PROCESSES)
    command = [sys.executable, *launcher, str(script), str(Path(__file__).parent), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(tmp_path):
    run_script(tmp_path / "1")
    run_script(
        tmp_path / "2", "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"
    )
    alone, history = torch.load(tmp_path / "1" / "result-0.pt")
    together, shared_history = torch.load(tmp_path / "2" / "result-0.pt")
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(shared_history, history, strict=True):
        for name in ("loss", "close", "val_loss"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5)
    assert torch.equal(torch.load(tmp_path / "2" / "result-1.pt")[0], together)
    assert len((tmp_path / "2" / "metrics.jsonl").read_text().splitlines()) == CONFIG.epochs
