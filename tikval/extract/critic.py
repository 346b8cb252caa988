"""A critic: each stance of another system is read again by a language model, by its definition, and kept or dropped.

    PredictionRow (+ the script) -> AskRow      one question about all stances of a video; none where it has none
    AnswerRow -> PredictionRow                  the first system's row without what was dropped

Nothing can be added. A reply that does not judge exactly the stances it was asked about is no answer.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from tikval.ask.video import asked
from tikval.ask.withheld import Withheld
from tikval.codebook import Codebook, label_map
from tikval.config import CriticExtractor
from tikval.extract.answered import AnsweredRows
from tikval.extract.reply import MAX_NOTES
from tikval.extract.strict_reply import BadReply, has_keys, one_object, plain_line, shown_word
from tikval.privacy import strip_handles
from tikval.prompt_text import render_stances, verdicts_schema
from tikval.rows import AnswerRow, AskRow, PredictionRow, Reason, sha256
from tikval.values import Stance

MAX_WHY: Final = 200  # characters

PostOf = Callable[
    [str], dict[str, Any] | None
]  # by row key: script (or none), caption, account, error and detail


class SecondReading(NamedTuple):
    keep: bool
    why: str | None  # one line; handles are still in it


def labels_to_check(row: Any, labels: Sequence[str]) -> list[str]:
    """The labels that a PredictionRow decides; [] of a failure."""
    decisions = row["decisions"]
    return [] if decisions is None else [x for x, yes in zip(labels, decisions, strict=True) if yes]


def parse_verdicts(text: str, stances: Sequence[str]) -> dict[str, SecondReading]:
    """Read a critic's reply to a question about these stances; in their order.

    Raises BadReply for anything else than one verdict on each of them and on no other.
    """
    found = one_object(text, figure6=False)[0]
    has_keys("the object", found, required=("verdicts",))
    if not isinstance(found["verdicts"], list):
        raise BadReply(f"verdicts: {shown_word(found['verdicts'])} is not an array")
    verdicts = dict[str, SecondReading]()
    for n, given in enumerate(found["verdicts"], 1):
        where = f"verdict {n}"
        if not isinstance(given, dict):
            raise BadReply(f"{where}: {shown_word(given)} is not an object")
        has_keys(where, given, required=("label", "why", "keep"))
        label, why, keep = given["label"], given["why"], given["keep"]
        if not isinstance(label, str) or label not in stances:
            raise BadReply(f"{where}: {shown_word(label)} is not one of the stances to check")
        if label in verdicts:
            raise BadReply(f"{where}: {label} is judged twice")
        if not isinstance(why, str):
            raise BadReply(f"{where}: why: {shown_word(why)} is not a text")
        if not isinstance(keep, bool):
            raise BadReply(f"{where}: keep: {shown_word(keep)} is not true or false")
        verdicts[label] = SecondReading(keep, plain_line(why, MAX_WHY))
    if missing := [label for label in stances if label not in verdicts]:
        raise BadReply(f"no verdict on {missing[0]}{f', and {len(missing) - 1} more' * (len(missing) > 1)}")
    return {label: verdicts[label] for label in stances}


def schema_of_row(codebook: Codebook, max_why: int | None, row: Any) -> dict[str, Any]:
    """JSON schema of the reply to one AskRow of AskAgain's: a verdict on each of its stances and on no other."""
    return verdicts_schema(codebook, max_why, labels_to_check(json.loads(row["carried"]), codebook.labels))


