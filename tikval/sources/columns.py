"""What others call the columns of a post, the likeliest first; case, spaces and signs in a name do not count.

No name of a person to be shown (`nickname`, `author_name`) is among those of an account, which is what stands behind @.
"""

from typing import Final

VIDEO_ID: Final = (
    "videoid",
    "post_id",
    "item_id",
    "aweme_id",
    "1_Link1",
    "url",
    "video_url",
    "link",
    "web_video_url",
    "webpage_url",
    "share_url",
    "id",
    "video",
)
ACCOUNT: Final = (
    "username",
    "author_username",
    "author_unique_id",
    "unique_id",
    "authorMeta.name",
    "account_name",
    "uploader",
    "author",
    "creator",
    "influencer",
    "handle",
    "user",
)
PATH: Final = (
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "video_path",
    "video_file",
    "local_path",
    "video",
)
GENRE: Final = ("category",)
CAPTION: Final = ("video_description", "desc", "description", "post_text", "body", "text")
POSTED_AT: Final = (
    "create_time",
    "create_time_iso",
    "video_timestamp",
    "timestamp",
    "timestamp_utc",
    "unix_timestamp",
    "published_at",
    "upload_date",
    "post_date",
    "date",
)
POST: Final = {
    "path": PATH,
    "video_id": VIDEO_ID,
    "account": ACCOUNT,
    "genre": GENRE,
    "caption": CAPTION,
    "posted_at": POSTED_AT,
    "script": (),
}
FACTS: Final = {  # what else a table tells of posts
    "url": ("post_url", "web_video_url", "webpage_url", "share_url", "tiktok_url", "link"),
    "pinned": ("is_pinned", "is_pinned_item"),
    "duration": ("seconds", "video_duration", "duration_seconds", "length"),
    "is_ad": ("ad", "video_is_ad", "is_sponsored"),
    "is_aigc": ("aigc", "ai_generated", "is_ai_generated"),
    "is_slideshow": ("slideshow", "is_photo_post"),
    "likes": ("like_count", "digg_count", "likes_count", "video_diggcount"),
    "shares": ("share_count", "repost_count", "video_sharecount"),
    "comments": ("comment_count", "video_commentcount"),
    "plays": ("play_count", "view_count", "views", "video_playcount"),
    "saves": ("collect_count", "save_count", "favorites_count", "favourites_count"),
    "music": ("music_title", "music_name", "sound"),
    "hashtags": ("hashtag_names",),
    "collected_at": ("timestamp_collected", "scraped_at", "retrieved_at"),
}
OF_ACCOUNT: Final = {
    "account": ACCOUNT,
    "genre": GENRE,
    "source": (),
    "is_minor": ("minor", "underage", "is_underage", "features_a_minor"),
    "is_parent_run": ("parent_run",),
}
