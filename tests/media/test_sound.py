"""Which sound is heard: channels that cancel each other, and several tracks."""

import importlib.util
import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from tests.fixtures import clips
from tikval.config import Limits
from tikval.media.child import Child
from tikval.media.clip import read_clip
from tikval.media.reading import SAMPLE_RATE, Want
from tikval.media.voice import voice_of
from tikval.script.compose import compose

ROOT = Path(__file__).parents[2]
RATE = 44_100
Samples = NDArray[np.float64]  # of one channel, full scale 1


def installed(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="module")
def voice() -> Samples:
    """Six seconds of somebody reading, out of a package that the recogniser comes in."""
    installed("faster_whisper")
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(str(installed("moonshine_voice") / "assets" / "two_cities.wav")) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    samples = np.concatenate([part.to_ndarray().reshape(-1) for part in parts])[RATE : 7 * RATE]
    read: Samples = samples.astype(np.float64) * 0.3 / np.abs(samples).max()
    return read


def music(seconds: float = 6, loudness: float = 0.1, seed: int = 0) -> Samples:
    """A tune of notes that fade, with a drum."""
    rng = np.random.default_rng(seed)
    song = np.zeros(round(seconds * RATE))
    for at in range(0, len(song), RATE // 4):
        times = np.arange(min(RATE // 2, len(song) - at)) / RATE
        pitch = 220 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11]) / 12)
        song[at : at + len(times)] += sum(
            np.sin(2 * np.pi * pitch * n * times) / n for n in (1, 2, 3)
        ) * np.exp(-4 * times)
        song[at : at + len(times)] += rng.normal(0, 1, len(times)) * np.exp(-40 * times)
    song *= loudness / np.sqrt(np.mean(song**2))
    return song


def late(samples: Samples, milliseconds: float) -> Samples:
    return np.roll(samples, round(milliseconds * RATE / 1000))


def write(
    path: Path,
    *tracks: list[Samples],
    layout: str = "stereo",
    preferred: int = 0,
    languages: str = "eng spa deu",
) -> Path:
    """A video with these sound tracks, each a list of channels."""
    silent = clips.write_clip(path.with_name("silent.mp4"), n=150)
    with av.open(str(path), "w") as out, av.open(str(silent)) as source:
        video = out.add_stream_from_template(source.streams.video[0])
        streams: list[Any] = []
        for number, (_, language) in enumerate(zip(tracks, languages.split(), strict=False)):
            streams.append(out.add_stream("aac", rate=RATE, layout=layout))
            streams[-1].bit_rate = 128_000
            streams[-1].metadata["language"] = language
            streams[-1].disposition = av.stream.Disposition(int(number == preferred))
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for stream, channels in zip(streams, tracks, strict=True):
            samples = np.stack(channels).astype(np.float32)
            for start in range(0, samples.shape[1], 1024):
                block = np.ascontiguousarray(samples[:, start : start + 1024])
                frame = AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def likeness(path: Path, samples: Samples) -> float:
    """Correlation of what is heard of a file with the samples, at their best lag."""
    sound = read_clip(str(path)).sound
    assert sound is not None
    own = np.interp(np.arange(len(sound)) * RATE / SAMPLE_RATE, np.arange(len(samples)), samples)
    heard = sound.astype(np.float64)
    around = np.fft.irfft(np.fft.rfft(heard) * np.conj(np.fft.rfft(own)), len(heard))
    return float(np.abs(around).max() / max(1e-9, np.linalg.norm(heard) * np.linalg.norm(own)))


CANCELLING = {
    "inverted": lambda s: [s, -s],
    "inverted and fainter": lambda s: [s, -0.85 * s],
    "inverted, the right louder": lambda s: [0.85 * s, -s],
    "inverted and a little later": lambda s: [s, -late(s, 0.05)],
    "inverted in its second half": lambda s: [s, s * np.where(np.arange(len(s)) < len(s) / 2, 1, -1)],
    "with music in the middle": lambda s: [s + 0.2 * music(), -s + 0.2 * music()],
}


