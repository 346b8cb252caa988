"""`tikval ...`: the commands. Every command ends by saying where its result lies."""

from tikval.cli import (
    accounts,
    analyze,
    annotate,
    annotate_accounts,
    annotate_merge,
    annotate_project,
    annotate_sheet,
    attrition,
    check,
    codebook,
    collect,
    estimate,
    look,
    posts,
    prompt,
    recheck,
    results,
    sample,
)
from tikval.cli.app import app, main
from tikval.cli.look import HINTS

__all__ = [
    "HINTS",
    "accounts",
    "analyze",
    "annotate",
    "annotate_accounts",
    "annotate_merge",
    "annotate_project",
    "annotate_sheet",
    "app",
    "attrition",
    "check",
    "codebook",
    "collect",
    "estimate",
    "look",
    "main",
    "posts",
    "prompt",
    "recheck",
    "results",
    "sample",
]
