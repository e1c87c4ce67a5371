"""The training loop: as mmengine's, but a resumed run starts at its position instead of decoding its way there."""

from __future__ import annotations

from typing import Any

from torch import nn

from adapt.openmmlab import BaseLoop


class PositionLoop(BaseLoop):
    """Iteration-based training whose loader has a `PositionSampler`.

    mmengine's `IterBasedTrainLoop` opens the loader before a checkpoint is read and then skips the samples that were
    trained on one by one, reading every one of them.
    """

    def __init__(self, runner: Any, dataloader: Any, max_iters: int) -> None:
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.max_epochs = 1
        # The Runner writes these two when it resumes.
        self._iter = 0
        self._epoch = 0

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
        self.dataloader.sampler.start = self._iter * self.dataloader.batch_size
        batches = iter(self.dataloader)
        while self._iter < self.max_iters:
            self.runner.model.train()
            self._run_iteration(next(batches))
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _run_iteration(self, batch: Any) -> None:
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=batch)
        outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=batch, outputs=outputs)
        self._iter += 1
