"""Two worker processes over gloo, started by the fixture `run_two_workers`: python two_workers.py SCRIPT FOLDER.

SCRIPT is a file with a function `work(rank, folder, inputs)`.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def load(script: Path) -> Callable[[int, Path, Any], Any]:
    spec = importlib.util.spec_from_file_location("script", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["script"] = module
    spec.loader.exec_module(module)
    work: Callable[[int, Path, Any], Any] = module.work
    return work


def run(work: Callable[[int, Path, Any], Any], rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    result = work(rank, folder, pickle.loads((folder / "inputs.pkl").read_bytes()))
    (folder / f"result-{rank}.pkl").write_bytes(pickle.dumps(result))
    dist.destroy_process_group()


def main() -> None:
    """Fork: half of the time goes into imports, which are made once."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)])  # imports torch._dynamo
    work = load(Path(sys.argv[1]))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=run, args=(work, rank, Path(sys.argv[2])), daemon=True) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(any(worker.exitcode for worker in workers))


if __name__ == "__main__":
    main()
