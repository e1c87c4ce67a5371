"""The schema of an experiment file: frozen models that refuse keys they do not know.

Words, from large to small: an *experiment* (a file) holds *stages* (nodes of its graph); a stage at one point of the
*matrix* is a *task*. Stage fields may hold `${matrix.AXIS}` and `${STAGE.checkpoint}` until the graph is expanded, so
`Experiment` keeps stages as raw mappings and `STAGES` validates each of them once its references are filled in.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.settings import AnyDatasetSettings
from adapt.model import ModelSettings
from adapt.settings import Settings
from adapt.training.settings import TrainSettings
from adapt.tta.settings import MethodSettings, SourceSettings
from adapt.tta.stream_settings import ResetSettings, StreamSettings
from adapt.uda.settings import DaformerSettings, UdaSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class ResourceSettings(Settings):
    """What one task asks Ray for: CPU cores, GPUs (a fraction packs several tasks on one) and memory.

    A training of several workers (`training.workers`) asks for this much for each of them.
    """

    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)
    memory_gb: float | None = Field(None, gt=0)


class MatrixSettings(Settings):
    """Axes of an experiment or a stage: the product of `axes`, less `exclude`, plus `include`."""

    axes: dict[Name, Annotated[tuple[Any, ...], Field(min_length=1)]] = {}
    include: tuple[dict[Name, Any], ...] = ()
    exclude: tuple[dict[Name, Any], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _collect_axes(cls, raw: Any) -> Any:
        """Accept the file's own form, in which the axes stand beside `include` and `exclude`."""
        if not isinstance(raw, dict) or "axes" in raw:
            return raw
        special = {key: raw[key] for key in ("include", "exclude") if key in raw}
        return {"axes": {key: value for key, value in raw.items() if key not in special}, **special}

    @model_validator(mode="after")
    def _check_exclude(self) -> MatrixSettings:
        """Refuse an exclusion that can drop nothing."""
        for entry in self.exclude:
            for axis in entry:
                if axis not in self.axes:
                    names = ", ".join(self.axes) or "none"
                    raise ValueError(f"`exclude` names '{axis}', which is no axis of this matrix (its axes: {names})")
        return self


class StageSettings(Settings):
    """What every stage has: its label on the leaderboard, its resources, and what a task of it is expected to cost."""

    label: str | None = None
    expected_seconds: float | None = Field(None, gt=0)
    resources: ResourceSettings = ResourceSettings()


class TrainStage(StageSettings):
    """Supervised training of a model on one labelled data set."""

    kind: Literal["train"]
    model: str
    dataset: str
    seed: int = Field(0, ge=0)
    training: TrainSettings


class UdaStage(StageSettings):
    """Unsupervised domain adaptation from a labelled source to an unlabelled target."""

    kind: Literal["uda"]
    model: str
    source: str
    target: str
    seed: int = Field(0, ge=0)
    training: TrainSettings
    method: UdaSettings = DaformerSettings()

    @model_validator(mode="before")
    @classmethod
    def _name_method(cls, raw: Any) -> Any:
        """Take a method without a name for DAFormer's."""
        method = raw.get("method") if isinstance(raw, dict) else None
        if isinstance(method, dict) and "name" not in method:
            return {**raw, "method": {"name": DaformerSettings.model_fields["name"].default, **method}}
        return raw


class _ScoredStage(StageSettings):
    """A stage that scores a network: a trained one (`checkpoint`) or a model of the file that has weights (`model`)."""

    checkpoint: str | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _one_network(self) -> _ScoredStage:
        if (self.checkpoint is None) == (self.model is None):
            raise ValueError("give either `checkpoint: ${STAGE.checkpoint}` or `model: NAME`, and only one of them")
        return self


class EvaluateStage(_ScoredStage):
    """Clean mIoU of a network on a labelled data set."""

    kind: Literal["evaluate"]
    dataset: str
    limit: int | None = Field(None, gt=0)


class StreamStage(_ScoredStage):
    """Test-time adaptation of a network over a stream of domains."""

    kind: Literal["stream"]
    method: MethodSettings = SourceSettings()
    stream: StreamSettings
    reset: ResetSettings = ResetSettings()


class BenchmarkStage(_ScoredStage):
    """mIoU of a network under every corruption and severity of a protocol."""

    kind: Literal["benchmark"]
    dataset: str
    protocol: str = "quick"
    seed: int = Field(0, ge=0)
    limit: int | None = Field(None, gt=0)


class GapSettings(Settings):
    """The two training stages whose scores a leaderboard measures the others between: 0% and 100% of the gap closed."""

    source: str
    oracle: str


class LeaderboardStage(StageSettings):
    """A view of the records of the stages named: always made anew, never a task on the cluster."""

    kind: Literal["leaderboard"]
    needs: Annotated[tuple[str, ...], Field(min_length=1)]
    gap: GapSettings | None = None


STAGES: dict[str, type[StageSettings]] = {
    "train": TrainStage,
    "uda": UdaStage,
    "evaluate": EvaluateStage,
    "stream": StreamStage,
    "benchmark": BenchmarkStage,
    "leaderboard": LeaderboardStage,
}

# Part of every task key. Raise a number (with a CHANGELOG line) when results of that stage may change.
STAGE_VERSIONS: dict[str, int] = {"train": 1, "uda": 2, "evaluate": 1, "stream": 1, "benchmark": 1, "leaderboard": 1}

# What a finished stage offers to others as `${STAGE.output}`.
STAGE_OUTPUTS: dict[str, tuple[str, ...]] = {"train": ("checkpoint",), "uda": ("checkpoint",)}


class Experiment(Settings):
    """One experiment file under one profile: the data sets, models, axes and stages of a question."""

    title: str
    datasets: dict[Name, AnyDatasetSettings]
    models: dict[Name, ModelSettings]
    miniature: MiniatureSettings | None = None
    matrix: MatrixSettings = MatrixSettings()
    resources: ResourceSettings = ResourceSettings()
    stages: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
