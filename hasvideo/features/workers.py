"""Several processes that make features: one that dies costs the video it was at, and another takes its place."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from hasvideo.errors import HasvideoError
from hasvideo.features.make import Extraction, Maker, Task
from hasvideo.features.manifest import Manifest, Record


def run_in_processes(
    folder: Path, how: Extraction, tasks: list[Task], workers: int
) -> Iterator[tuple[Task, Record | None]]:
    """Work by up to ``workers`` processes, which share the cores: a :class:`hasvideo.features.fill.Runner`.

    Raises:
        UsageError, HasvideoError: what a worker raised.
    """
    waiting, manifest = list(reversed(tasks)), Manifest(folder)
    threads = max(1, (os.cpu_count() or 1) // workers)
    running = {worker.connection: worker for worker in (_Worker(folder, how, threads) for _ in tasks[:workers])}
    try:
        while running:
            for connection in wait(list(running)):
                worker = running[connection]  # type: ignore[index]
                task, outcome = worker.task, worker.receive()
                if isinstance(outcome, HasvideoError):
                    raise outcome
                if isinstance(outcome, _Died):
                    del running[worker.connection]
                    assert task is not None
                    outcome = Record(task.id, str(task.path), error=f"{task.path}: {outcome.reason}")
                    manifest.add(outcome)
                    if waiting:
                        worker = _Worker(folder, how, threads)
                        running[worker.connection] = worker
                elif waiting:
                    worker.give(waiting.pop())
                else:
                    del running[worker.connection]
                    worker.stop()
                if task is not None:
                    yield task, outcome
    finally:
        for worker in running.values():
            worker.stop(at_once=True)


class _Died:
    """What came of a worker that was lost."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Worker:
    """A process with a network of its own; first it says that it is ready, then what came of each task."""

    def __init__(self, folder: Path, how: Extraction, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share the parent's threads and GPU badly
        self.connection, theirs = context.Pipe()
        self.task: Task | None = None
        self._process = context.Process(target=_serve, args=(theirs, folder, how, threads), daemon=True)
        self._process.start()
        theirs.close()  # so that its death is noticed

    def give(self, task: Task | None) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # it died: receive() says so
            self.connection.send(task)

    def receive(self) -> Any:
        """Receive what it says; a :class:`_Died` if it died at a task.

        Raises:
            HasvideoError: it died before it was ready.
        """
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            if self.task is None:
                raise HasvideoError(f"a worker process was {how} before it was ready") from None
            return _Died(f"the worker process was {how}")

    def stop(self, at_once: bool = False) -> None:
        """End it, after its work or in the middle."""
        if at_once:
            self._process.kill()
        else:
            self.give(None)
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, folder: Path, how: Extraction, threads: int) -> None:
    """Make features, as the process, until the parent has no more tasks, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported
    try:
        maker = Maker(folder, how)
        connection.send("ready")
        while (task := connection.recv()) is not None:
            connection.send(maker(task))
    except HasvideoError as error:
        connection.send(type(error)(str(error)))
    except (EOFError, BrokenPipeError):
        pass
