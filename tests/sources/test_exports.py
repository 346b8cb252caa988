"""Every export of the field is read to the same posts, whatever it calls them."""

import json
from pathlib import Path

import pytest

from tikval.config import UserError
from tikval.sources.exports import read_export

ID = "7412345678901234567"


def test_a_map_of_ones_own_reads_what_nobody_knows(tmp_path: Path) -> None:
    table, mine = tmp_path / "posts.csv", tmp_path / "mine.yaml"
    table.write_text(f"nr,wer,gefaellt\n{ID},jane,12\n")
    assert read_export(str(table)) is None
    mine.write_text("columns: {video_id: nr, account: wer, likes: gefaellt}")
    export = read_export(str(table), str(mine))
    assert export
    (row,) = export.rows()
    assert (row["video_id"], row["account"], row["likes"]) == (ID, "jane", 12)
    mine.write_text("columns: {video_id: nr, account: who}")
    with pytest.raises(
        UserError, match=r"mine\.yaml: columns\.account: .*posts\.csv has no column 'who'; it has nr"
    ):
        read_export(str(table), str(mine))
    mine.write_text("columns: {video_id: nr, accuont: wer}")
    with pytest.raises(UserError, match=r"mine\.yaml: columns\.accuont"):
        read_export(str(table), str(mine))


def test_a_page_of_the_research_api(tmp_path: Path) -> None:
    page = {
        "data": {"videos": [{"id": int(ID), "video_description": "hi", "username": "j", "effect_ids": ["1"]}]}
    }
    (tmp_path / "page").write_text(json.dumps(page))
    export = read_export(str(tmp_path / "page"))
    assert export
    (row,) = export.rows()
    assert row["video_id"] == ID
    assert row["url"] == f"https://www.tiktok.com/@j/video/{ID}"
    assert row["posted_at_from_id"]
    assert export.line.endswith("page: a TikTok Research API export: 1 row, 1 post; not used: effect_ids")
