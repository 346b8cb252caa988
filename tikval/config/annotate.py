"""The protocol of human coding: who codes which videos, how often and in which order."""

from pydantic import Field

from tikval.config.base import Config


class AnnotateConfig(Config):
    """configs/annotate.yaml: what `tikval annotate sheet` makes sheets by."""

    codebook: str | None = None  # None: the study's, else prompts/codebook.yaml
    coders_per_video: int = Field(default=2, ge=1)  # who code it independently
    by_all: int = Field(default=5, ge=0)  # videos of each list that every coder codes
    again: int = Field(default=3, ge=0)  # videos of a sheet that its coder codes a second time
    gap: int = Field(default=20, ge=1)  # items at least between the two times
    practice: str | None = None  # a table of annotations that count as right, shown after the coder's own
    third: str = "third"  # the name of the coder who decides
    seed: int = Field(default=0, ge=0)  # of assignment and order
