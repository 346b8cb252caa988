"""The user's key: what is hashed with it (who was erased, pseudonymous ids) tells nothing to who has a folder alone.

It lies outside every study: in the environment (TIKVAL_KEY, hexadecimal), else in a file of the user's.
"""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tikval.config import UserError

VARIABLE: Final = "TIKVAL_KEY"
_BYTES: Final = range(16, 65)  # as many as keyed BLAKE2b takes
_NAME: Final = "key"


def study_key(create: bool) -> bytes:
    """The key, 16 to 64 bytes; with `create` it is made where there is none.

    Raises UserError where there is none, where it is no key, and where its file is a link or open to others.
    """
    key = find_study_key()
    if key is None and create:
        _make()
        key = find_study_key()
    if key is None:
        raise UserError(
            f"no key: there is neither {VARIABLE} nor {_folder() / _NAME}; bring the file back, or set {VARIABLE} to "
            "what it holds"
        )
    return key


def find_study_key() -> bytes | None:
    """The key, None where there is none. Raises UserError as study_key."""
    if given := os.environ.get(VARIABLE, "").strip():
        return _parse(given, VARIABLE)
    place = _folder() / _NAME
    try:
        with _opened(place.parent) as folder:
            file = os.open(_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(file, "rb") as opened:
                if os.fstat(file).st_mode & 0o077:
                    raise UserError(f"{place}: others may read it: chmod 600 {place}")
                text = opened.read(1024)
    except FileNotFoundError:
        return None
    except OSError as err:  # a link among them
        raise UserError(
            f"{place}: cannot be read as a plain file ({err.strerror}); or set {VARIABLE}"
        ) from err
    return _parse(text.decode("ascii", "replace").strip(), str(place))


def _make() -> None:
    """Write a new key, whole or not at all; one that another process has made meanwhile stays."""
    place = _folder() / _NAME
    temporary = f".tmp-{secrets.token_hex(8)}"
    try:
        place.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.parent.mkdir(mode=0o700)
        with _opened(place.parent) as folder:
            os.fchmod(folder, 0o700)
            made = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder
            )
            try:
                with os.fdopen(made, "w", encoding="ascii") as file:
                    file.write(secrets.token_hex(32) + "\n")
                    file.flush()
                    os.fsync(made)
                os.link(temporary, _NAME, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                return
            finally:
                os.unlink(temporary, dir_fd=folder)
            os.fsync(folder)
    except OSError as err:
        raise UserError(
            f"{place}: the key cannot be kept there ({err.strerror}); set {VARIABLE} to 64 hexadecimal digits of your "
            "own (openssl rand -hex 32), and keep them"
        ) from err
    print(f"tikval: note: made {place}: keep it, without it nobody can tell who was erased", file=sys.stderr)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor of a folder that is no link."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield opened
    finally:
        os.close(opened)


def _folder() -> Path:
    """$XDG_CONFIG_HOME/tikval, which by default is ~/.config/tikval; a relative one does not count."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(config) if config.startswith("/") else Path.home() / ".config") / "tikval"
    except RuntimeError as err:
        raise UserError(f"there is no home folder to keep a key in; set {VARIABLE}") from err


def _parse(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError as err:
        raise UserError(f"{where}: not hexadecimal digits") from err
    if len(key) not in _BYTES:
        raise UserError(f"{where}: {2 * len(key)} hexadecimal digits; a key has 32 to 128")
    return key
