"""The plain script that tikval's embeddings are held against, on tiny checkpoints that are loaded as real ones are."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.paper_embedding import (
    PapersModels,
    decode_frames,
    embed_pictures,
    embed_sound,
    embed_the_papers_way,
    load_papers_models,
    load_sound,
    pick,
)
from tests.fixtures.checkpoints import Checkpoints, write_checkpoints, write_wav2vec2
from tests.fixtures.clips import Picture, number_of, tone, write_clip
from tests.fixtures.corpus import TEXTS, write_captioned

pytestmark = [
    pytest.mark.full,  # 30 s of the paper's own libraries, of which tikval uses none
    pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread"),  # that librosa imports
]

WIDTHS = {"pictures": slice(0, 32), "sound": slice(32, 64), "text": slice(64, 80)}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def models(checkpoints: Checkpoints) -> PapersModels:
    return load_papers_models(checkpoints.pictures, checkpoints.sound, checkpoints.text)


def brightness(picture: Picture) -> str:
    return f"brightness {picture.mean():.0f}"


def test_a_checkpoint_holds_what_it_is_named_after(checkpoints: Checkpoints, models: PapersModels) -> None:
    """Every weight of the encoders comes out of the file: none is left as it was drawn."""
    from transformers import AutoImageProcessor, AutoModel

    for folder in (checkpoints.pictures, checkpoints.sound):
        _, found = AutoModel.from_pretrained(folder, output_loading_info=True)
        assert not found["missing_keys"]
        assert not found["mismatched_keys"]
    assert models.videomae.layernorm is not None  # as in the pre-trained ones
    found_by_auto = AutoImageProcessor.from_pretrained(checkpoints.pictures, backend="pil")  # type: ignore[no-untyped-call]
    assert type(found_by_auto) is type(models.image_processor)


def test_one_place_for_each_modality(models: PapersModels, tmp_path: Path) -> None:
    path = write_captioned(tmp_path / "clip.mp4", TEXTS[0], sound=True)
    embedding = embed_the_papers_way(path, models, read_text=brightness)
    parts = {"pictures": embedding.pictures, "sound": embedding.sound, "text": embedding.text}
    assert embedding.vector.shape == (80,)
    for name, where in WIDTHS.items():
        assert np.array_equal(embedding.vector[where], parts[name])
        assert parts[name].any()
    assert len(embedding.words.splitlines()) == 3
    assert np.linalg.norm(embedding.text) == pytest.approx(1)


def test_tesseract_reads_with_its_defaults(models: PapersModels, tmp_path: Path) -> None:
    words = embed_the_papers_way(write_captioned(tmp_path / "clip.mp4", TEXTS[0]), models).words
    assert words.count("REPAIR RADIOS") == 3  # once in each key frame


def test_what_is_missing_is_zeros(models: PapersModels, tmp_path: Path) -> None:
    embedding = embed_the_papers_way(write_clip(tmp_path / "clip.mp4"), models, read_text=None)
    assert not embedding.has_sound
    assert embedding.words == ""
    assert embedding.vector[WIDTHS["pictures"]].any()
    assert not embedding.vector[32:].any()


def test_another_video_has_another_vector(models: PapersModels, tmp_path: Path) -> None:
    one = write_captioned(tmp_path / "one.mp4", TEXTS[0], sound=True)
    other = write_clip(tmp_path / "other.mp4", sound=tone(1, hertz=900))
    vectors = [embed_the_papers_way(path, models, read_text=brightness).vector for path in (one, other)]
    for where in WIDTHS.values():
        assert np.abs(vectors[0][where] - vectors[1][where]).max() > 1e-2


@pytest.mark.parametrize(
    ("n", "expected"), [(1, [0] * 16), (5, [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4])]
)
def test_short_clips_repeat_frames(models: PapersModels, tmp_path: Path, n: int, expected: list[int]) -> None:
    pictures = pick(decode_frames(write_clip(tmp_path / "clip.mp4", n=n)), 16)
    assert [number_of(picture) for picture in pictures] == expected
    assert embed_pictures(pictures, models).shape == (32,)


def test_long_clips_are_sampled_from_end_to_end(tmp_path: Path) -> None:
    frames = decode_frames(write_clip(tmp_path / "clip.mp4", n=46, width=130, height=98))
    assert [number_of(picture) for picture in pick(frames, 16)] == list(range(0, 46, 3))
    assert [number_of(picture) for picture in pick(frames, 3)] == [0, 22, 45]
    assert pick(frames, 3)[0].shape == (98, 130, 3)


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, 0.5), (11, 10)])
def test_sound_is_the_first_ten_seconds(tmp_path: Path, seconds: float, expected: float) -> None:
    samples = load_sound(write_clip(tmp_path / "clip.mp4", n=2, sound=tone(seconds)))
    assert samples is not None
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16_000 * expected, abs=1_100)  # AAC fills its last packet
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() * 16_000 / len(samples) == pytest.approx(440, abs=2)


def test_short_sound_is_embedded_at_its_own_length(models: PapersModels, tmp_path: Path) -> None:
    """It is not filled up with zeros, which the normalisation over time would spread into every vector."""
    path = write_clip(tmp_path / "clip.mp4", sound=tone(2))
    embedded = embed_the_papers_way(path, models, read_text=None).sound
    samples = load_sound(path)
    assert samples is not None
    assert np.array_equal(embedded, embed_sound(samples, models))
    filled = np.concatenate([samples, np.zeros(160_000 - len(samples), np.float32)])
    assert np.abs(embedded - embed_sound(filled, models)).max() > 1e-2


def test_the_layer_norm_variant_loads_and_asks_for_a_mask(checkpoints: Checkpoints, tmp_path: Path) -> None:
    made = write_wav2vec2(tmp_path, norm="layer")
    models = load_papers_models(checkpoints.pictures, made, checkpoints.text)
    assert models.feature_extractor.return_attention_mask
    assert embed_sound(np.ones(16_000, np.float32), models).shape == (32,)
