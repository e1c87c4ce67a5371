"""One way to train: mmengine's Runner, quiet, seeded by position and resumable bit for bit."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from adapt.data.cache import ImageCache
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError
from adapt.hashing import hash_file
from adapt.model import WeightsOf
from adapt.openmmlab import Hook, Runner
from adapt.openmmlab.checkpoint import load_weights
from adapt.openmmlab.model import build_model
from adapt.training.batch import collate
from adapt.training.distributed import count_workers, get_rank, require_workers, sum_over_workers
from adapt.training.hooks import OnStep, Report, SaveResumePoint, SeedIteration, StopAtNonFiniteLoss
from adapt.training.loop import PositionLoop
from adapt.training.optimizer import build_optimizer
from adapt.training.preparation import prepare_network
from adapt.training.rebase import begin_from_inherited
from adapt.training.sample import LabelledDataset
from adapt.training.sampler import PositionSampler
from adapt.training.schedule import build_schedule
from adapt.training.settings import PRACTICAL_SETTINGS, TrainSettings
from adapt.training.step import StepWrapper
from adapt.training.timing import StepTimer

log = logging.getLogger(__name__)


class QuietRunner(Runner):
    """mmengine's Runner, writing to its log file only, and on the device that its model is on.

    Attributes:
        timer: Measures the iterations. (mmengine copies what a loop is built from, so it is not handed to the loop.)
    """

    def __init__(self, timer: StepTimer, **options: Any) -> None:
        self.timer = timer
        super().__init__(**options)

    def build_logger(self, *args: Any, **kwargs: Any) -> Any:
        """Build the logger without its console handler."""
        logger = super().build_logger(*args, **kwargs)
        logger.handlers[:] = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        return logger

    def build_visualizer(self, visualizer: Any = None) -> None:
        """Build none: nothing here draws with it, and its matplotlib takes seconds to import."""

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
    cache: ImageCache | None = None,
) -> nn.Module:
    """Train a network on labelled frames; go on where an interrupted run of the same kind stopped.

    Args:
        model_config: What `resolve_config` returned.
        frames: The training frames, all with labels.
        dataset: The settings they were listed with.
        settings: The run.
        seed: Decides initial weights, order, augmentation and drop-out.
        workdir: Holds the resume point and the log.
        on_step: Called with (iteration from 1, metrics `loss`, `lr`, `iteration_s` and more); see `Report`.
        weights: A checkpoint to start from, or None.
        weights_of: What that checkpoint holds.
        workers: Loader processes; the result does not depend on it.
        device: What to train on; None is the CPU, also where a GPU is visible.
        cache: Keeps decoded images, or None.

    Returns:
        The trained network in eval mode, on `device`.

    Raises:
        SpecError: `settings.workers` processes have not been started.
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
    samples = LabelledDataset(frames, dataset, settings.augment, seed, cache)
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
    hooks: Sequence[Hook] = (),
) -> nn.Module:
    """Train any model that has a `train_step`, or go on training it.

    With `settings.workers` > 1 every process of the group calls this with equal arguments. All of them need the same
    `workdir`: the first one writes the resume point and the log and calls `on_step`, all read the resume point.

    Args:
        model: Built and initialised, without synchronised batch norms, equal on all workers; trained in place. See
            `StepWrapper` for what `train_step` may call. Where it has a `timer`, a `StepTimer`, its spans are reported.
        samples: Gives the sample of any position of the endless training stream.
        settings: The run.
        seed: The run's seed.
        workdir: Holds the resume point, named after the run's identity, and the log.
        on_step: See `Report`.
        metrics: Names of those outputs of `train_step` that `on_step` gets.
        identity: JSON-able data that, with settings and seed, tells this run from others in the same `workdir`.
        workers: Loader processes.
        device: What to train on; None is the CPU, also where a GPU is visible.
        hooks: What else happens around every step.

    Returns:
        The model in eval mode, on `device`.

    Raises:
        SpecError: `settings.workers` processes have not been started.
        PrerequisiteError: Some workers see a resume point that others do not.
        TaskError: A loss or a parameter is not finite.
    """
    require_workers(settings.workers)
    workdir.mkdir(parents=True, exist_ok=True)
    device = device or torch.device("cpu")
    resume_point = workdir / f"resume-{identify_run(settings, seed, identity)}.pth"
    timer = getattr(model, "timer", None) or StepTimer()
    timer.device = device
    positions = settings.iterations * settings.batch_size * settings.accumulate * settings.workers
    with prepare_network(model, settings, device):
        optimizer = build_optimizer(model, settings.optimizer)
        begin_from_inherited(resume_point, optimizer)
        is_resumed = find_resume_point(resume_point, device)
        runner = QuietRunner(
            timer,
            model=model,
            work_dir=str(workdir),
            train_dataloader=DataLoader(
                samples,
                batch_size=settings.batch_size,
                sampler=PositionSampler(0, positions, settings.batch_size, get_rank(), settings.workers),
                num_workers=workers,
                collate_fn=collate,
                pin_memory=device.type == "cuda",
            ),
            train_cfg={"type": PositionLoop, "max_iters": settings.iterations},
            optim_wrapper=StepWrapper(optimizer, settings.precision, settings.accumulate, device),
            param_scheduler=build_schedule(settings.schedule, settings.iterations),
            default_hooks=dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "checkpoint")),
            custom_hooks=[
                SeedIteration(seed),
                StopAtNonFiniteLoss((settings.log_interval, settings.checkpoint_interval)),
                SaveResumePoint(resume_point, settings.checkpoint_interval),
                Report(on_step, settings.log_interval, metrics),
                *hooks,
            ],
            resume=is_resumed,
            load_from=str(resume_point) if is_resumed else None,
            # The Runner sets both for the whole process; they are not its business here.
            env_cfg={
                "mp_cfg": {
                    "mp_start_method": multiprocessing.get_start_method(),
                    "opencv_num_threads": cv2.getNumThreads(),
                }
            },
            default_scope="mmseg",
            randomness={"seed": seed},
            # mmengine keeps loggers and message hubs by this name for the life of the process.
            experiment_name=uuid.uuid4().hex,
        )
        try:
            runner.train()
        finally:
            runner.close()
    return model.eval()


