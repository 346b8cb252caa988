"""Videos, annotations and accounts -> the catalog of a study: the arrow of jobs/catalog.py."""

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import Codebook, load_codebook
from tikval.config import CatalogConfig, UserError, find_file
from tikval.files import delete
from tikval.rows import AccountRow, LabelRow, PostRow, Reason, VideoRow
from tikval.sources.accounts import ResolvedPosts, resolve_posts, spell_alike, unmatched_minors
from tikval.sources.catalog import accounts_of, read_accounts
from tikval.sources.catalog_files import write_small, write_videos
from tikval.sources.erased import iter_not_erased, not_erased
from tikval.sources.exports.write_posts import write_posts
from tikval.sources.labels import read_labels
from tikval.sources.listing import list_study
from tikval.sources.many_ids import IdsByPath
from tikval.sources.matching import accounts_without_videos, match_ids
from tikval.sources.posts import SIDE_TABLE, iter_posts
from tikval.sources.tables import Say, print_note
from tikval.sources.video_rows import VideoRows
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.given import GivenTable, GivenTables, same_table
from tikval.store.tables import iter_rows
from tikval.study_key import study_key


def write_catalog(config: CatalogConfig, say: Say = print_note) -> FolderRun:
    """List the videos anew; a catalog that has not changed is left as it is.

    Annotations and accounts that an earlier run was given stay; what is given replaces them, annotations those over
    the same codebook. What the tables have that no video matches is said. Raises UserError where no annotation matches
    any video.
    """
    folder, begin = Folder(config.folder), time.monotonic()
    with folder.lock():
        before = folder.run()
        given = GivenTables.of(folder)
        config = _as_known_before(config, before, given)
        key = study_key(create=True) if config.ids == "pseudonyms" else None
        # a study that began with the files alone keeps the accounts and captions that it has
        sidecars = before is None or SIDE_TABLE in before.side_tables or config.media is not None
        listing = list_study(config, _ids_so_far(folder, before), key, say, sidecars=sidecars)
        config, videos = _as_it_began(config, before, listing.videos, say)
        labels, accounts = _labels(config, folder, given, say), _accounts(config, folder, given, say)
        resolved = resolve_posts(videos, labels, accounts, _accounts_so_far(folder, before))
        labels = not_erased(config.out, labels)
        _check_matches(config, folder, given, resolved, videos, labels, say)
        files, listed = write_videos(config.out, folder, before, resolved.told(videos))
        _warn_of_unmatched_minors(listed.every_account, accounts, given)
        accounts = not_erased(config.out, accounts if given.accounts else accounts_of(listed.accounts))
        if given.accounts and (sentence := accounts_without_videos(listed.accounts, accounts)):
            say(f"{given.accounts.file}: {sentence}")
        side_tables = {"accounts": write_small(folder, "_accounts", AccountRow, accounts)}
        if given.annotations:
            side_tables["labels"] = write_small(folder, "_labels", LabelRow, labels)
        if listing.posts:
            side_tables[SIDE_TABLE] = write_posts(
                _posts(config.out, listing.posts, resolved.spelling), folder.uri
            )
        given.write(folder)
        if before and before.files == files and before.side_tables == side_tables:
            if before.config.get("annotated_by", "unknown") == config.annotated_by:
                return before
            # the same tables: only what is said of them has changed, and what read them stays finished
            return folder.write_run(
                config, files, {}, before.rows, before.failed, before.seconds, side_tables
            )
        counts = listed.rows, dict(listed.failed)
        done = folder.write_run(config, files, {}, *counts, time.monotonic() - begin, side_tables)
        for name in (
            {*before.files, *before.side_tables.values()} - {*files, *side_tables.values()} if before else ()
        ):
            delete(f"{folder.uri}/{name}")
        return done


def list_as_known(config: CatalogConfig, say: Say = lambda _: None) -> VideoRows:
    """The videos as write_catalog would list them now; nothing is written, but for the key of pseudonyms.

    Raises UserError as list_study does.
    """
    folder = Folder(config.folder)
    before = folder.run()
    config = _as_known_before(config, before, GivenTables.of(folder))
    key = study_key(create=True) if config.ids == "pseudonyms" else None
    sidecars = before is None or SIDE_TABLE in before.side_tables or config.media is not None
    listing = list_study(config, _ids_so_far(folder, before), key, say, sidecars=sidecars)
    return VideoRows(iter_not_erased(config.out, _as_it_began(config, before, listing.videos, say)[1]))


