"""What pre-training reads: the texts of all rows, annotated or not, less those that an encoder must not have seen.

Shape letters: N rows of the study.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from tikval.finetune.examples import Examples, text_of_post
from tikval.stats.arrays import Ints
from tikval.stats.folds import Fold, groups_of

# test: a test row of the fold; related: shares an account or near-duplicates with one; no_text: failed, or empty
LeftOut = Literal["test", "related", "no_text"]
REASONS: Final = ("test", "related", "no_text")


@dataclass(frozen=True)
class PretrainCorpus:
    """The texts of the study, sorted by id, so that nothing depends on the order of files."""

    ids: tuple[str, ...]  # [N]
    texts: tuple[str | None, ...]  # [N] as fine-tuning reads them; None: the row failed before, or is empty
    groups: Ints  # [N] by accounts and near-duplicates, over any chain

    @property
    def state(self) -> str:
        """A hash that changes whenever what can be read, or must not be read together, changes."""
        return _hash([self.ids, list(map(_digest, self.texts)), self.groups.tolist()])


@dataclass(frozen=True)
class EncoderReading:
    """What one encoder reads: all rows but those left out."""

    name: str  # of a fold, or "all"
    left_out: tuple[LeftOut | None, ...]  # [N]

    def texts(self, corpus: PretrainCorpus) -> list[str]:
        rows = zip(corpus.texts, self.left_out, strict=True)
        return [text for text, reason in rows if reason is None and text is not None]

    def state(self, corpus: PretrainCorpus, commit: str | None) -> str:
        """A hash that changes whenever a training from `commit` would read anything else."""
        rows = zip(corpus.ids, corpus.texts, self.left_out, strict=True)
        read = [(video_id, _digest(text)) for video_id, text, reason in rows if reason is None]
        return _hash([commit, read])

    def counts(self) -> dict[str, int]:
        """Rows that are left out, by reason."""
        return {reason: self.left_out.count(reason) for reason in REASONS}


def corpus_of(
    rows: Iterable[Any],
    examples: Examples,
    accounts: Mapping[str, str | None],
    near_duplicates: Mapping[str, int | None],
) -> PretrainCorpus:
    """Join ScriptRows or rows of texts with accounts and near-duplicates as the catalog knows them.

    The annotations may name accounts of their own; a row then belongs to both. Raises ValueError for an id that comes
    twice.
    """
    by_id = sorted(rows, key=lambda row: str(row["video_id"]))
    ids = tuple(str(row["video_id"]) for row in by_id)
    texts = [text_of_post(row) if row["error"] is None else None for row in by_id]
    annotated = dict(zip(examples.ids, examples.accounts, strict=True))
    groups_N = groups_of(
        [annotated.get(each) or accounts.get(each) for each in ids],
        [near_duplicates.get(each) for each in ids],
        ids,
    )
    # grouped again, with the groups so far in the place of near-duplicates
    groups_N = groups_of([accounts.get(each) for each in ids], groups_N.tolist(), ids)
    return PretrainCorpus(ids, tuple(text if text and text.strip() else None for text in texts), groups_N)


def read_by(corpus: PretrainCorpus, fold: Fold, *, whole_groups: bool) -> EncoderReading:
    """All rows but a fold's test rows; with `whole_groups` also without the rows of their groups."""
    tested = set(fold.test)
    test_N = np.array([video_id in tested for video_id in corpus.ids], bool)
    near_N = np.isin(corpus.groups, np.unique(corpus.groups[test_N])) if whole_groups else test_N
    return EncoderReading(
        fold.name,
        tuple(
            _reason(text, test=test, related=near)
            for text, test, near in zip(corpus.texts, test_N.tolist(), near_N.tolist(), strict=True)
        ),
    )


def read_all(corpus: PretrainCorpus) -> EncoderReading:
    return EncoderReading("all", tuple(_reason(text, test=False, related=False) for text in corpus.texts))


def _reason(text: str | None, *, test: bool, related: bool) -> LeftOut | None:
    if test:
        return "test"
    if related:
        return "related"
    return "no_text" if text is None else None


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hash(of: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]
