"""What a run will cost: made once, with the videos or without them, on both sides of a price change."""

import json
from pathlib import Path

import pytest

from tikval.config import ExtractConfig, UserError, load_config
from tikval.study.estimate import estimate_once


def direct(tmp_path: Path) -> ExtractConfig:
    out = [("out", str(tmp_path)), ("videos.out", str(tmp_path)), ("videos.videos", str(tmp_path / "videos"))]
    return load_config(ExtractConfig, "configs/gemini/direct.yaml", out)


def account(config: ExtractConfig, estimate_usd: float | None) -> None:
    Path(config.folder).mkdir(parents=True, exist_ok=True)
    spent = {"settled_usd": 1.0, "unknown_usd": 0.0, "calls": 3, "estimate_usd": estimate_usd}
    payload = {"spent": spent, "open": {}, "window": []}
    Path(config.folder, "calls.json").write_text(json.dumps(payload))


def test_a_folder_with_an_estimate_gets_no_other(tmp_path: Path) -> None:
    """Its videos are not even looked at: here there is no catalog that could name them."""
    config = direct(tmp_path)
    account(config, 2.5)
    assert estimate_once(config) is None


@pytest.mark.parametrize("known", [False, True])
def test_a_folder_without_one_gets_it(tmp_path: Path, known: bool) -> None:
    config = direct(tmp_path)
    if known:
        account(config, None)
    with pytest.raises(UserError, match="catalog"):
        estimate_once(config)