class AskAgain:
    """The stage before the model. A row without a stance has no prompt: nothing is asked, and nothing paid."""

    def __init__(
        self, fixed: str, codebook: Codebook, withheld: Withheld, make_post: Callable[[], PostOf]
    ) -> None:
        """`make_post`: called in the actor; what it returns finds the post of a row."""
        self.fixed, self.codebook, self.withheld, self.post = fixed, codebook, withheld, make_post()
        self.meaning = label_map(codebook)

    def __call__(self, rows: list[Any]) -> list[AskRow]:
        return [self._ask(row) for row in rows]

    def _ask(self, row: Any) -> AskRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        stances = labels_to_check(row, self.codebook.labels)
        if not stances:
            return asked(row, carried=json.dumps(row))
        if why := self.withheld.reason(row["row_key"]):
            return self.failure(row, Reason.MINOR, why)
        post = self.post(row["row_key"])
        if post is None:
            raise LookupError("the post is in no table")
        if post["error"] is not None:
            return self.failure(row, Reason(post["error"]), post["detail"])
        account, script = post.get("account"), post.get("script")
        notes = [f"{quote['label']}: {quote['quote']}" for quote in _quotes(row, stances)]
        if script is None and row["notes"]:
            notes.append(row["notes"])
        script, caption = (
            strip_handles(text, account) if text else None for text in (script, post["caption"])
        )
        if not (script or caption or notes):
            return self.failure(row, Reason.NO_TEXT, "the first system left no words to read its stances by")
        lines = [
            f"{label} ({self.meaning[label]['value']}, {self.meaning[label]['stance']})" for label in stances
        ]
        material = render_stances(script, caption, [strip_handles(note, account) for note in notes], lines)
        carried = json.dumps({**row, "account": account})
        return asked(row, prompt=self.fixed + material, input_sha=sha256(material), carried=carried)

    def failure(self, row: Any, reason: Reason, detail: str | None) -> AskRow:
        return asked(row, error=reason.value, detail=detail, carried=json.dumps({}))


def _quotes(row: Any, stances: Sequence[str]) -> list[Any]:
    """Passages of the stances, but for those that were looked for and not found: they are no quotes."""
    given = [
        passage for passage in row["evidence"] or () if passage["quote"] and passage["in_script"] is not False
    ]
    return [passage for label in stances for passage in given if passage["label"] == label]


class ReadVerdicts:
    """The stage after the model: the first system's row without the stances that were dropped."""

    def __init__(self, system: str, codebook: Codebook, extractor: CriticExtractor, prompt_sha: str) -> None:
        self.codebook, self.made = codebook, AnsweredRows(system, codebook, extractor, prompt_sha)

    def __call__(self, rows: list[Any]) -> list[PredictionRow]:
        return [self._read(row) for row in rows]

    def _read(self, row: AnswerRow) -> PredictionRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        first = json.loads(row["carried"])
        account = first.pop("account", None)
        stances = labels_to_check(first, self.codebook.labels)
        if not stances:
            return self.made(row, first)
        try:
            verdicts = parse_verdicts(row["reply"] or "", stances)
        except BadReply as err:
            return self.failure(row, Reason.BAD_REPLY, str(err))
        dropped = {label: verdict.why for label, verdict in verdicts.items() if not verdict.keep}
        return self.made(row, _without(first, dropped, self.codebook, account))

    def failure(self, row: Any, reason: Reason, detail: str | None) -> PredictionRow:
        return self.made(row, {"error": reason.value, "detail": detail})


def _without(
    first: dict[str, Any], dropped: dict[str, str | None], codebook: Codebook, account: str | None
) -> dict[str, Any]:
    """A row without some labels, with the reasons in its notes. Its scores stay those of the first system."""
    if not dropped:
        return first
    named = zip(codebook.labels, first["decisions"], strict=True)
    reasons = "; ".join(f"{label}: {why}" if why else label for label, why in dropped.items())
    notes = f"{first['notes'] or ''} Dropped on a second reading: {reasons}"
    evidence = first["evidence"]
    return {
        **first,
        "decisions": [yes and label not in dropped for label, yes in named],
        "stances": _stances_without(first["stances"], dropped, codebook),
        "notes": strip_handles(plain_line(notes, MAX_NOTES) or "", account),
        "evidence": None if evidence is None else [one for one in evidence if one["label"] not in dropped],
    }


def _stances_without(
    stances: Sequence[int] | None, dropped: dict[str, Any], codebook: Codebook
) -> list[int] | None:
    """[V] Stance codes, absent where the stance that they give was dropped."""
    if stances is None:
        return None
    gone = {label[:-1] for label in dropped}
    return [
        int(Stance.ABSENT) if slug in gone else code
        for slug, code in zip(codebook.slugs, stances, strict=True)
    ]
