"""Where a video's page finds the file that it plays: by a relative address, for nothing is copied."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tikval.config import ReportConfig
from tikval.files import is_local
from tikval.report.site.texts import hidden
from tikval.rows import VideoRow

WITHHELD: Final = "withheld, as the account features a minor or the file's name may name somebody"
ON_A_STORE: Final = "the file or this report lies on a store"
GONE: Final = "the file is gone"


def player_of(video: VideoRow, config: ReportConfig, *, names: bool) -> tuple[str | None, str | None]:
    """The file's address from the page of its video, or why there is none, in words.

    A photo post and a given script have neither, and nothing has where no players were asked for.

    `names`: the video's id names somebody.
    """
    if video["files"] or not video["path"] or not config.show_videos:
        return None, None
    if not is_local(config.out) or not is_local(video["path"]):
        return None, ON_A_STORE
    here = Path(config.folder, "videos").absolute()
    address = os.path.relpath(Path(video["path"]).absolute(), here)
    named = names or hidden(address, video["account"]) != address
    if video["is_minor"] or (named and not config.show_accounts):
        return None, WITHHELD
    return (quote(os.fsencode(address)), None) if Path(video["path"]).is_file() else (None, GONE)
