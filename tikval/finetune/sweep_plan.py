"""What a sweep comes to before any trial: data, folds, the encoder, and which settings can be trained at all."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from operator import itemgetter
from typing import Any

from tikval.config import SweepConfig, TextEncoder, UserError
from tikval.config.train import changed
from tikval.finetune.examples import Examples
from tikval.finetune.inputs import (
    folds_of_config,
    inputs_of,
    load_examples,
    pin_encoder,
    pretrained_encoders,
    state_of,
)
from tikval.finetune.memory import memory_needs
from tikval.finetune.training import Training
from tikval.finetune.trial import Given, inner
from tikval.stats.folds import Fold
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep comes to, before any trial."""

    examples: Examples
    inputs: dict[str, str]
    given: dict[str, Given]  # what the trials of each fold learn from
    folds: list[Fold]
    encoder: TextEncoder | None  # at the commit that all trials begin with
    state: str  # of what is learnt from


def plan_sweep(
    config: SweepConfig, available: Callable[[], int | None], dry_run: bool = False
) -> SweepPlan | FolderRun:
    """What is to be tried; or what was, where nothing changed since. A dry run prints the plan.

    `available` returns the bytes that a trial has to itself, if known. Raises UserError for what cannot work.
    """
    folder = Folder(config.folder)
    try:
        examples = load_examples(config.finetune)
        inputs = inputs_of(config.finetune, examples)
        before = folder.run()
        if not dry_run and before and before.inputs == inputs:
            return before
        plan = _plan(config, folder, examples, inputs)
        _check(config, plan, available(), show=dry_run)
        return plan
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err


def _plan(config: SweepConfig, folder: Folder, examples: Examples, inputs: dict[str, str]) -> SweepPlan:
    if find_spec("optuna") is None:
        raise UserError('optuna is not installed: pip install "tikval[sweep]"')
    finetune = config.finetune
    folds = folds_of_config(finetune, examples)
    encoders: Mapping[str, TextEncoder] = {}
    if isinstance(finetune.model, TextEncoder) and finetune.encoder:
        encoders = pretrained_encoders(finetune.encoder, folds)
    elif isinstance(finetune.model, TextEncoder):
        encoders = dict.fromkeys((fold.name for fold in folds), pin_encoder(folder, finetune.model))
    given = {}
    for fold in folds:
        model = finetune.model
        if fold.name in encoders:
            begins = encoders[fold.name]
            model = model.model_copy(update={"model": begins.model, "revision": begins.revision})
        # the first seed of a fine-tuning, so that a trial's scores are those which it will have
        training = Training(fold, 0, model, finetune.fit)
        given[fold.name] = inner(examples, training, finetune.protocol.threshold)
    encoder = None if finetune.encoder else next(iter(encoders.values()), None)
    return SweepPlan(examples, inputs, given, folds, encoder, state_of(finetune, examples, folds, inputs))


def _check(config: SweepConfig, plan: SweepPlan, available: int | None, show: bool) -> None:
    """What a run would do, and whether it can; warns of settings in the space whose trials will fail.

    Raises UserError where there are no others.
    """
    examples, first = plan.examples, plan.folds[0]
    lines = [
        f"{len(examples.ids)} rows, {len(examples.failed)} without a text or vector, {len(examples.labels)} labels",
        f"{len(plan.folds)} folds, {config.trials} trials in each; rows of the first: {len(first.train)} train, "
        f"{len(first.validation)} validation",
        *(f"{key}: {axis}" for key, axis in config.space.items()),
    ]
    if config.own is None:
        lines.append("the configuration's own settings lie outside the space and are not tried")
    begins = plan.given[first.name].training.model
    if isinstance(begins, TextEncoder):
        needs, wrong = _needs(config, begins, available)
        if not needs:
            raise UserError(f"no trial can be trained: {wrong[0]}")
        for each in wrong:
            warn_of_sweep(f"cannot be trained: {each}")
        lines.append("the largest trial:")
        lines += [f"{name}: {value}" for name, value in max(needs, key=itemgetter("total_bytes")).items()]
    if show:
        print("\n".join(lines))


def _needs(
    config: SweepConfig, begins: TextEncoder, available: int | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """What trainings of all sizes in the space need; and settings whose trials will fail, with the reason."""
    found, wrong = [], []
    for settings in config.sizes:
        model, fit = changed(begins, config.finetune.fit, settings)
        assert isinstance(model, TextEncoder)
        try:
            needs = memory_needs(model, fit, available=available)
            if needs["fits"] is False:
                gib = needs["total_bytes"] / 2**30
                raise ValueError(f"a trial needs about {gib:.1f} GiB and has {(available or 0) / 2**30:.1f}")
        except ValueError as err:
            tried = " ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
            wrong.append(f"{tried}: {err}" if tried else str(err))
        else:
            found.append(needs)
    return found, wrong


def warn_of_sweep(message: str | None) -> None:
    """Print a warning, where there is one."""
    if message:
        print(f"sweep: warning: {message}", file=sys.stderr)
