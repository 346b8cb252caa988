"""Several replies of one model to one question -> one answer, and how far the replies agree. Pure numbers.

S replies, V values, L = 2V labels. A reply that is no answer is none of the S: it neither votes nor abstains.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tikval.extract.reply import Answer
from tikval.rows import Reason
from tikval.values import Stance, binary

# the least share of the votes that decides: more than half of them
MAJORITY: Final = math.nextafter(0.5, 1)


@dataclass(frozen=True)
class Vote:
    """What the replies have in common."""

    decisions: list[bool]  # [L]
    scores: list[float]  # [L] share of the replies that give the label
    stances: list[int]  # [V] Stance codes, consistent with `decisions`
    agreement: float | None  # None: of one reply
    has_sound: bool | None
    notes: str | None


def fewest_votes(samples: int) -> int:
    """How many of the samples must be answers for there to be a result: more than half of them."""
    return samples // 2 + 1


class FailedSample(NamedTuple):
    """A sample without an answer, by its number from 0."""

    number: int
    reason: Reason
    detail: str | None


def why_no_vote(failed: Sequence[FailedSample], samples: int) -> tuple[Reason, str]:
    """Reason and detail of a row of which too few samples are answers: those of the first failed sample that decides.

    The row may be tried again where that can still lead to enough answers: then it is the first sample that can
    succeed, else the first that cannot.
    """
    valid, needed = samples - len(failed), fewest_votes(samples)
    again = valid + sum(not each.reason.terminal for each in failed) >= needed
    first = next(each for each in failed if each.reason.terminal is not again)
    return first.reason, (
        f"{valid} of {samples} samples are answers, {needed} are needed; sample {first.number}: {first.detail}"
    )


def vote(answers: Sequence[Answer]) -> Vote:
    """The majority of S >= 1 answers, whatever their order.

    A label is decided where more than half of the answers give it; a tie decides nothing, so the value is absent.
    Dominant counts as endorsed, and a value is dominant where more than half of the answers call it that. `has_sound`
    is the majority's, None at a tie; the notes are those of the answer nearest to the vote.
    """
    labels_SL = [binary(answer.stances) for answer in answers]
    scores_L = [sum(map(bool, given_S)) / len(answers) for given_S in zip(*labels_SL, strict=True)]
    stances_V = [_stance(codes_S) for codes_S in zip(*(a.stances for a in answers), strict=True)]
    return Vote(
        decisions=[score >= MAJORITY for score in scores_L],
        scores=scores_L,
        stances=stances_V,
        agreement=agreement([answer.stances for answer in answers]),
        has_sound=_majority([answer.has_sound for answer in answers]),
        notes=min(
            answers, key=lambda answer: (_distance(answer.stances, stances_V), answer.notes or "")
        ).notes,
    )


def agreement(stances_SV: Sequence[Sequence[int]]) -> float | None:
    """The share of equal stances over all pairs of replies and all values, from 0 to 1; None of fewer than two replies.

    Dominant counts as endorsed. It is not corrected for chance: within one video most values are absent in every
    reply, and where only one stance was given, chance agreement is 1 and a corrected coefficient is undefined. So it
    is high by itself, and says something beside that of other videos or systems, not alone.
    """
    n = len(stances_SV)
    if n < 2:
        return None
    shares = []
    for codes_S in zip(*stances_SV, strict=True):
        alike = Counter(min(code, int(Stance.ENDORSED)) for code in codes_S)
        shares.append(sum(k * (k - 1) for k in alike.values()) / (n * (n - 1)))
    return sum(shares) / len(shares)


def _stance(codes_S: Sequence[int]) -> int:
    half = len(codes_S) / 2
    if sum(code >= Stance.ENDORSED for code in codes_S) > half:
        dominant = sum(code == Stance.DOMINANT for code in codes_S) > half
        return int(Stance.DOMINANT if dominant else Stance.ENDORSED)
    confronted = sum(code == Stance.CONFRONTED for code in codes_S) > half
    return int(Stance.CONFRONTED if confronted else Stance.ABSENT)


def _majority(given_S: Sequence[bool | None]) -> bool | None:
    counts = Counter(given for given in given_S if given is not None)
    return None if counts[True] == counts[False] else counts[True] > counts[False]


def _distance(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))
