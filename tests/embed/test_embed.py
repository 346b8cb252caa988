"""Frames, sound and text -> vectors, against the models' own processors called one clip at a time."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from transformers import AutoModel, VideoMAEImageProcessorPil, Wav2Vec2FeatureExtractor

from benchmarks.paper_embedding import embed_the_papers_way, load_papers_models
from tests.conftest import ROOT
from tests.fixtures.checkpoints import Checkpoints, write_checkpoints, write_wav2vec2
from tests.fixtures.clips import moving, tone, write_clip
from tests.fixtures.photos import WORDS, write_slides, write_sound_of
from tikval.config import CatalogConfig, EmbedConfig, OnScreenText, Pictures, Pool, Sound, UserError
from tikval.embed.attention import tiled_attention
from tikval.embed.encoders import Encoders, load_encoders
from tikval.embed.fuse import ClipEncoder
from tikval.embed.plan import EmbeddingPlan, make_plan
from tikval.embed.reading import ClipReader, centre_crop, on_screen_text, piece
from tikval.hub.pin import pinned, served
from tikval.media.pictures import Small
from tikval.media.reading import Caption
from tikval.rows import ClipRow, EmbeddingRow, Reason, arrow_schema

CHANCE = np.random.default_rng(0)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return write_checkpoints(tmp_path_factory.mktemp("models"))


def config_of(models: Checkpoints, **changes: Any) -> EmbedConfig:
    parts: dict[str, Any] = {
        "video": Pictures(model=str(models.pictures)),
        "sound": Sound(model=str(models.sound)),
        "text": OnScreenText(model=str(models.text)),
    }
    return EmbedConfig(out="out", videos=CatalogConfig(out="out", videos="videos"), **(parts | changes))


def encoders_of(config: EmbedConfig) -> Encoders:
    return load_encoders(config, make_plan(config, {}))


def noise(samples: int) -> np.ndarray:
    return CHANCE.integers(-20_000, 20_000, samples).astype(np.int16)


def clip(**changes: Any) -> ClipRow:
    row: dict[str, Any] = dict.fromkeys(ClipRow.__annotations__)
    return cast(
        ClipRow, row | {"video_id": "v", "row_key": "0" * 32, "attempt": 1, "content_sha": "c"} | changes
    )


# pictures


@pytest.mark.parametrize(("width", "height"), [(360, 640), (640, 358), (226, 224), (100, 80), (333, 517)])
def test_pictures_are_prepared_as_the_models_own_processor_does(
    checkpoints: Checkpoints, width: int, height: int
) -> None:
    frames = moving(2, width, height)
    theirs = VideoMAEImageProcessorPil.from_pretrained(checkpoints.pictures)(frames, return_tensors="pt")
    size = Small(224, "pillow")
    ours = [VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames]
    small = np.stack([size.of(frame, *size.lengths(frame)) for frame in ours])
    encoder: Any = encoders_of(config_of(checkpoints, sound=None, text=None)).pictures
    prepared = encoder.prepare(centre_crop(small, 224, 224)[None])
    assert torch.allclose(prepared, theirs["pixel_values"], atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_a_batch_of_clips_is_its_clips_one_by_one(checkpoints: Checkpoints, pooling: str) -> None:
    clips = CHANCE.integers(0, 256, (3, 16, 224, 224, 3)).astype(np.uint8)
    video = Pictures(model=str(checkpoints.pictures), pooling=pooling)  # type: ignore[arg-type]
    encode = encoders_of(config_of(checkpoints, video=video, sound=None, text=None)).pictures
    assert encode is not None
    model: Any = AutoModel.from_pretrained(checkpoints.pictures).eval()
    processor = VideoMAEImageProcessorPil.from_pretrained(checkpoints.pictures)
    pool: Any = {"mean": lambda y: y.mean(0), "max": lambda y: y.amax(0), "first": lambda y: y[0]}[pooling]
    for ours, frames in zip(encode(list(clips)), clips, strict=True):
        with torch.inference_mode():
            hidden = model(**processor(list(frames), return_tensors="pt")).last_hidden_state[0]
        assert np.allclose(ours, pool(hidden).numpy(), atol=1e-5)


def test_a_compiled_or_gpu_batch_has_one_shape(checkpoints: Checkpoints) -> None:
    config = config_of(checkpoints, sound=None, text=None, encode_pool=Pool(batch_rows=4))
    encoder: Any = encoders_of(config).pictures
    clips = list(CHANCE.integers(0, 256, (3, 16, 224, 224, 3)).astype(np.uint8))
    plain = encoder(clips)
    shapes = []
    encoder.batch, forward = 4, encoder.forward

    def seen(pixel_values: torch.Tensor) -> Any:
        shapes.append(tuple(pixel_values.shape))
        return forward(pixel_values=pixel_values)

    encoder.forward = seen
    assert np.allclose(encoder(clips), plain, atol=1e-5)
    assert shapes == [(4, 16, 3, 224, 224)]


def test_half_precision_is_near(checkpoints: Checkpoints) -> None:
    clips = list(CHANCE.integers(0, 256, (1, 16, 224, 224, 3)).astype(np.uint8))
    exact, half = (
        encoders_of(config_of(checkpoints, sound=None, text=None, precision=precision)).pictures
        for precision in ("float32", "bfloat16")
    )
    assert exact is not None
    assert half is not None
    a, b = exact(clips)[0], half(clips)[0]
    assert half(clips).dtype == np.float32
    assert not np.array_equal(a, b)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


@pytest.mark.parametrize("patches", [49, 392, 1000])
def test_attention_in_tiles_is_attention(patches: int) -> None:
    query, key, value = (torch.randn(2, 3, patches, 16) for _ in range(3))
    ours, _ = tiled_attention(torch.nn.Module(), query, key, value, None, scaling=0.25)
    theirs = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=0.25)
    assert torch.allclose(ours, theirs.transpose(1, 2), atol=1e-5)
    with pytest.raises(ValueError, match="mask"):
        tiled_attention(torch.nn.Module(), query, key, value, torch.ones(1))


def test_a_model_that_keeps_its_own_attention_is_taken(tmp_path: Path, checkpoints: Checkpoints) -> None:
    from transformers import TimesformerConfig, TimesformerModel

    sizes: Any = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    TimesformerModel(TimesformerConfig(num_frames=8, **sizes)).save_pretrained(tmp_path)  # type: ignore[no-untyped-call]
    shutil.copy(checkpoints.pictures / "preprocessor_config.json", tmp_path)
    video = Pictures(model=str(tmp_path), frames=8, pooling="first")
    encode = encoders_of(
        config_of(checkpoints, video=video, sound=None, text=None, precision="bfloat16")
    ).pictures
    assert encode is not None
    assert encode([CHANCE.integers(0, 256, (8, 224, 224, 3)).astype(np.uint8)]).shape == (1, 32)


# sound


def heard(folder: Path, sound: np.ndarray) -> np.ndarray:
    """One sound through the model's own feature extractor, mean over time."""
    extract = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    inputs = extract(sound.astype(np.float32) / 32768, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0]
    return np.asarray(hidden.mean(0))


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_sounds_of_several_lengths_are_each_as_if_alone(tmp_path: Path, norm: Any) -> None:
    folder = write_wav2vec2(tmp_path / "wav2vec2", norm=norm)
    sounds = [noise(n) for n in (16_000, 5_000, 16_000, 31_000)]
    parts = {"video": None, "text": None, "sound": Sound(model=str(folder), seconds=2)}
    encode = encoders_of(config_of(Checkpoints(folder, folder, folder), **parts)).sound
    assert encode is not None
    for ours, sound in zip(encode(sounds), sounds, strict=True):
        assert np.allclose(ours, heard(folder, sound), atol=2e-5)


