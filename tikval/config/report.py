"""All of a study as a site: jobs/report.py."""

from typing import Annotated, ClassVar

from pydantic import Field

from tikval.config.base import ADDED_LATER, Config, JobConfig, Limits, Upstream
from tikval.config.evaluate import EvaluateConfig


class Asked(Config):
    """How a report was asked for, as its page says it."""

    command: str  # that was typed, without secrets
    profiles: tuple[str, ...] = ()  # each with the recipe that it ships with


class ReportConfig(JobConfig):
    """jobs/report.py: everything before it -> a site to look at."""

    stage: ClassVar[str] = "report"
    version: ClassVar[int] = 2  # the pages have evidence, claims and another first page: made anew, cheap
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"asked"}

    scores: Upstream[EvaluateConfig]
    title: str = "Values in short videos"  # of every page
    videos: int = Field(default=10_000, ge=1)  # with a page each; of more, annotated ones first
    show_accounts: bool = False  # account names and handles stay out of the site unless asked for
    # so do pictures of what the videos show: three of each, of a photo post all; none of minors' accounts
    show_pictures: bool = False
    # a player of each video's own file, where it lies; of no minors' accounts. Nothing is copied
    show_videos: Annotated[bool, ADDED_LATER] = False
    limits: Limits = Limits()  # of reading these
    asked: Annotated[Asked | None, ADDED_LATER] = None
