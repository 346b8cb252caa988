"""Names of files -> the photo posts among them: the pictures of a post in their order, and its sound. Pure.

    7412345678901234567_1.jpg  7412345678901234567_2.jpg  7412345678901234567.mp3        one post
    7412345678901234567/1.webp 7412345678901234567/2.webp 7412345678901234567/music.m4a  one post
    holiday_1.jpg holiday_2.jpg holiday.mp3                                              one post, without an id
    7412345678901234567.mp4    7412345678901234567.jpg    7412345678901234567_1.jpg      a video; its pictures are none

A picture belongs to a post by its number. Without one it is a cover, but where the post's sound and nothing else is
there. Without an id, a post is two or more numbered pictures of one name and a sound of that name.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from tikval.sources.ids import post_in

# the first of several files of one picture, or of one sound, counts
PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".heic", ".heif")
SOUNDS: Final = (".mp3", ".m4a", ".aac", ".opus", ".ogg", ".oga", ".wav", ".flac")
_ID: Final = re.compile(r"(?<!\d)\d{19}(?!\d)")
_WORD: Final = r"(?:(?:image|img|photo|picture|pic|slide|page|p|no)[ ._-]*)?"
_NUMBER: Final = rf"(?P<all>[ ._-]*{_WORD}[(\[]?(?<!\d)(?<!\dx)(?P<n>\d{{1,3}})(?!\d)[)\]]?)"
_AFTER_ID: Final = re.compile(rf"\]?{_NUMBER}(?![^\W_])", re.IGNORECASE)
_AT_END: Final = re.compile(rf"^.*?{_NUMBER}$", re.IGNORECASE | re.DOTALL)
_COVER: Final = re.compile(
    r"(?<![^\W_])(?:cover|thumb|thumbnail|avatar|profile|poster|preview|(?:maxres|hq)?default)(?![^\W\d_])",
    re.IGNORECASE,
)
_SOUND_WORDS: Final = ("music", "sound", "audio", "original", "song", "track")
_INFO: Final = ".info.json"
_RECORDS: Final = frozenset({"collected.jsonl", "listed.jsonl", "status.json"})  # of tikval collect
_SHOWN: Final = 3  # names of one kind in the line that is said


class PhotoPost(NamedTuple):
    """Paths as they were given."""

    name: str  # a path that names the post as a file's names a video: with its id, else without a number
    pictures: tuple[str, ...]  # in order
    sound: str | None

    @property
    def files(self) -> tuple[str, ...]:
        return *self.pictures, *([self.sound] if self.sound else [])


class Grouped(NamedTuple):
    posts: dict[str, PhotoPost]  # by the first picture
    passed_over: list[
        str
    ]  # in the order given, all that is neither a video nor of a post, nor tells of posts


@dataclass
class _Found:
    """What there is of one post in one folder."""

    name: str
    has_id: bool
    numbered: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    plain: list[str] = field(default_factory=list)  # pictures without a number
    sounds: list[str] = field(default_factory=list)

    def post(self, *, has_info: bool) -> PhotoPost | None:
        """`has_info`: a downloader's record of it lies beside, with which a picture without a number is a cover."""
        pictures = [min(same, key=_preference) for _, same in sorted(self.numbered.items())]
        if not pictures and len(self.plain) == 1 and self.has_id and self.sounds and not has_info:
            pictures = self.plain
        if not pictures or (not self.has_id and (len(pictures) < 2 or not self.sounds)):
            return None
        name = pictures[0] if self.has_id and post_in(pictures[0]) else self.name
        return PhotoPost(name, tuple(pictures), min(self.sounds, key=_preference, default=None))


def is_picture(name: str) -> bool:
    return _suffix(name) in PICTURES


def is_sound(name: str) -> bool:
    return _suffix(name) in SOUNDS


def group_photo_posts(names: Iterable[str], videos: Collection[str], root: str = "") -> Grouped:
    """Group the files of a folder by their paths in it; `videos` are the suffixes of videos, each with its dot.

    `root` is the name of the folder itself, which may be that of a post. A post whose video is there has no pictures.
    """
    listed = list(names)
    found: dict[tuple[str, str], _Found] = {}
    shown, recorded = set[str](), set[str]()  # ids of videos, and ids that a downloader's record tells of
    for name in listed:
        if _suffix(name) in videos:
            shown.add(_key(name, root)[1])
        elif name.lower().endswith(_INFO):
            recorded.add(_key(name[: -len(_INFO)], root)[1])
        elif is_picture(name) or is_sound(name):
            _sort_in(name, root, found)
    _join_sounds(found)
    posts: dict[str, PhotoPost] = {}
    for (_, key), each in found.items():
        post = None if key in shown else each.post(has_info=key in recorded)
        if post:
            posts[post.pictures[0]] = post
    used = {name for post in posts.values() for name in post.files}
    left = (name for name in listed if name not in used and _suffix(name) not in videos)
    return Grouped(posts, [name for name in left if not _tells_of_posts(name)])