def test_zeros_after_a_sound_never_enter_its_mean(tmp_path: Path) -> None:
    """Layer norm and a mask: padded or not is the same. Group norm sees the zeros, the mean still does not."""
    sound = noise(8_000)
    for norm, seconds, same in (("layer", 2, True), ("group", 2, False), ("group", 0.5, True)):
        folder = write_wav2vec2(tmp_path / f"{norm}{seconds}", norm=norm)  # type: ignore[arg-type]
        parts = {"video": None, "text": None}
        one = Sound(model=str(folder), seconds=seconds, padding="zeros")
        encode = encoders_of(config_of(Checkpoints(folder, folder, folder), **parts, sound=one)).sound
        assert encode is not None
        assert np.allclose(encode([sound])[0], heard(folder, sound), atol=2e-4) is same


def test_the_seconds_of_sound_are_those_asked_for() -> None:
    sound = np.arange(48_000, dtype=np.int16)
    parts: list[Any] = ["start", "middle", "end"]
    cut = {part: piece(sound, Sound(seconds=1, part=part)) for part in parts}
    assert [int(x[0]) for x in cut.values()] == [0, 16_000, 32_000]
    assert {len(x) for x in cut.values()} == {16_000}
    assert np.array_equal(piece(sound[:9_000], Sound(seconds=1, part="end")), sound[:9_000])


