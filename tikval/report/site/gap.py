"""What a protocol adds to a score: the same recipe under the paper's and under the honest one, side by side."""

from collections.abc import Iterable
from typing import Any, Final

from tikval.config import FinetuneConfig, JobConfig, LearnConfig
from tikval.evaluate.scores import ALL, LEFT_OUT
from tikval.report.display import two
from tikval.report.site.record import Pair, Report

_MAY_DIFFER: Final = frozenset({"protocol", "system", "leave_out", "encoder"})  # the encoder's recipe may not


def pairs_of(systems: Iterable[JobConfig]) -> tuple[Pair, ...]:
    """Fine-tunings that differ in protocol, name and place only: every `paper` with every `honest` one."""
    trained = [system for system in systems if isinstance(system, FinetuneConfig)]
    recipes = [(system, _recipe(system)) for system in trained]
    return tuple(
        Pair(paper.system, honest.system)
        for paper, recipe in recipes
        for honest, other in recipes
        if (paper.protocol.name, honest.protocol.name) == ("paper", "honest") and recipe == other
    )


def _recipe(config: LearnConfig) -> dict[str, Any]:
    """What a model learns from and how, but for the folds; the same of the pre-training of its encoder."""
    recipe: dict[str, Any] = {}
    for name in sorted(type(config).model_fields.keys() - config.operational - _MAY_DIFFER):
        value = getattr(config, name)
        recipe[name] = value.fingerprint if isinstance(value, JobConfig) else value
    if isinstance(config, FinetuneConfig):
        recipe["encoder"] = config.encoder and _recipe(config.encoder)
    return recipe


def gap_lines(report: Report) -> list[dict[str, Any]]:
    """One line per pair with scores: macro and weighted F1 over all labels under paper, under honest, and the gap.

    The gap is that of the numbers as they are shown, paper - honest.
    """
    f1 = {
        (row["system"], row["label"]): row["f1"]
        for row in report.scores
        if (row["stance"], row["failures"]) == (ALL, LEFT_OUT)
    }
    lines = []
    for pair in report.pairs:
        cells: list[str] = []
        for how in ("macro", "weighted"):
            paper, honest = f1.get((pair.paper, how)), f1.get((pair.honest, how))
            cells += [two(paper), two(honest), _gap(paper, honest)]
        if any(f1.get((name, "macro")) is not None for name in (pair.paper, pair.honest)):
            lines.append({"paper": pair.paper, "honest": pair.honest, "cells": cells})
    return lines


def _gap(paper: float | None, honest: float | None) -> str:
    if paper is None or honest is None:
        return two(None)
    gap = round(round(paper, 2) - round(honest, 2), 2)
    sign = "+" if gap > 0 else "\u2212" if gap < 0 else ""
    return f"{sign}{abs(gap):.2f}"
