"""A training whose settings are searched: the stage at a point, what it reports, and what of its search cannot work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from adapt.correction.settings import CoTeachingSettings
from adapt.errors import SpecError
from adapt.training.settings import PRACTICAL_SETTINGS
from adapt.uda.settings import MinEntSettings
from experiments.conflict import Conflict
from experiments.explain import closest
from experiments.population import CHANGEABLE, PbtSettings
from experiments.schema import SearchStage, StageSettings, TrainStage, UdaStage
from experiments.search import (
    AshaSettings,
    MedianSettings,
    SearchSettings,
    StreamSearchSettings,
    TrainingSearchSettings,
    check_distinct,
    list_tried,
)
from experiments.search_space import Point, describe_point, list_paths, place_at

Searched = TrainStage | UdaStage

SEARCHED_PARTS = ("training", "method", "loss", "correction")
"""Of a stage: what a search may change. The rest says what the question is: data, model, seed, noise."""

UNSEARCHED = ("training.workers", *(f"training.{name}" for name in sorted(PRACTICAL_SETTINGS)))  # change no number

VALIDATION_METRIC = "validation_miou"  # the name under which a validation reports what `metric: miou` means


def find_search(settings: StageSettings) -> SearchSettings | None:
    """Return the search that a task is, or None: of a stream with a search, the search is a task of its own."""
    return settings.search if isinstance(settings, SearchStage | TrainStage | UdaStage) else None


def apply_to_stage(stage: Searched, point: Point) -> Searched:
    """Return a training without its search, at a point of the space.

    Args:
        stage: with the search.
        point: dotted path into the stage -> value.

    Returns:
        The settings of that trial, validated.

    Raises:
        SpecError: the stage has no such setting, or refuses a value.
    """
    known = [path for path in list_paths(stage, UNSEARCHED) if path.partition(".")[0] in SEARCHED_PARTS]
    known.remove("training")  # as a whole it would hold what is not searched
    return place_at(stage.model_copy(update={"search": None}), point, known, "the stage")


def list_scalars(stage: Searched) -> tuple[str, ...]:
    """List the metrics by which the trials of a training can be judged, as they are named in `metric`."""
    validated = ("miou",) if stage.validation is not None else ()
    if isinstance(stage, TrainStage):
        if isinstance(stage.correction, CoTeachingSettings):
            return (*validated, "loss", "student_loss", "peer_loss", "keep")
        consistency = getattr(stage.correction, "consistency", None)
        return (*validated, "loss", *(("cross_entropy", "consistency") if consistency is not None else ()))
    if isinstance(stage.method, MinEntSettings):
        return (*validated, "loss", "source_loss", "entropy_loss")
    return (
        *validated,
        *("loss", "source_loss", "mix_loss", "q", "ema_alpha"),
        *(
            ("feature_distance_loss", "feature_distance_share", "feature_distance_empty")
            if stage.method.feature_distance is not None
            else ()
        ),
        *(("masked_loss",) if stage.method.masked_consistency is not None else ()),
        *(("pseudo_miou",) if stage.method.score_pseudo_labels else ()),
    )


def name_scalar(metric: str) -> str:
    """Return under which name a training reports a metric."""
    return VALIDATION_METRIC if metric == "miou" else metric


def list_search_conflicts(stage: Searched, refuse: Callable[[Searched], Iterator[Conflict]]) -> Iterator[Conflict]:
    """Go through what of a training's search could not work, before anything runs.

    Args:
        stage: The validated stage.
        refuse: Lists the conflicts of a training without a search: those at every point that can be known are found.

    Yields:
        Each conflict; none where the search can run.
    """
    search = stage.search
    if search is None:
        return
    if stage.training.workers > 1:
        yield Conflict(
            ("training", "workers"),
            f"the trials of a search are trainings of one worker each, got {stage.training.workers}. Write `workers: 1`, and "
            "raise `accumulate` for larger batches.",
        )
    yield from _list_metric_conflicts(stage, search)
    yield from _list_scheduler_conflicts(stage, search)
    try:
        points = list_tried(search)
        made = [(point, apply_to_stage(stage, point)) for point in points]
        check_distinct(search, functools.partial(apply_to_stage, stage))
    except SpecError as error:
        yield Conflict(("search", "space"), str(error))
        return
    for point, at in made:
        for conflict in refuse(at):
            yield Conflict(
                ("search", "space"), f"at {describe_point(point)}: {'.'.join(conflict.key)}: {conflict.text}"
            )


def _list_metric_conflicts(stage: Searched, search: TrainingSearchSettings) -> Iterator[Conflict]:
    reported = list_scalars(stage)
    if search.metric in reported:
        return
    if search.metric == "miou":
        yield Conflict(
            ("search", "metric"),
            "trials are judged by the mIoU of the stage's `validation`, and it has none. Add `validation: {dataset: NAME, "
            f"interval: ITERATIONS}}`, or choose another metric with its mode: {', '.join(reported)}.",
        )
    else:
        yield Conflict(
            ("search", "metric"),
            f"the stage never reports '{search.metric}'.{closest(search.metric, reported)} It reports: {', '.join(reported)}.",
        )


def _list_scheduler_conflicts(stage: Searched, search: TrainingSearchSettings) -> Iterator[Conflict]:
    scheduler = search.scheduler
    if scheduler.name == "none":
        return
    if isinstance(scheduler, PbtSettings):
        yield from _list_population_conflicts(stage, search, scheduler)
        return
    length = stage.training.iterations
    if "training.iterations" in search.space:
        yield Conflict(
            ("search", "space"),
            f"the scheduler '{scheduler.name}' compares trials at equal iterations, so they need one length. Take "
            "`training.iterations` out of the space, or write `scheduler: none`.",
        )
    by_miou = search.metric == "miou" and stage.validation is not None
    interval = stage.validation.interval if by_miou and stage.validation is not None else stage.training.log_interval
    key = "validation.interval" if by_miou else "training.log_interval"
    if interval >= length:
        yield Conflict(
            ("search", "scheduler"),
            f"'{scheduler.name}' judges trials while they run, but theirs report '{search.metric}' only once, at their end: "
            f"`{key}` is {interval} of {length} iterations. Lower it, or write `scheduler: none`.",
        )
    elif isinstance(scheduler, AshaSettings | MedianSettings) and scheduler.grace >= length:
        yield Conflict(
            ("search", "scheduler", "grace"),
            f"a grace of {scheduler.grace} iterations leaves nothing of a training of {length}. Lower it.",
        )


def _list_population_conflicts(
    stage: Searched, search: TrainingSearchSettings, scheduler: PbtSettings
) -> Iterator[Conflict]:
    has = [path for path in list_paths(stage) if path in CHANGEABLE]
    for path in search.space:
        if path not in has:
            yield Conflict(
                ("search", "space"),
                f"'{path}' cannot be searched with the scheduler 'pbt': a member that goes on from another one's resume point "
                "takes over what this setting has shaped. Take it out of the space, or write another `scheduler`. With 'pbt' "
                f"this stage can change {', '.join(has)}.",
            )
    if getattr(stage.correction, "rule", None) is not None:
        yield Conflict(
            ("search", "scheduler"),
            f"'pbt' hands on resume points, and the labels that `correction: {{name: {getattr(stage.correction, 'name', '')}}}` "
            "has changed lie beside them. Remove the correction, or write another `scheduler`.",
        )
    if scheduler.interval >= stage.training.iterations:
        yield Conflict(
            ("search", "scheduler", "interval"),
            f"an interval of {scheduler.interval} iterations leaves no comparison in a training of "
            f"{stage.training.iterations}. Lower it.",
        )
    intervals = {
        "training.log_interval": stage.training.log_interval,
        "training.checkpoint_interval": stage.training.checkpoint_interval,
    }
    if search.metric == "miou" and stage.validation is not None:
        intervals["validation.interval"] = stage.validation.interval
    for key, interval in intervals.items():
        if scheduler.interval % interval:
            yield Conflict(
                ("search", "scheduler", "interval"),
                f"'pbt' compares its population every {scheduler.interval} iterations, by a report and from a resume point of "
                f"just then, but `{key}` is {interval}. Write an interval that it divides.",
            )


def find_unfit_scheduler(search: StreamSearchSettings) -> Conflict | None:
    """Find a scheduler on the search of a stream, whose trials report once and keep nothing to go on from."""
    name = search.scheduler.name
    if name == "none":
        return None
    why = (
        "needs checkpoints of its trials, and a stream leaves none"
        if name == "pbt"
        else "judges trials while they run, but those of a stream report their mean mIoU only once, at their end"
    )
    return Conflict(
        ("search", "scheduler"), f"'{name}' {why}. Write `scheduler: none`, and shorten the search's stream."
    )
