"""Files that start a Ray cluster for segshift - `ray up`, Kubernetes, SLURM, Docker - and the list of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReadyFile:
    """A file beside this one, and what it is for."""

    file: str
    purpose: str


READY_FILES = {
    "onprem": ReadyFile("onprem.yaml", "ray up: machines of your own, by SSH"),
    "aws": ReadyFile("aws.yaml", "ray up: AWS, an on-demand head and spot GPU workers"),
    "gcp": ReadyFile("gcp.yaml", "ray up: Google Cloud, an on-demand head and spot GPU workers"),
    "kuberay": ReadyFile("kuberay-rayjob.yaml", "kubectl apply: one sweep as a RayJob, queued by Kueue"),
    "kueue": ReadyFile("kueue.yaml", "kubectl apply: the queue and its quota, once per cluster"),
    "slurm": ReadyFile("slurm.sh", "sbatch: one sweep on several nodes, requeued before its time is up"),
    "docker": ReadyFile("Dockerfile", "docker build: the image that the others name"),
}


def read_ready_file(name: str) -> str:
    """Return the text of one of `READY_FILES`."""
    return (Path(__file__).parent / READY_FILES[name].file).read_text(encoding="utf-8")
