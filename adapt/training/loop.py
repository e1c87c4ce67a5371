"""The training loop: as mmengine's, but a resumed run starts at its position instead of decoding its way there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from adapt.openmmlab import BaseLoop


class PositionLoop(BaseLoop):
    """Iteration-based training whose loader has a `PositionSampler` and whose optimiser a `StepWrapper`.

    An iteration takes as many batches as the wrapper has parts, one `train_step` for each. mmengine's
    `IterBasedTrainLoop` opens the loader before a checkpoint is read and then skips the samples that were trained on one
    by one, reading every one of them.
    """

    def __init__(self, runner: Any, dataloader: Any, max_iters: int) -> None:
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.max_epochs = 1
        # The Runner writes these two when it resumes.
        self._iter = 0
        self._epoch = 0
        self._is_stale = False

    @property
    def iter(self) -> int:
        """Index of the current iteration, from 0."""
        return self._iter

    @property
    def epoch(self) -> int:
        """Always 0: the run is one endless epoch."""
        return self._epoch

    def run(self) -> nn.Module:
        """Train from the current iteration to the last."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        batches = self._open()
        while self._iter < self.max_iters:
            if self._is_stale:
                batches = self._open()
            self.runner.model.train()
            self._run_iteration(batches)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def reopen(self) -> None:
        """Read the samples of the iterations to come anew: what loader processes hold ready is given up.

        A hook calls this, from `after_train_iter`, when it has changed what the samples are made of.
        """
        self._is_stale = True

    def _open(self) -> Iterator[Any]:
        """Begin with the samples of the current iteration."""
        sampler = self.dataloader.sampler
        sampler.start = self._iter * sampler.batch_size * sampler.workers * self.runner.optim_wrapper.parts
        self._is_stale = False
        return iter(self.dataloader)

    def _run_iteration(self, batches: Iterator[Any]) -> None:
        wrapper = self.runner.optim_wrapper
        outputs = []
        for part in range(wrapper.parts):
            wrapper.part = part
            with self.runner.timer.measure_host("data"):
                batch = next(batches)
            if part == 0:
                self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=batch)
            outputs.append(self.runner.model.train_step(batch, optim_wrapper=wrapper))
        self.runner.timer.count_iteration()
        self.runner.call_hook(
            "after_train_iter", batch_idx=self._iter, data_batch=batch, outputs=average_outputs(outputs)
        )
        self._iter += 1


def average_outputs(outputs: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average what a model reports of the parts of an iteration.

    Args:
        outputs: One dict of scalars for each part, all with the same keys.

    Returns:
        The means, where the scalars are.
    """
    return {
        name: sum((output[name] for output in outputs[1:]), first) / len(outputs) for name, first in outputs[0].items()
    }
