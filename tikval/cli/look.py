"""How a study stands, what failed in it, and what this machine has."""

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
import typer
from rich.table import Table

from tikval.cli.app import app
from tikval.cli.guard import FAILED
from tikval.cli.remote import show_remote
from tikval.config import UserError
from tikval.rows import Reason
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of
from tikval.store.runs import Study, stage_folders
from tikval.store.shards import Shard, shards_of
from tikval.store.status import RUNNING, Status, read_status
from tikval.terminal import Terminal, drawn, working

_LISTED: Final = 10_000  # failures that are printed line by line; all are counted
HINTS = {
    Reason.DUPLICATE_ID: "rename one of the files, or give video_id in a manifest",
    Reason.INVALID_ID: "rename the file, or give video_id in a manifest",
    Reason.INVALID_ROW: "mend the line of the manifest that the detail names",
    Reason.MISSING_FILE: "put the file back, then run the same command",
    Reason.NOT_A_FILE: "a folder is named like a video",
    Reason.PERMISSION_DENIED: "make the file readable, then run the same command",
    Reason.EMPTY_FILE: "download it again",
    Reason.UNREADABLE: "not a video that FFmpeg can read; download it again",
    Reason.DAMAGED: "download it again, or raise writer.max_lost_share",
    Reason.NO_VIDEO: "the file holds sound only",
    Reason.TOO_LONG: "raise limits.video_seconds, then run the same command",
    Reason.TOO_LARGE: "raise limits.frame_pixels or limits.file_mb, then run the same command",
    Reason.TIMEOUT: "raise limits.seconds, or run the same command again",
    Reason.OUT_OF_MEMORY: "raise limits.memory_mb, or run the same command again",
    Reason.CRASHED: "run the same command again",
    Reason.NO_SPACE: "free space on that machine (TMPDIR), then run the same command",
    Reason.NO_PROCESS: "lower pool.actors, or free memory, then run the same command",
    Reason.NO_TEXT: "nothing was said or shown as text; a system that sees the picture is needed",
    Reason.NOT_STRIPPED: "save it as MP4 or WebM",
    Reason.BLOCKED: "the model refused it; another model may not",
    Reason.REJECTED: "see the detail: the file may be of a kind that the model does not take",
    Reason.TOO_MANY_TOKENS: "take a model with a longer context, or shorten the prompt (examples_per_value)",
    Reason.TRUNCATED: "raise llm.max_tokens",
    Reason.BAD_REPLY: "run the same command again",
    Reason.WRONG_MODEL: "ask for a model that is still served",
    Reason.RATE_LIMITED: "lower api.requests_per_minute or tokens_per_minute, then run the same command",
    Reason.SERVER_ERROR: "run the same command again",
    Reason.OVER_BUDGET: "raise budget_usd, then run the same command",
    Reason.NOT_ASKED: "see the detail for when to come again, then run the same command",
    Reason.MINOR: "set api.send_minors=true if you may send it",
    Reason.NO_SCORE: "see the detail, and narrow the sweep's space",
    Reason.INTERNAL_ERROR: "a bug in tikval: please report it with its detail",
}


@app.command()
def failures(out: Annotated[str, typer.Argument(help="The folder of an analysis.")]) -> None:
    """Which videos have no result, why, and what to do."""
    study = Study(out)
    listed, shown = study.catalog().sorted_keys(), set[str]()
    table = Table("video", "stage", "reason", "again?", "detail", "what to do")
    reasons: Counter[str] = Counter()
    for stage in ("catalog", "scripts", "embeddings", "predictions", "tuned", "cascade"):
        latest = study.latest(stage)
        for row in _failed_rows(latest[0], listed) if latest else ():
            if row["row_key"] in shown:
                continue
            shown.add(row["row_key"])  # a failure passes through all later stages
            reason = Reason(row["error"])
            reasons[reason] += 1
            again = "no" if reason.terminal else "yes"
            if len(shown) <= _LISTED:
                table.add_row(row["video_id"], stage, reason, again, row["detail"] or "", HINTS[reason])
    if not shown:
        print(f"{out}: every video has a result")
        return
    Terminal(width=None if sys.stdout.isatty() else 200).print(table)
    if len(shown) > _LISTED:
        print(
            f"... and {len(shown) - _LISTED} more: tikval export {shlex.quote(out)} values.csv has a line for each"
        )
    print(f"{len(shown)} failed: {', '.join(f'{reason} {n}' for reason, n in reasons.most_common())}")