# text


def test_text_is_in_order_and_names_nobody() -> None:
    captions = [Caption("LATER", 4, 4), Caption("hello\n@jane", 0, 2), Caption("pixel_pato", 0, 4)]
    assert on_screen_text(captions, "pixel_pato") == "hello @someone LATER"
    assert on_screen_text([], None) is None
    assert on_screen_text([Caption("pixel pato", 0, 1)], "pixel_pato") is None


def test_the_threads_are_those_asked_for(checkpoints: Checkpoints) -> None:
    """They are so with text too, whose loading sets them for itself."""
    before = torch.get_num_threads()
    try:
        for threads in (3, 2):
            encoders_of(config_of(checkpoints, threads=threads))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


# fusion


class Known:
    """Encoders with known answers: the mean brightness, the loudest sample, the number of letters."""

    def __call__(self, config: EmbedConfig, plan: EmbeddingPlan) -> Encoders:
        def wide(values: list[float], width: int) -> np.ndarray:
            return np.repeat(np.array(values, np.float32)[:, None], width, 1)

        return Encoders(
            pictures=lambda clips: wide([float(clip.mean()) for clip in clips], 32),
            sound=lambda sounds: wide([float(sound.max()) for sound in sounds], 32),
            text=lambda texts: wide([float(len(text)) for text in texts], 16),
            served="known",
        )


def frames(level: int) -> bytes:
    return np.full((16, 224, 224, 3), level, np.uint8).tobytes()


def test_a_missing_modality_is_zeros_and_a_flag_and_a_failure_stays_one(checkpoints: Checkpoints) -> None:
    config = config_of(checkpoints)
    encode = ClipEncoder(config, make_plan(config, {}), Known())
    rows = encode(
        [
            clip(video_id="all", frames=frames(7), sound=noise(100).tobytes(), text="abc"),
            clip(video_id="broken", error="unreadable", detail="no"),
            clip(video_id="mute", frames=frames(9), text="ab"),
            clip(video_id="silent and bare", frames=frames(3)),
        ]
    )
    assert [row["video_id"] for row in rows] == ["all", "broken", "mute", "silent and bare"]
    flags = [(row["has_video"], row["has_sound"], row["has_text"]) for row in rows]
    assert flags == [(True, True, True), (None, None, None), (True, False, True), (True, False, False)]
    assert [row["error"] for row in rows] == [None, "unreadable", None, None]
    assert rows[1]["vector"] is None
    assert rows[1]["model_served"] is None
    mute = np.asarray(rows[2]["vector"])
    assert (mute[:32] == 9).all()
    assert (mute[32:64] == 0).all()
    assert (mute[64:] == 2).all()


@pytest.mark.parametrize(("off", "width"), [("video", 48), ("sound", 48), ("text", 64)])
def test_the_width_follows_the_modalities(checkpoints: Checkpoints, off: str, width: int) -> None:
    config = config_of(checkpoints, **{off: None})
    plan = make_plan(config, {})
    assert plan.width == width
    (row,) = ClipEncoder(config, plan, Known())([clip(frames=frames(1), sound=noise(9).tobytes(), text="t")])
    assert np.asarray(row["vector"]).shape == (width,)
    assert row[f"has_{off}"] is None  # type: ignore[literal-required]
    assert arrow_schema(EmbeddingRow, vector=plan.width).field("vector").type.list_size == width


