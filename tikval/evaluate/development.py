"""The development sample: annotated videos on which prompts are tried, set apart so that no score has them.

    <out>/development-<fingerprint>/
      data-*.parquet   the videos, whole accounts
      run.json         how they were drawn
      looks.json       every comparison that was made on them, and every check on the others
      catalog-..., scripts-..., predictions-...    a study of these videos alone, where a prompt is tried

A prompt that was chosen on a video has seen its labels. An account's videos are alike, so all videos of an account that
is in the sample stay out of scores, whenever they were annotated.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from tikval.config import DevelopmentConfig, ExplainConfig, UserError
from tikval.evaluate.sample import draw_sample
from tikval.evaluate.video_groups import OF_POSTS
from tikval.files import delete_folder, parse_json, read_bytes, write_bytes, write_table
from tikval.privacy import canonical_account
from tikval.rows import LabelRow, VideoRow, arrow_schema
from tikval.sources.posts import read_videos_with_posts
from tikval.stats.limits import counted
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import stage_folders

STAGE: Final = DevelopmentConfig.stage
COMPARED, CHECKED = KINDS = ("compare", "check")


@dataclass(frozen=True)
class DevelopmentLook:
    """One comparison on the development sample, or one check of a system on the videos that were held out."""

    kind: str  # of KINDS
    names: tuple[str, ...]  # as they were called
    prompts: tuple[
        str, ...
    ]  # marks, which are the recipes' fingerprints: two of a comparison, one of a check
    data: str  # mark of the labels and answers that it was made of
    found: str  # in words
    at: str  # UTC, ISO 8601

    def repeats(self, other: "DevelopmentLook") -> bool:
        """Whether it tells nothing that the other did not tell: the same prompts, in any order, on the same labels."""
        mine, theirs = ((each.kind, sorted(each.prompts), each.data) for each in (self, other))
        return mine == theirs


@dataclass(frozen=True)
class Development:
    """The development sample of a catalog."""

    folder: Folder
    run: FolderRun
    ids: frozenset[str]  # the videos on which prompts are tried
    accounts: frozenset[str]  # of these, canonical
    left_out: frozenset[str]  # all videos of these accounts that the catalog lists, and `ids`

    def holds(self, row: LabelRow) -> bool:
        """Whether an annotated video must stay out of scores."""
        account = row["account"]
        return row["video_id"] in self.left_out or bool(
            account and canonical_account(account) in self.accounts
        )

    @property
    def looks(self) -> list[DevelopmentLook]:
        """All looks so far. Raises UserError for a list that tikval did not write."""
        place = f"{self.folder.uri}/looks.json"
        if (data := read_bytes(place)) is None:
            return []
        try:
            return _LOOKS.validate_python(parse_json(data, place))
        except ValidationError as err:
            raise UserError(f"{place}: not what tikval wrote there") from err

    def record(self, look: DevelopmentLook) -> bool:
        """Write a look down, before anybody sees what it found; returns whether it is a new one."""
        with self.folder.lock():
            looks = self.looks
            if any(look.repeats(known) for known in looks):
                return False
            data = json.dumps([asdict(each) for each in (*looks, look)], indent=1)
            write_bytes(f"{self.folder.uri}/looks.json", data.encode())
            return True

    @property
    def about(self) -> str:
        """What is said wherever scores stand."""
        looks = self.looks
        compared = [look for look in looks if look.kind == COMPARED]
        checked = len(looks) - len(compared)
        prompts = len({prompt for look in compared for prompt in look.prompts})
        tried = f"{counted(prompts, 'prompt')} compared in {counted(len(compared), 'look')}"
        held_out = f"the held-out videos were looked at {counted(checked, 'time')} by tikval prompt check"
        left = f"all annotated videos of {counted(len(self.groups), 'account')} are in no score"
        return f"{counted(len(self.ids), 'video')}, {tried}; {left}; {held_out}"

    @property
    def groups(self) -> set[str]:
        """Accounts, and videos without one, which are groups of their own."""
        rows = self.folder.read(["video_id", "account"]).to_pylist()
        return {f"@{row['account']}" if row["account"] else row["video_id"] for row in rows}


_LOOKS: Final = TypeAdapter(list[DevelopmentLook])


def look_now(
    kind: str, names: Sequence[str], prompts: Sequence[str], data: str, found: str
) -> DevelopmentLook:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return DevelopmentLook(kind, tuple(names), tuple(prompts), data, found, at)


def mark_of_data(labels: Sequence[LabelRow], predictions: Sequence[Any]) -> str:
    """A hash of annotations and of what was predicted, whatever their order."""
    told = sorted([row["video_id"], str(row["stances"])] for row in labels)
    told += sorted([row["video_id"], str(row["decisions"])] for row in predictions)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def development_of(catalog: Folder) -> Development | None:
    """The development sample of a catalog; None where none was drawn."""
    out, _, name = catalog.uri.rpartition("/")
    for uri in stage_folders(out):
        folder = Folder(uri)
        run = folder.run() if folder.stage == STAGE else None
        if run is not None and run.config["catalog"] == name:
            return _read(folder, run, catalog)
    return None


def _read(folder: Folder, run: FolderRun, catalog: Folder) -> Development:
    rows = folder.read(["video_id", "account"]).to_pylist()
    ids = {row["video_id"] for row in rows}
    named = {row["account"] for row in rows if row["account"]}
    # the catalog has one spelling of each account
    left_out, wanted = set(ids), pa.array(sorted(named), pa.string())
    for table in catalog.tables(["video_id", "account"]):
        left_out |= set(table.filter(pc.is_in(table["account"], wanted))["video_id"].to_pylist())
    accounts = frozenset(map(canonical_account, named))
    return Development(folder, run, frozenset(ids), accounts, frozenset(left_out))


def trial_folders(out: str) -> list[str]:
    """Folders below a study in which prompts were tried, or evidence was cut out; each is a study of its own."""
    stages = (STAGE, ExplainConfig.stage)
    return [uri for uri in stage_folders(out) if Folder(uri).stage in stages and stage_folders(uri)]


def without_development(
    rows: Sequence[LabelRow], catalog: Folder
) -> tuple[list[LabelRow], Development | None]:
    """The annotations that scores and corrections may use, and the sample whose accounts they lack, if there is one."""
    development = development_of(catalog)
    if development is None:
        return list(rows), None
    return [row for row in rows if not development.holds(row)], development


def development_note(catalog: Folder, scores: FolderRun) -> str | None:
    """What is said of the development sample beside some scores; None where there is none."""
    development = development_of(catalog)
    if development is None:
        return None
    if development.folder.uri.rpartition("/")[2] in {uri.rpartition("/")[2] for uri in scores.inputs}:
        return development.about
    return (
        f"{counted(len(development.ids), 'video')}, set apart after these scores were made, which still have them: run "
        "tikval analyze again"
    )


def draw_development(
    out: str, catalog: Folder, annotated: Sequence[LabelRow], n: int, by: str | None, seed: int
) -> Development:
    """Set about `n` annotated videos apart, whole accounts. Drawn once: raises UserError for another rule after a look.

    Before a look another rule replaces the sample.
    """
    config = DevelopmentConfig(out=out, catalog=catalog.uri.rpartition("/")[2], n=n, by=by, seed=seed)
    known = development_of(catalog)
    if known is not None:
        if known.folder.uri == config.folder:
            return known
        if known.looks:
            raise UserError(
                f"{known.folder.uri}: was looked at {counted(len(known.looks), 'time')}, so this development sample "
                f"stays (n={known.run.config['n']}, by={known.run.config['by']}, seed={known.run.config['seed']}); "
                "another one would let videos that chose a prompt into its scores"
            )
        known.folder.remove()
        if not stage_folders(known.folder.uri):  # else something was tried, and perhaps paid for
            delete_folder(known.folder.uri)
    ids = pa.array(sorted({row["video_id"] for row in annotated}), pa.string())
    videos = read_videos_with_posts(catalog, [*VideoRow.__annotations__, *OF_POSTS])
    videos = videos.filter(pc.and_(pc.is_in(videos["video_id"], ids), pc.is_null(videos["error"])))
    videos = videos.sort_by("video_id")
    if not videos.num_rows:
        raise UserError(f"{out}: no annotated video is listed; give annotations to tikval analyze first")
    if n >= videos.num_rows:
        raise UserError(f"--n {n}: nothing of the {videos.num_rows} annotated videos would be left to score")
    drawn = draw_sample(videos, n, by=by, whole_accounts=True, seed=seed)
    if len(drawn.at) == videos.num_rows:
        raise UserError(f"--n {n}: takes every account, so that nothing would be left to score")
    return _write(Folder(config.folder), config, catalog, videos.take(pa.array(drawn.at)))


def _write(folder: Folder, config: DevelopmentConfig, catalog: Folder, videos: pa.Table) -> Development:
    videos = videos.select(list(VideoRow.__annotations__))
    rows: list[Any] = [row | {"caption": None} for row in videos.to_pylist()]  # who they are is enough
    name = f"data-{hashlib.sha256(repr(rows).encode()).hexdigest()[:16]}.parquet"
    with folder.lock():
        write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow)))
        run = folder.write_run(config, [name], {}, len(rows), {}, 0.0)
    return _read(folder, run, catalog)
