"""What a result was made on: commit, packages and hardware, for the record."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil

RECORDED_PACKAGES = (
    "segshift", "torch", "mmsegmentation", "mmengine", "mmcv-lite", "mmcv", "numpy", "scipy",
    "opencv-python-headless", "imagecorruptions-imaug", "albumentations", "ray", "mlflow",
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
    }


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


def count_gpus() -> int:
    """Return how many NVIDIA GPUs this machine shows, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if Path("/proc/driver/nvidia/gpus").is_dir() else 0
