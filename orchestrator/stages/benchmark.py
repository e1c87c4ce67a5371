"""The `benchmark` stage: mIoU of a network under every corruption and severity of a protocol, and under real shifts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from adapt import runtime
from adapt.benchmark.feed import Claim, FeedSettings, Source, corrupt_frame
from adapt.benchmark.kept import Timing, UnitCounts, count_kept, discard_unit, load_unit
from adapt.benchmark.label_check import measure_agreement
from adapt.benchmark.run import compute_units
from adapt.benchmark.unit import CLEAN, GridCell, Unit, list_cells, plan_units
from adapt.data.catalog import describe_dataset
from adapt.data.layout import list_frames
from adapt.data.reading import read_frame
from adapt.data.resize import resize_image
from adapt.inference import predict_classes
from adapt.scores.calibration import BINS
from corruptions.catalog import corruption
from experiments.grid import find_grid
from experiments.schema import BenchmarkStage
from experiments.task import Task
from orchestrator.protocol import describe_protocol
from orchestrator.record import Cell, Network
from orchestrator.stages.counts_file import CountsFile
from orchestrator.stages.frame_pictures import FOLDER, INDEX, FramePictures, choose_frames
from orchestrator.stages.network import load_network
from orchestrator.stages.stage import StageContext, StageResult

UNITS = "units"
"""In the scratch folder: the counts of finished units."""

WAITING_SHARE = 0.1  # ours: a network that waits for less of its time is the slower part

Compute = Callable[["Benchmark", Task, StageContext, Sequence[Unit], Callable[[], None]], Network]
"""Computes every one of some units, in any order, and calls its last argument while they are finished.

