"""What each of the two workers of `test_distributed.py` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import Dataset

from adapt.errors import SpecError, TaskError
from adapt.openmmlab import BaseModel
from adapt.openmmlab.model import build_model
from adapt.training import distributed
from adapt.training.batch_norm import synchronise_batch_norm
from adapt.training.runner import run_training, train_supervised
from adapt.training.sample import LabelledDataset
from adapt.training.settings import TrainSettings


class StoppedError(Exception):
    pass


class Numbers(Dataset[dict[str, Any]]):
    """The loss of position 3, which is worker 1's in the second iteration, is no number."""

    def __getitem__(self, position: int) -> dict[str, Any]:
        return {"inputs": torch.tensor([float("nan") if position == 3 else 1.0])}


class Toy(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        self.drawn: list[float] = []

    def forward(self, inputs: Tensor) -> Tensor:
        return self.backbone(inputs)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        loss = self(torch.stack(data["inputs"])).square().mean()
        optim_wrapper.update_params(loss)
        self.drawn.append(float(torch.rand(())))  # as drop-out does
        return {"loss": loss}


def catch(error: type[Exception], call: Any) -> str:
    try:
        call()
    except error as caught:
        return str(caught)
    return "nothing was raised"


def try_collectives(rank: int) -> dict[str, Any]:
    distributed.BUCKET_BYTES = 8  # several buckets, one of them with more than one gradient
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((1,), (1,), (2, 3), (4,), (2,))]
    for index, parameter in enumerate(parameters):
        if index != 3:
            values = torch.arange(parameter.numel()).view(parameter.shape)
            parameter.grad = values * (index + 1.0) + 10 * rank
    parameters[2].grad = parameters[2].grad.t().contiguous().t()  # as gradients in channels_last order are
    distributed.average_gradients(parameters)
    own = torch.tensor([1, rank])
    return {
        "gradients": [parameter.grad for parameter in parameters],
        "sum": distributed.sum_over_workers(own),
        "mean": distributed.mean_over_workers(own.float()),
        "any": distributed.any_over_workers(torch.tensor([False, rank == 1, rank == 0, True])),
        "own": own,
        "place": (distributed.get_rank(), distributed.count_workers()),
    }


def try_batch_norm(rank: int, images: Tensor, weights: Tensor) -> dict[str, Any]:
    """Worker 0 has two of the five images, worker 1 three; the loss is half the mean over workers of their sums."""
    own = (slice(0, 2), slice(2, 5))[rank]
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Identity())
    plain: Any = model[0]
    plain.weight.data.copy_(torch.tensor([1.0, -2.0, 0.5]))
    batch = images[own].clone().requires_grad_()
    with synchronise_batch_norm(model, torch.device("cpu")):
        inside = (type(model[0]).__name__, sorted(model.state_dict()), model[0].weight is plain.weight)
        (model(batch) * weights[own]).sum().backward()
        with torch.autocast("cpu", torch.bfloat16):
            half = model[0](images[own].bfloat16()).dtype
        model.eval()
        evaluated = model(images[own]).detach()
    distributed.average_gradients(plain.parameters())
    return {
        "inside": inside,
        "is_plain": model[0] is plain and not plain.training,
        "input_gradient": batch.grad,
        "weight_gradient": plain.weight.grad,
        "bias_gradient": plain.bias.grad,
        "running": (plain.running_mean, plain.running_var, plain.num_batches_tracked),
        "half": half,
        "evaluated": evaluated,
    }


def try_training(folder: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    steps: list[Any] = []
    arguments = (inputs["model"], inputs["frames"], inputs["dataset"], inputs["settings"], 5)
    model = train_supervised(*arguments, folder / "straight", lambda *step: steps.append(step))
    read: list[int] = []
    original = LabelledDataset.__getitem__

    def read_or_stop(self: LabelledDataset, position: int) -> dict[str, Any]:
        if position >= 4:
            raise StoppedError
        return original(self, position)

    def note(self: LabelledDataset, position: int) -> dict[str, Any]:
        read.append(position)
        return original(self, position)

    LabelledDataset.__getitem__ = read_or_stop  # type: ignore[method-assign]
    catch(StoppedError, lambda: train_supervised(*arguments, folder / "stopped", lambda *step: None))
    dist.barrier()  # the resume point is written
    LabelledDataset.__getitem__ = note  # type: ignore[method-assign]
    resumed = train_supervised(*arguments, folder / "stopped", lambda *step: None)
    return {
        "initial": build_model(inputs["model"], 5).state_dict(),
        "state": model.state_dict(),
        "gradients": {name: parameter.grad for name, parameter in model.named_parameters()},
        "norms": {type(m).__name__ for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)},
        "steps": steps,
        "resumed": resumed.state_dict(),
        "read": read,
    }


def try_errors(folder: Path) -> dict[str, Any]:
    model = Toy()

    def run(workers: int) -> None:
        settings = TrainSettings(iterations=6, batch_size=1, workers=workers, log_interval=4, checkpoint_interval=5)
        run_training(model, Numbers(), settings, 0, folder / "errors", lambda *step: None, ("loss",), {})

    return {
        "non_finite": catch(TaskError, lambda: run(2)),
        "too_few": catch(SpecError, lambda: run(3)),
        "too_many": catch(SpecError, lambda: run(1)),
        "drawn": model.drawn,
    }


def work(rank: int, folder: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "training": try_training(folder, inputs),
        "errors": try_errors(folder),
        "batch_norm": try_batch_norm(rank, inputs["images"], inputs["weights"]),
        "collectives": try_collectives(rank),
    }