def read_labels_again(folder: Folder, table: GivenTable, codebook: Codebook) -> FolderRun:
    """Read a table of annotations that a finished catalog knows once more, as it is now; the videos stay as they are.

    Raises UserError as `read_labels` does.
    """
    with folder.lock():
        run, given, mine = folder.finished(), GivenTables.of(folder), codebook.label_set
        rows = read_labels(table.place, codebook.slugs, mine, titles=codebook.titles, say=lambda _: None)
        resolve_posts(_videos_of(folder), rows, [], _accounts_so_far(folder, run))
        others = [row for row in folder.read_side_table("labels") if row["label_set"] != mine]
        labels = [*others, *not_erased(run.config["out"], rows)]
        now = GivenTable.read_now(table.place, len(rows), table.codebook)
        given.annotations[mine] = same_table(replace(now, file=table.file), table)
        given.write(folder)
        file = write_small(folder, "_labels", LabelRow, sorted(labels, key=lambda row: row["label_set"]))
        before = run.side_tables.get("labels")
        if before == file:
            return run
        folder.rewrite_run(run, {before: file} if before else {})
        if before:
            delete(f"{folder.uri}/{before}")
        return folder.finished()


def _posts(out: str, file: str, spelling: dict[str, str]) -> Iterator[PostRow]:
    """Posts by their accounts' one spelling, without those that were erased."""
    for some in iter_posts(file):
        spell_alike(some, spelling)
        yield from not_erased(out, some)


def _as_known_before(config: CatalogConfig, before: FolderRun | None, given: GivenTables) -> CatalogConfig:
    """The configuration, with how the same annotations were drawn where it says nothing of that and an earlier did."""
    if before is None or "annotated_by" in config.model_fields_set:
        return config
    earlier = before.config.get("annotated_by", config.annotated_by)
    known = {table.file for table in given.annotations.values()}
    same = config.annotations is None or config.annotations in known
    return config.model_copy(update={"annotated_by": earlier}) if same else config


def _as_it_began(
    config: CatalogConfig, before: FolderRun | None, videos: Iterable[VideoRow], say: Say
) -> tuple[CatalogConfig, Iterable[VideoRow]]:
    """The videos of a study: without photo posts where it began before these were videos, so that it stays finished.

    Its catalog says so, as long as there are some; an explicit `photo_posts` decides otherwise.
    """
    wanted = config.photo_posts
    if before is not None and "photo_posts" not in config.model_fields_set:
        wanted = before.config.get("photo_posts", False)
    left = 0 if wanted else sum(bool(row["files"]) for row in videos)
    if left:
        videos = VideoRows(row for row in videos if not row["files"])
        how = (
            "began without them; another --out takes them in"
            if config.photo_posts
            else "is to be without them"
        )
        say(f"{left} photo post{'s are' if left > 1 else ' is'} left out: this study {how}")
    return config.model_copy(update={"photo_posts": wanted or not left}), videos


def _check_matches(
    config: CatalogConfig,
    folder: Folder,
    given: GivenTables,
    resolved: ResolvedPosts,
    videos: Iterable[VideoRow],
    labels: Sequence[LabelRow],
    say: Say,
) -> None:
    """Say which annotated videos are not listed, of each label set by itself.

    Raises UserError where none is, unless that is wanted or was so: a finished study whose videos were erased stays.
    """
    listed = _ListedIds(config.out, resolved, videos)
    spelt = _ListedIds(config.out, resolved, videos, spelt=True) if config.ids == "pseudonyms" else None
    before = folder.read_side_table("labels") if folder.run() else []
    for label_set, table in given.annotations.items():
        match = match_ids((row["video_id"] for row in labels if row["label_set"] == label_set), listed, spelt)
        alone = config.annotations_unmatched == "go_on"
        if match.none and not alone:
            earlier = {row["video_id"] for row in before if row["label_set"] == label_set}
            alone = bool(earlier) and not any(name in earlier for name in listed)
        if match.none and not alone:
            raise UserError(
                f"{table.file}: {match.text}; annotations_unmatched=go_on if they are wanted without videos"
            )
        if match.text:
            say(f"{table.file}: {match.text}")


