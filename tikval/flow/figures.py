"""A study -> the paper's Figures 1, 2 and 4 and Schwartz's circle as files: SVG, PNG, PDF, and their numbers as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.files import write_bytes
from tikval.flow.corpus import ANNOTATIONS, Corpus, read_corpus
from tikval.flow.study import Study
from tikval.report import figures as draw
from tikval.report.figure_numbers import (
    STANCES,
    Said,
    circle_csv,
    occurrences_csv,
    per_video_csv,
    radar_csv,
    radar_of,
    said_of,
)
from tikval.report.figure_style import RAW, SUFFIXES, render, styled
from tikval.values import SLUGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

INSTALL: Final = 'figures are drawn with matplotlib, which is not installed: pip install "tikval[figures]"'


@dataclass(frozen=True, slots=True)
class Sheet:
    """One figure to be drawn."""

    name: str
    shows: str  # one sentence
    systems: tuple[str, ...]
    draw: "Callable[[], Figure]"
    numbers: bytes  # CSV


@dataclass(frozen=True, slots=True)
class Figures:
    sheets: list[Sheet]
    series: list[Said]
    skipped: list[str]  # what is not drawn, and why
    notes: list[str] = field(default_factory=list)


def figures_of(study: Study, systems: Sequence[str] = (), annotator: str | None = None) -> Figures:
    """Of the annotations, where there are any, and of the systems that are named, else of all.

    Raises UserError for a system or annotator that is not there, for several annotators of whom none is named, and
    where a system's files have changed since it ran.
    """
    corpora, skipped, notes = _corpora(study, systems, annotator)
    book = corpora[0].codebook
    titles = [value.title for value in book.values]
    series = [said_of(one.system, one.said, one.modelled, is_human=one.is_human) for one in corpora]
    names = tuple(one.name for one in series)
    sheets = [
        Sheet(
            "figure1_values_per_video",
            "How many values a video has, endorsed or confronted, in % of the videos of each panel "
            "(the paper's Figure 1).",
            names,
            partial(draw.values_per_video, series),
            per_video_csv(series),
        ),
        Sheet(
            "figure2_occurrences",
            "In how many videos each value is endorsed and confronted (the paper's Figure 2).",
            names,
            partial(draw.occurrences, series, titles),
            occurrences_csv(series, book.slugs),
        ),
    ]
    radars, missing, more = _radars(study, book, [one.name for one in series if not one.is_human])
    sheets += radars
    skipped += missing
    if book.slugs == SLUGS:
        sheets.append(
            Sheet(
                "circle",
                "Schwartz's circle: the share of videos that endorse and confront each value, within the four "
                "higher-order groups; a value on a border belongs to both of its groups.",
                names,
                partial(draw.circle, series, titles),
                circle_csv(series, book.slugs),
            )
        )
    else:
        skipped.append(
            f"circle: {book.name} has other values than Schwartz's 19, and no circle of them is known"
        )
    return Figures(sheets, series, skipped, [*notes, *more])


def _corpora(
    study: Study, systems: Sequence[str], annotator: str | None
) -> tuple[list[Corpus], list[str], list[str]]:
    """Annotations first; of one codebook, with a video at least; what is left out, and notes."""
    has_labels = bool(study.catalog().read_beside("labels"))
    if annotator and not has_labels:
        raise UserError(f"no annotator {annotator}; there are none")
    names = [*([ANNOTATIONS] if has_labels else []), *(dict.fromkeys(systems) or sorted(study.systems()))]
    if not names:
        raise UserError(f"{study.out}: no system has finished yet, and there are no annotations")
    kept: list[Corpus] = []
    skipped, notes = list[str](), list[str]()
    for name in dict.fromkeys(names):
        one = read_corpus(study, name, annotator)
        if not one.videos.num_rows:
            skipped.append(f"{name}: no video has a result")
        elif kept and (one.codebook.name, one.codebook.slugs) != (
            kept[0].codebook.name,
            kept[0].codebook.slugs,
        ):
            skipped.append(f"{name}: is of {one.codebook.name}, {kept[0].system} of {kept[0].codebook.name}")
        else:
            kept.append(one)
            left = ", ".join(f"{reason} {n:,}" for reason, n in one.left_out.items())
            notes += [f"{name}: left out {left}"] if left else []
            notes += [] if one.is_human else one.notes  # theirs name the annotator
    if not kept:
        raise UserError(f"{study.out}: nothing to draw: {'; '.join(skipped)}")
    return kept, skipped, notes


def _radars(study: Study, book: Codebook, systems: Sequence[str]) -> tuple[list[Sheet], list[str], list[str]]:
    """Of the scores that finished last; what is not drawn, and notes."""
    latest = study.latest("scores")
    scores = latest[0].read().to_pylist() if latest else []
    if not scores:
        why = "nothing is annotated" if latest else "nothing is scored; run jobs/evaluate.py"
        return [], [f"figure4_radar: no scores: {why}"], []
    assert latest is not None
    if other := {row["label_set"] for row in scores} - {book.label_set}:
        return [], [f"figure4_radar: the scores are of {', '.join(sorted(other))}, not {book.label_set}"], []
    sheets, skipped, notes = list[Sheet](), list[str](), list[str]()
    scored = {row["system"] for row in scores}
    if unscored := [name for name in systems if name not in scored]:
        notes.append(f"not in the last scores, so not in the radars: {', '.join(unscored)}")
    if not study.reads_what_is_there(latest[1]):
        notes.append(
            "predictions or annotations have changed since they were scored; run jobs/evaluate.py again"
        )
    titles = [value.title for value in book.values]
    for stance in STANCES:
        try:
            found = radar_of(scores, book.slugs, stance, systems)
        except ValueError as err:
            skipped.append(f"figure4_radar_{stance}: {err}")
            continue
        shows = (
            f"F1 of each value {stance}, a line per system over {found.videos:,} annotated videos, failed ones left "
            "out, and what saying everything would score (the paper's Figure 4); in brackets how many videos have "
            "it, a gap where there is no F1 (the paper draws 0)."
        )
        sheets.append(
            Sheet(
                f"figure4_radar_{stance}",
                shows,
                tuple(found.f1),
                partial(draw.radar, found, titles),
                radar_csv(found),
            )
        )
    return sheets, skipped, notes


def write(found: Figures, folder: Path) -> list[Path]:
    """Every figure in four forms, then figures.md, which lists them; each file whole or not at all.

    Files of an earlier run that are not drawn this time stay, and figures.md does not list them. Raises UserError
    where matplotlib is missing or the folder cannot be written.
    """
    files: dict[str, bytes] = {}
    try:
        with styled():
            for sheet in found.sheets:
                figure = sheet.draw()
                for suffix in SUFFIXES:
                    files[f"{sheet.name}.{suffix}"] = render(figure, suffix)
                files[f"{sheet.name}.csv"] = sheet.numbers
    except ImportError as err:
        raise UserError(INSTALL) from err
    files["figures.md"] = listing(found).encode()
    try:
        for name, data in files.items():
            write_bytes(str(folder / name), data)
    except OSError as err:
        raise UserError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return [folder / name for name in files]


def listing(found: Figures) -> str:
    """Markdown: each figure in one sentence, the systems and counts, and what was not drawn."""
    lines = ["# Figures", "", RAW, ""]
    lines += [f"* {one.name}: {one.videos:,} videos with a result" for one in found.series]
    lines += [f"* {note}" for note in found.notes]
    for sheet in found.sheets:
        forms = ", ".join(f"[{suffix}]({sheet.name}.{suffix})" for suffix in (*SUFFIXES, "csv"))
        lines += ["", f"## {sheet.name}", f"{sheet.shows} Of {', '.join(sheet.systems)}. {forms}"]
    if found.skipped:
        lines += ["", "## Not drawn", *(f"* {why}" for why in found.skipped)]
    return "\n".join(lines) + "\n"
