"""What happens around the training steps on noisy labels: points of the curves, detection, and corrections of all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from adapt.correction.counts import LabelCounts
from adapt.correction.detection import Detection
from adapt.correction.history import History
from adapt.correction.labels import TrainingLabels
from adapt.correction.prediction import predict_over_scales
from adapt.correction.rules import correct_label
from adapt.correction.scores import CorrectionCounts, count_correction
from adapt.correction.settings import AdeleSettings, RelabellingSettings
from adapt.data.label_map import IGNORE
from adapt.data.layout import Frame
from adapt.openmmlab import Hook
from adapt.training.hooks import OnStep


class FollowLabels(Hook):
    """Turns what a model counts into points; corrects the labels at the ends of epochs, where the settings say so.

    All that it knows goes with the resume point, so a run that goes on detects and corrects as an undisturbed one.

    Attributes:
        history: What is looked at afterwards.
    """

    def __init__(
        self,
        network: nn.Module,
        counts: LabelCounts,
        frames: Sequence[Frame],
        labels: TrainingLabels,
        settings: RelabellingSettings | None,
        point_iterations: int | None,
        classes: Sequence[str],
        on_step: OnStep,
    ) -> None:
        """Prepare.

        Args:
            network: What predicts the labels: the segmentor that trains.
            counts: What it predicted in training.
            frames: All that are trained on.
            labels: Reads them; holds the store of corrected labels where there are corrections.
            settings: When and how labels are corrected; None never does.
            point_iterations: Iterations between two points; None is an epoch.
            classes: Their names.
            on_step: Called with the iteration and what there is to see.
        """
        self.network = network
        self.counts = counts
        self.frames = frames
        self.labels = labels
        self.settings = settings
        self.point_iterations = point_iterations
        self.classes = tuple(classes)
        self.on_step = on_step
        self.history = History()
        self.background = (
            self.classes.index(settings.rule.background)
            if settings is not None and settings.rule.background is not None
            else None
        )
        self.detection = (
            Detection(len(classes), settings.curve, self.background) if isinstance(settings, AdeleSettings) else None
        )

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep curves and detection."""
        checkpoint["follow_labels"] = {
            "history": self.history.save(),
            "detection": None if self.detection is None else self.detection.save(),
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from them."""
        state = checkpoint["follow_labels"]
        self.history = History.restore(state["history"])
        if self.detection is not None:
            self.detection.load(state["detection"])

    def before_train(self, runner: Any) -> None:
        """Begin with the labels of the iteration that the run begins at, whatever an interrupted one left."""
        if self.labels.store is None:
            return
        self.labels.store.rewind(self.labels.progress.count_epochs(runner.iter * self.labels.progress.per_iteration))
        self.labels.store.verify()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Add a point, or correct the labels, when it is time."""
        progress = self.labels.progress
        done = runner.iter + 1
        is_epoch_over = progress.is_epoch_over(runner.iter)
        if is_epoch_over if self.point_iterations is None else done % self.point_iterations == 0:
            self._add_point(done * progress.per_iteration / progress.frames, done)
        epochs = progress.count_epochs(done * progress.per_iteration)
        if is_epoch_over and self.settings is not None and self._is_due(epochs):
            triggered = self._list_triggered()
            if triggered - {self.background}:
                self._correct(epochs, done, triggered)
                runner.train_loop.reopen()

    def _add_point(self, epoch: float, iteration: int) -> None:
        iou = self.history.add_point(epoch, iteration, self.counts.take())
        if self.detection is not None:
            self.detection.add_point(epoch, iou)
        last = self.history.points[-1]
        values = {name: last[name] for name in ("iou_el", "iou_m") if last[name] is not None}
        by_class = zip(self.classes, iou.tolist(), strict=True)
        values |= {f"training_iou/{name}": value for name, value in by_class if not np.isnan(value)}
        self.on_step(iteration, values)

    def _is_due(self, epochs: int) -> bool:
        """Tell whether labels may be corrected after so many epochs; a detection looks at its curves in any case."""
        if self.detection is not None:
            # The published code counts the epoch that ends from 0.
            self.history.verdicts = [asdict(verdict) for verdict in self.detection.detect(epochs - 1)]
        elif epochs < getattr(self.settings, "epoch", 0):
            return False
        return self.settings is not None and epochs % self.settings.rule.every == 0

    def _list_triggered(self) -> frozenset[int]:
        return self.detection.triggered if self.detection is not None else frozenset(range(len(self.classes)))

    def _correct(self, epochs: int, iteration: int, triggered: frozenset[int]) -> None:
        """Predict every frame once and write its label anew."""
        settings, store = self.settings, self.labels.store
        if settings is None or store is None:
            raise TypeError("labels are corrected with settings and into a store")
        temperature = settings.temperature or (len(settings.consistency.scales) if settings.consistency else 1.0)
        self.network.eval()  # the loop puts it back into train mode
        counts: CorrectionCounts | None = None
        changed = labelled = 0
        records = []
        for frame in self.frames:
            image, given, clean = self.labels.read(frame)
            predicted, confidence = predict_over_scales(
                self.network, image, settings.scales, settings.flip, temperature
            )
            before = given if settings.rule.from_original else self.labels.read_learnt(frame, given, epochs - 1)
            corrected = correct_label(before, predicted, confidence, triggered, self.background, settings.rule)
            different = int(np.count_nonzero(corrected != given))
            records.append(store.write(epochs, frame.name, corrected, different))
            changed += different
            labelled += int(np.count_nonzero(given != IGNORE))
            if clean is not None:
                added = count_correction(given, corrected, clean, len(self.classes))
                counts = added if counts is None else counts + added
        store.commit(epochs, records)
        entry = self.history.add_correction(epochs, iteration, sorted(triggered), changed / max(1, labelled), counts)
        values = {"corrected_share": entry["changed"], "triggered_classes": float(len(triggered - {self.background}))}
        if entry["scores"] is not None:
            values |= {
                f"correction_{name.removeprefix('total_')}": entry["scores"][name]
                for name in ("total_precision", "total_recall")
                if entry["scores"][name] is not None
            }
        self.on_step(iteration, values)
