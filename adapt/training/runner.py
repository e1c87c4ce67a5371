"""One way to train: mmengine's Runner, quiet, seeded by position and resumable bit for bit."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.hashing import hash_file
from adapt.model import WeightsOf
from adapt.openmmlab import OptimWrapper, Runner, pseudo_collate
from adapt.openmmlab.checkpoint import load_weights
from adapt.openmmlab.model import build_model
from adapt.training.hooks import OnStep, Report, SaveResumePoint, SeedIteration, StopAtNonFiniteLoss
from adapt.training.loop import PositionLoop
from adapt.training.optimizer import build_optimizer
from adapt.training.sample import LabelledDataset
from adapt.training.sampler import PositionSampler
from adapt.training.schedule import build_schedule
from adapt.training.settings import PRACTICAL_SETTINGS, TrainSettings


class QuietRunner(Runner):
    """mmengine's Runner, writing to its log file only, and on the device that its model is on."""

    def build_logger(self, *args: Any, **kwargs: Any) -> Any:
        """Build the logger without its console handler."""
        logger = super().build_logger(*args, **kwargs)
        logger.handlers[:] = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        return logger

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        """Leave the model on its device: mmengine would take it to a GPU wherever one is visible."""
        return model

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume by way of the CPU, from where tensors go to the model's device."""
        super().resume(filename, *args, **{"map_location": "cpu", **kwargs})

    def _log_env(self, env_cfg: Any) -> None:
        """Leave the environment to the task's record: collecting it starts compilers."""

    def _init_model_weights(self) -> None:
        """Leave the weights as they are: the model comes initialised, perhaps from a file."""

    def dump_config(self) -> None:
        """Write no config file: the task's record holds the settings."""

    def close(self) -> None:
        """Close the log file and let the logger go quiet."""
        for handler in list(self.logger.handlers):
            self.logger.removeHandler(handler)
            handler.close()


def train_supervised(
    model_config: Mapping[str, Any],
    frames: Sequence[Frame],
    dataset: DatasetSettings,
    settings: TrainSettings,
    seed: int,
    workdir: Path,
    on_step: OnStep,
    weights: Path | None = None,
    weights_of: WeightsOf = "network",
    workers: int = 0,
    device: torch.device | None = None,
) -> nn.Module:
    """Train a network on labelled frames; go on where an interrupted run of the same kind stopped.

    Args:
        model_config: What `resolve_config` returned.
        frames: The training frames, all with labels.
        dataset: The settings they were listed with.
        settings: The run.
        seed: Decides initial weights, order, augmentation and drop-out.
        workdir: Holds the resume point and the log.
        on_step: Called with (iteration from 1, metrics `loss`, `lr`, `iteration_s`); see `Report`.
        weights: A checkpoint to start from, or None.
        weights_of: What that checkpoint holds.
        workers: Loader processes; the result does not depend on it.
        device: What to train on; None is the CPU, also where a GPU is visible.

    Returns:
        The trained network in eval mode, on `device`.

    Raises:
        PrerequisiteError: A file cannot be read.
        TaskError: The loss or a parameter is not finite.
    """
    model = build_model(model_config, seed)
    if weights is not None:
        load_weights(model, weights, weights_of)
    set_training_size(model, settings.augment.crop)
    identity = {
        "method": "supervised",
        "model": model_config,
        "weights": hash_file(weights) if weights is not None else None,
        "frames": [frame.name for frame in frames],
        "dataset": dataset.model_dump(mode="json"),
    }
    samples = LabelledDataset(frames, dataset, settings.augment, seed)
    return run_training(model, samples, settings, seed, workdir, on_step, ("loss",), identity, workers, device)


def run_training(
    model: nn.Module,
    samples: Dataset[dict[str, Any]],
    settings: TrainSettings,
    seed: int,
    workdir: Path,
    on_step: OnStep,
    metrics: tuple[str, ...],
    identity: Mapping[str, Any],
    workers: int = 0,
    device: torch.device | None = None,
) -> nn.Module:
    """Train any model that has a `train_step`, or go on training it.

    Args:
        model: Built and initialised, without synchronised batch norms; trained in place.
        samples: Gives the sample of any position of the endless training stream.
        settings: The run.
        seed: The run's seed.
        workdir: Holds the resume point, named after the run's identity, and the log.
        on_step: See `Report`.
        metrics: Names of those outputs of `train_step` that `on_step` gets.
        identity: JSON-able data that, with settings and seed, tells this run from others in the same `workdir`.
        workers: Loader processes.
        device: What to train on; None is the CPU, also where a GPU is visible.

    Returns:
        The model in eval mode, on `device`.

    Raises:
        TaskError: A loss or a parameter is not finite.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    model = model.to(device or torch.device("cpu"))  # its data preprocessor goes along
    run = {"seed": seed, "settings": settings.model_dump(mode="json", exclude=PRACTICAL_SETTINGS), **identity}
    resume_point = workdir / f"resume-{compute_fingerprint(run)}.pth"
    runner = QuietRunner(
        model=model,
        work_dir=str(workdir),
        train_dataloader=DataLoader(
            samples,
            batch_size=settings.batch_size,
            sampler=PositionSampler(0, settings.iterations * settings.batch_size),
            num_workers=workers,
            collate_fn=pseudo_collate,
        ),
        train_cfg={"type": PositionLoop, "max_iters": settings.iterations},
        optim_wrapper=OptimWrapper(build_optimizer(model, settings.optimizer)),
        param_scheduler=build_schedule(settings.schedule, settings.iterations),
        default_hooks=dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "checkpoint")),
        custom_hooks=[
            SeedIteration(seed),
            StopAtNonFiniteLoss(),
            SaveResumePoint(resume_point, settings.checkpoint_interval),
            Report(on_step, settings.log_interval, metrics),
        ],
        resume=resume_point.exists(),
        load_from=str(resume_point) if resume_point.exists() else None,
        # The Runner sets both for the whole process; they are not its business here.
        env_cfg={
            "mp_cfg": {"mp_start_method": multiprocessing.get_start_method(), "opencv_num_threads": cv2.getNumThreads()}
        },
        default_scope="mmseg",
        randomness={"seed": seed},
        # mmengine keeps loggers and message hubs by this name for the life of the process.
        experiment_name=uuid.uuid4().hex,
    )
    try:
        return runner.train().eval()
    finally:
        runner.close()


def set_training_size(model: nn.Module, crop: tuple[int, int] | None) -> None:
    """Have the preprocessor pad training batches to the crop: 0 after normalisation, labels 255.

    Args:
        model: A segmentor; its preprocessor is changed in place. Inference is not affected.
        crop: (width, height), or None to leave it alone.
    """
    if crop is not None:
        model.data_preprocessor.size = (crop[1], crop[0])
        model.data_preprocessor.size_divisor = None


def compute_fingerprint(data: Mapping[str, Any]) -> str:
    """Shorten JSON-able data to 16 hexadecimal digits.

    Args:
        data: Anything `json.dumps` takes; the order of keys plays no part.

    Returns:
        The start of the SHA-256 of its canonical JSON.
    """
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