It returns the description of the network that it loaded.
"""


@dataclass(frozen=True)
class Benchmark:
    """What a task computes.

    Attributes:
        settings: of its stage.
        cells: what is scored.
        feed: what decides the pixels.
        units: how it is divided.
        classes: of the data.
        folder: where the counts of finished units are kept.
    """

    settings: BenchmarkStage
    cells: tuple[GridCell, ...]
    feed: FeedSettings
    units: tuple[Unit, ...]
    classes: tuple[str, ...]
    folder: Path

    def list_left(self) -> list[Unit]:
        """List the units that are not finished; damaged counts are removed."""
        left = [unit for unit in self.units if load_unit(self.folder, unit) is None]
        for unit in left:
            discard_unit(self.folder, unit)
        return left

    def read(self, unit: Unit) -> UnitCounts:
        """Return the counts of a finished unit."""
        counts = load_unit(self.folder, unit)
        if counts is None:
            raise ValueError(f"unit {unit.name} was not computed")
        return counts


def compute_here(
    benchmark: Benchmark, task: Task, context: StageContext, units: Sequence[Unit], on_done: Callable[[], None]
) -> Network:
    """Compute units one after the other beside one network, in this process."""
    left = iter(units)
    return compute_claimed(benchmark, task, context, lambda: next(left, None), on_done)


def compute_claimed(
    benchmark: Benchmark, task: Task, context: StageContext, claim: Claim, on_done: Callable[[], None]
) -> Network:
    """Load the network and compute units until none is left.

    Args:
        benchmark: what the task computes.
        task: the task.
        context: where it finds what it needs.
        claim: gives the next unit.
        on_done: called when one is finished.

    Returns:
        The description of the network.
    """
    workers = count_workers(benchmark.settings, context)
    device = runtime.configure(max(1, context.threads - workers), 0, context.gpus)
    model, classes, network = load_network(task, context, device)
    _draw_once(benchmark, model)
    compute_units(
        model,
        len(classes),
        benchmark.feed,
        claim,
        benchmark.folder,
        workers=workers,
        calibration=benchmark.settings.calibration,
        on_unit=lambda unit: on_done(),
    )
    return network


def run(task: Task, context: StageContext, compute: Compute = compute_here) -> StageResult:
    """Compute the units that an interrupted benchmark has left, and pool all of them into cells.

    Args:
        task: the benchmark.
        context: where it finds what it needs.
        compute: computes the units.

    Returns:
        The result. The counts of each frame are a file in the task's folder.
    """
    benchmark = plan_benchmark(task, context)
    settings = benchmark.settings

    def report() -> None:
        done = count_kept(benchmark.folder, benchmark.units)
        context.on_step(done, {"progress": done / len(benchmark.units)})

    left = benchmark.list_left()
    if not (benchmark.folder / INDEX).exists():  # a process that drew was interrupted
        shutil.rmtree(benchmark.folder / FOLDER, ignore_errors=True)
    report()
    if left:
        network = compute(benchmark, task, context, left, report)
    else:
        _, _, network = load_network(task, context, runtime.configure(context.threads, 0, 0))
    started = time.perf_counter()
    agreement = measure_agreement(
        benchmark.feed.sources[settings.dataset], benchmark.feed.protocol, settings.seed, settings.label_check
    )
    checking_s = time.perf_counter() - started
    if (benchmark.folder / INDEX).exists():
        shutil.copytree(benchmark.folder / FOLDER, context.folder / FOLDER, dirs_exist_ok=True)
    with CountsFile(context.folder) as file:
        cells = tuple(_pool(benchmark, cell, file) for cell in benchmark.cells)
    timing = sum((benchmark.read(unit).timing for unit in benchmark.units), Timing())
    images = sum(cell.frames for cell in cells)
    busy = timing.network + timing.waiting
    return StageResult(
        network=network,
        protocol=describe_protocol(task),
        classes=benchmark.classes,
        cells=cells,
        metrics={
            "frames_per_second": images / busy if busy > 0 else None,
            "network_seconds": timing.network,
            "waiting_seconds": timing.waiting,
            "decoding_seconds": timing.decoding,
            "corrupting_seconds": timing.corrupting,
            **({"label_check_seconds": checking_s} if agreement else {}),
            **agreement,
        },
        notes=(name_bottleneck(timing, count_workers(settings, context)),),
    )


def _draw_once(benchmark: Benchmark, model: nn.Module) -> None:
    """Draw a few frames, clean and under one corruption of each family at its highest severity; one of several processes does."""
    benchmark.folder.mkdir(parents=True, exist_ok=True)
    try:
        (benchmark.folder / FOLDER).mkdir()
    except FileExistsError:
        return
    feed, dataset = benchmark.feed, benchmark.settings.dataset
    source = feed.sources[dataset]
    pictures = FramePictures(benchmark.folder, describe_dataset(source.settings).palette)
    corrupted = choose_cells(benchmark.cells)
    for place, index in enumerate(choose_frames(len(source.frames))):
        frame = source.frames[index]
        image, label = read_frame(frame, source.settings)
        if feed.protocol.insertion_point == "after_resize":
            image = resize_image(image, source.settings.resize)
        for cell in benchmark.cells:
            if cell.name == CLEAN or (place == 0 and cell in corrupted):
                seen = corrupt_frame(image, frame, cell, feed)
                # What was resized already is not resized again, and its prediction is of that size.
                resize = None if feed.protocol.insertion_point == "after_resize" else source.settings.resize
                pictures.add(frame.name, cell.name, seen, label, predict_classes(model, seen, resize))
    pictures.close()


def choose_cells(cells: Sequence[GridCell]) -> list[GridCell]:
    """Return the cells that are pictured: of each family the first corruption, at its highest severity."""
    chosen: dict[str, GridCell] = {}
    for cell in cells:
        if cell.corruption is not None and cell.severity is not None:
            family = corruption(cell.corruption).family
            known = chosen.get(family)
            if known is None or (known.corruption == cell.corruption and (known.severity or 0) < cell.severity):
                chosen[family] = cell
    return list(chosen.values())


def plan_benchmark(task: Task, context: StageContext) -> Benchmark:
    """List the frames and cells of a task and divide them into units."""
    settings = task.settings
    if not isinstance(settings, BenchmarkStage):
        raise TypeError(f"{task.name} is no benchmark task")
    protocol = find_grid(settings)
    sources = {}
    for name in (settings.dataset, *settings.shifts):
        dataset = task.datasets[name].settings
        sources[name] = Source(dataset, list_frames(dataset, context.roots[name])[: settings.limit])
    cells = list_cells(settings.dataset, protocol.cells, settings.shifts)
    return Benchmark(
        settings=settings,
        cells=cells,
        feed=FeedSettings(sources, protocol, settings.seed),
        units=plan_units(cells, {name: len(source.frames) for name, source in sources.items()}),
        classes=tuple(describe_dataset(task.datasets[settings.dataset].settings).classes),
        folder=context.scratch / UNITS,
    )


def count_workers(settings: BenchmarkStage, context: StageContext) -> int:
    """Return how many processes read and corrupt frames ahead of a network."""
    if settings.workers is not None:
        return settings.workers
    if context.gpus > 0:
        return max(1, context.threads - 1)
    return int(context.threads > 1)


def name_bottleneck(timing: Timing, workers: int) -> str:
    """Say in a sentence what the time of a benchmark went into.

    Args:
        timing: of all its units.
        workers: processes that prepared frames for each network.
    """
    busy = timing.network + timing.waiting
    if busy <= 0 or timing.waiting / busy < WAITING_SHARE:
        share = timing.network / busy if busy > 0 else 1.0
        return f"Bottleneck: the network, which worked {share:.0%} of the time."
    part = "corrupting images" if timing.corrupting >= timing.decoding else "decoding images"
    advice = f"raise `workers` (now {workers})" if workers else "give the stage `workers`, which run ahead of it"
    return f"Bottleneck: {part}; the network waited {timing.waiting / busy:.0%} of the time. To go faster, {advice}."


def _pool(benchmark: Benchmark, cell: GridCell, file: CountsFile) -> Cell:
    """Add up the counts of a cell, unit by unit, and write those of each frame."""
    frames = benchmark.feed.sources[cell.dataset].frames
    if cell.name == CLEAN:
        file.write_frames([frame.name for frame in frames])
    elif cell.dataset != benchmark.settings.dataset:
        file.write_frames([frame.name for frame in frames], cell.name)
    num_classes = len(benchmark.classes)
    confusion = np.zeros((num_classes, num_classes), np.int64)
    calibration = np.zeros((3, BINS))

    def read_blocks() -> Iterator[NDArray[np.int64]]:
        for unit in benchmark.units:
            if cell in unit.cells:
                counts, place = benchmark.read(unit), unit.cells.index(cell)
                np.add(confusion, counts.confusion[place].sum(axis=0), out=confusion)
                np.add(calibration, counts.calibration[place].sum(axis=0), out=calibration)
                yield counts.confusion[place]

    file.write_cell(cell.name, len(frames), num_classes, read_blocks())
    axes: dict[str, str | int] = {}
    if cell.corruption is not None and cell.severity is not None:
        axes = {"corruption": cell.corruption, "severity": cell.severity}
    elif cell.name != CLEAN:
        axes = {"shift": cell.dataset}
    return Cell(
        name=cell.name,
        axes=axes,
        frames=len(frames),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        calibration=tuple(tuple(row) for row in calibration.tolist()) if benchmark.settings.calibration else None,
    )
