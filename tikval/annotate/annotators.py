"""Who annotated which video how: people, out of tables, and systems, out of a finished analysis."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    UserError,
    find_file,
)
from tikval.evaluate.development import development_of
from tikval.evaluate.scores import MISSING
from tikval.rows import LabelRow, PredictionRow
from tikval.sources.ids import resolve_id
from tikval.sources.labels import read_labels
from tikval.sources.matching import match_ids
from tikval.sources.tables import Say, print_note, table_stem
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study, system_config
from tikval.values import binary, stances

ABSENT: Final = "absent"  # the annotator who finds no value in any video: the baseline


class VideoAnnotation(NamedTuple):
    """The annotation of one video by one annotator; None: this annotator does not code it."""

    with_dominance: Sequence[int | None]  # [V] Stance codes
    three_way: Sequence[int | None]  # [V] -1, 0 or 1
    labels: Sequence[bool | None]  # [L] = V endorsed, then V confronted


@dataclass
class Annotators:
    slugs: tuple[str, ...]
    annotations: dict[str, dict[str, VideoAnnotation]] = field(default_factory=dict)  # by annotator and video
    accounts: dict[str, str] = field(default_factory=dict)  # of the videos whose account is known
    failed: dict[str, dict[str, int]] = field(default_factory=dict)  # annotated videos by system and reason

    def only(self, names: Sequence[str]) -> "Annotators":
        """These alone, in this order. Raises UserError for one that is not there."""
        for name in names:
            self.check(name)
        some = {name: self.annotations[name] for name in names} if names else self.annotations
        return Annotators(self.slugs, some, self.accounts, self.failed)

    def check(self, name: str) -> None:
        if name not in self.annotations:
            raise UserError(f"{name}: no such annotator; there are {', '.join(sorted(self.annotations))}")


def codebook_of(uri: str) -> Codebook:
    try:
        return load_codebook(find_file(uri))
    except ValueError as err:
        raise UserError(str(err)) from err


def read_tables(uris: Sequence[str], codebook: Codebook, say: Say = print_note) -> list[LabelRow]:
    """Annotations of one or several tables; of several, one without a column `annotator` is named after its file.

    Raises UserError as `read_labels` does, and for two annotations of one video by one annotator, two accounts of
    one video, and an annotator with the baseline's name.
    """
    rows: list[LabelRow] = []
    where: dict[tuple[str, str], int] = {}  # place among the tables
    accounts: dict[str, tuple[str, str]] = {}
    for place, uri in enumerate(uris):
        name = table_stem(uri) if len(uris) > 1 else None
        for row in read_labels(
            uri, codebook.slugs, codebook.label_set, titles=codebook.titles, unnamed=name, say=say
        ):
            video, who = row["video_id"], row["annotator"]
            if who == ABSENT:
                raise UserError(f"{uri}: {ABSENT!r} is the baseline's name; give this annotator another one")
            if (before := where.setdefault((video, who), place)) != place:
                raise UserError(f"{uri}: {video} was annotated by {who} before, in {uris[before]}")
            if row["account"]:
                account, there = accounts.setdefault(video, (row["account"], uri))
                if account != row["account"]:
                    raise UserError(
                        f"{uri}: {video} is of {row['account']!r} here and of {account!r} in {there}"
                    )
            rows.append(row)
    return rows


def people(rows: Sequence[LabelRow], codebook: Codebook) -> Annotators:
    found = Annotators(codebook.slugs)
    for row in rows:
        codes = row["stances"]
        three_way = [None if code is None else min(code, 1) for code in codes]
        annotation = VideoAnnotation(codes, three_way, binary(codes))
        found.annotations.setdefault(row["annotator"], {})[row["video_id"]] = annotation
        if row["account"]:
            found.accounts[row["video_id"]] = row["account"]
    return found


def add_systems(found: Annotators, study: Study, codebook: Codebook, say: Say = print_note) -> None:
    """Each finished system of an analysis as one more annotator of the annotated videos.

    A system that ran several times (partitions, seeds, samples) is as many annotators. A failure is no annotation: it
    is counted in `failed`. Annotated videos that are not listed are named first. Raises UserError where none is listed,
    for another codebook and for a name that somebody has already.
    """
    out, catalog = study.out, study.catalog()
    _name_as_listed(found, catalog, say)
    annotated = {video for videos in found.annotations.values() for video in videos}
    for row in catalog.read_videos(annotated, ["video_id", "account"]).to_pylist():
        if row["account"]:
            found.accounts.setdefault(row["video_id"], row["account"])
    systems = study.systems()
    if not systems:
        raise UserError(f"{out}: no system has finished yet")
    if development := development_of(catalog):
        annotated -= development.left_out
        say(f"systems are not judged on the development sample: {development.about}")
    for system, (folder, run) in systems.items():
        _check_codebook(run, system, codebook)
        rows = folder.rows(catalog, annotated)
        runs = _runs(system, [row for row in rows if row["error"] is None])
        for name, annotations in runs.items():
            if name in found.annotations or name == ABSENT:
                raise UserError(f"{out}: {name!r} is an annotator's name too; give one of them another")
            found.annotations[name] = annotations
        failures = {row["video_id"]: row["error"] for row in rows}
        without = annotated - {video for videos in runs.values() for video in videos}
        reasons = Counter(failures.get(video) or MISSING for video in without)
        found.failed[system] = dict(reasons.most_common())


def _name_as_listed(found: Annotators, catalog: Folder, say: Say) -> None:
    """Give annotated videos the ids that the catalog has. Raises UserError where it has none of them."""
    annotated = {video for videos in found.annotations.values() for video in videos}
    if len(catalog.read_videos(annotated, ["video_id"])) == len(annotated):
        return
    listed = catalog.read(["video_id", "alias"])
    ids, aliases = listed["video_id"].to_pylist(), listed["alias"].to_pylist()
    names = {alias: video for video, alias in zip(ids, aliases, strict=True) if alias} | {
        video: video for video in ids
    }
    for name, videos in found.annotations.items():
        found.annotations[name] = {resolve_id(video, names): its for video, its in videos.items()}
    found.accounts = {resolve_id(video, names): account for video, account in found.accounts.items()}
    match = match_ids((resolve_id(video, names) for video in sorted(annotated)), set(ids))
    if match.none:
        raise UserError(f"{catalog.uri}: {match.text}")
    if match.text:
        say(match.text)


def _check_codebook(run: FolderRun, system: str, codebook: Codebook) -> None:
    config = system_config(run)
    theirs = codebook_of(config.codebook)
    if (theirs.label_set, theirs.slugs) != (codebook.label_set, codebook.slugs):
        raise UserError(f"{system}: its codebook is {config.codebook}; give the same one as --codebook")


def _runs(system: str, rows: Sequence[PredictionRow]) -> dict[str, dict[str, VideoAnnotation]]:
    """Results by annotator and video. The folds of one partition and seed are one annotator: each video is in one."""
    by_run: dict[tuple[str | None, int | None, int | None], dict[str, VideoAnnotation]] = {}
    for row in rows:
        answers = by_run.setdefault((row["split"], row["seed"], row["sample"]), {})
        if row["video_id"] in answers:
            raise UserError(f"{system}: two results of {row['video_id']} in one run")
        answers[row["video_id"]] = _annotation_of(row)
    if len(by_run) < 2:
        return {system: next(iter(by_run.values()), {})}
    named: dict[str, dict[str, VideoAnnotation]] = {}
    for (split, seed, sample), answers in by_run.items():
        parts = [
            split,
            None if seed is None else f"seed {seed}",
            None if sample is None else f"sample {sample}",
        ]
        named[f"{system} ({', '.join(filter(None, parts))})"] = answers
    return named


def _annotation_of(row: PredictionRow) -> VideoAnnotation:
    """Three ways where both labels of a value are modelled; dominance where the system tells it."""
    decisions, n_values = row["decisions"] or [], len(row["decisions"] or []) // 2
    both = [
        yes is not None and no is not None for yes, no in zip(decisions, decisions[n_values:], strict=False)
    ]
    codes = stances(decisions, row["scores"] or [None] * len(decisions))
    three_way = [code if known else None for code, known in zip(codes, both, strict=True)]
    return VideoAnnotation(row["stances"] or [None] * n_values, three_way, decisions)
