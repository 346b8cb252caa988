"""Scripts whose evidence is known: one sentence with a value among neutral ones, at a random place.

The sentences with a value are those of data/evidence_sentences.yaml, the neutral ones those of the texts without a
value in data/tuning_texts.yaml: none of either is a codebook's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import yaml

from tikval.rows import ScriptRow
from tikval.script_text import pieces_of

DATA: Final = Path(__file__).parent / "data"
NEUTRAL: Final = 8  # sentences of each script
_FEWEST_WORDS: Final = 5  # of a neutral sentence: shorter ones are read with their neighbours


class MadeScript(NamedTuple):
    script: str
    label: str  # `face+`
    sentence: str  # the one that speaks for it
    place: int  # of the sentence, among all

    def row(self, number: int) -> ScriptRow:
        """The row of the script: what an extractor takes."""
        row: dict[str, Any] = dict.fromkeys(ScriptRow.__annotations__)
        row |= {"video_id": f"made{number}", "row_key": f"made{number}", "attempt": 1}
        return row | {"script": self.script, "has_sound": True, "model": "made"}  # type: ignore[return-value]


def value_sentences() -> dict[str, list[str]]:
    """Three sentences of each of the 38 labels."""
    return dict(yaml.safe_load((DATA / "evidence_sentences.yaml").read_text(encoding="utf-8")))


def neutral_sentences() -> list[str]:
    """Sentences that carry no value, each of them long enough to be read alone."""
    items = yaml.safe_load((DATA / "tuning_texts.yaml").read_text(encoding="utf-8"))
    texts = [piece.text for item in items if not item["labels"] for piece in pieces_of(item["script"])]
    return [text for text in dict.fromkeys(texts) if len(text.split()) >= _FEWEST_WORDS]


def made_scripts(sentences: Mapping[str, Sequence[str]], count: int, seed: int = 0) -> list[MadeScript]:
    """So many scripts, the sentences in turn; the place and the neutral sentences around it are drawn."""
    rng, neutral = np.random.default_rng(seed), neutral_sentences()
    pairs = [(label, sentence) for label, its in sentences.items() for sentence in its]
    order = [pairs[at] for at in rng.permutation(len(pairs))]
    made = []
    for number in range(count):
        label, sentence = order[number % len(order)]
        lines = [neutral[at] for at in rng.choice(len(neutral), NEUTRAL, replace=False)]
        place = int(rng.integers(NEUTRAL + 1))
        lines.insert(place, sentence)
        body = "\n".join(f'SPEAKER: "{line}"' for line in lines)
        made.append(MadeScript(f"Genre: not stated\nSound: Yes\n\n{body}\n", label, sentence, place))
    return made
