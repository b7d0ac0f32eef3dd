"""The training loop of every task: on one processor or several, with records, and resumed exactly.

All that is random depends on the seed, the epoch and the sample's number alone, never on what ran before. So a run that
was cut off and resumed, or that several processes share, ends like one that went through in one process.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from hasvideo.device import resolve_device
from hasvideo.errors import HasvideoError
from hasvideo.files import atomic_path, write_text
from hasvideo.settings import TrainingConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Criterion = Callable[[nn.Module, Any], dict[str, Tensor]]
"""``criterion(network, batch)`` returns values of each sample ``(b,)``: ``loss`` is minimised, all are recorded."""

Metrics = dict[str, float]

STATE = "state.pt"
METRICS = "metrics.jsonl"
_SECONDS_BETWEEN_STATES = 10.0  # a run that is cut off loses as much, or one epoch if that takes longer


class Augmented(Dataset[Any]):
    """A data set whose samples are changed at random: anew in every epoch, alike in every process.

    Args:
        samples: the data set.
        augment: ``augment(sample, generator)`` returns the changed sample.
        seed: decides the generator's state, together with the epoch and the sample's number.
    """

    def __init__(self, samples: Dataset[Any], augment: Callable[[Any, torch.Generator], Any], seed: int) -> None:
        self.samples = samples
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.samples)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        generator = torch.Generator().manual_seed(_seed(self.seed, self.epoch, index))
        return self.augment(self.samples[index], generator)


class EpochBatches(Sampler[list[int]]):
    """The share that one process has in each batch of an epoch.

    Where a batch has fewer samples than there are processes, those left over get its first sample, to keep step;
    :attr:`sizes` says that it does not count.

    Args:
        samples: number of samples.
        batch_size: samples of a batch, over all processes.
        seed: numbers that decide the order; None keeps the samples' own order.
        rank: number of this process, from 0.
        world: number of processes.
    """

    def __init__(
        self, samples: int, batch_size: int, seed: tuple[int, ...] | None = None, rank: int = 0, world: int = 1
    ) -> None:
        self.samples, self.batch_size, self.seed, self.rank, self.world = samples, batch_size, seed, rank, world

    def __len__(self) -> int:
        return math.ceil(self.samples / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.samples)
        if self.seed is not None:
            order = np.random.default_rng(self.seed).permutation(self.samples)
        for first in range(0, self.samples, self.batch_size):
            batch = order[first : first + self.batch_size].tolist()
            yield batch[self.rank :: self.world] or batch[:1]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """How many samples each batch has: over all processes, and in this one."""
        totals = [min(self.batch_size, self.samples - first) for first in range(0, self.samples, self.batch_size)]
        return [(total, len(range(self.rank, total, self.world))) for total in totals]


class Engine:
    """A network with its optimizer: trains for an epoch, evaluates, and gives and takes the state to resume from.

    Processes that ``torchrun`` or ``accelerate launch`` starts share every batch.

    Args:
        network: trained in place.
        criterion: loss and metrics of a batch, see :data:`Criterion`.
        config: settings of the optimizer, batches and seed.
        collate: makes a batch of a list of samples; None: torch's own.
        device: see :func:`hasvideo.device.resolve_device`.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: Criterion,
        config: TrainingConfig,
        collate: Callable[[list[Any]], Any] | None = None,
        device: str = "auto",
    ) -> None:
        device = resolve_device(device)
        _forget_other_training(config.precision, device)
        if device.startswith("cuda"):  # accelerate takes the current one
            torch.cuda.set_device(torch.device(device).index or 0)
        self.accelerator = Accelerator(mixed_precision=config.precision, cpu=device == "cpu")
        self.criterion, self.config, self.collate = criterion, config, collate
        self.network, self.optimizer = self.accelerator.prepare(network, _optimizer(network, config))

    def train_one_epoch(self, samples: Dataset[Any], epoch: int, bar: tqdm | None = None) -> Metrics:
        """Go through all samples once, in a new order.

        Args:
            samples: the data set; its ``epoch`` is set if it has one, as :class:`Augmented` has.
            epoch: counted from 0.
            bar: progress bar, moved on by one for each step.

        Returns:
            Mean over the samples of each value that the criterion returned.

        Raises:
            HasvideoError: the loss is no longer finite.
        """
        if hasattr(samples, "epoch"):
            samples.epoch = epoch
        torch.manual_seed(_seed(self.config.seed, epoch, self.accelerator.process_index))
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = self.config.rate(epoch), self.config.decay(epoch)
        self.network.train()
        means = _Means(self.accelerator)
        for step, (batch, total, mine) in enumerate(self._batches(samples, epoch)):
            values = self.criterion(self.network, batch)
            # Processes average their gradients: scale each one's sum so that this is the mean over the whole batch.
            loss = values["loss"].sum() * (self.accelerator.num_processes / total if mine else 0.0)
            if not math.isfinite(loss.item()):
                raise HasvideoError(_not_finite(loss.item(), epoch, step, self.config.rate(epoch)))
            self.optimizer.zero_grad()
            self.accelerator.backward(loss)
            if self.config.clip_norm:
                self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
            self.optimizer.step()
            means.add(values, mine)
            if bar is not None:
                bar.update()
        return means.result()

    @torch.no_grad()
    def evaluate(self, samples: Dataset[Any]) -> Metrics:
        """Return the mean over all samples of each value that the criterion returns, with the network in ``eval()``."""
        self.network.eval()
        means = _Means(self.accelerator)
        for batch, _, mine in self._batches(samples, None):
            means.add(self.criterion(self.network, batch), mine)
        return means.result()

    def state(self) -> dict[str, Any]:
        """Return what it takes to go on: weights, and the state of the optimizer and of the gradient scaler."""
        return {
            "network": self.accelerator.unwrap_model(self.network).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self.accelerator.unwrap_model(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def _batches(self, samples: Dataset[Any], epoch: int | None) -> Iterator[tuple[Any, int, int]]:
        """Yield this process's batches, each with how many samples count: over all processes, and here."""
        config, accelerator = self.config, self.accelerator
        order = None if epoch is None else (config.seed, epoch)
        batches = EpochBatches(
            len(samples),  # type: ignore[arg-type]
            config.batch_size,
            order,
            accelerator.process_index,
            accelerator.num_processes,
        )
        loader = DataLoader(samples, batch_sampler=batches, collate_fn=self.collate, num_workers=config.workers)
        for batch, (total, mine) in zip(loader, batches.sizes, strict=True):
            yield send_to_device(batch, accelerator.device), total, mine


def _forget_other_training(precision: str, device: str) -> None:
    """Drop what accelerate keeps for the whole program where an earlier training was of another kind."""
    if AcceleratorState._shared_state:
        state = AcceleratorState()
        if (state.mixed_precision, state.device.type) != (precision, torch.device(device).type):
            AcceleratorState._reset_state(reset_partial_state=state.num_processes == 1)


def train(
    network: nn.Module,
    criterion: Criterion,
    samples: Dataset[Any],
    config: TrainingConfig,
    *,
    collate: Callable[[list[Any]], Any] | None = None,
    validation: Dataset[Any] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> list[Metrics]:
    """Train a network in place and record how it goes.

    Args:
        network: trained in place.
        criterion: loss and metrics of a batch, see :data:`Criterion`.
        samples: the data set; its ``epoch`` is set if it has one, as :class:`Augmented` has.
        config: settings of the optimizer, batches and seed.
        collate: makes a batch of a list of samples; None: torch's own.
        validation: samples to evaluate after every epoch, recorded as ``val_loss`` and so on.
        folder: gets ``state.pt`` to resume from and ``metrics.jsonl``; None writes nothing.
        resume: go on from the folder's ``state.pt`` if there is one.
        tensorboard: also write TensorBoard event files to the folder.
        device: ``auto`` (a GPU where there is one) or ``cpu``.
        progress: show a bar on standard error.

    Returns:
        The metrics of each epoch: ``epoch`` (from 1), the mean of each value that the criterion returned,
        ``learning_rate`` and ``seconds``.

    Raises:
        HasvideoError: the loss is no longer finite, the state to resume from is damaged or was made with other
            settings, a file cannot be written, or TensorBoard is not installed.
    """
    engine = Engine(network, criterion, config, collate, device)
    main = engine.accelerator.is_main_process
    records = _Records(folder, config, len(samples), tensorboard) if folder is not None else None  # type: ignore[arg-type]
    history = records.start(engine, resume) if records is not None else []
    steps = math.ceil(len(samples) / config.batch_size)  # type: ignore[arg-type]
    quiet = not (progress and main)
    with tqdm(total=config.epochs * steps, unit="step", disable=quiet, leave=False, mininterval=0.5) as bar:
        bar.update(len(history) * steps)
        for epoch in range(len(history), config.epochs):
            start = time.perf_counter()
            metrics = {"epoch": epoch + 1.0, **engine.train_one_epoch(samples, epoch, bar)}
            if validation is not None:
                metrics |= {f"val_{name}": value for name, value in engine.evaluate(validation).items()}
            history.append(metrics | {"learning_rate": config.rate(epoch), "seconds": time.perf_counter() - start})
            bar.set_postfix(epoch=epoch + 1, loss=f"{metrics['loss']:.4g}", refresh=False)
            if records is not None and main:
                records.add(engine, history)
    engine.accelerator.unwrap_model(engine.network, keep_fp32_wrapper=False)
    return history


class _Records:
    """The files of a training: its metrics, and the state to resume from."""

    def __init__(self, folder: Path, config: TrainingConfig, samples: int, tensorboard: bool) -> None:
        self.folder = Path(folder)
        # These may differ in a resumed run: what an epoch does depends on neither, but for a cosine's length.
        free = {"workers"} if config.schedule == "cosine" else {"workers", "epochs"}
        self.settings = {name: value for name, value in asdict(config).items() if name not in free}
        self.settings["samples"] = samples
        self.epochs = config.epochs
        self.tensorboard = _open_tensorboard(self.folder) if tensorboard else None
        self.saved = time.monotonic()

    def start(self, engine: Engine, resume: bool) -> list[Metrics]:
        """Begin the files anew, or resume from the saved state; return the metrics that were recorded so far."""
        history = self._load(engine) if resume and (self.folder / STATE).exists() else []
        if engine.accelerator.is_main_process:
            write_text(self.folder / METRICS, "".join(json.dumps(metrics) + "\n" for metrics in history))
        return history

    def add(self, engine: Engine, history: list[Metrics]) -> None:
        """Record the last epoch; at the end, and before that every ten seconds or so, save the state."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(history[-1]) + "\n")
        if self.tensorboard is not None:
            for name, value in history[-1].items():
                self.tensorboard.add_scalar(name, value, len(history))
        if len(history) == self.epochs or time.monotonic() - self.saved >= _SECONDS_BETWEEN_STATES:
            with atomic_path(self.folder / STATE) as path:
                torch.save({"settings": self.settings, "history": history, **engine.state()}, path)
            self.saved = time.monotonic()

    def _load(self, engine: Engine) -> list[Metrics]:
        path = self.folder / STATE
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            found = state["settings"]
            for name, wanted in self.settings.items():
                if found[name] != wanted:
                    raise HasvideoError(f"cannot resume from {path}: its {name} is {found[name]}, not {wanted}")
            engine.load_state(state)
            return state["history"]
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, UnpicklingError) as error:
            reason = " ".join(str(error).split())[:200]
            raise HasvideoError(f"cannot resume from {path}: it is not a state of this training ({reason})") from error


class _Means:
    """Means over the samples of all processes."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: dict[str, Tensor], samples: int) -> None:
        """Add the values of a batch; ``samples`` of them count: all or none."""
        self.count += samples
        for name, value in values.items():
            precise = torch.float32 if value.device.type == "mps" else torch.float64  # mps has no float64
            total = value.detach().sum(dtype=precise) * bool(samples)
            self.sums[name] = self.sums.get(name, 0) + total

    def result(self) -> Metrics:
        """Return the means."""
        sums = torch.stack([*self.sums.values(), torch.tensor(self.count, device=self.accelerator.device)])
        *totals, count = self.accelerator.reduce(sums).tolist()
        return {name: total / count for name, total in zip(self.sums, totals, strict=True)}


def _optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, config.learning_rate, config.momentum, weight_decay=config.weight_decay)
    return torch.optim.Adam(parameters, config.learning_rate, weight_decay=config.weight_decay)


def _open_tensorboard(folder: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise HasvideoError("event files need TensorBoard: pip install tensorboard") from error
    return SummaryWriter(str(folder))


def _not_finite(loss: float, epoch: int, step: int, rate: float) -> str:
    return (
        f"training stopped: the loss became {loss} in epoch {epoch + 1}, step {step + 1}; "
        f"try a lower learning rate than {rate:g} or a clip_norm such as 1, and look for extreme input values"
    )


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
