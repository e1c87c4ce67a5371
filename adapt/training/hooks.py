"""What happens around every training step: seeding, the watch over the loss, resume points, reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapt.atomic import replace_atomically
from adapt.errors import TaskError
from adapt.openmmlab import Hook
from adapt.stopping import Stopped, is_stop_requested
from adapt.training.distributed import get_rank, mean_over_workers
from adapt.training.randomness import seed_iteration

OnStep = Callable[[int, dict[str, float]], None]


class SeedIteration(Hook):
    """Seed all generators from (seed, iteration) before each step, so that a resumed run draws the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed."""
        seed_iteration(self.seed, runner.iter, get_rank())


class StopAtNonFiniteLoss(Hook):
    """Stop the run when its loss is no number any more, before anything of it is saved or reported.

    The losses stay on their device, where a GPU need not be waited for, until a report or a resume point is due; then
    all since the last look are looked at, so the error still names the first iteration that went wrong. A loss that is
    not finite on one worker stops all of them.
    """

    def __init__(self, intervals: tuple[int, ...]) -> None:
        """Set when to look.

        Args:
            intervals: The losses are looked at in every iteration that one of these divides, and in the last.
        """
        self.intervals = intervals
        self._pending: list[tuple[int, tuple[str, ...], Tensor]] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep the losses; when it is time, raise a TaskError that names the first bad iteration and its loss."""
        done = runner.iter + 1
        names = tuple(name for name in outputs if "loss" in name)
        self._pending.append((done, names, stack_scalars(outputs, names)))
        if done != runner.max_iters and all(done % interval for interval in self.intervals):
            return
        values = mean_over_workers(torch.cat([losses for _, _, losses in self._pending])).tolist()
        labels = [(iteration, name) for iteration, names, _ in self._pending for name in names]
        self._pending.clear()
        for (iteration, name), value in zip(labels, values, strict=True):
            if not math.isfinite(value):
                raise TaskError(
                    f"Training stopped at iteration {iteration} of {runner.max_iters}: {name} is {value}. "
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
        """Save every `interval` iterations, after the last and when the process is asked to stop.

        Raises:
            TaskError: a parameter is not finite.
            Stopped: the process was asked to stop; this iteration is saved.
        """
        done, is_stopping = runner.iter + 1, is_stop_requested()
        if done % self.interval == 0 or done == runner.max_iters or is_stopping:
            name = find_non_finite(runner.model)
            if name is not None:
                raise TaskError(
                    f"Training stopped at iteration {done} of {runner.max_iters}: '{name}' of the network holds values "
                    "that are not finite. Lower the learning rate or lengthen the warm-up; the last resume point is "
                    "from before this."
                )
            if get_rank() == 0:
                with replace_atomically(self.path) as draft:
                    runner.save_checkpoint(str(draft.parent), draft.name, by_epoch=False)
            if is_stopping and done < runner.max_iters:
                raise Stopped(f"stopped after iteration {done} of {runner.max_iters}")


class Report(Hook):
    """Call `on_step(iteration, metrics)` every `interval` iterations and after the last; iterations count from 1.

    The metrics are the means, since the last call and over all workers, of what the model reports; `lr`, the plain learning
    rate that this iteration used, and `lr/NAME` that of each parameter group; the seconds per iteration `iteration_s` and,
    of them, `data_s` (waiting for data) and whatever else the model's `timer` measures; and what the model's
    `read_monitor` gives, if it has one. Only the first worker calls `on_step`.
    """

    priority = "LOWEST"  # after the resume point: whoever stops the run from `on_step` loses nothing

    def __init__(self, on_step: OnStep, interval: int, names: tuple[str, ...]) -> None:
        self.on_step = on_step
        self.interval = interval
        self.names = names
        self._rates: dict[str, float] = {}
        self._start_new_means()

    def before_train_epoch(self, runner: Any) -> None:
        """Start the clock."""
        self._start_new_means()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note the learning rates before the schedulers change them."""
        groups = runner.optim_wrapper.optimizer.param_groups
        self._rates = {"lr": groups[0]["lr"], **{f"lr/{group['name']}": group["lr"] for group in groups}}

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep this iteration's scalars, on their device; report the means when it is time."""
        done = runner.iter + 1
        self._pending.append(stack_scalars(outputs, self.names))
        if done % self.interval and done != runner.max_iters:
            return
        count = len(self._pending)
        means = mean_over_workers(torch.stack(self._pending).mean(0)).tolist()
        metrics = {**dict(zip(self.names, means, strict=True)), **self._rates}
        metrics["iteration_s"] = (time.perf_counter() - self._started) / count
        metrics |= {f"{name}_s": seconds for name, seconds in runner.timer.read().items()}
        if hasattr(runner.model, "read_monitor"):
            metrics |= runner.model.read_monitor()
        self._start_new_means()
        if get_rank() == 0:
            text = ", ".join(f"{name} {value:.5g}" for name, value in metrics.items())
            runner.logger.info("iteration %d/%d: %s", done, runner.max_iters, text)
            self.on_step(done, metrics)

    def _start_new_means(self) -> None:
        self._pending: list[Tensor] = []
        self._started = time.perf_counter()


def stack_scalars(outputs: Mapping[str, Tensor], names: Iterable[str]) -> Tensor:
    """Put some of a step's scalars side by side without waiting for the device that computes them.

    Args:
        outputs: What `train_step` returned, `loss` among it.
        names: Which, and in which order.

    Returns:
        (L,) float64 on the device of the loss, in which sums lose no digits.
    """
    device = outputs["loss"].device
    return torch.stack([outputs[name].detach().to(device, torch.float64, non_blocking=True) for name in names])


def find_non_finite(model: nn.Module) -> str | None:
    """Find a parameter, or a running statistic of a batch norm, that holds infinite values or no numbers.

    Args:
        model: Any network. Other buffers are not looked at: an attention mask may well hold minus infinity.

    Returns:
        The name of the first one, or None if all are finite.
    """
    checked = {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if isinstance(tensor, nn.Parameter) or name.endswith(("running_mean", "running_var"))
    }
    # One look at the device for all of them.
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in checked.values()]).tolist()
    return next((name for name, good in zip(checked, finite, strict=True) if not good), None)
