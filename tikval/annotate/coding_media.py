"""Videos beside the sheets: under names that tell nobody's account, and in one zip a coder where that is wanted."""

import hashlib
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from rich.progress import Progress

from tikval.annotate.material import CodingVideo
from tikval.config import Limits, UserError
from tikval.files import is_local, make_folder, move_file, plain_address
from tikval.media.fetch import local_copies
from tikval.media.reading import ClipError
from tikval.rows import Reason
from tikval.sources.tables import Say
from tikval.terminal import Terminal, drawn

Media = Literal["copy", "link", "none"]

_PLAYED: Final = frozenset(
    ".mp4 .m4v .webm .mov .ogv .mp3 .m4a .aac .wav .ogg .opus .jpg .jpeg .png .webp .gif".split()
)
_HEVC: Final = (b"hvc1", b"hev1")
_LOOKED_AT: Final = 2**18  # bytes at either end of a file, where the names of its codecs stand
_MANY: Final = 20  # files, which take a while


def place_media(
    videos: Sequence[CodingVideo], folder: Path, media: Media, say: Say
) -> tuple[list[CodingVideo], dict[str, str]]:
    """The videos with files relative to sheets/, and why some are left out, by item.

    `copy` puts them into media/ of the coding folder, as another name of the same file where the disk allows it; `link`
    names them where they lie; `none` gives sheets without videos. Raises UserError where they cannot be written, and
    for `link` to an object store.
    """
    if media == "none":
        return [replace(video, files=()) for video in videos], {}
    placed, left_out, unplayed = [], dict[str, str](), list[str]()
    for video in _with_bar(videos):
        try:
            files = _linked(video, folder) if media == "link" else _copied(video, folder)
        except ClipError as err:
            left_out[video.item] = err.detail or err.reason
            continue
        names = (os.path.relpath(file, folder / "sheets") for file in files)
        placed.append(replace(video, files=tuple(Path(name).as_posix() for name in names)))
        if not all(map(_is_played, files)):
            unplayed.append(video.item)
    if without := [video.item for video in placed if not video.files]:
        say(f"videos of which no file is known, so that coders have to find them: {_some(without)}")
    if unplayed:
        say(
            f"videos in a format that not every browser plays: {_some(unplayed)}; try one in the coders' browser, or "
            "make MP4 with H.264 of them first (ffmpeg -i IN -c:v libx264 -c:a aac OUT.mp4)"
        )
    if media == "link" and any(video.files for video in placed):
        say("the sheets name the videos by their paths here; where these name accounts, coders can read them")
    return placed, left_out


def _with_bar(videos: Sequence[CodingVideo]) -> Iterator[CodingVideo]:
    console = Terminal(stderr=True)
    quiet = not console.is_terminal or len(videos) < _MANY
    bar = Progress(console=console, disable=quiet, transient=True)
    with drawn(bar):
        yield from bar.track(videos, description="videos for coders")


def _linked(video: CodingVideo, folder: Path) -> list[Path]:
    if away := [plain_address(file) for file in video.files if not is_local(file)]:
        raise UserError(
            f"{away[0]}: lies on an object store, where no sheet plays it; --media copy fetches it"
        )
    return [_there(file) for file in video.files]


def _there(file: str) -> Path:
    path = Path(file).resolve()
    if not path.is_file():
        raise ClipError(Reason.MISSING_FILE, "no such file")
    return path


def _copied(video: CodingVideo, folder: Path) -> list[Path]:
    if not video.files:
        return []
    targets = [folder / "media" / name for name in media_names(video)]
    for file in video.files:
        if is_local(file):
            _there(file)
    with local_copies(list(video.files), Limits()) as sources:
        for source, target in zip(sources, targets, strict=True):
            try:
                _copy(Path(source).resolve(), target)
            except OSError as err:
                raise UserError(f"{target}: cannot be written ({err.strerror or err})") from err
    return targets


def _copy(source: Path, target: Path) -> None:
    make_folder(target.parent)
    if target.exists() and (target.samefile(source) or target.stat().st_size == source.stat().st_size):
        return
    made = target.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        try:
            os.link(source, made)
            made.replace(target)
        except OSError:  # another disk, or somebody else's file
            shutil.copyfile(source, made)
            move_file(made, str(target))
    finally:
        made.unlink(missing_ok=True)


def media_names(video: CodingVideo) -> list[str]:
    """Names of a video's files in media/: the item as far as every disk can write it, and nobody's account."""
    plain = re.sub(r"[^a-z0-9_-]", "_", video.item.lower())[:80]
    if plain != video.item:  # two ids may differ in what is lost
        plain += f"-{hashlib.blake2b(video.item.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    ends = [
        suffix if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix := Path(f).suffix.lower()) else ""
        for f in video.files
    ]
    return [f"{plain}-{n}{end}" if len(ends) > 1 else f"{plain}{end}" for n, end in enumerate(ends, start=1)]


def _is_played(file: Path) -> bool:
    if file.suffix.lower() not in _PLAYED:
        return False
    with file.open("rb") as opened:
        looked_at = opened.read(_LOOKED_AT)
        opened.seek(max(0, file.stat().st_size - _LOOKED_AT))
        looked_at += opened.read(_LOOKED_AT)
    return not any(name in looked_at for name in _HEVC)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return f"{', '.join(items[:3])}{more}"


def write_zip(to: Path, folder: Path, files: Iterable[Path]) -> None:
    """Pack files of a coding folder; videos are packed already, and are stored as they are."""
    make_folder(to.parent)
    made = to.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        made.touch(mode=0o600)
        with zipfile.ZipFile(made, "w") as packed:
            for file in files:
                inside = file.relative_to(folder).as_posix()
                text = file.suffix in (".html", ".md")
                packed.write(file, inside, zipfile.ZIP_DEFLATED if text else zipfile.ZIP_STORED)
        move_file(made, str(to))
    except OSError as err:
        raise UserError(f"{to}: cannot be written ({err.strerror or err})") from err
    finally:
        made.unlink(missing_ok=True)
