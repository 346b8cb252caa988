"""The coders of the example study, with known errors: `python -m examples.study.coders CODING NAME ...`.

Each fills in the table that their sheet saves, which is put into CODING/returned. Ann and Bob see what a clip conveys
but for their errors, which follow from their name, the video and the value alone; Eve, the third, is always right.
"""

import csv
import random
import sys
from pathlib import Path
from typing import Final, NamedTuple

from examples.study.story import StudyClip, clips
from tikval.annotate.coding import Coding, Round, coding_csv
from tikval.annotate.coding_folder import CodingFolder
from tikval.spreadsheet import cell_text
from tikval.values import SLUGS

THIRD: Final = "eve"
_WORD: Final = {"+": "endorsed", "-": "confronted"}


class Errors(NamedTuple):
    sees: float  # share of the absent cells in which the coder sees an endorsed value
    misses: float  # share of the others that are absent to the coder


CODERS: Final = {"ann": Errors(0.01, 0.05), "bob": Errors(0.02, 0.15)}


def truth_of(clip: StudyClip) -> dict[str, str]:
    """The right word for each value."""
    return dict.fromkeys(SLUGS, "absent") | {label[:-1]: _WORD[label[-1]] for label in clip.conveys}


def answers_of(coder: str, clip: StudyClip, round_: Round = "main") -> dict[str, str]:
    """What a coder says of a clip; of one that comes a second time the errors are others."""
    found = truth_of(clip)
    for slug, word in found.items():
        chance = random.Random(f"{coder} {clip.video_id} {slug} {round_}").random()
        if word == "absent" and chance < CODERS[coder].sees:
            found[slug] = "endorsed"
        elif word != "absent" and chance < CODERS[coder].misses:
            found[slug] = "absent"
    return found


def disputed(folder: CodingFolder) -> dict[str, list[str]]:
    """The values that the merge asks the third about, by video."""
    found: dict[str, list[str]] = {}
    with (folder.path / "merged" / "disagreements.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            found.setdefault(cell_text(line["video_id"]), []).append(line["value"])
    return found


def code(folder: CodingFolder, coder: str) -> list[Coding]:
    """Everything that a coder was given, answered."""
    story = {clip.video_id: clip for clip in clips()}
    book = folder.protocol.codebook
    if coder == THIRD:
        asked = disputed(folder)
        return [
            Coding(
                video, coder, "main", {slug: truth_of(story[video])[slug] for slug in slugs}, codebook=book
            )
            for video, slugs in asked.items()
        ]
    return [
        Coding(
            *(line.item, coder, line.round, answers_of(coder, story[line.item], line.round)),
            place=line.place,
            probability=line.probability,
            codebook=book,
        )
        for line in folder.plan()
        if line.coder == coder
    ]


def main() -> None:
    """Put the coders' tables where a project leader would."""
    folder = CodingFolder(Path(sys.argv[1]))
    for coder in sys.argv[2:]:
        coded = code(folder, coder)
        (folder.path / "returned" / f"labels_{coder}.csv").write_text(coding_csv(coded, SLUGS))
        print(f"{coder}: {sum(len(one.answers) for one in coded)} answers on {len(coded)} videos")


if __name__ == "__main__":
    main()
