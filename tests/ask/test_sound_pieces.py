"""The sound that a model which hears gets: pieces of half a minute, nothing but samples, and what is cut is told."""

import numpy as np
import pytest

from tikval.ask.prompts import fixed_prompt_of
from tikval.ask.sound_pieces import n_pieces, sound_pieces, wav_samples
from tikval.ask.video import most_media, sound_note, want_of_model
from tikval.config import ExtractConfig, Gemini, Look, UserError, Vllm, load_config
from tikval.flow.vllm import engine_kwargs
from tikval.media.reading import SAMPLE_RATE
from tikval.study.call_tokens import tokens_of_calls

HEARS = Look.model_validate({"frames": 4, "sound": "audio", "sound_seconds": 70})


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-20_000, 20_000, samples).astype(np.int16)


@pytest.mark.parametrize(
    ("seconds", "lengths"), [(1, [1]), (30, [30]), (31, [30, 1]), (70, [30, 30, 10]), (200, [30, 30, 10])]
)
def test_a_sound_is_cut_into_pieces_of_half_a_minute(seconds: int, lengths: list[int]) -> None:
    sound = noise(seconds * SAMPLE_RATE)
    pieces = [wav_samples(piece) for piece in sound_pieces(sound, HEARS.sound_seconds)]
    assert [len(piece) / SAMPLE_RATE for piece in pieces] == lengths
    assert len(pieces) <= n_pieces(HEARS.sound_seconds) == 3
    np.testing.assert_array_equal(
        np.concatenate(pieces), sound[: 70 * SAMPLE_RATE].astype(np.float32) / 2**15
    )


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16_001])
def test_a_piece_is_whole_tokens_of_40_ms_filled_with_silence(samples: int) -> None:
    sound = noise(samples)
    (piece,) = sound_pieces(sound, 30)
    heard = wav_samples(piece)
    assert len(heard) % 640 == 0
    assert len(heard) - samples < 640
    assert not heard[samples:].any()
    assert len(piece) == 44 + 2 * len(heard)  # a header and samples: no room for a word about the video


@pytest.mark.parametrize("sound", [None, np.zeros(16_000, np.int16), np.zeros(0, np.int16)])
def test_where_there_is_nothing_to_hear_there_is_no_piece(sound: np.ndarray | None) -> None:
    assert sound_pieces(sound, 30) == []


def test_what_is_cut_is_told_to_the_model() -> None:
    assert "the first 70 of 95 seconds" in sound_note(HEARS, 95.2)
    assert sound_note(HEARS, 70) == ""
    assert sound_note(Look(), 9999) == ""


def test_the_sound_is_read_and_no_recogniser_is_asked() -> None:
    want = want_of_model(Vllm(model="omni"), HEARS)
    assert (want.sound, want.speech, HEARS.speech.engine) == (True, False, "none")
    assert want_of_model(Gemini(model="gemini-3.8-flash"), Look()).sound is False


def test_the_engine_sets_memory_aside_for_what_can_come() -> None:
    assert most_media(HEARS) == {"image": 4, "video": 0, "audio": 3}
    assert most_media(Look(frames=8)) == {"image": 8, "video": 0}
    config = load_config(ExtractConfig, "configs/omni/direct.yaml", [])
    kwargs = engine_kwargs(Vllm(model="omni"), config.engine, on_gpu=True, most=most_media(HEARS))
    assert kwargs["limit_mm_per_prompt"] == {"image": 4, "video": 0, "audio": 3}
    assert "limit_mm_per_prompt" not in engine_kwargs(Vllm(model="text"), config.engine, on_gpu=True)


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ({"sound": "audio", "speech": {"engine": "whisper"}}, "leave speech out"),
        ({"sound": "text", "sound_seconds": 20}, "sound_seconds: is read with sound: audio"),
    ],
)
def test_a_key_that_would_do_nothing_is_refused(look: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_config(ExtractConfig, "configs/omni/direct.yaml", [("extractor.look", look)])


def test_gemini_gets_the_video_itself() -> None:
    with pytest.raises(UserError, match=r"look\.sound: this model takes the video itself"):
        load_config(ExtractConfig, "configs/gemini/direct.yaml", [("extractor.look", {"sound": "audio"})])


def test_the_prompt_says_what_is_given() -> None:
    hears, sees = (
        fixed_prompt_of(load_config(ExtractConfig, f"configs/{name}/direct.yaml", []))
        for name in ("omni", "qwen")
    )
    assert "then its sound" in hears
    assert "pieces of at most 30 seconds" in hears
    assert "speech recogniser heard, where it" not in hears
    assert "then its sound" not in sees


def test_a_second_of_sound_is_25_tokens_up_to_what_is_given() -> None:
    config = load_config(ExtractConfig, "configs/omni/direct.yaml", [])
    assert config.extractor.kind == "llm"
    llm = config.extractor.llm

    def tokens(seconds: float) -> tuple[float, float]:
        calls = tokens_of_calls(config, llm, None, [seconds])
        return calls.tokens_in, calls.sound

    assert tokens(40)[0] - tokens(0)[0] == pytest.approx(1000)
    assert tokens(1000)[1] == pytest.approx(300 * 25)
