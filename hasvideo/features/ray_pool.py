"""Work on many machines by Ray: a worker that is lost is replaced, and its task tried again by another.

Tasks wait here and not in the cluster: a worker is given its next one when it is done with the last.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import textwrap
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from hasvideo.device import check_name, logger
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.make import Extraction, Maker, Task, split_engine
from hasvideo.features.manifest import Manifest, Record

RETRIES = 2  # of a task whose worker was lost
CONNECT_TIMEOUT = 5.0  # seconds; Ray itself would try for two minutes, aloud

T = TypeVar("T")
R = TypeVar("R")


class WorkerLostError(HasvideoError):
    """Every worker that had a task was lost: it died, or its machine did."""


def fill_on_ray(
    folder: Path, how: Extraction, tasks: list[Task], workers: int | None
) -> Iterator[tuple[Task, Record | None]]:
    """Work on a Ray cluster, all of whose machines see the folder and the videos: a ``hasvideo.features.fill.Runner``.

    Raises:
        UsageError, HasvideoError: see :func:`run_on_ray`, and what a worker raised.
    """
    # Workers have current folders of their own.
    given = {task._replace(path=task.path.absolute()): task for task in tasks}
    folder = folder.absolute()
    how = replace(how, weights=how.weights and how.weights.absolute())
    make = partial(_make, folder, how)
    with closing(run_on_ray(make, given, how.ray_address, workers, how.device, how.engine)) as outcomes:
        for task, outcome in outcomes:
            if isinstance(outcome, WorkerLostError):
                record = Record(task.id, str(task.path), error=f"{task.path}: {outcome}")
                Manifest(folder).add(record)
                yield given[task], record
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                yield given[task], outcome


def _make(folder: Path, how: Extraction, device: str) -> Maker:
    return Maker(folder, replace(how, device=device))


def run_on_ray(
    make: Callable[[str], Callable[[T], R]],
    tasks: Iterable[T],
    address: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    engine: str = "ray",
) -> Generator[tuple[T, R | Exception]]:
    """Work on tasks by actors that are made once, in any order.

    Args:
        make: makes what works on a task on a device, once in every actor. It is pickled, as are tasks and outcomes.
        tasks: to work on.
        address: ``auto`` (the cluster that this machine is a part of), its ``HOST:PORT``, or ``local``: this machine
            alone; None: ``auto``. A session that is open already is used whatever the address.
        workers: actors at most; None: one on every machine, or one for every GPU.
        device: ``cpu``, ``mps``, or ``cuda``, which gives every actor a GPU of its own; ``auto``: ``cuda`` if a machine
            of the cluster has one, else ``cpu``.
        engine: of the network, behind ``ray``; OpenVINO computes on CPUs only.

    Yields:
        A task with what came of it, or with the exception that was raised at it.

    Raises:
        UsageError: Ray is not installed, the address is none, or the cluster has not what the device needs.
        HasvideoError: the cluster cannot be reached, or workers die before they are ready; and what ``make`` raises.
    """
    _check_device(device, engine)
    ray, ours = _connect(address or "auto")
    try:
        device = _choose_device(ray.nodes(), device, engine)
        waiting = deque(_Try(task) for task in tasks)
        options, most = _share(ray.nodes(), workers, device)
        pool = _Pool(ray, partial(make, device), options, waiting)
        for _ in range(min(most, len(waiting))):
            pool.start()
        yield from pool.outcomes()
    finally:
        if ours:
            ray.shutdown()


class _Try(NamedTuple):
    """A task, and how many workers were lost at it."""

    task: Any
    lost: int = 0


class _Job(NamedTuple):
    """What an actor is at: a task, or None while it gets ready."""

    actor: Any
    task: _Try | None


class _Pool(Generic[T, R]):
    """Actors, each with one job at a time."""

    def __init__(
        self, ray: Any, make: Callable[[], Callable[[T], R]], options: dict[str, Any], waiting: deque[_Try]
    ) -> None:
        self._ray, self._make, self._waiting = ray, make, waiting
        self._actor = ray.remote(_Actor).options(scheduling_strategy="SPREAD", **options)
        self._jobs: dict[Any, _Job] = {}
        self._false_starts = 0

    def start(self) -> None:
        """Start an actor. Where the cluster has no room for it yet, the others work on without it."""
        actor = self._actor.remote()
        self._jobs[actor.prepare.remote(self._make)] = _Job(actor, None)

    def outcomes(self) -> Iterator[tuple[T, R | Exception]]:
        try:
            while self._waiting or any(job.task for job in self._jobs.values()):
                (done,), _ = self._ray.wait(list(self._jobs), num_returns=1)
                job = self._jobs.pop(done)
                try:
                    outcome = self._ray.get(done)
                except self._ray.exceptions.RayError as error:  # what a worker raises is an outcome
                    yield from self._replace(job, _reason(error))
                    continue
                if job.task is None and outcome is not None:
                    self._ray.kill(job.actor)
                    raise outcome
                self._give(job.actor)
                if job.task:
                    yield job.task.task, outcome
        finally:
            for job in self._jobs.values():
                self._ray.kill(job.actor)

    def _give(self, actor: Any) -> None:
        """Give an actor the next task, or end it where none is left."""
        self._false_starts = 0
        if self._waiting:
            task = self._waiting.popleft()
            self._jobs[actor.work.remote(task.task)] = _Job(actor, task)
        else:
            self._ray.kill(actor)

    def _replace(self, job: _Job, reason: str) -> Iterator[tuple[T, WorkerLostError]]:
        """Start another actor in place of one that was lost; yield its task, if that has cost too many."""
        self._ray.kill(job.actor)  # it may be out of reach and alive
        if job.task is None:
            self._false_starts += 1
            if self._false_starts > RETRIES:
                raise HasvideoError(f"Ray lost its workers before they were ready: {reason}")
        elif job.task.lost < RETRIES:
            self._waiting.append(job.task._replace(lost=job.task.lost + 1))
        else:
            yield job.task.task, WorkerLostError(f"{RETRIES + 1} workers were lost at it: {reason}")
        if self._waiting:
            self.start()


class _Actor:
    """In the cluster: a process that works on one task after the other."""

    def prepare(self, make: Callable[[], Callable[[Any], Any]]) -> Exception | None:
        try:
            self._work = make()
        except HasvideoError as error:
            return error
        return None

    def work(self, task: Any) -> Any:
        try:
            return self._work(task)
        except Exception as error:
            return error


def _connect(address: str) -> tuple[Any, bool]:
    """Connect to the cluster; return Ray, and whether the session is ours to end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # its workers' and daemons' words, on standard output
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'hasvideo[ray]'") from error
    if ray.is_initialized():
        return ray, False
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address not in ("auto", "local"):
        _check_reachable(address)
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if address == "local":
        os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: beside anything else its workers stand still
    try:
        with _silence():
            if address == "auto":
                _check_noted()
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError) as error:
        if address == "auto":
            raise HasvideoError("no Ray cluster runs on this machine: join one by ray start --address HOST:PORT, start "
                                "one by ray start --head, or do without by --ray-address local") from error  # fmt: skip
        # Ray sends its token to no address that was given to it, unless it is told to.
        token = "" if "RAY_AUTH_MODE" in os.environ else " (set RAY_AUTH_MODE=token if it wants a token)"
        reason = textwrap.shorten(str(error), 300)
        raise HasvideoError(f"no Ray cluster at --ray-address {address}: {reason}{token}") from error
    return ray, True