@pytest.mark.parametrize("kind", CANCELLING)
def test_channels_that_cancel_are_heard(kind: str, voice: Samples, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", CANCELLING[kind](voice))
    assert likeness(path, voice) > 0.9
    sound = read_clip(str(path)).sound
    assert sound is not None
    assert voice_of(sound).seconds > 3.5
    assert np.abs(sound).max() > 0.15 * 32768


def test_a_pair_of_six_channels_that_cancels_is_heard(voice: Samples, tmp_path: Path) -> None:
    nothing = np.zeros_like(voice)
    surround = [voice, -voice, nothing, nothing, 0.02 * music(), 0.02 * music()]
    assert likeness(write(tmp_path / "a.mp4", surround, layout="5.1"), voice) > 0.9


def test_music_in_opposite_phase_is_heard_but_not_over_a_voice(voice: Samples, tmp_path: Path) -> None:
    song = music()
    assert likeness(write(tmp_path / "music.mp4", [song, -song]), song) > 0.9
    loud = music(loudness=0.15)
    assert likeness(write(tmp_path / "karaoke.mp4", [voice + loud, voice - loud]), voice) > 0.9


ORDINARY = {
    "the same": lambda s: [s, s],
    "one channel silent": lambda s: [s, 0 * s],
    "two things": lambda s: [s, music()],
    "later on one side": lambda s: [s, late(s, 3)],
    "a little inverted": lambda s: [s, -0.2 * s],
    "wide music": lambda s: [s + music(), s + music(seed=1)],
    "silence": lambda s: [0 * s, 0 * s],
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_the_usual_mixture_stays_as_it_was(kind: str, voice: Samples, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", ORDINARY[kind](voice))
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    parts += resampler.resample(None)
    expected = np.concatenate([part.to_ndarray().reshape(-1) for part in parts])
    clip = read_clip(str(path))
    assert clip.sound is not None
    assert np.array_equal(clip.sound, expected)
    assert (clip.sound_track, clip.sound_tracks) == (1, 1)


def heard(path: Path) -> tuple[int, int, str]:
    clip = read_clip(str(path))
    return clip.sound_track, clip.sound_tracks, clip.sound_language


def test_the_track_with_speech_is_taken(voice: Samples, tmp_path: Path) -> None:
    silence, song = 0 * voice, music()
    path = tmp_path / "a.mp4"
    for first in (silence, song, np.random.default_rng(0).normal(0, 0.1, len(voice))):
        assert heard(write(path, [first, first], [voice, voice])) == (2, 2, "spa")
        assert likeness(path, voice) > 0.9
        assert heard(write(path, [voice, voice], [first, first], preferred=1)) == (1, 2, "eng")
    assert heard(write(path, [song, song], [silence, silence], [voice, -voice])) == (3, 3, "deu")


def test_of_two_with_speech_and_of_two_without_it_is_the_one_that_the_file_prefers(
    voice: Samples, tmp_path: Path
) -> None:
    path, other = tmp_path / "a.mp4", voice[::-1] * 0.9
    assert heard(write(path, [voice, voice], [np.roll(voice, RATE), voice], preferred=1)) == (2, 2, "spa")
    assert heard(write(path, [voice, voice], [np.roll(voice, RATE), other], preferred=0)) == (1, 2, "eng")
    assert heard(write(path, [music(), music()], [0 * voice, 0 * voice])) == (1, 2, "eng")
    assert heard(write(path, [0 * voice, 0 * voice], [music(), music()])) == (2, 2, "spa")


def test_without_the_detector_loudness_decides(
    voice: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.media.voice._model_file", lambda: None)
    path = tmp_path / "a.mp4"
    assert heard(write(path, [0 * voice, 0 * voice], [voice, voice]))[0] == 2
    assert heard(write(path, [music(), music()], [voice, voice]))[0] == 1
    assert likeness(write(path, [voice, -voice]), voice) > 0.9


def test_the_track_is_named_in_the_script_and_is_the_one_that_is_sent(voice: Samples, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [music(), music()], [voice, voice], languages="en$x spa")
    with Child(Limits(seconds=60)) as child:
        reading = child.read(str(path), Want(sound=True, scene=True))
        child.strip(str(path), str(tmp_path / "to"))
    assert "Sound: Yes (track 2 of 2, spa)\n" in compose(reading, None, None).script
    assert likeness(tmp_path / "to", voice) > 0.9
    assert heard(tmp_path / "to")[1] == 1


def test_the_detector_leaves_nothing_at_home_and_reports_to_nobody(tmp_path: Path) -> None:
    installed("faster_whisper")
    listen = """
        import numpy as np
        from tikval.ask.multilingual import speech_windows
        from tikval.media.voice import voice_of
        sound = np.random.default_rng(0).normal(0, 3000, 32_000).astype(np.int16)
        voice_of(sound)
        speech_windows(sound)
        import onnxruntime, os
        print(os.environ["ORT_DISABLE_TELEMETRY"])
    """
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(listen)]
    assert (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "1\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_sound_of_sixteen_planes_is_mixed_by_ffmpeg_and_nothing_behind_them_is_read(
    voice: Samples, tmp_path: Path
) -> None:
    """PyAV counts planes up to an empty one, which more than eight do not end with."""
    silent, path = clips.write_clip(tmp_path / "silent.mp4", n=150), tmp_path / "a.mkv"
    samples = (np.repeat(voice[:, None], 16, axis=1) * 20_000).astype(np.int16)
    with av.open(str(path), "w") as out, av.open(str(silent)) as source:
        video = out.add_stream_from_template(source.streams.video[0])
        stream = out.add_stream("wavpack", rate=RATE, layout="hexadecagonal")
        stream.format = "s16p"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for start in range(0, len(samples), 1024):
            block = np.ascontiguousarray(samples[start : start + 1024].reshape(1, -1))
            frame = AudioFrame.from_ndarray(block, format="s16", layout="hexadecagonal")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(str(path)) as source:
        frame = next(source.decode(audio=0))
        assert (frame.format.name, frame.layout.nb_channels) == ("s16p", 16)
    assert likeness(path, voice) > 0.95
