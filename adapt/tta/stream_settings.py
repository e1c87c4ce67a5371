"""Settings of a stream, of the reset policy and of what is measured on video: what an experiment file may say of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from adapt.settings import Settings
from corruptions.catalog import corruption


class ResetSettings(Settings):
    """When a method goes back to the state it started from.

    Attributes:
        policy: `never`; `on_shift`, when the domain of the stream changes (an oracle: it knows the change); `every_n`
            frames (RDumb); `episodic`, before every frame.
        n: the period of `every_n` in frames, 50 for segmentation in the literature; no other policy takes it.
    """

    policy: Literal["never", "on_shift", "every_n", "episodic"] = "never"
    n: PositiveInt | None = None

    @model_validator(mode="after")
    def _check_period(self) -> Self:
        if self.policy == "every_n" and self.n is None:
            raise ValueError("the reset policy 'every_n' needs n, a number of frames (the literature takes n: 50)")
        if self.policy != "every_n" and self.n is not None:
            raise ValueError(f"n belongs to the reset policy 'every_n'; remove it or change the policy {self.policy!r}")
        return self


class DomainSettings(Settings):
    """One domain of a stream: a data set, as it is or under one corruption.

    Attributes:
        dataset: a name that the experiment resolves to a data set.
        corruption: a name of the corruption catalogue, or None for the images as they are.
        severity: 1 to 5, given exactly when there is a corruption; but in a `gradual` stream, which goes through all of
            them, a domain has a corruption and no severity.
    """

    dataset: Annotated[str, Field(min_length=1)]
    corruption: str | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None

    @model_validator(mode="after")
    def _check_corruption(self) -> Self:
        if self.corruption is None and self.severity is not None:
            raise ValueError(
                "corruption and severity go together: give both or neither, "
                f"got corruption=None and severity={self.severity!r}"
            )
        if self.corruption is not None:
            corruption(self.corruption)  # refuses a name that is not in the catalogue
        return self

    @property
    def label(self) -> str:
        """The domain's name in scores and manifests: `cityscapes`, or `cityscapes/fog/3` under a corruption.

        In a gradual stream it is the beginning of the names of its cells: `cityscapes/fog`.
        """
        return "/".join(str(part) for part in (self.dataset, self.corruption, self.severity) if part is not None)


class StreamSettings(Settings):
    """An ordered walk through domains.

    Attributes:
        kind: `single` is one domain; `continual` is a fixed order of several; `recurring` is the same order again and
            again (CSC); `cdc` draws a domain and the length of its run until all frames are used up; `gradual` takes a
            corruption's severity from 1 to 5 and back to 1, each on all frames; `mixed` shuffles the frames of all
            domains into each other.
        domains: the domains in the order in which they come (`cdc` and `mixed` draw it).
        rounds: how often the whole order is repeated (10, and also 3, in published Cityscapes -> ACDC tables); 2 or more
            for `recurring`, 1 for `cdc` and `mixed`.
        run_length: of `recurring`, how many frames of each domain come in a round, each round going on where the last one
            stopped and beginning anew after the domain's last frame; of `cdc`, how many frames a run has at most. None is
            all frames of the domain.
        limit: at most so many frames of each domain, the first by path; None takes all.
        seed: of the corruptions and of what is drawn; a frame looks the same in every round.
    """

    kind: Literal["single", "continual", "recurring", "cdc", "gradual", "mixed"]
    domains: Annotated[tuple[DomainSettings, ...], Field(min_length=1)]
    rounds: PositiveInt = 1
    run_length: PositiveInt | None = None
    limit: PositiveInt | None = None
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _check_domains(self) -> Self:
        labels = [domain.label for domain in self.domains]
        if self.kind == "single" and len(labels) != 1:
            raise ValueError(f"a stream of kind 'single' has one domain, got {len(labels)}: use kind 'continual'")
        if self.kind not in ("single", "gradual") and len(labels) < 2:
            raise ValueError(f"a stream of kind '{self.kind}' has at least two domains, got one: use kind 'single'")
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ValueError(
                f"each domain may come once in a round, but {', '.join(repeated)} is repeated: its scores would share "
                "a cell. Remove it, or raise `rounds` to walk through the order again"
            )
        return self

    @model_validator(mode="after")
    def _check_severities(self) -> Self:
        for domain in self.domains:
            if self.kind == "gradual" and (domain.corruption is None or domain.severity is not None):
                raise ValueError(
                    "a domain of a 'gradual' stream names a corruption and no severity, for it goes through all of "
                    f"them; got corruption={domain.corruption!r} and severity={domain.severity!r}"
                )
            if self.kind != "gradual" and domain.corruption is not None and domain.severity is None:
                raise ValueError(
                    "corruption and severity go together: give both or neither (only kind 'gradual' goes through all "
                    f"severities), got corruption={domain.corruption!r} and severity=None"
                )
        return self

    @model_validator(mode="after")
    def _check_rounds(self) -> Self:
        if self.kind == "recurring" and self.rounds < 2:
            raise ValueError(
                "a stream of kind 'recurring' comes again: give rounds: 2 or more, or use kind 'continual'"
            )
        if self.kind in ("cdc", "mixed") and self.rounds > 1:
            raise ValueError(
                f"a stream of kind '{self.kind}' draws its order over all frames and has no rounds, got rounds="
                f"{self.rounds}: remove it, or use kind 'recurring'"
            )
        if self.run_length is not None and self.kind not in ("recurring", "cdc"):
            raise ValueError(
                f"run_length belongs to the kinds 'recurring' and 'cdc'; remove it (`limit` takes fewer frames of each "
                f"domain) or change the kind '{self.kind}'"
            )
        return self


class TemporalSettings(Settings):
    """What is measured on video beside mIoU: how steady the predictions are (`adapt.scores.temporal`).

    Attributes:
        flow: gives the motion between two frames: `dis` or `farneback`, which OpenCV has, or the name of a function as
            `package.module:function` (`adapt.scores.flow.build_flow`).
        windows: lengths in frames of the windows of video consistency; VC_8 and VC_16 are the published ones.
        drop_last: leave out the last window of each clip, as the published code of VC does.
        perceptual: whether perceptual consistency is measured too; it costs a pass of the network and a comparison of all
            pairs of pixels of its features for each frame.
    """

    flow: Annotated[str, Field(pattern=r"^(dis|farneback|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = "dis"
    windows: tuple[Annotated[int, Field(ge=2)], ...] = (8, 16)
    drop_last: bool = False
    perceptual: bool = False

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        if len(set(self.windows)) < len(self.windows):
            raise ValueError(f"each length may be named once in windows, got {list(self.windows)}")
        return self