def identify_run(settings: TrainSettings, seed: int, identity: Mapping[str, Any]) -> str:
    """Tell a run from all others in its working folder, in 16 hexadecimal digits.

    Args:
        settings: The run; what does not touch its numbers plays no part.
        seed: The run's seed.
        identity: JSON-able data of what is trained on what.
    """
    return compute_fingerprint(
        {"seed": seed, "settings": settings.model_dump(mode="json", exclude=PRACTICAL_SETTINGS), **identity}
    )


def find_resume_point(path: Path, device: torch.device) -> bool:
    """Tell whether there is a resume point; all workers must call this. A damaged one is set aside, and training starts anew.

    Args:
        path: The file.
        device: Where this worker trains.

    Returns:
        The same on all workers.

    Raises:
        PrerequisiteError: Only some of them see it.
    """
    exists = path.exists()
    looks = [int(exists), int(exists and not is_whole(path))]
    if count_workers() > 1:
        looks = sum_over_workers(torch.tensor(looks, device=device)).tolist()
    seen, damaged = looks
    if seen not in (0, count_workers()):
        raise PrerequisiteError(
            f"Only {seen} of {count_workers()} workers see the resume point {path}: put the store where all nodes reach it, "
            "on a shared file system."
        )
    if damaged and get_rank() == 0:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        log.warning("the resume point %s is damaged: training starts anew. It was set aside as %s", path, aside.name)
    return exists and not damaged


def is_whole(checkpoint: Path) -> bool:
    """Tell whether a file that torch.save wrote has all its bytes, by the checksums in it."""
    try:
        with zipfile.ZipFile(checkpoint) as file:
            return file.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return False


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
