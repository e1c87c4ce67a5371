"""What happens around every training step: seeding, the watch over the loss, resume points, reports."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapt.errors import TaskError
from adapt.openmmlab import Hook
from adapt.training.randomness import seed_iteration

OnStep = Callable[[int, dict[str, float]], None]


class SeedIteration(Hook):
    """Seed all generators from (seed, iteration) before each step, so that a resumed run draws the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed."""
        seed_iteration(self.seed, runner.iter)


class StopAtNonFiniteLoss(Hook):
    """Stop the run when its loss is no number any more, before anything of it is saved."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Raise a TaskError that names the iteration and the loss."""
        for name, value in outputs.items():
            if "loss" in name and not math.isfinite(value.item()):
                raise TaskError(
                    f"Training stopped at iteration {runner.iter + 1} of {runner.max_iters}: {name} is {value.item()}. "
                    "Lower the learning rate or lengthen the warm-up; the last resume point is from before this."
                )


class SaveResumePoint(Hook):
    """Keep one whole checkpoint on disk: the new one is written beside the old one and then takes its name.

    It holds plain data and tensors only (mmengine's log history is left out), so any safe reader reads it. Parameters
    that are no numbers any more are never saved: the last step may spoil them after a loss that was finite.
    """

    priority = "VERY_LOW"  # after the schedulers have stepped

    def __init__(self, path: Path, interval: int) -> None:
        self.path = path
        self.interval = interval

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Leave the log history out."""
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save every `interval` iterations and after the last; a TaskError instead if a parameter is not finite."""
        done = runner.iter + 1
        if done % self.interval == 0 or done == runner.max_iters:
            name = find_non_finite(runner.model)
            if name is not None:
                raise TaskError(
                    f"Training stopped at iteration {done} of {runner.max_iters}: '{name}' of the network holds values "
                    "that are not finite. Lower the learning rate or lengthen the warm-up; the last resume point is "
                    "from before this."
                )
            unfinished = self.path.with_suffix(".unfinished")
            runner.save_checkpoint(str(unfinished.parent), unfinished.name, by_epoch=False)
            os.replace(unfinished, self.path)


class Report(Hook):
    """Call `on_step(iteration, metrics)` every `interval` iterations and after the last; iterations count from 1.

    The metrics are the means, since the last call, of what the model reports, `iteration_s` (data included), and `lr`,
    the plain learning rate that this iteration used.
    """

    priority = "LOWEST"  # after the resume point: whoever stops the run from `on_step` loses nothing

    def __init__(self, on_step: OnStep, interval: int, names: tuple[str, ...]) -> None:
        self.on_step = on_step
        self.interval = interval
        self.names = names
        self._lr = math.nan
        self._start_new_means()

    def before_train_epoch(self, runner: Any) -> None:
        """Start the clock."""
        self._start_new_means()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note the learning rate before the schedulers change it."""
        self._lr = runner.optim_wrapper.param_groups[0]["lr"]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Add this iteration to the means; report them when it is time."""
        done = runner.iter + 1
        self._count += 1
        for name in self.names:
            self._sums[name] += outputs[name].item()
        if done % self.interval and done != runner.max_iters:
            return
        metrics = {name: total / self._count for name, total in self._sums.items()}
        metrics["lr"] = self._lr
        metrics["iteration_s"] = (time.perf_counter() - self._started) / self._count
        text = ", ".join(f"{name} {value:.5g}" for name, value in metrics.items())
        runner.logger.info("iteration %d/%d: %s", done, runner.max_iters, text)
        self._start_new_means()
        self.on_step(done, metrics)

    def _start_new_means(self) -> None:
        self._sums = dict.fromkeys(self.names, 0.0)
        self._count = 0
        self._started = time.perf_counter()


def find_non_finite(model: nn.Module) -> str | None:
    """Find a parameter, or a running statistic of a batch norm, that holds infinite values or no numbers.

    Args:
        model: Any network. Other buffers are not looked at: an attention mask may well hold minus infinity.

    Returns:
        The name of the first one, or None if all are finite.
    """
    for name, tensor in model.state_dict(keep_vars=True).items():
        is_checked = isinstance(tensor, nn.Parameter) or name.endswith(("running_mean", "running_var"))
        if is_checked and not torch.isfinite(tensor).all():
            return name
    return None
