"""The schema of an experiment file: frozen models that refuse keys they do not know.

Words, from large to small: an *experiment* (a file) holds *stages* (nodes of its graph); a stage at one point of the
*matrix* is a *task*. Stage fields may hold `${matrix.AXIS}` and `${STAGE.checkpoint}` until the graph is expanded, so
`Experiment` keeps stages as raw mappings and `STAGES` validates each of them once its references are filled in.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from adapt.correction.settings import CorrectionSettings, LossSettings, RelabellingSettings
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.settings import AnyDatasetSettings
from adapt.model import ModelSettings
from adapt.noise.settings import NoiseSettings
from adapt.settings import Settings
from adapt.training.settings import TrainSettings
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.settings import MethodSettings, SourceSettings
from adapt.tta.stream_settings import ResetSettings, StreamSettings, TemporalSettings
from adapt.uda.settings import DaformerSettings, UdaSettings
from experiments.search import StreamSearchSettings, TrainingSearchSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


LABEL_PATTERN = r"^(!?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|!?in\([A-Za-z0-9._, -]+\))$"  # Ray's label selectors


class ResourceSettings(Settings):
    """What one task asks Ray for.

    A training of several workers (`training.workers`) asks for this much for each of them.

    Attributes:
        cpus: cores.
        gpus: GPUs; a fraction packs several tasks on one.
        memory_gb: GiB of a machine's memory that are reserved for it; None reserves nothing.
        pack: ask for no more of a GPU, and for as much memory, as `segshift profile` or earlier records have measured that
            the stage needs; what is not measured yet asks for the above.
        custom: other resources by the names that the cluster's machines were started with.
        labels: of the machines that it may run on, label -> value, `!value`, `in(a, b)` or `!in(a, b)`.
    """

    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)
    memory_gb: float | None = Field(None, gt=0)
    pack: bool = False
    custom: dict[str, Annotated[float, Field(gt=0)]] = {}
    labels: dict[str, Annotated[str, Field(pattern=LABEL_PATTERN)]] = {}

    @model_validator(mode="after")
    def _check_amounts(self) -> ResourceSettings:
        """Refuse what Ray would refuse when a task is submitted."""
        for name, amount in {"gpus": self.gpus, **self.custom}.items():
            if amount > 1 and amount != int(amount):
                raise ValueError(f"`{name}` is a fraction below 1 or a whole number, got {amount:g}")
        reserved = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gb"}
        for name in self.custom:
            if name in reserved:
                raise ValueError(f"`custom` names '{name}', which has a key of its own: write `{reserved[name]}`")
        return self


class MatrixSettings(Settings):
    """Axes of an experiment or a stage: the product of `axes`, less `exclude`, plus `include`.

    Attributes:
        axes: name -> values. In a file the axes stand beside `include` and `exclude`, without this key.
        include: further points, axis -> value.
        exclude: points that are dropped: all that agree with an entry on its axes.
    """

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
    """What every stage has; none of it decides a result.

    Attributes:
        label: how the leaderboard calls it.
        expected_seconds: what a task of it is expected to take, until it is measured.
        time_limit_s: how long a task of it, or a trial of its search, may run: one that hangs is ended then, with the stacks
            of its threads in its log. Its waiting does not count.
        resources: what a task of it asks for.
    """

    label: str | None = None
    expected_seconds: float | None = Field(None, gt=0)
    time_limit_s: float | None = Field(None, gt=0)
    resources: ResourceSettings = ResourceSettings()


class ValidationSettings(Settings):
    """A data set that a network is scored on while it trains; nothing is chosen by it but by the stage's `search`.

    Attributes:
        dataset: its name; labelled, of the same classes.
        interval: iterations between two looks; the last iteration is always looked at.
        limit: its first so many frames; all by default.
    """

    dataset: str
    interval: int = Field(gt=0)
    limit: int | None = Field(None, gt=0)


class TrainStage(StageSettings):
    """Supervised training of a model on one labelled data set.

    Attributes:
        model: a name under `models`.
        dataset: a name under `datasets`; with labels.
        seed: of all that is drawn.
        training: length, batch, optimiser, schedule, augmentation.
        noise: made on purpose in the labels that are learnt; the files stay as they are.
        loss: takes the place of the one that the model's heads are configured with.
        correction: what is done about wrong labels.
        validation: scores the network while it trains, for the best and the last mIoU.
        search: chooses settings by trainings with others; the best one's network is what the stage makes.
    """

    kind: Literal["train"]
    model: str
    dataset: str
    seed: int = Field(0, ge=0)
    training: TrainSettings
    noise: NoiseSettings | None = None
    loss: LossSettings | None = None
    correction: CorrectionSettings | None = None
    validation: ValidationSettings | None = None
    search: TrainingSearchSettings | None = None


class UdaStage(StageSettings):
    """Unsupervised domain adaptation from a labelled source to an unlabelled target.

    Attributes:
        model: a name under `models`.
        source: the labelled data set, a name under `datasets`.
        target: the unlabelled one; labels that it has are not opened.
        seed: of all that is drawn.
        training: length, batch, optimiser, schedule, augmentation.
        method: how; its `name` chooses the defaults, and without a name it is DAFormer.
        noise: made on purpose in the source's labels; the files stay as they are.
        correction: what is done about wrong labels of the source.
        validation: scores the network that the stage hands on while it trains, for the best and the last mIoU.
        search: chooses settings by adaptations with others; the best one's network is what the stage makes.
    """

    kind: Literal["uda"]
    model: str
    source: str
    target: str
    seed: int = Field(0, ge=0)
    training: TrainSettings
    method: UdaSettings = DaformerSettings()
    noise: NoiseSettings | None = None
    correction: RelabellingSettings | None = None
    validation: ValidationSettings | None = None
    search: TrainingSearchSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_method(cls, raw: Any) -> Any:
        """Take a method without a name for DAFormer's."""
        method = raw.get("method") if isinstance(raw, dict) else None
        if isinstance(method, dict) and "name" not in method:
            return {**raw, "method": {"name": DaformerSettings.model_fields["name"].default, **method}}
        return raw


