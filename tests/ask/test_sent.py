"""What a server gets to see of a video, over real HTTP: pictures and sound, and nothing that is written about them."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.fixtures import clips
from tests.fixtures.dressed import WORDS, dress
from tests.fixtures.fakes import OpenGate
from tests.fixtures.llm_server import LlmServer, serving
from tests.fixtures.photos import SECRETS, dressed_post
from tests.fixtures.photos import WORDS as SLIDES
from tests.fixtures.rows import video
from tikval.ask.call_costs import CallCosts
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.ask.sound_pieces import wav_samples
from tikval.ask.video import Asking, jpeg
from tikval.ask.withheld import Withheld
from tikval.config import Api, Endpoint, Gemini, Limits, Llm, Look
from tikval.llm.client import Reply, Usage
from tikval.llm.endpoint import EndpointClient
from tikval.llm.gemini import GeminiClient
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.llm.prices import load_prices
from tikval.media.child import Child
from tikval.media.fetch import StrippedVideos
from tikval.media.reading import ClipError, Want
from tikval.prompt_text import render_material
from tikval.rows import AnswerRow, Reason, sha256

MODEL: Final = Gemini(model="gemini-3.8-flash")
LIMITS: Final = Limits(seconds=60)
NONE: Final = np.empty(0, "S16")


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving(LlmServer(media=[])) as fake:
        yield fake


@pytest.fixture
def dressed(tmp_path: Path) -> Path:
    plain = clips.write_clip(tmp_path / "plain.mp4", options={"bf": "2"}, sound=clips.tone(2))
    return dress(plain, tmp_path / "COMMENTWORD.mp4", "mp4")


def answers_to(
    path: Path,
    server: LlmServer,
    out: Path,
    llm: Llm = MODEL,
    look: Look | None = None,
    files: list[str] | None = None,
    **api: Any,
) -> AnswerRow:
    """Read, ask and pay for one video, as an actor does."""
    look = look or Look.model_validate({"speech": {"engine": "none"}})
    asking = Asking(llm, look, LIMITS, "Q\n", Withheld(NONE, NONE))
    (ask,) = asking([{**video("v", path=str(path), files=files), "attempt": 1}])
    base = f"{server.url}/v1" if isinstance(llm, Endpoint) else server.url
    settings = Api(base_url=base, **api)
    client: Any = EndpointClient if isinstance(llm, Endpoint) else GeminiClient
    gate: Any = OpenGate
    paid = PaidAnswers(
        llm,  # type: ignore[arg-type]
        settings,
        asked_of(llm, "Q\n", None, None),  # type: ignore[arg-type]
        partial(client, llm, settings, "a-key", None),
        gate,
        Ledger(str(out)),
        None,
        StrippedVideos(LIMITS),
    )
    (row,) = paid([ask])
    asking.looker.child.close()
    return row


def seen(server: LlmServer) -> bytes:
    """All that came in: media, texts and headers."""
    assert server.media is not None
    texts = json.dumps([server.bodies, server.headers, list(server.files.values())], default=str)
    return b"".join(server.media) + texts.encode()


@pytest.mark.parametrize("inline_mb", [20, 0], ids=["inline", "uploaded"])
def test_nothing_about_the_video_arrives(
    inline_mb: float, dressed: Path, server: LlmServer, tmp_path: Path
) -> None:
    row = answers_to(dressed, server, tmp_path / "out", inline_mb=inline_mb)
    assert (row["error"], row["detail"]) == (None, None)
    assert server.media is not None
    assert len(server.media) == 1
    assert server.media[0][4:8] == b"ftyp"
    assert not [word for word in WORDS if word.encode() in seen(server)]
    assert len(server.of("upload")) == (inline_mb == 0)
    kinds = [
        part.get("inlineData") or part.get("fileData") for part in server.bodies[0]["contents"][0]["parts"]
    ]
    assert [kind["mimeType"] for kind in kinds if kind] == ["video/mp4"]


def test_webm_goes_as_webm(server: LlmServer, tmp_path: Path) -> None:
    options = {"deadline": "realtime", "cpu-used": "8"}
    path = clips.write_clip(tmp_path / "a.webm", n=10, codec="libvpx", options=options)
    assert answers_to(path, server, tmp_path / "out")["error"] is None
    assert server.media is not None
    assert server.media[0][:4] == b"\x1a\x45\xdf\xa3"
    part = server.bodies[0]["contents"][0]["parts"][1]["inlineData"]
    assert part["mimeType"] == "video/webm"


def test_what_was_paid_before_files_were_stripped_is_not_paid_again(
    dressed: Path, server: LlmServer, tmp_path: Path
) -> None:
    """The key is that of the file as it lies there: 32 digits, spelt out here as they were."""
    content_sha = hashlib.sha256(dressed.read_bytes()).hexdigest()
    material = render_material(None, None, None)
    identity = {
        "llm": MODEL.model_dump(mode="json"),
        "prompt": sha256("Q\n"),
        "schema": None,
        "sample": None,
        "input": sha256(f"{content_sha}\0{material}"),
        "attempt": 1,
    }
    key, ledger = ledger_key(identity), Ledger(str(tmp_path / "out"))
    ledger.put(key, Entry("v", Reply("from before", MODEL.model, Usage(7, 0, 0, 3)), 0.1, "2026-01-01"))
    row = answers_to(dressed, server, tmp_path / "out")
    assert (row["reply"], row["ledger_key"], row["cost_usd"]) == ("from before", key, 0.1)
    assert not server.calls


def test_what_cannot_be_stripped_is_not_sent_and_not_paid(
    server: LlmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise ClipError(Reason.NOT_STRIPPED, "of no container that is known")

    monkeypatch.setattr(
        "tikval.media.child.Child.strip", refused
    )  # the child writes all that FFmpeg reads here
    row = answers_to(clips.write_clip(tmp_path / "a.mp4", n=10), server, tmp_path / "out")
    assert row["error"] == Reason.NOT_STRIPPED
    assert not server.calls
    assert not Ledger(str(tmp_path / "out")).keys()


def test_pictures_have_no_metadata(dressed: Path, server: LlmServer, tmp_path: Path) -> None:
    look = Look.model_validate({"frames": 3, "side_px": 56, "speech": {"engine": "none"}})
    llm = Endpoint(model="qwen")
    assert answers_to(dressed, server, tmp_path / "out", llm, look)["error"] is None
    assert server.media is not None
    assert len(server.media) == 3
    for picture in [*server.media, jpeg(np.zeros((8, 8, 3), np.uint8))]:
        assert markers(picture) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}, "JFIF, tables, size and pixels"
    assert not [word for word in WORDS if word.encode() in seen(server)]


def markers(jpeg: bytes) -> set[int]:
    """The kinds of the segments before a JPEG's pixels; comments, Exif and the like have one of their own."""
    found: set[int] = set()
    at = 2
    while at < len(jpeg) and (not found or jpeg[at + 1] != 0xDA):
        assert jpeg[at] == 0xFF
        found.add(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return found


# photo posts


def test_a_photo_post_is_sent_as_its_pictures_in_order_and_its_sound(
    server: LlmServer, tmp_path: Path
) -> None:
    files = dressed_post(tmp_path / "COMMENTWORD")
    row = answers_to(Path(files[0]), server, tmp_path / "out", files=files)
    assert (row["error"], row["detail"]) == (None, None)
    (body,) = server.bodies
    (turn,) = body["contents"]
    text, *media = turn["parts"]
    assert "The post is no video but 3 pictures in this order, with a sound." in text["text"]
    assert [part["inlineData"]["mimeType"] for part in media] == ["image/jpeg"] * 3 + ["audio/flac"]
    assert server.media is not None
    pictures, sound = server.media[:3], server.media[3]
    with Child(LIMITS) as child:
        for n, picture in enumerate(pictures):
            (tmp_path / "sent.jpg").write_bytes(picture)
            (caption,) = child.read([str(tmp_path / "sent.jpg")], Want(ocr_frames=1)).captions
            assert caption.text == SLIDES[n]
            assert markers(picture) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
    assert sound[:4] == b"fLaC"
    assert not [word for word in SECRETS if word in seen(server)]
    assert b"COMMENTWORD" not in seen(server)
    assert not server.of("upload")


def test_a_photo_post_is_paid_once_until_a_file_of_it_changes(server: LlmServer, tmp_path: Path) -> None:
    files = dressed_post(tmp_path)
    first = answers_to(Path(files[0]), server, tmp_path / "out", files=files)
    again = answers_to(Path(files[0]), server, tmp_path / "out", files=files)
    assert first["ledger_key"] == again["ledger_key"]
    assert len(server.bodies) == 1
    for other in (files[:-1], [files[1], files[0], *files[2:]]):
        assert (
            answers_to(Path(other[0]), server, tmp_path / "out", files=other)["ledger_key"]
            != first["ledger_key"]
        )
    assert len(server.bodies) == 3
    assert "without sound" in server.bodies[1]["contents"][0]["parts"][0]["text"]


def test_an_unreadable_photo_post_is_not_sent_and_not_paid(server: LlmServer, tmp_path: Path) -> None:
    (tmp_path / "a_1.jpg").write_bytes(b"no picture")
    row = answers_to(tmp_path / "a_1.jpg", server, tmp_path / "out", files=[str(tmp_path / "a_1.jpg")])
    assert row["error"] == Reason.UNREADABLE
    assert not server.calls


@pytest.mark.parametrize(("frames", "n"), [(8, 3), (2, 2)])
def test_a_model_of_pictures_gets_each_picture_once(
    server: LlmServer, tmp_path: Path, frames: int, n: int
) -> None:
    files = dressed_post(tmp_path)
    look = Look.model_validate({"frames": frames, "side_px": 56, "speech": {"engine": "none"}})
    row = answers_to(Path(files[0]), server, tmp_path / "out", Endpoint(model="qwen"), look, files)
    assert row["error"] is None
    assert server.media is not None
    assert len(server.media) == n
    assert "The post is no video but 3 pictures" in json.dumps(server.bodies)


def test_a_model_that_hears_gets_the_sound_and_nothing_that_is_written_about_it(
    dressed: Path, server: LlmServer, tmp_path: Path
) -> None:
    look = Look.model_validate({"frames": 2, "side_px": 56, "sound": "audio", "sound_seconds": 1})
    row = answers_to(dressed, server, tmp_path / "out", Endpoint(model="omni"), look)
    assert (row["error"], row["detail"]) == (None, None)
    (turn,) = server.bodies[0]["messages"]
    assert [part["type"] for part in turn["content"]] == ["text", "image_url", "image_url", "input_audio"]
    assert "the first 1 of 2 seconds" in turn["content"][0]["text"]
    assert server.media is not None
    heard = wav_samples(server.media[-1])
    assert len(heard) == 16_000
    power = np.abs(np.fft.rfft(heard))
    assert abs(int(power.argmax()) - 440) <= 1  # hertz, of the clip's tone
    assert not [word for word in WORDS if word.encode() in seen(server)]


def test_another_sound_is_another_request(server: LlmServer, tmp_path: Path) -> None:
    look = Look.model_validate({"frames": 2, "side_px": 56, "sound": "audio"})
    for name, sound in (("low", clips.tone(1)), ("high", clips.tone(1, hertz=880)), ("none", None)):
        clip = clips.write_clip(tmp_path / f"{name}.mp4", sound=sound)
        assert answers_to(clip, server, tmp_path / "out", Endpoint(model="omni"), look)["error"] is None
    assert server.media is not None
    low, high, without = server.media[:3], server.media[3:6], server.media[6:]
    assert low[:2] == high[:2] == without
    assert low[2] != high[2]


def test_what_a_photo_post_may_cost_is_what_its_pictures_and_its_sound_cost() -> None:
    costs = CallCosts(MODEL, Api(), load_prices())
    row = {"prompt": "", "video": None, "pictures": None, "sounds": None, "seconds": 30.0, "has_sound": True}
    post = costs.tokens_in({**row, "files": ["a_1.jpg", "a_2.jpg", "a.mp3"]})
    assert post == 2 * 1120 + 30 * 25
    assert costs.tokens_in({**row, "files": ["a_1.jpg"], "has_sound": False}) == 1120
    assert (
        costs.most_usd({**row, "files": ["a_1.jpg"] * 30}) > costs.most_usd({**row, "files": ["a_1.jpg"]}) > 0
    )
    assert costs.tokens_in({**row, "files": None, "video": "a.mp4"}) == 30 * (80 + 25)
