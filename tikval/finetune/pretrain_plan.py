"""What a pre-training comes to before anything is trained: encoders, and who reads what.

pretrain-<fingerprint>/
  encoders/p0-f1/     that read nothing of the fold's test rows; encoders/all with leave_out: nothing
  _encoder-*.parquet  one for each encoder, written when it lies there whole: every row, and why it was not read
  folds.json          whose test rows were left out; none with leave_out: nothing
  history.json        of each encoder: texts, what was left out, loss of each epoch
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tikval.config import Fit, PretrainConfig, TextEncoder, UserError
from tikval.files import read_schema
from tikval.finetune.inputs import (
    folds_of_config,
    inputs_of,
    load_examples,
    pin_encoder,
    read_pretrain_corpus,
)
from tikval.finetune.memory import memory_needs
from tikval.finetune.pretrain import check_masks, logit_bytes
from tikval.finetune.pretrain_corpus import EncoderReading, PretrainCorpus, read_all, read_by
from tikval.stats.folds import Fold
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


@dataclass(frozen=True)
class PretrainPlan:
    """What a configuration comes to, before anything is trained."""

    config: PretrainConfig
    model: TextEncoder  # at one commit
    corpus: PretrainCorpus
    inputs: dict[str, str]
    folds: list[Fold]
    readings: list[EncoderReading]

    def marker(self, reading: EncoderReading) -> str:
        """The file that states that an encoder is whole."""
        return f"_encoder-{reading.name}-{reading.state(self.corpus, self.model.revision)}.parquet"

    @property
    def state(self) -> str:
        """The state of what all encoders read: who goes on from a checkpoint must have read the same before."""
        names = " ".join(map(self.marker, self.readings))
        return hashlib.sha256(names.encode()).hexdigest()[:16]


def plan_pretraining(
    config: PretrainConfig, available: Callable[[], int | None], dry_run: bool = False
) -> PretrainPlan | FolderRun:
    """What is to be trained; or what was, where nothing changed since. A dry run prints the plan.

    `available` returns the bytes that a worker has to itself, if known. Raises UserError for what cannot work.
    """
    folder = Folder(config.folder)
    try:
        examples = load_examples(config)
        corpus = read_pretrain_corpus(config, examples)
        inputs = inputs_of(config, examples)
        if config.texts:  # of rows without annotations, too
            inputs[config.texts.table] += f"-{corpus.state}"
        before = folder.run()
        if not dry_run and before and before.inputs == inputs:
            return before
        folds = folds_of_config(config, examples)
        model = pin_encoder(folder, config.model)
        plan = PretrainPlan(config, model, corpus, inputs, folds, _readings(config, corpus, folds))
        _check(plan, available(), show=dry_run)
        return plan
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err


def _readings(config: PretrainConfig, corpus: PretrainCorpus, folds: Sequence[Fold]) -> list[EncoderReading]:
    if config.leave_out == "nothing":
        if config.protocol.name != "paper":
            print(
                f"{config.stage}: leave_out: nothing shows the texts of test rows to the encoder, and the protocol "
                f"is {config.protocol.name}: scores will flatter",
                file=sys.stderr,
            )
        return [read_all(corpus)]
    # the paper's folds do not keep groups whole, so neither does what is left out for them
    return [read_by(corpus, fold, whole_groups=config.protocol.name != "paper") for fold in folds]


def _check(plan: PretrainPlan, available: int | None, show: bool) -> None:
    """What a run would do, and whether it can. Raises UserError for an encoder without texts and too little memory."""
    config, model = plan.config, plan.model
    lines = []
    for reading in plan.readings:
        n_texts, out = len(reading.texts(plan.corpus)), reading.counts()
        lines.append(
            f"{reading.name}: {n_texts} texts; left out: {out['test']} test rows, {out['related']} that share an "
            f"account or near-duplicate with one, {out['no_text']} without a text"
        )
        if not n_texts:
            raise UserError(
                f"{reading.name}: no text is left to pre-train on ({out['test']} test rows, {out['related']} related "
                f"to them, {out['no_text']} without a text); more folds leave out less, leave_out: nothing nothing"
            )
    needs = memory_needs(model, Fit(batch_rows=config.batch_rows), workers=config.workers)
    check_masks(model)
    needs["logit_bytes"] = logit_bytes(model, config.batch_rows, config.mask_share, workers=config.workers)
    needs["total_bytes"] += needs["logit_bytes"]
    needs["fits"] = None if available is None else needs["total_bytes"] <= available
    if show:
        print("\n".join([*lines, *(f"{name}: {value}" for name, value in needs.items())]))
    if needs["fits"] is False:
        raise UserError(
            f"{model.model}: a training needs about {needs['total_bytes'] / 2**30:.1f} GiB and has "
            f"{(available or 0) / 2**30:.1f}: lower batch_rows or model.max_tokens, set "
            "model.gradient_checkpointing: true or model.precision: bfloat16, or raise workers"
        )


def history_of_encoder(plan: PretrainPlan, reading: EncoderReading) -> dict[str, Any]:
    """Texts, what was left out, and the loss of each epoch of an encoder that is whole."""
    facts = read_schema(f"{plan.config.folder}/{plan.marker(reading)}").metadata[b"tikval"]
    return {
        "encoder": reading.name,
        "texts": reading.left_out.count(None),
        "left_out": reading.counts(),
        **json.loads(facts),
    }
