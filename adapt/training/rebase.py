"""One run goes on from another one's resume point under settings of its own, as the members of a population do."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from adapt.atomic import replace_atomically
from adapt.errors import PrerequisiteError

INHERITED = "inherited.pth"
"""In a run's working folder: the resume point of another run, from which it begins where it has none of its own."""

RESUME_POINTS = "resume-*.pth"  # of a working folder; the star is the run's identity


def inherit_resume_point(donor: Path, workdir: Path) -> None:
    """Put a run's resume point where another run begins from it. Nothing of the donor is changed.

    Args:
        donor: The working folder of a run that does not train now.
        workdir: That of the heir, where no run has been; it is made.

    Raises:
        PrerequisiteError: The donor has no resume point.
    """
    found = sorted(donor.glob(RESUME_POINTS))
    if not found:
        raise PrerequisiteError(
            f"The resume point of a member of the population is gone from {donor}. Restore it, or remove the search's work "
            "folder to begin anew."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    heir = workdir / INHERITED
    heir.unlink(missing_ok=True)
    try:
        os.link(found[0], heir)  # a resume point is replaced, never written into
    except OSError:  # no links on this disk
        shutil.copyfile(found[0], heir)


def read_iteration(workdir: Path) -> int:
    """Return how many iterations lie behind the resume point of a working folder; 0 where it has none that can be read."""
    for file in sorted(workdir.glob(RESUME_POINTS)):
        with contextlib.suppress(RuntimeError, OSError, EOFError, KeyError):  # damaged: training sets it aside
            return int(torch.load(file, map_location="cpu", weights_only=True, mmap=True)["meta"]["iter"])
    return 0


def begin_from_inherited(resume_point: Path, optimizer: torch.optim.Optimizer) -> None:
    """Make an inherited resume point a run's own, unless it has one or has inherited none.

    Args:
        resume_point: Where the run's own one lies.
        optimizer: As the run's settings build it.
    """
    inherited = resume_point.with_name(INHERITED)
    if inherited.exists() and not resume_point.exists():
        rebase_resume_point(inherited, resume_point, optimizer)
        inherited.unlink()


def rebase_resume_point(source: Path, target: Path, optimizer: torch.optim.Optimizer) -> None:
    """Copy a resume point such that learning rates and weight decay follow other settings.

    The learning rate of every group is scaled by the ratio of its plain rates, so the run goes on at the same place of the
    same schedule. Weights, teacher, the optimiser's moments, the iteration and all else stay bit for bit.

    Args:
        source: What `SaveResumePoint` wrote, of a run of the same network, optimiser and schedule.
        target: Where the copy goes.
        optimizer: As the other settings build it, before any schedule has touched it.

    Raises:
        ValueError: The groups of parameters are not the same.
    """
    checkpoint: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=True)
    groups = checkpoint["optimizer"]["param_groups"]
    if [group["name"] for group in groups] != [group["name"] for group in optimizer.param_groups]:
        raise ValueError("a resume point of another network's optimiser")
    kept, plain = list(groups), list(optimizer.param_groups)
    if "base_param_settings" in checkpoint["optimizer"]:  # mmengine's own beside several: of no parameters, for its log
        kept.append(checkpoint["optimizer"]["base_param_settings"])
        plain.append(optimizer.defaults)
    ratios = []
    for group, built in zip(kept, plain, strict=True):
        ratios.append(built["lr"] / group["initial_lr"])
        group["lr"] *= ratios[-1]
        group["initial_lr"] = built["lr"]
        group["weight_decay"] = built["weight_decay"]
    for scheduler in checkpoint["param_schedulers"]:  # without a floor (`eta_min` is 0), so linear in the plain rate
        scheduler["base_values"] = [group["initial_lr"] for group in kept]
        scheduler["_last_value"] = [
            value * ratio for value, ratio in zip(scheduler["_last_value"], ratios, strict=True)
        ]
    with replace_atomically(target) as draft:
        torch.save(checkpoint, draft)
