"""`tikval doctor --remote`: what lies on Gemini's server under names of ours, and how it is deleted."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from tikval.cli.guard import FAILED
from tikval.config import Api, UserError
from tikval.terminal import Terminal


def show_remote(outs: Sequence[str], base_url: str | None, *, delete: bool, everything: bool) -> int:
    """Show what is there, and delete it if so wished; returns the exit code. Raises UserError without a key."""
    from tikval.llm.gemini_remote import connect
    from tikval.study.remote import delete_lines, remote_lines

    if everything and not delete:
        raise UserError("--all goes with --delete")
    client = connect(Api(base_url=base_url))
    try:
        lines = remote_lines(client, outs)
        if not lines:
            print("nothing of tikval lies on the server")
            return 0
        table = Table("kind", "name", "age", "size", "state", "study", "needed")
        for line in lines:
            found = line.found
            told = (found.kind, found.label, _age(line.made), found.amount, found.state)
            table.add_row(*told, line.study or "not one that was named", line.needed or "no")
        Terminal(width=None if sys.stdout.isatty() else 200).print(table)
        chosen = [line for line in lines if everything or not line.needed]
        spared = len(lines) - len(chosen)
        if not delete:
            print(f"{len(chosen)} can be deleted (--delete), {spared} are needed or may be (--delete --all)")
            return 0
        failed = delete_lines(client, chosen)
    finally:
        client.close()
    for name, why in failed.items():
        print(f"tikval: {name} could not be deleted: {why}", file=sys.stderr)
    print(f"deleted {len(chosen) - len(failed)}, spared {spared}, could not delete {len(failed)}")
    return FAILED if failed else 0


def _age(made: datetime | None) -> str:
    """How old something is, to the hour or the minute."""
    if made is None:
        return "not known"
    minutes = max(0, int((datetime.now(UTC) - made).total_seconds() // 60))
    return f"{minutes // 60} h" if minutes >= 60 else f"{minutes} min"
