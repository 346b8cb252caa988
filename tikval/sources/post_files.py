"""Which files make the photo post that a line of a manifest names: by its first picture, or by its folder."""

import os
from typing import Final

import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import filesystem, is_local
from tikval.sources.ids import post_in
from tikval.sources.photo_posts import PhotoPost, group_photo_posts, is_picture

_ANY_ID: Final = "0" * 19  # in place of that of a folder which is a post because a line says so


class PostFiles:
    """The photo posts in the folders that a manifest points into; each folder is listed once, by itself."""

    def __init__(self, videos: frozenset[str]) -> None:
        """`videos`: the suffixes of videos."""
        self._videos = videos
        self._posts: dict[tuple[str, str], dict[str, PhotoPost]] = {}  # by folder: the post of each picture

    def of(self, path: str) -> PhotoPost | None:
        """The post of a picture, or of a local folder; a picture of no post is one by itself. None: path is neither."""
        if is_picture(path):
            folder, _, name = path.rpartition("/")
            root = folder.rpartition("/")[2] or folder
            return self._of_folder(folder, root).get(name) or PhotoPost(path, (path,), None)
        if not (is_local(path) and os.path.isdir(path)):  # noqa: PTH112 - names may not be UTF-8
            return None
        name = path.rstrip("/").rpartition("/")[2]
        posts = set(self._of_folder(path.rstrip("/"), name if post_in(name) else _ANY_ID).values())
        return posts.pop() if len(posts) == 1 else None

    def _of_folder(self, folder: str, root: str) -> dict[str, PhotoPost]:
        """The post of each picture in a folder, by the picture's name, with paths as a manifest has them."""
        if (folder, root) not in self._posts:
            grouped = group_photo_posts(_names(folder), self._videos, root)
            start = f"{folder}/" if folder else ""
            self._posts[folder, root] = {
                name: PhotoPost(
                    post.name,
                    tuple(start + each for each in post.pictures),
                    post.sound and start + post.sound,
                )
                for post in grouped.posts.values()
                for name in post.pictures
            }
        return self._posts[folder, root]


def _names(folder: str) -> list[str]:
    """What lies in a folder, in order; nothing where it cannot be listed: then a picture has no others."""
    try:
        if is_local(folder):
            return sorted(name for name in os.listdir(folder or ".") if not name.startswith("."))  # noqa: PTH208
        fs, place = filesystem(folder)
        infos = fs.get_file_info(pafs.FileSelector(place, allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)
    except (OSError, UserError):
        return []