def test_what_is_not_finite_is_a_failure(checkpoints: Checkpoints) -> None:
    config = config_of(checkpoints, sound=None, text=None)

    def overflows(config: EmbedConfig, plan: EmbeddingPlan) -> Encoders:
        return Encoders(lambda clips: np.full((len(clips), 32), np.inf, np.float32), None, None, "inf")

    (row,) = ClipEncoder(config, make_plan(config, {}), overflows)([clip(frames=frames(1))])
    assert (row["vector"], row["error"]) == (None, Reason.INTERNAL_ERROR.value)


# the whole way, from a file


def video(path: Path) -> Any:
    row = {"video_id": path.stem, "row_key": "0" * 32, "attempt": 1, "path": str(path), "account": None}
    return row | {"error": None, "detail": None}


def embedded(config: EmbedConfig, paths: list[Path]) -> list[EmbeddingRow]:
    plan = make_plan(config, {})
    reader = ClipReader(config, plan)
    try:
        return ClipEncoder(config, plan)(reader([video(path) for path in paths]))
    finally:
        reader.child.close()


@pytest.mark.full  # 30 s of the paper's own libraries; what it compares changes with neither fault nor machine
def test_equals_the_papers_way(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Vectors of a plain script over the same weights: decodes all in order, librosa, one clip at a time."""
    short, mute = tmp_path / "short.mp4", tmp_path / "mute.mp4"
    write_clip(short, n=9, width=426, height=240, sound=tone(0.4))  # under 16 frames, under 10 s
    write_clip(mute, n=40, width=320, height=568)
    paths = [short, mute, ROOT / "examples/clips/gear_lamp.mp4", ROOT / "examples/clips/caramel_cake.mp4"]
    config = config_of(checkpoints, text=None)
    models = load_papers_models(checkpoints.pictures, checkpoints.sound, checkpoints.text)
    for row, path in zip(embedded(config, paths), paths, strict=True):
        theirs = embed_the_papers_way(path, models, read_text=None)
        ours = np.asarray(row["vector"])
        assert row["has_sound"] is theirs.has_sound
        # the same pixels; librosa's resampler and FFmpeg's differ by up to 1 % of a signal of high pitch
        assert np.linalg.norm(ours[:32] - theirs.pictures) <= 1e-5 * np.linalg.norm(theirs.pictures)
        assert np.linalg.norm(ours[32:] - theirs.sound) <= 0.01 * np.linalg.norm(theirs.sound)


def test_text_equals_the_papers_way_on_the_same_words(checkpoints: Checkpoints) -> None:
    encode = encoders_of(config_of(checkpoints, video=None, sound=None)).text
    assert encode is not None
    texts = ["never throw plastic into the sea", "a", "they laughed at him " * 40]
    models = load_papers_models(checkpoints.pictures, checkpoints.sound, checkpoints.text)
    for ours, text in zip(encode(texts), texts, strict=True):
        assert np.allclose(ours, models.sentences.encode(text), atol=1e-5)


def test_a_photo_post_has_pictures_sound_and_text(checkpoints: Checkpoints, tmp_path: Path) -> None:
    slides = write_slides(tmp_path, [*WORDS, "OBEY THE LAW", "PRAY DAILY", "STAY HUMBLE"])
    files = [*map(str, slides), str(write_sound_of(tmp_path / "a.mp3"))]
    config = config_of(checkpoints)
    plan = make_plan(config, {})
    reader = ClipReader(config, plan)
    try:
        rows = reader([{**video(slides[0]), "files": files}, {**video(slides[0]), "files": files[:2]}])
    finally:
        reader.child.close()
    assert [row["error"] for row in rows] == [None, None]
    assert rows[0]["text"] == " ".join([*WORDS, "OBEY THE LAW", "PRAY DAILY", "STAY HUMBLE"])
    vectors = ClipEncoder(config, plan)(rows)
    assert [(row["has_video"], row["has_sound"], row["has_text"]) for row in vectors] == [
        (True, True, True),
        (True, False, True),
    ]


def test_a_click_is_no_sound_and_a_broken_file_a_failure(checkpoints: Checkpoints, tmp_path: Path) -> None:
    write_clip(tmp_path / "click.mp4", n=10, sound=tone(0.04))
    (tmp_path / "page.mp4").write_text("<html>")
    click, page = embedded(config_of(checkpoints, text=None), [tmp_path / "click.mp4", tmp_path / "page.mp4"])
    assert (click["error"], click["has_sound"]) == (None, False)
    assert (page["error"], page["vector"]) == ("unreadable", None)


# what the models' files state


def changed(folder: Path, copy: Path, name: str, **facts: Any) -> str:
    shutil.copytree(folder, copy)
    keys = json.loads((copy / name).read_text())
    (copy / name).write_text(
        json.dumps({key: value for key, value in (keys | facts).items() if value != "gone"})
    )
    return str(copy)


@pytest.mark.parametrize(
    ("part", "name", "facts", "message"),
    [
        ("video", "config.json", {"num_frames": 8}, "takes 8 frames, not 16"),
        ("video", "config.json", {"hidden_size": "gone"}, "no hidden_size"),
        (
            "video",
            "preprocessor_config.json",
            {"size": {"height": 3, "width": 4}},
            "short side and a centre crop",
        ),
        ("video", "preprocessor_config.json", {"resample": 3}, "a bilinear short side"),
        (
            "video",
            "preprocessor_config.json",
            {"image_processor_type": "Vivit"},
            "prepared by Vivit; known are",
        ),
        ("sound", "preprocessor_config.json", {"sampling_rate": 8000}, "sound of 8000 Hz"),
        (
            "sound",
            "preprocessor_config.json",
            {"feature_extractor_type": "AST"},
            "prepared by AST; known are",
        ),
    ],
)
def test_a_model_that_cannot_be_fed_is_refused(
    checkpoints: Checkpoints, tmp_path: Path, part: str, name: str, facts: Any, message: str
) -> None:
    folder = {"video": checkpoints.pictures, "sound": checkpoints.sound}[part]
    model = changed(folder, tmp_path / "copy", name, **facts)
    with pytest.raises(UserError, match=message):
        make_plan(config_of(checkpoints, **{part: {"model": model}}), {})


def test_another_size_of_pictures_is_followed(checkpoints: Checkpoints, tmp_path: Path) -> None:
    facts = {"size": 256, "crop_size": 224, "do_normalize": False, "do_rescale": False}
    model = changed(checkpoints.pictures, tmp_path / "copy", "preprocessor_config.json", **facts)
    plan = make_plan(config_of(checkpoints, video=Pictures(model=model)), {})
    assert plan.pictures is not None
    assert (plan.pictures.side_px, plan.pictures.crop_px) == (256, (224, 224))
    assert (plan.pictures.scale, plan.pictures.mean, plan.pictures.std) == (1, (0, 0, 0), (1, 1, 1))


def test_a_hub_out_of_reach_is_a_plain_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"no/such: the model hub is out of reach.*a local folder"):
        pinned("no/such", None)
    with pytest.raises(UserError, match="neither a folder nor the name"):
        pinned("not a name/at/all", None)
    assert pinned("no/such", "0" * 40) == "0" * 40


def test_a_folder_is_known_by_its_weights(checkpoints: Checkpoints) -> None:
    assert served("a/b", "c" * 40) == f"a/b@{'c' * 40}"
    assert served(str(checkpoints.sound), None) != served(str(checkpoints.pictures), None)
    assert " sha256:" in served(str(checkpoints.sound), None)


def test_one_modality_at_least() -> None:
    with pytest.raises(ValueError, match="switch on one at least"):
        EmbedConfig(out="o", videos=CatalogConfig(out="o", videos="v"), video=None, sound=None, text=None)
