"""`CodeSandbox`: a batch of programs in, a batch of results out, in order.

One thread drives all workers of a call through a poll loop; several callers share the workers by taking idle ones.
"""

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from arcgym.errors import SandboxError
from arcgym.grids import grids_equal
from arcgym.sandbox import protocol
from arcgym.sandbox.client import Limits, Worker, WorkerLostError, wait_for
from arcgym.sandbox.layers import Layer, measure, refusal, require
from arcgym.sandbox.results import ExecutionResult, Grid, Status
from arcgym.sandbox.verdicts import infrastructure_failure, judge, refuse_source

logger = logging.getLogger(__name__)

RECYCLE_AFTER = 5000


class _Task(NamedTuple):
    number: int
    source: str
    encoded: bytes
    grids: list[protocol.PlainGrid]


class CodeSandbox:
    """Runs untrusted programs, each in a process of its own, and reports what they did.

    Args:
        timeout_s: seconds that one program may take for all its inputs together: CPU seconds while it computes, wall
            clock when it waits; never more than `8 * timeout_s + 1` seconds of wall clock.
        memory_mb: address space in MiB that one program may add to the warm interpreter's.
        workers: how many programs run at the same time; one per core is best.
        allow_weak: start also where the required layers (see `describe_layers`) cannot be had, and log what is lost.
        input_timeout_s: seconds, in the same sense, that a program may take for one of its inputs; None for no limit
            of its own. A program can dodge this one, never `timeout_s`.
        check_determinism: run every program twice, in two processes, and say in `is_deterministic` whether both gave
            the same. Costs twice the time.

    Raises:
        SandboxError: the sandbox cannot start, or not with the required layers.
    """

    def __init__(
        self,
        timeout_s: float = 2.0,
        memory_mb: int = 512,
        workers: int = 2,
        allow_weak: bool = False,
        input_timeout_s: float | None = None,
        check_determinism: bool = False,
    ) -> None:
        if not 0 < timeout_s < 86400:
            raise ValueError(f"timeout_s is {timeout_s}; give seconds above 0 and below 86400")
        if input_timeout_s is not None and not 0 < input_timeout_s < 86400:
            raise ValueError(f"input_timeout_s is {input_timeout_s}; give seconds above 0 and below 86400, or None")
        if memory_mb < 16:
            raise ValueError(f"memory_mb is {memory_mb}; give at least 16")
        if workers < 1:
            raise ValueError(f"workers is {workers}; give at least 1")
        self._limits = Limits(timeout_s, timeout_s if input_timeout_s is None else input_timeout_s, memory_mb)
        self._allow_weak = allow_weak
        self._check_determinism = check_determinism
        self._workers = [Worker(self._limits) for _ in range(workers)]
        self._idle = deque(self._workers)
        self._changed = threading.Condition()
        self._closed = False
        self._warned = False
        self._finalizer = weakref.finalize(self, _stop_all, self._workers)
        _living.add(self)
        try:
            self._start_all(self._workers)
        except BaseException:
            self.close()
            raise

    def run(self, programs: Sequence[str], inputs: Sequence[Sequence[Grid]]) -> list[ExecutionResult]:
        """Run each program's `transform` on each of its inputs.

        Args:
            programs: sources that define `transform(grid)`; it gets a NumPy int8 array of its own.
            inputs: `inputs[i]` are the grids (height, width), sides 1 to 30, values 0 to 9, for `programs[i]`.

        Returns:
            One result per program, in order. A program's failure is in its result, never an exception.

        Raises:
            ValueError: the lengths differ, or an input is not a grid.
            SandboxError: the sandbox is closed, or no worker can be started any more.
        """
        tasks, results = self._prepare(programs, inputs)
        if self._check_determinism:
            tasks += [task._replace(number=task.number + len(programs)) for task in tasks]
            results += results
        if tasks:
            workers = self._take(len(tasks))
            try:
                self._drive(workers, tasks, results)
            finally:
                self._give_back(workers)
        finished = [result for result in results if result is not None]
        if self._check_determinism:
            count = len(programs)
            return [_compared(first, second) for first, second in zip(finished[:count], finished[count:], strict=True)]
        return finished

    def close(self) -> None:
        """End all workers; a `run` in another thread raises `SandboxError`. Closing twice is allowed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while len(self._idle) < len(self._workers):  # calls in other threads notice, stop their workers, return
                self._changed.wait()
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(
        self, programs: Sequence[str], inputs: Sequence[Sequence[Grid]]
    ) -> tuple[list[_Task], list[ExecutionResult | None]]:
        if len(programs) != len(inputs):
            raise ValueError(
                f"there are {len(programs)} programs but {len(inputs)} lists of inputs; give one for each"
            )
        tasks: list[_Task] = []
        results: list[ExecutionResult | None] = [None] * len(programs)
        for index, (source, grids) in enumerate(zip(programs, inputs, strict=True)):
            plain = [_plain(grid, f"inputs[{index}][{number}]") for number, grid in enumerate(grids)]
            if len(plain) > protocol.MAX_INPUTS:
                raise ValueError(f"inputs[{index}] has {len(plain)} grids; at most {protocol.MAX_INPUTS} are allowed")
            try:
                encoded = source.encode("utf-8")
            except UnicodeEncodeError as exc:
                results[index] = refuse_source(f"the source is not valid Unicode: {exc}", len(plain))
                continue
            if len(encoded) > protocol.MAX_SOURCE_BYTES:
                reason = f"the source has {len(encoded)} bytes; at most {protocol.MAX_SOURCE_BYTES} are allowed"
                results[index] = refuse_source(reason, len(plain))
                continue
            tasks.append(_Task(index, source, encoded, plain))
        return tasks, results

    def _take(self, wanted: int) -> list[Worker]:
        with self._changed:
            while not self._idle and not self._closed:
                self._changed.wait()
            if self._closed:
                raise SandboxError("The sandbox is closed; make a new CodeSandbox.")
            return [self._idle.popleft() for _ in range(min(wanted, len(self._idle)))]

    def _give_back(self, workers: list[Worker]) -> None:
        with self._changed:
            self._idle.extend(workers)
            self._changed.notify_all()

    def _drive(self, workers: list[Worker], tasks: list[_Task], results: list[ExecutionResult | None]) -> None:
        pending = deque(tasks)
        retried: set[int] = set()
        running: dict[Worker, _Task] = {}
        try:
            while pending or running:
                if self._closed:
                    raise SandboxError("The sandbox was closed while programs were running.")
                for worker in workers:
                    if pending and worker not in running:
                        running[worker] = pending.popleft()
                        self._begin(worker, running[worker])
                soon = time.monotonic() + 0.2  # so that close() in another thread is noticed
                ready = wait_for(list(running), min(soon, *(worker.deadline for worker in running)))
                for worker, task in list(running.items()):
                    result = self._advance(worker, task, ready)
                    if result is not None:
                        del running[worker]
                        if result.status is Status.INFRASTRUCTURE and task.number not in retried:
                            retried.add(task.number)
                            pending.appendleft(task)
                        else:
                            results[task.number] = result
        finally:
            for worker in running:  # only after an exception, Ctrl-C among them
                worker.stop()

    def _begin(self, worker: Worker, task: _Task) -> None:
        if worker.served >= RECYCLE_AFTER:
            worker.stop()
        if not worker.alive:
            self._start_all([worker])
        try:
            worker.begin(task.encoded, task.grids)
        except WorkerLostError as exc:
            logger.info("a sandbox worker was found dead: %s", exc)
            worker.stop()

    def _advance(self, worker: Worker, task: _Task, ready: set[int]) -> ExecutionResult | None:
        """The result of a worker's run, None while it goes on."""
        try:
            if not worker.alive:
                raise WorkerLostError("the worker was dead when the program was handed over")
            if ready.intersection(worker.fds()):
                finished = worker.advance()
                if finished is None:
                    return None
                if finished.report.strays:  # a program got past a layer; do not trust what it may have touched
                    logger.info("a program left %d processes; its worker is replaced", finished.report.strays)
                    worker.stop()
                return judge(task.source, finished, self._limits)
            if time.monotonic() < worker.deadline:
                return None
            raise WorkerLostError("the worker did not answer in time")
        except WorkerLostError as exc:
            logger.info("a sandbox worker was lost: %s", exc)
            worker.stop()
            return infrastructure_failure(str(exc), len(task.grids))

    def _start_all(self, workers: list[Worker]) -> None:
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.greet()
                self._check(measure(worker, self._limits.memory_mb))
        except BaseException:
            for worker in workers:
                worker.stop()
            raise

    def _check(self, layers: list[Layer]) -> None:
        missing = require(layers)
        if missing and not self._allow_weak:
            raise SandboxError(refusal(missing))
        if missing and not self._warned:
            self._warned = True
            for layer in missing:
                logger.warning("the sandbox runs without %s; lost: %s", layer.name, layer.guarantee)

    def _forget_workers(self) -> None:
        """In a fork of the caller: the workers are the parent's; this copy starts its own when it needs them."""
        for worker in self._workers:
            worker.forget(kill=False)
        self._changed = threading.Condition()
        self._idle = deque(self._workers)


