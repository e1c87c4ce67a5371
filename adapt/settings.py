"""The base of every settings model: frozen data that refuses keys it does not know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Immutable settings: hashed for identity, pickled to workers, logged and compared as data.

    Every number is finite: JSON, in which settings are hashed, kept and read again, knows no others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
