"""What yt-dlp says when it gets nothing, as outcomes."""

from http.client import HTTPMessage
from io import BytesIO

import pytest
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UserNotLive

from tikval.collect.outcomes import not_collected
from tikval.rows import Outcome


def http(status: int) -> HTTPError:
    return HTTPError(Response(BytesIO(), "https://www.tiktok.com/@jane/video/1", HTTPMessage(), status))


@pytest.mark.parametrize(
    ("err", "outcome"),
    [
        (
            ExtractorError(
                "You do not have permission to view this post. Log into an account that has access"
            ),
            "private",
        ),
        (ExtractorError("This user's account is private. Log into an account that has access"), "private"),
        (ExtractorError("Your IP address is blocked from accessing this post", expected=True), "blocked"),
        (ExtractorError("TikTok is requiring login for access to this content"), "blocked"),
        (ExtractorError("This post may not be comfortable for some audiences. Log in for access"), "age"),
        (ExtractorError("Video not available, status code 10231"), "unavailable"),
        (ExtractorError("This video has been removed by the uploader"), "deleted"),
        (ExtractorError("Unable to extract universal data for rehydration"), "failed"),
        (ExtractorError("Unable to download webpage", cause=http(404)), "deleted"),
        (ExtractorError("Unable to download webpage", cause=http(429)), "blocked"),
        (ExtractorError("Unable to download webpage", cause=http(503)), "failed"),
        (ExtractorError("Unable to download webpage", cause=TransportError("timed out")), "failed"),
        (GeoRestrictedError("This video is not available from your location", countries=["DE"]), "region"),
        (UserNotLive(), "live"),
        (http(403), "blocked"),
        (TransportError("connection reset"), "failed"),
        (KeyError("formats"), "failed"),
    ],
)
def test_an_error_is_an_outcome(err: Exception, outcome: str) -> None:
    assert not_collected(err).outcome is Outcome(outcome)


def test_the_cause_counts_and_no_name_is_in_the_detail() -> None:
    inner = ExtractorError(
        "Video not available, status code 7 at https://www.tiktok.com/@jane/video/1?token=x of @jane",
        video_id="1",
    )
    found = not_collected(DownloadError("ERROR: something", (ExtractorError, inner, None)))
    assert found.outcome is Outcome.UNAVAILABLE
    assert found.detail
    assert "status code 7" in found.detail
    assert "jane" not in found.detail
    assert "token" not in found.detail
