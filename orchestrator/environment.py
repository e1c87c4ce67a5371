"""What a result was made on: commit, packages and hardware, for the record."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

RECORDED_PACKAGES = (
    "segshift", "torch", "mmsegmentation", "mmengine", "mmcv-lite", "mmcv", "numpy", "numba", "scipy", "scikit-image", "pillow",
    "opencv-python-headless", "imagecorruptions-imaug", "albumentations", "albucore", "ray", "mlflow",
)  # fmt: skip


@functools.cache
def describe_environment() -> dict[str, Any]:
    """Return commit and dirty flag, package versions, Python and hardware of this process's machine."""
    return {
        "git": describe_commit(),
        "packages": {name: version for name in RECORDED_PACKAGES if (version := _find_version(name)) is not None},
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "cpu": _name_cpu(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": _name_gpus(),
        "gpu_memory_bytes": _measure_gpus(),
    }


def describe_process() -> dict[str, Any]:
    """Return the environment of this process as records have it: that of its machine, and its id."""
    return {**describe_environment(), "pid": os.getpid()}


def describe_commit() -> dict[str, Any] | None:
    """Return {"commit": ..., "dirty": ...} of the checkout that this code runs from, or None where it is installed."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _find_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _name_cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _name_gpus() -> list[str]:
    import torch  # here: the planner and the tests of this module need no torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _measure_gpus() -> list[int]:
    import torch

    return [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]


def reset_peak_memory() -> None:
    """Start measuring peak memory anew: Ray's workers run one task after another in one process."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed: the peak is then the process's
        Path("/proc/self/clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def read_peak_memory_bytes() -> int | None:
    """Return the most resident memory of this process since `reset_peak_memory`, or None where it is not told."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def read_peak_gpu_memory_bytes() -> int | None:
    """Return the most GPU memory that torch held since `reset_peak_memory`, or None without a GPU."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.max_memory_allocated()) if torch is not None and torch.cuda.is_available() else None


def read_memory() -> dict[str, float]:
    """Return what this process holds now: `memory_bytes`, resident, and with a GPU `gpu_memory_bytes`, as torch reserved it."""
    torch = sys.modules.get("torch")
    held = {"memory_bytes": float(psutil.Process().memory_info().rss)}
    if torch is not None and torch.cuda.is_initialized():
        held["gpu_memory_bytes"] = float(torch.cuda.memory_reserved())
    return held


def count_gpus() -> int:
    """Return how many NVIDIA GPUs this machine shows, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if Path("/proc/driver/nvidia/gpus").is_dir() else 0
