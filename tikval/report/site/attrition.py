"""The page of how far the listed posts get: its lines, in words, without HTML."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from tikval.evaluate.attrition import GROUPINGS, Attrition
from tikval.evaluate.attrition_steps import JUDGED, STEPS
from tikval.report.site.record import Report
from tikval.report.tables.attrition import (
    NameOf,
    aside_sentences,
    methods_sentence,
    share_text,
    words_of,
)

ATTRITION_CSV: Final = "attrition.csv"  # in the site
GROUPS_LISTED: Final = 25  # of each kind; the CSV has all
_MEANS: Final = (
    "every post that a source or a folder names, once",
    "not deleted, private, or kept from the collector; its files prove it, or the source says so",
    "its files are among those of the study",
    "its sound and pictures could be read",
    "it has a result",
    "people have annotated it too",
)
_TITLES: Final = {
    "genre": ("By genre", "Genre"),
    "minor": ("By minor flag", "Features a minor"),
    "account": ("By account", "Account"),
}


def account_namer(report: Report, names: Mapping[str, str]) -> NameOf:
    """The name that the site has for each account; those with no video get the numbers after it."""
    known = dict(names)
    groups = report.attrition.groups["account"] if report.attrition else ()
    for name in (group.name for group in groups if group.name):
        known.setdefault(name, name if report.show_accounts else f"account {len(known) + 1}")
    return lambda name: known[name]


def judged_line(found: Attrition) -> str:
    """The first page's line."""
    judged, listed = found.total.reached[JUDGED], found.total.reached[0]
    by = f" by {found.system}" if found.system and found.others else ""
    return f"{judged:,} of {listed:,} listed post{'s' * (listed != 1)} {'was' if judged == 1 else 'were'} judged{by}"


def attrition_page(found: Attrition, name_of: NameOf) -> dict[str, Any]:
    """What the page's template needs."""
    return {
        "sentence": methods_sentence(found),
        "aside": aside_sentences(found),
        "steps": _steps(found),
        "step_names": STEPS,
        "tables": [
            _table(found, by, name_of)
            for by in sorted(GROUPINGS, key=list(_TITLES).index)
            if _tells(found, by)
        ],
        "csv": ATTRITION_CSV,
    }


def _steps(found: Attrition) -> list[dict[str, Any]]:
    reached = found.total.reached
    return [
        {
            "name": f"judged by {found.system}" if place == JUDGED and found.system else step,
            "means": _MEANS[place],
            "posts": reached[place],
            "of_listed": share_text(reached[place], reached[0]),
            "of_before": share_text(reached[place], reached[place - 1]) if place else "",
            "lost": [
                {"posts": loss.posts, "why": words_of(loss)}
                for loss in found.total.losses
                if loss.step == place
            ],
        }
        for place, step in enumerate(STEPS)
    ]


def _tells(found: Attrition, by: str) -> bool:
    """Whether anything is known of a kind of groups."""
    return any(group.name is not None for group in found.groups[by])


def _table(found: Attrition, by: str, name_of: NameOf) -> dict[str, Any]:
    groups = found.groups[by]
    known = islice((group for group in groups if group.name is not None), GROUPS_LISTED)
    shown = [*known, *(group for group in groups if group.name is None)]
    title, head = _TITLES[by]
    return {
        "by": by,
        "title": title,
        "head": head,
        "lines": [
            {
                "name": name_of(group.name) if by == "account" and group.name else group.name,
                "cells": _cells(group.reached),
                "not_known": group.not_known,
            }
            for group in shown
        ],
        "more": len(groups) - len(shown),
    }


def _cells(reached: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"posts": posts, "share": share_text(posts, reached[0]) if place else ""}
        for place, posts in enumerate(reached)
    ]