@contextmanager
def _silence() -> Iterator[None]:
    """Silence standard error, also for code that is not Python: Ray tells there of each attempt to connect."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _check_noted() -> None:
    """Look for the cluster that Ray would connect to by itself: one that crashed leaves Ray's note of it behind.

    Raises:
        OSError: there is none, or no more.
    """
    try:
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:  # it is not public
        return
    address = canonicalize_bootstrap_address("auto")
    if address is not None:
        _touch(address)


def _touch(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--ray-address is auto, local or HOST:PORT, got {address!r}")
    try:
        _touch(address)
    except (OSError, OverflowError) as error:
        raise HasvideoError(f"no Ray cluster at --ray-address {address}: {error}") from error


def _check_device(device: str, engine: str) -> None:
    check_name(device)
    if device.startswith("cuda:"):
        raise UsageError(f"--device {device}: by Ray every worker has a GPU of its own, so give cuda")
    if device not in ("auto", "cpu") and split_engine(engine)[1] == "openvino":
        raise UsageError(f"--engine {engine} computes on the CPU: --device {device} is for --engine ray+torch")


def _choose_device(nodes: list[dict[str, Any]], device: str, engine: str) -> str:
    """Resolve ``auto`` on a cluster: a GPU for each worker where there is one."""
    if device != "auto":
        return device
    has_gpu = any(node["Alive"] and node["Resources"].get("GPU", 0) >= 1 for node in nodes)
    chosen = "cuda" if has_gpu and split_engine(engine)[1] != "openvino" else "cpu"
    logger.info("device of Ray's workers: %s", chosen)
    return chosen


def _share(nodes: list[dict[str, Any]], workers: int | None, device: str) -> tuple[dict[str, float], int]:
    """Decide what every actor takes of its machine, and how many of them there are."""
    kind = "GPU" if device.startswith("cuda") else "CPU"
    amounts = [int(node["Resources"].get(kind, 0)) for node in nodes if node["Alive"]]
    amounts = [amount for amount in amounts if amount]
    if not amounts:
        raise UsageError(f"--device {device}: no machine of the Ray cluster has a {kind}")
    if kind == "GPU":
        return {"num_gpus": 1, "num_cpus": 1}, workers or sum(amounts)
    workers = workers or len(amounts)
    on_each = -(-workers // len(amounts))
    return {"num_cpus": max(1, min(amounts) // on_each)}, workers


def _reason(error: Exception) -> str:
    """Cut what Ray says of a loss down to its reason, without the numbers of actors and machines."""
    return textwrap.shorten(str(error).rpartition("exit detail: ")[2], 200)