class _ScoredStage(StageSettings):
    """A stage that scores a network: a trained one (`checkpoint`) or a model of the file that has weights (`model`).

    Attributes:
        checkpoint: `${STAGE.checkpoint}`, the network that another stage trained.
        model: a name under `models`, in its place.
    """

    checkpoint: str | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _one_network(self) -> _ScoredStage:
        if (self.checkpoint is None) == (self.model is None):
            raise ValueError("give either `checkpoint: ${STAGE.checkpoint}` or `model: NAME`, and only one of them")
        return self


class EvaluateStage(_ScoredStage):
    """Clean mIoU of a network on a labelled data set.

    Attributes:
        dataset: a name under `datasets`.
        limit: its first so many frames; all by default.
    """

    kind: Literal["evaluate"]
    dataset: str
    limit: int | None = Field(None, gt=0)


class StylesStage(_ScoredStage):
    """The styles of a network's source data, against which `reservoir` holds the styles of a stream.

    Attributes:
        dataset: the network's source, a name under `datasets`; labels are not read.
        seed: of the choice of frames.
        extractor: reads the style of a frame.
        samples: so many frames of the data set, chosen by the seed; all where it has fewer. 1000 as in the paper.
        quantile: of the distances between their styles, above which two frames are of different domains.
    """

    kind: Literal["styles"]
    dataset: str
    extractor: StyleExtractorSettings = StyleExtractorSettings()
    samples: int = Field(1000, ge=2)
    quantile: float = Field(0.999, gt=0, le=1)
    seed: int = Field(0, ge=0)


