"""How long the parts of a training iteration take, measured without making a GPU wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


class StepTimer:
    """Adds up named spans and gives their mean per iteration.

    On a GPU a span is the time between two events in its stream: work is only queued when the `with` block ends. The
    host waits for the GPU in `read` alone. On a CPU a span is wall-clock time.

    Attributes:
        device: Where the measured work runs; `run_training` sets it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with nothing measured, for work on the CPU.

        Args:
            clock: Seconds since any moment.
        """
        self.device = torch.device("cpu")
        self._clock = clock
        self._start_anew()

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the work that the `with` block gives to the device.

        Args:
            name: What it is; several spans of one name add up. An exception leaves its span out.
        """
        if self.device.type != "cuda":
            with self.measure_host(name):
                yield
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        yield
        end.record()
        self._events.setdefault(name, []).append((start, end))

    @contextmanager
    def measure_host(self, name: str) -> Iterator[None]:
        """Measure wall-clock time, whatever the device is: waiting for data is the host's.

        Args:
            name: What it is; several spans of one name add up. An exception leaves its span out.
        """
        start = self._clock()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + self._clock() - start

    def count_iteration(self) -> None:
        """Count an iteration; called once for each."""
        self._iterations += 1

    def read(self) -> dict[str, float]:
        """Give the means and start anew; waits for the GPU.

        Returns:
            Seconds per iteration since the last call, by name.
        """
        for name, spans in self._events.items():
            spans[-1][1].synchronize()
            milliseconds = sum(start.elapsed_time(end) for start, end in spans)
            self._seconds[name] = self._seconds.get(name, 0.0) + milliseconds / 1000
        means = {name: seconds / max(self._iterations, 1) for name, seconds in self._seconds.items()}
        self._start_anew()
        return means

    def _start_anew(self) -> None:
        self._seconds: dict[str, float] = {}
        self._events: dict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = {}
        self._iterations = 0
