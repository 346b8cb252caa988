"""AnswerRow -> ScriptRow: what a language model wrote of a video (section 4, Appendix A.2)."""

import json
import re
from typing import Any, Final

from tikval.config import LlmWriter
from tikval.privacy import strip_handles
from tikval.rows import AnswerRow, Reason, ScriptRow

MAX_CHARACTERS: Final = 100_000  # of a script; one of a minute has some 2,000
_CONTROL: Final = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FENCE: Final = re.compile(r"\A\s*```\w*\n(?P<inside>.*?)\n?```\s*\Z", re.DOTALL)
_SOUND: Final = re.compile(r"^\W*sound\W*\s*(?P<answer>yes|no|true|false)\b", re.IGNORECASE | re.MULTILINE)
_PASSED_ON: Final = (
    *("caption", "seconds", "language", "language_probability", "lost_packets", "content_sha"),
)
_PAID: Final = ("tokens_in", "tokens_out", "cost_usd", "ledger_key", "model_served")


class ReadScript:
    """The stage after the model."""

    def __init__(self, writer: LlmWriter, prompt_sha: str) -> None:
        self.writer, self.prompt_sha = writer, prompt_sha

    def __call__(self, rows: list[Any]) -> list[ScriptRow]:
        return [self._read(row) for row in rows]

    def _read(self, row: AnswerRow) -> ScriptRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        carried = json.loads(row["carried"])
        script = clean_script(row["reply"] or "", carried["account"])
        if not re.search(r"\w", script):
            return self.failure(row, Reason.BAD_REPLY, "the reply is empty")
        if len(script) > MAX_CHARACTERS:
            return self.failure(row, Reason.BAD_REPLY, f"the reply has {len(script)} characters")
        passed_on = {name: carried.get(name) for name in _PASSED_ON}
        return self._row(
            row, script=script, has_sound=stated_sound(script, carried["has_sound"]), **passed_on
        )

    def failure(self, row: Any, reason: Reason, detail: str | None) -> ScriptRow:
        return self._row(row, error=reason.value, detail=detail)

    def _row(self, row: Any, **result: Any) -> ScriptRow:
        script_row: ScriptRow = dict.fromkeys(ScriptRow.__annotations__) | {  # type: ignore[assignment]
            **{name: row[name] for name in ("video_id", "row_key", "attempt", *_PAID)},
            "model": self.writer.llm.model,
            "prompt_sha": self.prompt_sha,
            **result,
        }
        return script_row


def clean_script(reply: str, account: str | None) -> str:
    """The script alone: out of its code fence, without control characters and without names of accounts."""
    fenced = _FENCE.match(reply)
    text = (fenced["inside"] if fenced else reply).replace("\r\n", "\n").replace("\u2028", "\n")
    return strip_handles(_CONTROL.sub(" ", text), account).strip() + "\n"


def stated_sound(script: str, has_sound: bool | None) -> bool | None:
    """What the script's head states, for a track of silence is no sound to the model; else what the file has."""
    sound = _SOUND.search(script[:500])
    return sound["answer"].lower() in ("yes", "true") if sound else has_sound
