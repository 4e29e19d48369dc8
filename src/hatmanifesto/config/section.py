"""The base of every section of the configuration file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the file in which unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=True)
