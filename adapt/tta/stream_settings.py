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
        severity: 1 to 5, given exactly when there is a corruption.
    """

    dataset: Annotated[str, Field(min_length=1)]
    corruption: str | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if (self.corruption is None) != (self.severity is None):
            raise ValueError(
                "corruption and severity go together: give both or neither, "
                f"got corruption={self.corruption!r} and severity={self.severity!r}"
            )
        if self.corruption is not None:
            corruption(self.corruption)  # refuses a name that is not in the catalogue
        return self

    @property
    def label(self) -> str:
        """The domain's name in scores and manifests: `cityscapes`, or `cityscapes/fog/3` under a corruption."""
        return self.dataset if self.corruption is None else f"{self.dataset}/{self.corruption}/{self.severity}"


class StreamSettings(Settings):
    """An ordered walk through domains.

    Attributes:
        kind: `single` is one domain; `continual` is a fixed order of several.
        domains: the domains in the order in which they come.
        rounds: how often the whole order is repeated (10, and also 3, in published Cityscapes -> ACDC tables).
        limit: at most so many frames of each domain, the first by path; None takes all.
        seed: of the corruptions; a frame looks the same in every round.
    """

    kind: Literal["single", "continual"]
    domains: Annotated[tuple[DomainSettings, ...], Field(min_length=1)]
    rounds: PositiveInt = 1
    limit: PositiveInt | None = None
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _check_domains(self) -> Self:
        labels = [domain.label for domain in self.domains]
        if self.kind == "single" and len(labels) != 1:
            raise ValueError(f"a stream of kind 'single' has one domain, got {len(labels)}: use kind 'continual'")
        if self.kind == "continual" and len(labels) < 2:
            raise ValueError("a stream of kind 'continual' has at least two domains, got one: use kind 'single'")
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ValueError(
                f"each domain may come once in a round, but {', '.join(repeated)} is repeated: its scores would share "
                "a cell. Remove it, or raise `rounds` to walk through the order again"
            )
        return self