def _failed_rows(folder: Folder, listed: np.ndarray) -> Iterator[dict[str, Any]]:
    """The failed rows of listed videos, S16 [K] sorted, of whom a file's are held at a time."""
    for part in folder.tables(["video_id", "row_key", "error", "detail"]):
        failed = part.filter(part["error"].is_valid())
        yield from failed.filter(pa.array(contains(listed, keys_of(failed["row_key"])))).to_pylist()


@app.command()
def status(
    out: Annotated[str, typer.Argument(help="The folder of an analysis, running or not.")],
    once: Annotated[bool, typer.Option("--once", help="Say it once and end.")] = False,
) -> None:
    """How far each stage is, live until nothing runs any more."""
    from rich.live import Live

    console = Terminal(width=None if sys.stdout.isatty() else 160)
    live = sys.stdout.isatty() and not once
    screen = Live(console=console, auto_refresh=False, transient=False)
    with drawn(screen):
        while True:
            found: list[tuple[Shard | None, Status]] = [(None, status) for status in _stages_begun(out)]
            found += [(shard, status) for shard in shards_of(out) for status in _stages_begun(shard.out(out))]
            if not found:
                raise UserError(f"{out}: no stage has started here")
            screen.update(_status_table(found), refresh=True)
            if not live or not any(status.state == RUNNING and not status.silent for _, status in found):
                return
            time.sleep(1)


def _stages_begun(out: str) -> list[Status]:
    found = [status for folder in stage_folders(out) if (status := read_status(folder)) is not None]
    return sorted(found, key=lambda status: status.started_at)


def _status_table(found: Sequence[tuple[Shard | None, Status]]) -> Table:
    """A line a stage, of the whole study and then of each shard."""
    of_shards = any(shard for shard, _ in found)
    table = Table(*["shard"][:of_shards], "stage", "state", "done", "failed", "rows/s", "left", "driver")
    for shard, status in found:
        state = "dead: run the same command again" if status.silent else status.state
        failed = ", ".join(f"{reason} {n}" for reason, n in status.failed.items()) or "0"
        left = (
            f"{status.seconds_left:.0f} s"
            if status.state == RUNNING and status.seconds_left is not None
            else ""
        )
        done = f"{status.done} of {status.total}" + (f" (+ {status.before} before)" if status.before else "")
        told = [status.stage, state, done, failed, f"{status.rows_per_second:.2g}", left, status.driver]
        table.add_row(*[str(shard or "whole")][:of_shards], *told)
    return table


@app.command()
def doctor(
    outs: Annotated[
        list[str] | None,
        typer.Argument(
            help="With --remote: folders of analyses; what their runs and batch jobs need is spared."
        ),
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="What of ours lies on Gemini's server, in place of this machine.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it, except what is needed or may be.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Delete that too.")] = False,
    base_url: Annotated[
        str | None, typer.Option(help="The server's address, as in api.base_url; by default Google's.")
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="What each node of the cluster has, in place of this machine.")
    ] = False,
    out: Annotated[
        str | None, typer.Option(help="With --cluster: a folder that every node is to write into.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="With --cluster: whose models are to load on every node.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --cluster: the facts, for a program.")
    ] = False,
) -> None:
    """What this machine has, and what it lacks for the local profile; or the cluster, or a provider's server."""
    if cluster:
        if remote or outs or delete or everything or base_url:
            raise UserError("--cluster goes with --out, --profile and --json alone")
        from tikval.cli.cluster import show_cluster

        raise typer.Exit(show_cluster(out, profile, as_json))
    if out or profile or as_json:
        raise UserError("--out, --profile and --json go with --cluster")
    if remote:
        raise typer.Exit(show_remote(outs or [], base_url, delete=delete, everything=everything))
    if outs or delete or everything or base_url:
        raise UserError("folders, --delete, --all and --base-url go with --remote")
    from tikval.study.doctor import findings

    table = Table("what", "found", "needed for")
    lacks = 0
    with working("looking at this machine"):
        found = findings()
    for finding in found:
        lacks += finding.lacks
        table.add_row(finding.what, finding.found, finding.needed_for)
    Terminal(width=None if sys.stdout.isatty() else 160).print(table)
    print(f"{lacks} lacking for the local profile" if lacks else "ready for tikval analyze")
    raise typer.Exit(FAILED if lacks else 0)