def _tells_of_posts(name: str) -> bool:
    """Whether a file is what a downloader or a collector wrote of the posts beside it, which is read as that."""
    return name.lower().endswith(_INFO) or PurePosixPath(name).name in _RECORDS


def passed_over_line(where: str, names: Collection[str]) -> str:
    """What of a listing is not used, counted by kind; of a post's file the id stands for the name, which may name
    somebody."""
    kinds = Counter(_suffix(name) or "without a suffix" for name in names)
    some = defaultdict[str, list[str]](list)
    for name in names:
        some[_suffix(name) or "without a suffix"].append(plain_name(name))
    told = [
        f"{count} {kind} ({', '.join(some[kind][:_SHOWN])}{', ...' if count > _SHOWN else ''})"
        for kind, count in kinds.most_common()
    ]
    files = "1 file is" if len(names) == 1 else f"{len(names):,} files are"
    return f"{where}: {files} neither a video nor of a photo post and passed over: {'; '.join(told)}"


def plain_name(name: str) -> str:
    base = PurePosixPath(name).name
    post = post_in(name)
    if post:
        return post.video_id + _suffix(name)
    return "@..." + _suffix(name) if "@" in base else base.encode("utf-8", "backslashreplace").decode()[:60]


def _sort_in(name: str, root: str, found: dict[tuple[str, str], _Found]) -> None:
    """Put a picture or a sound to what there is of its post."""
    folder, key = _key(name, root)
    has_id, number = _ID.fullmatch(key) is not None, None
    if is_picture(name):
        number, base = _number(PurePosixPath(name).stem)
        if number is not None and not has_id:
            key = _joined(folder, base)
    elif not has_id and _is_sound_of_folder(name):
        key = _joined(folder, "")
    named = (folder or root) if has_id else f"{key.rstrip('/')}.jpg"
    one = found.setdefault((folder, key), _Found(named, has_id))
    if is_sound(name):
        one.sounds.append(name)
    elif number is None:
        one.plain.append(name)
    else:
        one.numbered[number].append(name)


def _number(stem: str) -> tuple[int | None, str]:
    """The number of a picture, None of a cover, and what stands before it."""
    ids = list(_ID.finditer(stem))
    match = _AFTER_ID.match(stem, ids[-1].end()) if ids else None
    if match is None and not _COVER.search(_ID.sub("", stem)):
        match = _AT_END.match(stem)
    return (int(match["n"]), stem[: match.start("all")]) if match else (None, stem)


def _key(name: str, root: str) -> tuple[str, str]:
    """The folder of a post, and what the post is called: by the id in the file's name, else in that of a folder that
    it lies in, else by its path."""
    path = PurePosixPath(name)
    folder = str(path.parent) if path.parent.name else ""
    if post := post_in(path.name):
        return folder, post.video_id
    for above in path.parents:
        if post := post_in(above.name or root):
            return str(above) if above.name else "", post.video_id
    return folder, _joined(folder, path.stem)


def _joined(folder: str, base: str) -> str:
    return f"{folder}/{base}" if folder else base


def _is_sound_of_folder(name: str) -> bool:
    """Whether a sound is that of the folder's pictures, by its name: `music.mp3`, or as the folder is called."""
    path = PurePosixPath(name)
    words = (*_SOUND_WORDS, path.parent.name.lower())
    return bool(path.parent.name) and path.stem.lower() in words


def _join_sounds(found: dict[tuple[str, str], _Found]) -> None:
    """Give a sound that lies in another folder than its pictures to them, where an id says so and only one has none."""
    silent, alone = defaultdict[str, list[_Found]](list), list[tuple[str, str]]()
    for at, one in found.items():
        if one.has_id and one.numbered and not one.sounds:
            silent[at[1]].append(one)
        elif one.has_id and one.sounds and not one.numbered and not one.plain:
            alone.append(at)
    for at in alone:
        if len(silent[at[1]]) == 1:
            silent[at[1]].pop().sounds = found.pop(at).sounds


def _preference(name: str) -> tuple[bool, int, int, str]:
    """What sorts the best of several files of one thing first."""
    stem, order = PurePosixPath(name).stem.lower(), (*PICTURES, *SOUNDS)
    return not any(word in stem for word in _SOUND_WORDS), order.index(_suffix(name)), len(name), name


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
