"""Small figures of a record for MLflow: curves over severity, curves over rounds, bars of classes.

Importing this imports matplotlib, which takes a second; none of pyplot's global state is used.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.mlflow_run import list_points
from orchestrator.record import Record
from orchestrator.scoring import score_record

FOLDER = "figures"
INCHES, DPI = (6.4, 4.0), 80
SHOWN = 20  # ours: more names than these in a legend cannot be told apart


def draw_figures(record: Record, folder: Path) -> list[Path]:
    """Draw what a record holds and return the files; none of a failed task, of a training, or of a stream of one round.

    Args:
        record: of a task.
        folder: where to write.
    """
    if record.status != "done":
        return []
    curves: dict[str, list[tuple[int, float]]] = {}
    for point in list_points(record):
        curves.setdefault(point.metric, []).append((point.step, point.value))
    classes = {n.removeprefix("iou/"): v for n, v in score_record(record).items() if n.startswith("iou/")}
    files = []
    for prefix, label in (("severity", "severity (0: clean)"), ("rounds", "round")):
        chosen = {n.partition("/")[2]: points for n, points in curves.items() if n.startswith(f"{prefix}/")}
        if any(len(points) > 1 for points in chosen.values()):
            files.append(_save(_draw_curves(chosen, label), folder / f"{prefix}.png"))
    if classes:
        files.append(_save(_draw_bars(classes), folder / "classes.png"))
    return files


def _draw_curves(curves: dict[str, list[tuple[int, float]]], label: str) -> Figure:
    figure = Figure(figsize=INCHES, dpi=DPI)  # a layout that measures its text takes twice as long
    axes = figure.add_axes((0.1, 0.13, 0.62, 0.83))
    for index, (name, points) in enumerate(curves.items()):
        steps, scores = zip(*sorted(points), strict=True)
        style = ("-", "--", ":")[index // 10 % 3]  # matplotlib has ten colours
        shares = [100 * score for score in scores]
        axes.plot(steps, shares, style, marker=".", linewidth=1, label=name if index < SHOWN else None)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("mIoU in %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.legend(loc="center left", bbox_to_anchor=(0.73, 0.5), fontsize=6, frameon=False)
    return figure


def _draw_bars(classes: dict[str, float | None]) -> Figure:
    """Draw a bar for each class; one that does not occur has none and says so."""
    figure = Figure(figsize=INCHES, dpi=DPI)
    axes = figure.add_axes((0.32, 0.13, 0.64, 0.83))
    names = [name if score is not None else f"{name} (does not occur)" for name, score in classes.items()]
    axes.barh(names, [100 * (score or 0.0) for score in classes.values()])
    axes.invert_yaxis()
    axes.set_xlabel("IoU in %")
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", labelsize=7)
    return figure


def _save(figure: Figure, file: Path) -> Path:
    figure.savefig(file)
    return file
