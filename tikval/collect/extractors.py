"""yt-dlp's extractors for the platforms that are collected from, and for TikTok what its items tell beyond them.

This module needs yt-dlp. None but these extractors is ever asked: an address that redirects elsewhere is not followed.
"""

from typing import Any, Final

from yt_dlp.extractor import get_info_extractor
from yt_dlp.extractor.tiktok import TikTokIE as PlainPost
from yt_dlp.extractor.tiktok import TikTokLiveIE, TikTokVMIE
from yt_dlp.extractor.tiktok import TikTokUserIE as PlainUser

_OTHERS: Final = ("Instagram", "Youtube")
_MOST_PICTURES: Final = 100


class _ToldByItem:
    def _parse_aweme_video_web(self, aweme_detail: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        info: dict[str, Any] = super()._parse_aweme_video_web(aweme_detail, *args, **kwargs)  # type: ignore[misc]
        return info | told_by_item(aweme_detail)


class TikTokIE(_ToldByItem, PlainPost):  # type: ignore[misc]
    """A post of TikTok, with what its item tells. Its name is yt-dlp's, since extractors are found by their names."""


class TikTokUserIE(_ToldByItem, PlainUser):  # type: ignore[misc]
    """An account of TikTok, with what the items of its posts tell."""


def told_by_item(item: Any) -> dict[str, Any]:
    """What a web item of TikTok tells and yt-dlp does not: `pictures`, `pinned`, `sound_removed`, each if it is there.

    A post that is not pinned has no mark at all in some answers, so that its absence tells nothing.
    """
    item = item if isinstance(item, dict) else {}
    told: dict[str, Any] = {}
    if isinstance(post := item.get("imagePost"), dict):
        images = [image for image in post.get("images") or [] if isinstance(image, dict)]
        lists = [(image.get("imageURL") or {}).get("urlList") or [] for image in images[:_MOST_PICTURES]]
        told["pictures"] = [str(urls[0]) for urls in lists if urls]
    if isinstance(item.get("isPinnedItem"), bool):
        told["pinned"] = item["isPinnedItem"]
    music = item.get("music")
    if item.get("itemMute") is True or (isinstance(music, dict) and music.get("playUrl") == ""):
        told["sound_removed"] = True
    return told


def extractors() -> list[type]:
    """The extractor classes, in the order in which they are asked whether an address is theirs."""
    return [TikTokIE, TikTokUserIE, TikTokVMIE, TikTokLiveIE, *map(get_info_extractor, _OTHERS)]
