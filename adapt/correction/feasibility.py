"""Whether a correction can ever happen, and whether the classes that settings name occur: free of torch for the planner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapt.correction.settings import AdeleSettings, CorrectionSettings, RelabellingSettings, SelfCorrectionSettings
from adapt.errors import SpecError
from adapt.noise.class_names import find_class, list_named
from adapt.noise.settings import NoiseSettings

FIRST_EPOCH = 3
"""No class triggers before the end of this epoch, from 1: `find_update_epoch` gives 2 or more, and the published code, as
`adapt.correction.hook`, compares it with the epoch that ends counted from 0."""


def find_first_correction(correction: RelabellingSettings, frames: int, per_iteration: int) -> tuple[int, int]:
    """Find the first end of an epoch at which labels can be corrected, if the training lasts that long.

    Labels are corrected at the end of epoch e where `rule.every` divides e, and
    - ADELE: e >= 3, and `curve.min_points` points are there, with the one that this iteration may add;
    - self-correction: e >= `epoch`.
    An iteration of more samples than there are frames ends several epochs at once, of which only the last one counts.

    Args:
        correction: When labels are corrected.
        frames: In an epoch.
        per_iteration: Samples of an iteration.

    Returns:
        (e, iteration), both from 1: that epoch ends in that iteration.

    Example:
        >>> find_first_correction(SelfCorrectionSettings(epoch=20), frames=100, per_iteration=8)
        (20, 250)
    """
    if isinstance(correction, SelfCorrectionSettings):
        epoch, iteration = correction.epoch, 1
    elif correction.curve.point_iterations is None:
        # An iteration adds one point at most, however many epochs end in it.
        epoch, iteration = max(FIRST_EPOCH, correction.curve.min_points), correction.curve.min_points
    else:
        epoch, iteration = FIRST_EPOCH, correction.curve.min_points * correction.curve.point_iterations
    epoch = max(epoch, (iteration - 1) * per_iteration // frames + 1)  # the next that ends in `iteration` or later
    while True:
        epoch += -epoch % correction.rule.every
        iteration = -(-epoch * frames // per_iteration)
        if iteration * per_iteration // frames == epoch:
            return epoch, iteration
        epoch += 1


def check_correction(correction: CorrectionSettings | None, iterations: int, frames: int, per_iteration: int) -> None:
    """Refuse a training that ends before any label can be corrected.

    Args:
        correction: None and co-teaching correct no label, and are never refused.
        iterations: Of the training.
        frames: In an epoch.
        per_iteration: Samples of an iteration: `batch_size` times `accumulate`.

    Raises:
        SpecError: Names the settings that ask for more than the training has, and what would do.
    """
    if not isinstance(correction, AdeleSettings | SelfCorrectionSettings):
        return
    epoch, needed = find_first_correction(correction, frames, per_iteration)
    if needed <= iterations:
        return
    lower = [
        f"lower `{key}`"
        for key, changed in _list_relaxed(correction)
        if find_first_correction(changed, frames, per_iteration)[1] <= iterations
    ]
    remedies = [f"Set `training.iterations` to {needed} or more", *lower]
    raise SpecError(
        f"`correction` would never change a label. {_describe_rule(correction)}. With {frames} frames and {per_iteration} an "
        f"iteration (`batch_size` times `accumulate`) that is at iteration {needed}, the end of epoch {epoch}, but the training "
        f"has {iterations} iterations ({iterations * per_iteration / frames:.3g} epochs). {', or '.join(remedies)}."
    )


def list_named_classes(
    noise: NoiseSettings | None, correction: CorrectionSettings | None, classes: Sequence[str]
) -> list[int]:
    """List the train ids of the classes whose pixels noise and correction speak of.

    Args:
        noise: As a stage has it.
        correction: As a stage has it.
        classes: Names of the data set's classes in train id order.

    Raises:
        SpecError: The data set has no class of such a name; the text names the closest.
    """
    named = [] if noise is None else list_named(noise, classes)
    background = find_rule_background(correction, classes)
    return named if background is None else [*named, background]


def find_rule_background(correction: CorrectionSettings | None, classes: Sequence[str]) -> int | None:
    """Return the train id of the background of a correction's rule, None where there is none.

    Args:
        correction: As a stage has it.
        classes: Names of the data set's classes in train id order.

    Raises:
        SpecError: The data set has no such class; the text names the closest.
    """
    rule = getattr(correction, "rule", None)
    if rule is None or rule.background is None:
        return None
    return find_class(rule.background, classes, "`correction.rule.background`")


def require_rule_background(
    correction: CorrectionSettings | None, classes: Sequence[str], pixels: Sequence[int], labels: str
) -> None:
    """Refuse a rule whose background no label holds.

    Args:
        correction: As a stage has it.
        classes: Names of the data set's classes in train id order.
        pixels: (K,) pixels of each class in all labels, in the same order.
        labels: Which labels they are, for the error.

    Raises:
        SpecError: Names the class, and what to do.
    """
    background = find_rule_background(correction, classes)
    if background is not None and pixels[background] == 0:
        raise SpecError(
            f"`correction.rule.background` names '{classes[background]}', which no label of {labels} holds. Name a class that "
            "occurs there, or write `null` where there is no background."
        )


def _describe_rule(correction: RelabellingSettings) -> str:
    end = "at the end of an epoch"
    if correction.rule.every > 1:
        end += f" that `correction.rule.every`, {correction.rule.every}, divides"
    if isinstance(correction, SelfCorrectionSettings):
        return f"Self-correction corrects {end} from `correction.epoch`, {correction.epoch}, on"
    curve = correction.curve
    each = "a whole epoch" if curve.point_iterations is None else f"{curve.point_iterations} iterations"
    return (
        f"ADELE corrects {end}, once a class has triggered: from epoch {FIRST_EPOCH} on, and not before there are "
        f"{curve.min_points} points (`correction.curve.min_points`) of {each} (`correction.curve.point_iterations`)"
    )


def _list_relaxed(correction: RelabellingSettings) -> Iterator[tuple[str, RelabellingSettings]]:
    """Yield (key, the settings with that key as low as it goes)."""
    rule = correction.rule.model_copy(update={"every": 1})
    yield "correction.rule.every", correction.model_copy(update={"rule": rule})
    if isinstance(correction, SelfCorrectionSettings):
        yield "correction.epoch", correction.model_copy(update={"epoch": 1})
    else:
        curve = correction.curve.model_copy(update={"point_iterations": 1})
        yield "correction.curve.point_iterations", correction.model_copy(update={"curve": curve})