class FisherStage(_ScoredStage):
    """The Fisher information of a network on its source data, by which `eata` anchors parameters that mattered there.

    Attributes:
        dataset: the network's source, a name under `datasets`; labels are not read.
        seed: of the choice of frames.
        samples: so many frames of the data set, chosen by the seed; all where it has fewer. 2000 as in mr-eggplant/EATA.
        batch_norm: whose statistics BatchNorm uses: the frame's own, as the adapted network does, or the source's.
    """

    kind: Literal["fisher"]
    dataset: str
    samples: int = Field(2000, gt=0)
    batch_norm: Literal["batch", "source"] = "batch"
    seed: int = Field(0, ge=0)


class AdaptingStage(_ScoredStage):
    """A stage that adapts a network over a stream.

    Attributes:
        method: how it learns from each frame; `source` does not.
        reset: when the method goes back to its start.
        auxiliary, styles, fisher: what some methods need beside the network; a method that does not need one is not given
            it (`adapt.tta.settings.list_needs`).
        on_non_finite: what becomes of a stream whose loss or parameters are infinite or not numbers: the task stops, the
            method goes back to the last good state, or to its start.
    """

    method: MethodSettings = SourceSettings()
    reset: ResetSettings = ResetSettings()
    auxiliary: str | None = None
    styles: str | None = None
    fisher: str | None = None
    on_non_finite: Literal["stop", "restore", "reset"] = "restore"


class StreamStage(AdaptingStage):
    """Test-time adaptation of a network over a stream of domains.

    Attributes:
        stream: which frames come, in which order.
        temporal: what is measured on its clips of video; None measures nothing there.
        search: chooses settings of the method on a stream of its own first; a task before that of the stream.
    """

    kind: Literal["stream"]
    stream: StreamSettings
    temporal: TemporalSettings | None = None
    search: StreamSearchSettings | None = None


class SearchStage(AdaptingStage):
    """A search for the settings of a method. No file writes it: expansion makes it of a stream that holds `search`."""

    kind: Literal["search"]
    search: StreamSearchSettings


class BenchmarkStage(_ScoredStage):
    """mIoU of a network under every corruption and severity of a protocol, beside real shifts.

    Attributes:
        dataset: what is corrupted; scored clean as well.
        protocol: its name, the path of a YAML file, or `name`, `cells`, `backend`, `channel_order` and `insertion_point` as
            such a file has them.
        backend: of the corruptions; None is the protocol's.
        shifts: data sets of the same classes that show real shifts (fog, night, another city); scored as they are.
        seed: of what the corruptions draw.
        limit: the first so many frames of each data set; all by default.
        calibration: whether confidences are counted, for the calibration error of each cell.
        label_check: on so many frames it is measured how far corruptions that move pixels leave labels where they were.
        shards: how many processes of the cluster share the work, each with `resources` and a copy of the network.
        workers: how many processes read and corrupt frames ahead of each network. By default one fewer than the cores
            beside a GPU, else one where there are two cores or more; with 0 the network waits for each frame.
    """

    kind: Literal["benchmark"]
    dataset: str
    protocol: str | dict[str, Any] = "quick"
    backend: Literal["fast", "reference"] | None = None
    shifts: tuple[str, ...] = ()
    seed: int = Field(0, ge=0)
    limit: int | None = Field(None, gt=0)
    calibration: bool = False
    label_check: int = Field(0, ge=0)
    shards: int = Field(1, gt=0)
    workers: int | None = Field(None, ge=0)

    @field_validator("protocol", mode="before")
    @classmethod
    def _check_protocol(cls, raw: Any) -> Any:
        """Refuse what can be no protocol in one sentence, where the union of types would make two that disagree."""
        if not isinstance(raw, str | dict):
            raise ValueError(
                "the name of a protocol, the path of a YAML file, or a mapping such as {name: winter, cells: {snow: [1, 3]}} "
                "is wanted here"
            )
        return raw

    @model_validator(mode="after")
    def _check_shifts(self) -> BenchmarkStage:
        """Refuse a data set that would be scored twice."""
        for index, name in enumerate(self.shifts):
            if name == self.dataset or name in self.shifts[:index]:
                raise ValueError(f"`shifts` names '{name}', which is scored already: leave it out")
        return self


