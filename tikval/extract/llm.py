"""ScriptRow -> AskRow, and AnswerRow -> PredictionRow: values by a language model (section 4, Appendix A.1)."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from tikval.ask.samples import Samples
from tikval.ask.video import asked
from tikval.ask.withheld import Withheld
from tikval.codebook import Codebook
from tikval.config import LlmExtractor
from tikval.extract.answered import AnsweredRows
from tikval.extract.local import sentences_of
from tikval.extract.quoted import looked_up
from tikval.extract.reply import Answer, QuotesFrom, is_answer, parse_reply
from tikval.extract.strict_reply import BadReply
from tikval.extract.votes import FailedSample, fewest_votes, vote, why_no_vote
from tikval.privacy import strip_handles
from tikval.prompt_text import render_material
from tikval.rows import AnswerRow, AskRow, Passage, PredictionRow, Reason, sha256
from tikval.values import binary


def several_samples(
    extractor: LlmExtractor, codebook: Codebook, quotes_from: QuotesFrom = None
) -> Samples | None:
    """How each row is asked several times; None: once."""
    if extractor.samples == 1:
        return None
    read = partial(is_answer, codebook=codebook, answer=extractor.answer, quotes_from=quotes_from)
    return Samples(extractor.samples, read)


def why_alike(extractor: LlmExtractor) -> str | None:
    """Why the samples may all be one reply; None where nothing says so."""
    if extractor.samples == 1 or extractor.llm.temperature != 0:
        return None
    return (
        f"at a temperature of 0 the {extractor.samples} samples of {extractor.llm.model} may all be one reply, which "
        "costs as much and tells nothing; set extractor.llm.temperature"
    )


class AskOfScript:
    """The stage before the model: a script and its caption behind the fixed prompt."""

    def __init__(self, fixed: str, withheld: Withheld, *, evidence: bool = False) -> None:
        """`evidence`: quotes are looked up in the script when the reply is there."""
        self.fixed, self.withheld, self.evidence = fixed, withheld, evidence

    def __call__(self, rows: list[Any]) -> list[AskRow]:
        return [self._ask(row) for row in rows]

    def _ask(self, row: Any) -> AskRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        if why := self.withheld.reason(row["row_key"]):
            return self.failure(row, Reason.MINOR, why)
        if not sentences_of(row["script"], row["caption"]):
            return self.failure(row, Reason.NO_TEXT, "nothing was said, shown as text, described or written")
        # scripts of older versions, and of a writer that was given a name as text
        caption = strip_handles(row["caption"]) if row["caption"] else None
        script = strip_handles(row["script"])
        material = render_material(script, caption)
        carried = {"has_sound": row["has_sound"], "account": None}
        if self.evidence:
            times = {key: row.get(key) for key in ("line_starts", "line_ends")}
            carried |= {"script": script, "caption": caption, **times}
        ask = {"input_sha": sha256(material), "carried": json.dumps(carried)}
        return asked(row, prompt=self.fixed + material, **ask)

    def failure(self, row: Any, reason: Reason, detail: str | None) -> AskRow:
        return asked(row, error=reason.value, detail=detail, carried=json.dumps({}))


class ReadValues:
    """The stage after the model: what does not parse is a failure, never an absent value."""

    def __init__(
        self,
        system: str,
        codebook: Codebook,
        extractor: LlmExtractor,
        prompt_sha: str,
        quotes_from: QuotesFrom = None,
    ) -> None:
        self.codebook, self.extractor, self.quotes_from = codebook, extractor, quotes_from
        self.made = AnsweredRows(system, codebook, extractor, prompt_sha)

    def __call__(self, rows: list[Any]) -> list[PredictionRow]:
        return [self._read(row) for row in rows]

    def _read(self, row: AnswerRow) -> PredictionRow:
        if row["samples"] is not None:
            return self._vote(row, json.loads(row["samples"]))
        answer = self._answer(row)
        if not isinstance(answer, Answer):
            return self.failure(row, *answer)
        return self.made(
            row,
            {
                "decisions": binary(answer.stances),
                "stances": list(answer.stances),
                "abstained": False,  # it looked, whatever it replied
                "has_sound": answer.has_sound,
                "notes": self._notes(row, answer.notes),
                "evidence": self._evidence(row, [answer], binary(answer.stances)),
            },
        )

    def _answer(self, row: AnswerRow) -> Answer | tuple[Reason, str | None]:
        """What a reply says, or why it says nothing."""
        if row["error"] is not None:
            return Reason(row["error"]), row["detail"]
        try:
            return parse_reply(row["reply"] or "", self.codebook, self.extractor.answer, self.quotes_from)
        except BadReply as err:
            return Reason.BAD_REPLY, str(err)

    def _vote(self, row: AnswerRow, samples: list[AnswerRow]) -> PredictionRow:
        found = [self._answer(sample) for sample in samples]
        answers = [answer for answer in found if isinstance(answer, Answer)]
        if len(answers) < fewest_votes(len(samples)):
            failed = [FailedSample(i, *why) for i, why in enumerate(found) if not isinstance(why, Answer)]
            return self.failure(row, *why_no_vote(failed, len(samples)))
        voted = vote(answers)
        return self.made(
            row,
            {
                "decisions": voted.decisions,
                "scores": voted.scores,
                "stances": voted.stances,
                "votes": len(answers),
                "agreement": voted.agreement,
                "abstained": False,
                "has_sound": voted.has_sound,
                "notes": self._notes(row, voted.notes),
                "evidence": self._evidence(row, answers, voted.decisions),
            },
        )

    def _notes(self, row: AnswerRow, notes: str | None) -> str | None:
        return strip_handles(notes, json.loads(row["carried"])["account"]) if notes else None

    def _evidence(
        self, row: AnswerRow, answers: Sequence[Answer], decisions: Sequence[bool | None]
    ) -> list[Passage] | None:
        """Passages of what was decided; None: they were not asked for."""
        if self.quotes_from is None:
            return None
        labels = [label for label, yes in zip(self.codebook.labels, decisions, strict=True) if yes]
        return looked_up([answer.evidence for answer in answers], labels, json.loads(row["carried"]))

    def failure(self, row: Any, reason: Reason, detail: str | None) -> PredictionRow:
        return self.made(row, {"error": reason.value, "detail": detail})
