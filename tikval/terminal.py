"""What is printed: ids, names of files and what servers say come from strangers and must not move a cursor."""

import functools
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, Final, TextIO, cast

from rich.console import Console
from rich.text import Text

# control characters but tab and line end, those that turn the direction of a line, and halves of letters
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


_NO_COLOUR: Final = "\x1b[0m"  # alone it moves nothing; colorama, which Ray loads, writes it as Python ends


def printable(text: str) -> str:
    """A text with its control characters spelled out, such as `\\x1b` for an escape."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@functools.cache
def note_once(text: str) -> None:
    """Print a note for the user, once in a process, however often something comes across it."""
    print(f"tikval: note: {printable(text)}", file=sys.stderr)


class Terminal(Console):
    """A console for data: brackets in it are no markup, its control characters are spelled out, its colours stay."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False)

    def render_str(self, text: str, **kwargs: Any) -> Text:
        return super().render_str(printable(text), **kwargs)

    @property
    def file(self) -> IO[str]:
        """The stream behind all that escape: what this console writes is codes of its own, and texts made printable."""
        stream = super().file
        while (behind := getattr(stream, "rich_proxied_file", None)) is not None:
            stream = behind
        return stream

    @file.setter
    def file(self, stream: IO[str]) -> None:
        self._file = stream


@contextmanager
def drawn(screen: AbstractContextManager[Any]) -> Iterator[None]:
    """A bar or a table of rich while it is drawn anew; what is printed meanwhile has its codes spelled out."""
    with screen:
        escape_output()
        yield


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on a terminal what takes a while; elsewhere say nothing."""
    console = Terminal(stderr=True)
    if not console.is_terminal:
        yield
        return
    with drawn(console.status(what)):
        yield


class _Escaping:
    """A stream whose writers are not trusted; rich's consoles write to the one behind it, as theirs are codes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rich_proxied_file = getattr(stream, "rich_proxied_file", stream)

    def write(self, text: str) -> int:
        return self._stream.write(text if text == _NO_COLOUR else printable(text))

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def escape_output() -> None:
    """Let everything that this process prints, warnings and tracebacks too, be printable."""
    for bars in (
        "TQDM_DISABLE",
        "HF_HUB_DISABLE_PROGRESS_BARS",
    ):  # of libraries: they draw with carriage returns
        os.environ.setdefault(bars, "1")
    for name in ("stdout", "stderr"):
        if not isinstance(stream := getattr(sys, name), _Escaping):
            setattr(sys, name, cast(TextIO, _Escaping(stream)))
