"""Looks at the labels of a family: each has a part of its error to spend, and what it has shown stays shown.

    OUT/claims/NAME/look-001.json

Look k may spend a part of the family's alpha, and all looks together no more than it: so the error holds however the
batches of labels were chosen (a union bound). The same labels and predictions once more are the same look, and spend
nothing.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Final, Self

from pydantic import TypeAdapter, ValidationError

from tikval.claims.declaration import family_folder
from tikval.claims.digest import answers_digest
from tikval.config import UserError
from tikval.config.claims import ClaimsConfig
from tikval.evaluate.batches import read_batches
from tikval.files import list_files, parse_json, read_bytes, write_bytes
from tikval.stats.limits import counted
from tikval.store.runs import Study

_PREFIX: Final = "look-"


@dataclass(frozen=True)
class LabelLook:
    number: int  # from 1
    at: str  # ISO 8601, UTC
    data_sha: str  # of the labels and the predictions that it was of
    alpha: float  # that it may spend
    labelled: int  # videos whose labels were the truth
    shown: tuple[str, ...]  # claims that it has shown, without those of looks before
    p_holm: dict[str, float]  # of every claim then; 1: there was no p

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """Raises UserError for a file that tikval did not write."""
        try:
            return TypeAdapter(cls).validate_python(parse_json(data, where))
        except ValidationError as err:
            raise UserError(f"{where}: not what tikval wrote there") from err


def read_looks(out: str, name: str) -> list[LabelLook]:
    """The looks of a family, in order. Raises UserError where one of them is gone."""
    folder = family_folder(out, name)
    files = [file for file in list_files(folder, ".json") if file.startswith(_PREFIX)]
    looks = [LabelLook.from_json(read_bytes(f"{folder}/{file}") or b"", f"{folder}/{file}") for file in files]
    if [look.number for look in looks] != list(range(1, len(looks) + 1)):
        raise UserError(
            f"{folder}: one of its looks is gone, and with it what it spent; restore {_PREFIX}*.json"
        )
    return looks


def write_look(out: str, name: str, look: LabelLook) -> None:
    data = json.dumps(asdict(look), indent=2).encode()
    write_bytes(f"{family_folder(out, name)}/{_PREFIX}{look.number:03}.json", data)


def data_state(study: Study, system: str, annotator: str | None) -> str:
    """What a look is of, in 64 hex digits: labels with their probabilities, batches, the system's predictions."""
    whose = annotator or study.annotator()
    labels = sorted(
        (row["video_id"], row["annotator"], list(row["stances"]), row["probability"])
        for row in study.annotations()
        if whose in (None, row["annotator"])
    )
    batches = [(one.number, one.table.num_rows) for one in read_batches(study.out)]
    drawn = study.catalog().finished().config.get("annotated_by", "unknown")
    text = repr((labels, batches, drawn, answers_digest(study.systems()[system][0])))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_looks_left(config: ClaimsConfig, looks: Sequence[LabelLook]) -> None:
    """Raises UserError where all looks that were planned are used."""
    if config.spending != "open" and len(looks) >= config.looks:
        planned = counted(config.looks, "look")
        raise UserError(
            f"{config.name}: {planned} planned and used, so no error is left to spend on new labels; the verdicts of "
            f"look {len(looks)} stand. Declare claims for further labels under another name"
        )


def _spent_until(share: float, alpha: float) -> float:
    """O'Brien-Fleming's spending of Lan and DeMets (1983), when a `share` of the planned labels is there."""
    normal = NormalDist()
    return (
        2 * (1 - normal.cdf(normal.inv_cdf(1 - alpha / 2) / math.sqrt(min(share, 1.0)))) if share > 0 else 0.0
    )


def alpha_of_next(config: ClaimsConfig, looks: Sequence[LabelLook], labelled: int) -> float:
    """What the next look may spend, with so many labels as truth."""
    spent = sum(look.alpha for look in looks)
    if config.spending == "obrien_fleming":
        return max(_spent_until(labelled / (config.labels or labelled or 1), config.alpha) - spent, 0.0)
    number = len(looks) + 1
    return (
        config.alpha / config.looks
        if config.spending == "equal"
        else 6 * config.alpha / (math.pi * number) ** 2
    )
