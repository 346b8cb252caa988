"""`tikval annotate project`: the plan of a coding folder as a project for Potato or Label Studio."""

import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tikval.cli.annotate import annotate
from tikval.cli.guard import FAILED, guard
from tikval.stats.limits import counted


@annotate.command()
def project(
    folder: Annotated[Path, typer.Argument(help="The coding folder that tikval annotate sheet made.")],
    tool: Annotated[Literal["potato", "label-studio"], typer.Option(help="Where coders answer.")],
    to: Annotated[Path, typer.Option(help="An empty folder for the project; its README.md has the steps.")],
) -> None:
    """Write the plan's videos for Potato or Label Studio; tikval annotate merge reads what people answer there."""
    from tikval.annotate.coding_folder import CodingFolder, make_known
    from tikval.annotate.tools.label_studio_project import label_studio_projects
    from tikval.annotate.tools.potato_project import potato_project
    from tikval.annotate.tools.tool_project import passwords_for, write_tool_project
    from tikval.evaluate.sample import is_study

    def run() -> int:
        coding = CodingFolder(folder)
        protocol, plan = coding.protocol, coding.plan()
        passwords = passwords_for([*protocol.active, protocol.third])
        given = (plan, coding.items(), coding.codebook())
        if tool == "potato":
            made = potato_project(*given, coders=protocol.active, third=protocol.third, passwords=passwords)
        else:
            tokens = {coder: secrets.token_hex(20) for coder in protocol.active}
            made = label_studio_projects(*given, coders=protocol.active, passwords=passwords, tokens=tokens)
        write_tool_project(made, to, coding.sheets)
        if coding.study and is_study(coding.study):
            make_known(coding.study, to)
        if any(line.round == "practice" for line in plan):
            print(
                "tikval: note: practice is left to the sheets: neither tool shows the right answers",
                file=sys.stderr,
            )
        if made.left_out:
            left = counted(len(made.left_out), "video")
            names = ", ".join(made.left_out[:5])
            print(f"tikval: {left} left out, for no file of theirs is known: {names}", file=sys.stderr)
        coders = counted(len(protocol.active), "coder")
        print(f"{coders}, {counted(len(made.media), 'file')} of videos: {to}")
        print(f"passwords: {', '.join(str(to / name) for name in sorted(made.secret))}")
        coder = f" {protocol.active[0]}" if tool == "label-studio" else ""
        print(f"start it, on 127.0.0.1 alone: {to / 'start.sh'}{coder}; all steps: {to / 'README.md'}")
        return FAILED if made.left_out else 0

    raise typer.Exit(guard(run))
