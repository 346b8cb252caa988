"""Schwartz's 19 refined values, the stances and the labels made of them: the only place that spells them.

The order of VALUES is that of the paper's Table 1 and of every array axis named V. What the values *mean* is
written in one other place, the codebook (prompts/codebook.yaml).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Stance(IntEnum):
    """What a video does with a value; the integers are the codes of the paper's Figure 5."""

    CONFRONTED = -1
    ABSENT = 0
    ENDORSED = 1
    DOMINANT = 2  # endorsed, and one of the dominant values of the video; scored as endorsed


@dataclass(frozen=True, slots=True)
class Value:
    slug: str  # our name, in rows, prompts, reports and label names
    title: str  # human-readable
    column: str  # the annotators' CSV header and the answer field of the paper's Figure 6, as spelled there


VALUES: Final = (
    Value("self_direction_thought", "Self-direction: thought", "1_Value1_Self_Direction_Thought_values"),
    Value("self_direction_action", "Self-direction: action", "1_Value1_Self_Direction_Action_values"),
    Value("stimulation", "Stimulation", "1_Value1_Stimulation_values"),
    Value("hedonism", "Hedonism", "1_Value1_Hedonism_values"),
    Value("achievement", "Achievement", "1_Value1_Achievement_values"),
    Value("power_dominance", "Power: dominance", "1_Value1_Power_dominance_values"),
    Value("power_resources", "Power: resources", "1_Value1_Power_Resources_values"),
    Value("face", "Face", "1_Value1_Face_values"),
    Value("security_personal", "Security: personal", "1_Value1_Security_Personal_values"),
    Value("security_societal", "Security: societal", "1_Value1_Security_Social_values"),
    Value("tradition", "Tradition", "1_Value1_Tradition_values"),
    Value("conformity_rules", "Conformity: rules", "1_Value1_Conformity_Rules_values"),
    Value(
        "conformity_interpersonal", "Conformity: interpersonal", "1_Value1_Conformity_Interpersonal_values"
    ),
    Value("humility", "Humility", "1_Value1_Humility_values"),
    Value(
        "benevolence_dependability", "Benevolence: dependability", "1_Value1_Benevolence_Dependability_values"
    ),
    Value("benevolence_caring", "Benevolence: caring", "1_Value1_Benevolence_Care_values"),
    Value("universalism_concern", "Universalism: concern", "1_Value1_Universalism_Concern_values"),
    Value("universalism_nature", "Universalism: nature", "1_Value1_Universalism_Nature_values"),
    Value("universalism_tolerance", "Universalism: tolerance", "1_Value1_Universalism_Tolerance_values"),
)

SLUGS: Final = tuple(value.slug for value in VALUES)
SLUG_OF_COLUMN: Final = {value.column: value.slug for value in VALUES}

# The annotators' words in the published table, and those of the paper's Figure 6.
STANCE_OF_WORD: Final = {
    "": Stance.ABSENT,
    "present": Stance.ENDORSED,
    "dominant": Stance.DOMINANT,
    "conflict": Stance.CONFRONTED,
}

# What a coder's sheet writes for a value without a stance; an empty cell is absent.
NOT_SURE: Final = "not_sure"
NOT_ANSWERED: Final = "not_answered"
# Columns of a coder's workbook: which sheet it is (there an empty cell is not answered), and what its other cells are.
SHEET_MARK: Final = "tikval_sheet"
REST: Final = "rest"  # absent: so is every value that the line does not answer

# Under these headings people look for a value; the circle's arithmetic has the borders (stats/circle.py).
SECTIONS: Final = {
    "Openness to change": SLUGS[:4],
    "Self-enhancement": SLUGS[4:8],
    "Conservation": SLUGS[8:14],
    "Self-transcendence": SLUGS[14:],
}

ENDORSED: Final = "endorsed"
CONFRONTED: Final = "confronted"
SIGN: Final = {ENDORSED: "+", CONFRONTED: "-"}  # a label is `<slug>+` or `<slug>-`


def labels_of(slugs: Sequence[str]) -> tuple[str, ...]:
    """The binary labels over V values: V endorsed ones, then V confronted ones (section 3.2)."""
    return tuple(f"{slug}{sign}" for sign in SIGN.values() for slug in slugs)


LABELS: Final = labels_of(SLUGS)  # the axis named L: 38 labels, 19 endorsed and 19 confronted


def binary(stances: Sequence[int | None]) -> list[bool | None]:
    """V stance codes -> 2V binary labels; dominant counts as endorsed (section 3.2). A value that is None has none."""
    endorsed = [None if s is None else s >= Stance.ENDORSED for s in stances]
    return endorsed + [None if s is None else s == Stance.CONFRONTED for s in stances]


def stances(decisions: Sequence[bool | None], scores: Sequence[float | None]) -> list[int | None]:
    """2V decisions -> V stances: None where no label is modelled, the higher score where both are predicted."""
    half = len(decisions) // 2
    out: list[int | None] = []
    for v in range(half):
        yes, no = decisions[v], decisions[half + v]
        if yes is None and no is None:
            out.append(None)
        elif yes and no:
            out.append(1 if (scores[v] or 0.0) >= (scores[half + v] or 0.0) else -1)
        else:
            out.append(1 if yes else -1 if no else 0)
    return out
