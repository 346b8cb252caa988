"""What strangers wrote reaches a terminal as text: no cursor moves, no title changes, no link, no reversed line."""

import os
import pty
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from rich.table import Table

from tests.conftest import ROOT
from tikval.terminal import Terminal, printable

HOSTILE = "id\x1b[2J\x1b]0;title\x07\x1b]8;;http://x\x1b\\a\r\x9b31m\u202egpj\x00\x7f[link=http://x]y[/link]:smile:\udc80"


def test_what_moves_a_cursor_is_spelled_out_and_other_text_stays() -> None:
    assert printable("é 日本 🙂\n\ta-b") == "é 日本 🙂\n\ta-b"
    shown = printable(HOSTILE)
    assert shown.startswith("id\\x1b[2J\\x1b]0;title\\x07")
    assert shown.isprintable()
    shown.encode()  # halves of letters, as in names of files that are no UTF-8, too


def test_tables_and_lines_of_a_console_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("what", title=HOSTILE)
    table.add_row(HOSTILE)
    terminal = Terminal(width=300)
    terminal.print(table)
    terminal.print(HOSTILE)
    out = capsys.readouterr().out
    assert "[link=http://x]y[/link]:smile:" in out
    assert set(out) & set("\x1b\x07\r\x9b\u202e\x00\x7f") == set()
    cells = [line for line in out.splitlines() if line[:1] in "│┃┏└┡"]
    assert len({len(line) for line in cells}) == 1  # what is spelled out is also what is measured


SCRIPT = """
import logging, sys, warnings
from tikval.cli.app import app, main

@app.command()
def hostile(word: str) -> None:
    from tikval.terminal import Terminal
    print(word)
    print(word, file=sys.stderr)
    sys.stderr.writelines([word])
    logging.getLogger("x").warning(word)
    warnings.warn(word)
    Terminal().print(word)
    raise RuntimeError(word)

sys.argv = ["tikval", "hostile", {word!r}]
main()
"""


def test_every_way_out_of_a_command_is_covered(tmp_path: Path) -> None:
    word = HOSTILE.replace("\udc80", "")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(word=word))
    done = subprocess.run([sys.executable, script], capture_output=True, cwd=ROOT)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert out.count("id\\x1b[2J") == 2, err
    assert err.count("id\\x1b[2J") >= 5
    assert set(out + err) & set("\x1b\x07\r\x9b\u202e\x00\x7f") == set()


@pytest.mark.parametrize("word", ["job", "failures"])
def test_a_mistake_that_names_a_hostile_file(word: str, tmp_path: Path) -> None:
    arguments = [word, *(["evaluate"] if word == "job" else []), str(tmp_path / "x\x1b[2J.yaml")]
    done = subprocess.run([sys.executable, "-m", "tikval.cli", *arguments], capture_output=True, cwd=ROOT)
    assert done.returncode == 2
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"x\\x1b[2J.yaml" in done.stderr


BARS = """
import sys, time
from rich.live import Live
from rich.progress import Progress
from tikval.report.export.progress import ExportProgress
from tikval.store.progress import StageProgress
from tikval.terminal import Terminal, drawn, escape_output, working
escape_output()
for bar in (
    StageProgress("catalog", 3, 0, sys.argv[1]), ExportProgress("x", 3), working("listing"),
    drawn(Progress(console=Terminal(stderr=True))), drawn(Live("table", console=Terminal())),
):
    with bar:
        print("evil\x1b[2J")
        time.sleep(0.2)  # so that it is drawn more than once
"""


def test_bars_and_live_tables_are_drawn_on_a_terminal(tmp_path: Path) -> None:
    """Their own codes reach it as codes, those of what is printed meanwhile do not."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", BARS, str(tmp_path)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT
    )
    os.close(theirs)
    out = b"".join(iter(partial(_read, ours), b"")).decode()
    os.close(ours)
    assert done.wait() == 0, out
    assert out.count("evil\\x1b[2J") == 5
    assert "\x1b[2J" not in out
    assert "\\x1b[" not in out.replace("evil\\x1b[2J", ""), "a code is spelled out"
    assert out.count("\x1b[?25l") == 5  # each hides the cursor,
    assert out.count("\x1b[?25h") == 5  # and shows it again


def test_no_code_stands_at_the_end_of_a_command_that_has_started_ray() -> None:
    script = "from tikval.terminal import escape_output as do\ndo(); import ray, colorama; colorama.init(); print(7)"
    ours, theirs = pty.openpty()
    done = subprocess.Popen([sys.executable, "-c", script], stdout=theirs, stderr=theirs, cwd=ROOT)
    os.close(theirs)
    out = b"".join(iter(partial(_read, ours), b"")).decode()
    os.close(ours)
    assert done.wait() == 0, out
    assert out.startswith("7")
    assert "\\x1b" not in out


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def test_what_is_drawn_escapes_what_is_printed_meanwhile() -> None:
    for file in (ROOT / "tikval").rglob("*.py"):
        text = file.read_text()
        if file.name != "terminal.py" and ("rich.progress" in text or "rich.live" in text):
            assert "drawn(" in text, f"{file}: use tikval.terminal.drawn"


def test_there_is_no_other_console() -> None:
    for file in (ROOT / "tikval").rglob("*.py"):
        if file.name != "terminal.py":
            assert "Console(" not in file.read_text(), f"{file}: use tikval.terminal.Terminal"
