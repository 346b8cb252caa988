"""What is known of the posts of a study: the rows that its sources told, and those that their ids alone tell."""

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from tikval.rows import Outcome, PostRow, Reason, VideoRow, arrow_schema
from tikval.sources.ids import posted_at_of
from tikval.store.folder import Folder

SIDE_TABLE: Final = "posts"
_OF_VIDEO: Final = ("video_id", "account", "caption", "posted_at", "error")


def read_posts(catalog: Folder) -> pa.Table:
    """A PostRow for each post that is listed, with or without files: each id once.

    A video that no source told of has what its row in the catalog tells, and its id.
    """
    schema, run = arrow_schema(PostRow), catalog.finished()
    told = (
        catalog.table(run.side_tables[SIDE_TABLE]).cast(schema)
        if SIDE_TABLE in run.side_tables
        else schema.empty_table()
    )
    known = set(told["video_id"].to_pylist())
    videos = catalog.read(list(_OF_VIDEO)).to_pylist()
    others = [
        post_of_video(video)
        for video in videos
        if video["video_id"] not in known and video["error"] != Reason.DUPLICATE_ID
    ]
    return pa.concat_tables([told, pa.Table.from_pylist(others, schema=schema)])


def post_of_video(video: VideoRow) -> PostRow:
    """The post of a file that was listed by itself."""
    return empty_post(video["video_id"], "folder") | {  # type: ignore[return-value]
        "account": video["account"],
        "caption": video["caption"],
        **dated(video["posted_at"], video["video_id"]),
        "outcome": Outcome.COLLECTED.value,
    }


def empty_post(video_id: str, source: str) -> PostRow:
    """A post of which nothing is known but its id, and no files."""
    row: PostRow = dict.fromkeys(PostRow.__annotations__) | {  # type: ignore[assignment]
        "video_id": video_id,
        "posted_at_from_id": False,
        "source": source,
        "outcome": Outcome.NO_FILE.value,
    }
    return row


def dated(posted_at: datetime | None, video_id: str) -> dict[str, datetime | bool | None]:
    """When a post was posted, and whether that is only what its id tells."""
    from_id = posted_at_of(video_id) if posted_at is None else None
    when = from_id if posted_at is None else posted_at
    return {"posted_at": when.astimezone(UTC) if when else None, "posted_at_from_id": from_id is not None}
