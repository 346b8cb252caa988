"""Every command of the documents, and who runs it: a test that is named in docs/commands.yaml, nobody and why, or
tests/docs/test_commands_run.py, which takes all others. Writes the table of them, docs/reference/runs.md.

python docs/commands.py
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
RULES: Final = ROOT / "docs" / "commands.yaml"
PAGE: Final = ROOT / "docs" / "reference" / "runs.md"
HERE: Final = "tests/docs/test_commands_run.py"
PAGES: Final = ("README.md", "CONTRIBUTING.md", "examples/README.md", "docs/*.md")
BLOCK: Final = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEREDOC: Final = re.compile(r"<<'?(\w+)'?.*?^\1$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    page: str
    text: str  # as it stands there: continued lines as one, without its comment


class Rule(NamedTuple):
    match: re.Pattern[str]  # found in the text of a command
    run_by: str | None  # tests/...::test_name
    not_run: str | None  # why


def commands() -> list[Command]:
    """All of them, in the order of pages and lines."""
    files = [file for pattern in PAGES for file in sorted(ROOT.glob(pattern))]
    return [
        Command(str(file.relative_to(ROOT)), text)
        for file in files
        for text in of_page(file.read_text("utf-8"))
    ]


def of_page(text: str) -> Iterator[str]:
    for block in BLOCK.findall(text):
        lines = HEREDOC.sub("<<TEXT", block).replace("\\\n", " ")
        open_quote = ""
        for line in lines.splitlines():
            whole = f"{open_quote} {line.strip()}".strip()
            try:
                words = shlex.split(whole, comments=True)
            except ValueError:  # a quoted text that goes on in the next line
                open_quote = whole
                continue
            open_quote = ""
            if words:
                yield without_comment(whole)


def without_comment(line: str) -> str:
    """The line up to a `#` that shlex takes for the begin of a comment."""
    words = shlex.split(line, comments=True)
    for place in [match.start() for match in re.finditer(r"(?:^|\s)#", line)]:
        try:
            if shlex.split(line[:place]) == words:
                return line[:place].rstrip()
        except ValueError:
            continue
    return line


def rules() -> list[Rule]:
    found = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [Rule(re.compile(one["match"]), one.get("run_by"), one.get("not_run")) for one in found["rules"]]


def rule_of(command: Command, all_rules: list[Rule]) -> Rule | None:
    """The first that matches; none: the test here runs it."""
    return next((rule for rule in all_rules if rule.match.search(command.text)), None)


def runs() -> str:
    """The page: every command, and the test that runs it or why none does."""
    all_rules, lines = rules(), []
    for command in dict.fromkeys(commands()):
        rule = rule_of(command, all_rules) or Rule(re.compile(""), HERE, None)
        by = rule.run_by
        who = (
            f"[{by.rpartition('/')[2]}](../../{by.partition('::')[0]})" if by else f"not run: {rule.not_run}"
        )
        lines.append((command, who, by is not None))
    ran = sum(by for _, _, by in lines)
    parts = [
        "# Which commands were run\n",
        "Made by `python docs/commands.py`: every command of these pages, with the test that runs it or what it\n"
        f"calls, or the reason why none does. Tests run {ran} of {len(lines)}. Placeholders such as `my_videos/`\n"
        "then stand for small inputs. The command line itself reads all of them, option by option\n"
        "([test_commands.py](../../tests/docs/test_commands.py)).\n",
    ]
    for page in dict.fromkeys(command.page for command, _, _ in lines):
        parts.append(f"\n## {page}\n\n| command | run by |\n| --- | --- |")
        parts += [
            f"| `{command.text.replace('|', chr(92) + '|')}` | {who} |"
            for command, who, _ in lines
            if command.page == page
        ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(runs(), encoding="utf-8")