class _ListedIds(Collection[str]):
    """The ids that are listed, those of erased videos left out; `spelt`: what people call these videos.

    To be read from the videos again and again; only whether an annotation names one is known without that.
    """

    def __init__(
        self, out: str, resolved: ResolvedPosts, videos: Iterable[VideoRow], *, spelt: bool = False
    ) -> None:
        self.out, self.resolved, self.videos, self.spelt = out, resolved, videos, spelt

    def __contains__(self, name: object) -> bool:
        return name in self.resolved.listed

    def __iter__(self) -> Iterator[str]:
        for row in iter_not_erased(self.out, self.resolved.told(self.videos)):
            if row["error"] != Reason.INVALID_ID:
                yield (row["alias"] or row["video_id"]) if self.spelt else row["video_id"]

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _ids_so_far(folder: Folder, before: FolderRun | None) -> IdsByPath:
    """The id of each file by its path, as a finished catalog has them: a study goes on with the ids that it has."""
    tables = folder.tables(["path", "video_id", "error"]) if before else iter(())
    twice = pa.array([Reason.DUPLICATE_ID.value, Reason.INVALID_ID.value])
    return IdsByPath(table.filter(pc.invert(pc.is_in(table["error"], twice))) for table in tables)


def _accounts_so_far(folder: Folder, before: FolderRun | None) -> list[str]:
    """Accounts as a finished catalog spells them: folds and intervals go by these names."""
    return sorted(folder.distinct("account")) if before else []


def _videos_of(folder: Folder) -> Iterator[VideoRow]:
    """The rows of a finished catalog, some at a time."""
    for name in folder.finished().files:
        for table in iter_rows(f"{folder.uri}/{name}", folder.stage):
            yield from table.to_pylist()


def _labels(config: CatalogConfig, folder: Folder, given: GivenTables, say: Say) -> list[LabelRow]:
    """The annotations over every codebook, and the record of those over this one."""
    before: list[LabelRow] = folder.read_side_table("labels") if given.annotations else []
    if not (config.annotations or given.annotations):
        return []
    try:
        codebook = load_codebook(find_file(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err
    mine = codebook.label_set
    others = [row for row in before if row["label_set"] != mine]
    if config.annotations:
        rows = read_labels(config.annotations, codebook.slugs, mine, titles=codebook.titles, say=say)
        now = GivenTable.read_now(config.annotations, len(rows), config.codebook)
        given.annotations[mine] = same_table(now, given.annotations.get(mine))
    elif "annotations" in config.without:
        given.annotations.pop(mine, None)
        rows = []
    else:
        rows = [row for row in before if row["label_set"] == mine]
        _note_kept("annotations", given.annotations.get(mine), say)
    return sorted([*others, *rows], key=lambda row: row["label_set"])  # stable


def _accounts(config: CatalogConfig, folder: Folder, given: GivenTables, say: Say) -> list[AccountRow]:
    """The table of accounts, and its record; [] where none is known."""
    if config.accounts:
        rows = read_accounts(config.accounts, say)
        given.accounts = same_table(GivenTable.read_now(config.accounts, len(rows)), given.accounts)
        return rows
    if "accounts" in config.without:
        given.accounts = None
    _note_kept("accounts", given.accounts, say)
    return folder.read_side_table("accounts") if given.accounts else []


def _note_kept(kind: str, table: GivenTable | None, say: Say) -> None:
    if table:
        how = f"--{kind} replaces them, --no-{kind} takes them away"
        say(f"{kind} that are known are used: {table.about} ({how})")


def _warn_of_unmatched_minors(
    of_videos: Collection[str], accounts: list[AccountRow], given: GivenTables
) -> None:
    if given.accounts and (unmatched := unmatched_minors(of_videos, accounts)):
        some = ", ".join(unmatched[:3]) + (" ..." if len(unmatched) > 3 else "")
        print(
            f"tikval: warning: {given.accounts.file}: {len(unmatched)} accounts of minors match no video ({some}); "
            "are they spelt as in the manifest?",
            file=sys.stderr,
        )