class GapSettings(Settings):
    """The two training stages whose scores a leaderboard measures the others between: 0% and 100% of the gap closed.

    Attributes:
        source: the stage that trained on the source alone.
        oracle: the stage that learnt from the target's labels.
    """

    source: str
    oracle: str


class ReferenceSettings(Settings):
    """The row of a leaderboard that others are compared with; a text stands for the stage alone.

    Attributes:
        stage: the benchmark stage that scored it.
        at: where its tasks stand, axis -> value, if the stage has several rows in a table. A value that is a mapping or a
            `${STAGE.output}` may be given as names of tasks show it. Seeds are not given: a row is all of its runs.
    """

    stage: str
    at: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _take_stage(cls, raw: Any) -> Any:
        return {"stage": raw} if isinstance(raw, str) else raw

    def __str__(self) -> str:
        at = ", ".join(f"{axis}={value}" for axis, value in self.at.items())
        return f"stage '{self.stage}'" + (f" at {at}" if at else "")


class LeaderboardStage(StageSettings):
    """A view of the records of the stages named: always made anew, never a task on the cluster.

    Attributes:
        needs: the scored stages that it shows.
        gap: what the gap is measured between.
        reference: the row that CD, rCD, mCE and relative mCE are relative to, of a benchmark stage among `needs`.
    """

    kind: Literal["leaderboard"]
    needs: Annotated[tuple[str, ...], Field(min_length=1)]
    gap: GapSettings | None = None
    reference: ReferenceSettings | None = None


STAGES: dict[str, type[StageSettings]] = {
    "train": TrainStage,
    "uda": UdaStage,
    "evaluate": EvaluateStage,
    "fisher": FisherStage,
    "search": SearchStage,
    "stream": StreamStage,
    "styles": StylesStage,
    "benchmark": BenchmarkStage,
    "leaderboard": LeaderboardStage,
}

# Part of every task key. Raise a number (with a CHANGELOG line) when results of that stage may change.
STAGE_VERSIONS: dict[str, int] = {
    "train": 1,
    "uda": 2,
    "evaluate": 1,
    "fisher": 1,
    "search": 1,
    "stream": 2,
    "styles": 1,
    "benchmark": 1,
    "leaderboard": 1,
}

# What a finished stage offers to others as `${STAGE.output}`.
STAGE_OUTPUTS: dict[str, tuple[str, ...]] = {
    "train": ("checkpoint",),
    "uda": ("checkpoint",),
    "styles": ("styles",),
    "fisher": ("fisher",),
}

# Key of a scored stage that takes such an output -> the output it takes. The last three are for streams alone.
INPUT_OUTPUTS: dict[str, str] = {
    "checkpoint": "checkpoint",
    "auxiliary": "checkpoint",
    "styles": "styles",
    "fisher": "fisher",
}


class Experiment(Settings):
    """One experiment file under one profile: the data sets, models, axes and stages of a question.

    Beside these keys a file may have `profiles`: name -> what that profile changes, in the order in which they are tried.

    Attributes:
        title: the question in one line.
        datasets: name -> which frames of which data set.
        models: name -> which network.
        miniature: what the procedural data contains that takes the place of real data; None where a profile reads real data.
        matrix: axes of every stage that uses them.
        resources: what a task asks for, unless its stage says otherwise.
        stages: name -> what is done; `kind` says which keys a stage has, and `matrix` gives it axes of its own.
    """

    title: str
    datasets: dict[Name, AnyDatasetSettings]
    models: dict[Name, ModelSettings]
    miniature: MiniatureSettings | None = None
    matrix: MatrixSettings = MatrixSettings()
    resources: ResourceSettings = ResourceSettings()
    stages: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
