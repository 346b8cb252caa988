"""Sheets for coders out of a list of videos: who codes what is planned, and what is planned already stays as it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tikval.annotate.annotators import codebook_of
from tikval.annotate.coding_folder import PROTOCOL, CodingFolder, PlanLine, from_folder, make_known
from tikval.annotate.coding_media import Media, place_media
from tikval.annotate.coding_plan import plan_videos
from tikval.annotate.coding_protocol import (
    Coder,
    CodingBatch,
    CodingProtocol,
    check_coder_names,
    coder_since,
    utc_now,
)
from tikval.annotate.material import (
    CodingVideo,
    read_coding_list,
    read_practice,
    say_of_names,
    with_study,
)
from tikval.annotate.sheet import SheetItem
from tikval.codebook import Codebook
from tikval.config import AnnotateConfig, UserError
from tikval.files import is_local
from tikval.sources.tables import Say, print_note
from tikval.store.runs import Study

_SHIPPED: Final = "prompts/codebook.yaml"
_OURS: Final = frozenset(
    {"codebook.yaml", "plan.csv", "items.jsonl", "sheets", "media", "returned", "zips", "merged"}
)


@dataclass(frozen=True)
class PlannedList:
    """What became of a list."""

    folder: CodingFolder
    new: tuple[PlanLine, ...]
    left_out: dict[str, str] = field(default_factory=dict)  # why, by item


def plan_list(
    uri: str,
    out: Path,
    names: Sequence[str],
    rules: AnnotateConfig,
    *,
    study: str | None = None,
    media: Media = "copy",
    say: Say = print_note,
) -> PlannedList:
    """Add the videos of a list to a coding folder, which is made where there is none, and plan who codes them.

    `names` are those of coders; in a folder that is there, new ones join the others. Videos whose files cannot be read
    are left out, and come in when the same list is given again. Raises UserError for names, lists, codebooks and
    samples that cannot be used, before anything is written.
    """
    known = CodingFolder(out) if (out / PROTOCOL).exists() else None
    if known is None:
        _refuse_a_folder_of_something_else(out)
    source = study or (known.study if known else None)
    drawn_from = Study(source) if source else None
    book = _codebook_of(rules, drawn_from, known)
    coders = _coders(names, rules, known)
    videos = read_coding_list(uri)
    begins = known is None or not known.plan()
    practice = read_practice(rules.practice, book, say) if rules.practice and begins else []
    if drawn_from:
        videos = with_study(videos, drawn_from, uri, say)
        practice = with_study(practice, drawn_from, str(rules.practice), say) if practice else []
    else:
        say_of_names([*practice, *videos], say)
    practice = _not_in_both(practice, videos, say)
    new = _new_videos(videos, known, uri)
    changed = _drawn_anew(videos, known, uri) if known else {}
    placed, left_out = place_media([*practice, *new], out, media, say)
    if known is None and all(video.gold for video in placed):
        raise UserError(
            f"{uri}: no file of its videos can be read ({next(iter(left_out.values()))}); relative paths are "
            "looked for from here on: run this where the analysis was run, or give --media none"
        )
    first = CodingProtocol(codebook=book.mark, coders=coders, third=rules.third, batches=())
    folder = known or CodingFolder.make(out, first, book)
    batch = _batch(uri, placed, rules)
    protocol = folder.protocol.model_copy(
        update={
            "coders": coders,
            "third": rules.third,
            "batches": (*folder.protocol.batches, *([batch] if batch.videos else [])),
            "study": from_folder(out, Path(source)) if source and is_local(source) else source,
        }
    )
    lines = _write(folder, placed, protocol, rules, changed)
    if source:
        make_known(source, out)
    _say_of_second_times(lines, rules, say)
    if changed:
        say(f"videos of earlier lists that have the probability of this sample from now on: {len(changed)}")
    return PlannedList(folder, tuple(lines), left_out)


def _say_of_second_times(lines: Sequence[PlanLine], rules: AnnotateConfig, say: Say) -> None:
    """Say whose new sheets have too few videos for the second times that the rules ask for."""
    for coder in sorted({line.coder for line in lines}):
        twice = sum(line.coder == coder and line.round == "again" for line in lines)
        if twice < rules.again:
            say(f"{coder}: {twice} of {rules.again} videos come a second time: too few for gap={rules.gap}")


def _write(
    folder: CodingFolder,
    placed: Sequence[CodingVideo],
    protocol: CodingProtocol,
    rules: AnnotateConfig,
    changed: Mapping[str, float],
) -> list[PlanLine]:
    """Write material, plan and protocol, each whole; a command that was stopped between them can be given again."""
    plan, lines = folder.plan(), plan_videos(placed, folder, protocol.active, rules)
    items = {
        item.item: replace(item, probability=changed.get(item.item, item.probability))
        for item in (*folder.practice().values(), *folder.items().values())
    }
    folder.write_items((items | {video.item: _item(video) for video in placed}).values())
    before = [line._replace(probability=changed.get(line.item, line.probability)) for line in plan]
    folder.write_plan([*before, *lines])
    folder.write_protocol(protocol)
    return lines


def _batch(uri: str, placed: Sequence[CodingVideo], rules: AnnotateConfig) -> CodingBatch:
    videos = sum(video.gold is None for video in placed)
    return CodingBatch(list=Path(uri).name, added_at=utc_now(), videos=videos, rules=rules)


def _refuse_a_folder_of_something_else(out: Path) -> None:
    others = sorted({path.name for path in out.iterdir()} - _OURS) if out.is_dir() else []
    if others or (out.exists() and not out.is_dir()):
        raise UserError(
            f"--out {out}: is no coding folder{f' (there is {others[0]})' if others else ''}; name a new folder"
        )


def _codebook_of(rules: AnnotateConfig, study: Study | None, known: CodingFolder | None) -> Codebook:
    """The codebook of the sheets. Raises UserError for another one than the folder has."""
    if known and rules.codebook in (None, known.protocol.rules.codebook):
        return known.codebook()
    if rules.codebook is None and study is not None and study.label_sets:
        return study.codebook()
    book = codebook_of(rules.codebook or _SHIPPED)
    if known and book.mark != known.protocol.codebook:
        raise UserError(
            f"{rules.codebook}: is {book.mark}, and the sheets in {known.path} are of {known.protocol.codebook}; "
            "answers to two codebooks do not go together: name another folder with --out"
        )
    return book


def _coders(names: Sequence[str], rules: AnnotateConfig, known: CodingFolder | None) -> tuple[Coder, ...]:
    before = known.protocol.coders if known else ()
    for coder in before:
        if coder.left is not None and coder.name in names:
            raise UserError(f"--coder {coder.name}: left on {coder.left[:10]}; give a name that nobody had")
    there = [coder.name for coder in before]
    joined = [name for name in dict.fromkeys(names) if name not in there]
    check_coder_names([*there, *joined], rules.third)
    found = (*before, *map(coder_since, joined))
    if (active := sum(coder.left is None for coder in found)) < rules.coders_per_video:
        raise UserError(
            f"{active} of the {rules.coders_per_video} coders that each video needs: name each with --coder, or give "
            f"coders_per_video={active or 1}"
        )
    return found


def _not_in_both(practice: list[CodingVideo], videos: Iterable[CodingVideo], say: Say) -> list[CodingVideo]:
    listed = {video.item for video in videos}
    both = [video.item for video in practice if video.item in listed]
    if both:
        say(f"videos to practise on that are to be coded as well, and are not practised on: {len(both)}")
    return [video for video in practice if video.item not in listed]


def _new_videos(videos: Sequence[CodingVideo], known: CodingFolder | None, uri: str) -> list[CodingVideo]:
    """Those that are not planned yet. Raises UserError for one that coders have practised on."""
    practised = known.practice() if known else {}
    if both := [video.item for video in videos if video.item in practised]:
        raise UserError(f"{uri}: {both[0]}: coders have practised on it; take it out of the list")
    planned = {line.item for line in known.plan()} if known else set()
    return [video for video in videos if video.item not in planned]


def _drawn_anew(videos: Sequence[CodingVideo], known: CodingFolder, uri: str) -> dict[str, float]:
    """Probabilities of planned videos that a larger sample gives another one. Raises UserError for another sample."""
    planned, now = known.items(), {video.item: video.probability for video in videos if video.probability}
    changed = {item: now[item] for item in planned if item in now and now[item] != planned[item].probability}
    if changed and (missing := planned.keys() - now.keys()):
        raise UserError(
            f"{uri}: {next(iter(changed))} has another probability than in the list before, and {min(missing)} of that "
            "list is not in this one; draw one sample that holds both (tikval sample with the same seed and a larger "
            "--n), or list new videos only"
        )
    return changed


def _item(video: CodingVideo) -> SheetItem:
    return SheetItem(
        video.item,
        "practice" if video.gold else "main",
        video.files,
        video.caption,
        video.script,
        video.probability,
        video.gold,
    )