def _plain(grid: Grid, name: str) -> protocol.PlainGrid:
    array = np.asarray(grid)
    limit = protocol.MAX_SIDE
    if array.ndim != 2 or array.dtype.kind not in "iu" or not 1 <= min(array.shape) <= max(array.shape) <= limit:
        raise ValueError(
            f"{name} is a {array.dtype} array of shape {array.shape}; integers and sides from 1 to {limit} are allowed"
        )
    if array.min() < 0 or array.max() > protocol.MAX_CELL:
        raise ValueError(f"{name} has cells from {array.min()} to {array.max()}; 0 to {protocol.MAX_CELL} are allowed")
    return protocol.PlainGrid(array.shape[0], array.shape[1], array.astype(np.uint8).tobytes())


def _compared(first: ExecutionResult, second: ExecutionResult) -> ExecutionResult:
    """The first result, with word of whether the second is like it."""
    if Status.INFRASTRUCTURE in (first.status, second.status):
        return first
    pairs = zip(first.outputs, second.outputs, strict=True)
    same = all(grids_equal(a, b) or (a is None and b is None) for a, b in pairs)
    return replace(first, is_deterministic=same and first.status is second.status)


def _stop_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.stop()


_living: "weakref.WeakSet[CodeSandbox]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for sandbox in list(_living):
        sandbox._forget_workers()


os.register_at_fork(after_in_child=_after_fork_in_child)
