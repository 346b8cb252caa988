"""Speech in five languages and in English: words, language, values and CPU time, before and after Whisper base.

    python benchmarks/languages.py            # every clip; writes results/languages.json; two minutes on two cores
    python benchmarks/languages.py --quick    # the five languages alone; writes nothing
    python benchmarks/languages.py --make     # speaks the ten clips anew (needs espeak-ng)

The ten clips in data/languages are synthetic voices (espeak-ng's usual one of each language) over a plain picture: two
texts, each written to convey one value, in five languages. They show whether the tool works, not how well it hears
people. The sixteen English clips are those of examples/. `before` is the small English recogniser without a question
for the language, `fast` the same with it, `every_language` Whisper base.
"""

import argparse
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from tests.fixtures.clips import write_clip
from tests.media.test_speech import word_error_rate
from tikval.ask.multilingual import Heard, Multilingual
from tikval.codebook import load_codebook
from tikval.config import Limits, LocalExtractor, Speech
from tikval.extract.local import LocalValues
from tikval.machine import cores
from tikval.media.reading import ClipReading, Want
from tikval.media.speech import Recogniser
from tikval.media.worker import read
from tikval.rows import ScriptRow
from tikval.script.compose import compose
from tikval.values import Stance

HERE: Final = Path(__file__).parent
CLIPS: Final = HERE / "data" / "languages"
EXAMPLES: Final = HERE.parent / "examples" / "clips"
VOICES: Final = {"en": "en-us", "de": "de", "es": "es", "fr": "fr-fr", "ja": "ja"}
TEXTS: Final = {
    "benevolence_caring+": {
        "en": "Hello everybody. My family is very important to me. I help my grandmother in the garden every day.",
        "de": "Guten Tag. Meine Familie ist mir sehr wichtig. Ich helfe meiner Großmutter jeden Tag im Garten.",
        "es": "Hola a todos. Mi familia es muy importante para mí. Ayudo a mi abuela en el jardín todos los días.",
        "fr": "Bonjour à tous. Ma famille est très importante pour moi. J'aide ma grand-mère dans le jardin.",
        "ja": "こんにちは。かぞくはとてもたいせつです。まいにち、おばあさんのにわのしごとをてつだいます。",
    },
    "universalism_nature+": {
        "en": "We protect the forest and the animals. Please plant trees and keep the river clean.",
        "de": "Wir schützen den Wald und die Tiere. Bitte pflanzt Bäume und haltet den Fluss sauber.",
        "es": "Protegemos el bosque y los animales. Por favor, planten árboles y mantengan limpio el río.",
        "fr": "Nous protégeons la forêt et les animaux. Plantez des arbres et gardez la rivière propre.",
        "ja": "もりとどうぶつをまもります。きをうえて、かわをきれいにしましょう。",
    },
}
ENGINES: Final = ("before", "fast", "every_language")
TARGETS: Final = {"language right": 9, "invented English": 0, "English word error, after over before": 1.5}


class TrueClip(NamedTuple):
    path: Path
    language: str
    text: str
    labels: frozenset[str]


def make() -> None:
    for label, texts in TEXTS.items():
        for language, text in texts.items():
            with tempfile.TemporaryDirectory() as folder:
                spoken = Path(folder) / "speech.wav"
                command = ["espeak-ng", "-v", VOICES[language], "-s", "150", "-w", str(spoken), text]
                subprocess.run(command, check=True)
                with wave.open(str(spoken)) as file:
                    sound, rate = (
                        np.frombuffer(file.readframes(file.getnframes()), np.int16),
                        file.getframerate(),
                    )
            plain = write_clip(
                CLIPS / f"{language}_{label.rstrip('+')}.mp4",
                n=5 * len(sound) // rate + 1,
                rate=5,
                pictures=[np.full((96, 128, 3), 90, np.uint8)] * (5 * len(sound) // rate + 1),
                sound=sound,
                sound_rate=rate,
            )
            print(plain.name, plain.stat().st_size)


def five_languages() -> list[TrueClip]:
    return [
        TrueClip(CLIPS / f"{language}_{label.rstrip('+')}.mp4", language, text, frozenset([label]))
        for label, texts in TEXTS.items()
        for language, text in texts.items()
    ]


def english_examples() -> list[TrueClip]:
    clips = importlib.import_module("examples.make_clips").CLIPS
    return [
        TrueClip(
            EXAMPLES / f"{clip.video_id}.mp4",
            "en",
            clip.speech,
            frozenset(
                slug + ("-" if stance == Stance.CONFRONTED else "+") for slug, stance in clip.labels.items()
            ),
        )
        for clip in clips
        if clip.speech and not clip.broken
    ]


def words_of(text: str) -> str:
    """Words that can be compared; each character of Japanese is one."""
    plain = re.sub(r"[^\w\s']", " ", text)
    return re.sub(r"([\u3040-\u9fff])", r" \1 ", plain)


def measure(
    clips: list[TrueClip], hear: Callable[[ClipReading], Heard], values: LocalValues, labels: tuple[str, ...]
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for clip in clips:
        file = os.open(clip.path, os.O_RDONLY)
        reading = read([file], None, Want(sound=True, scene=True), Limits(), [])
        os.close(file)
        assert reading.sound is not None
        begin = time.process_time()
        heard = hear(reading)
        cpu = time.process_time() - begin
        script: dict[str, Any] = dict.fromkeys(ScriptRow.__annotations__)
        script |= {"video_id": "v", "row_key": "k", "attempt": 1, "has_sound": True}
        [row] = values([script | {"script": compose(reading, None, None, heard).script}])
        found = {
            label for label, yes in zip(labels, row["decisions"] or [False] * len(labels), strict=True) if yes
        }
        text = " ".join(each.text for each in heard.segments)
        rows.append(
            {
                "clip": clip.path.stem,
                "language": heard.language,
                "probability": round(heard.probability, 2) if heard.probability is not None else None,
                "right": heard.language == clip.language,
                "english": clip.language != "en"
                and any(each.language in ("", "en") for each in heard.segments),
                "word_error": round(word_error_rate(words_of(clip.text), words_of(text)), 2),
                "hits": len(found & clip.labels),
                "misses": len(clip.labels - found),
                "extra": len(found - clip.labels),
                "cpu": cpu,
                "seconds": reading.seconds,
                "heard": text,
                "translated": " ".join(each.text for each in heard.translations),
            }
        )
    hits, misses, extra = (sum(row[name] for row in rows) for name in ("hits", "misses", "extra"))
    return {
        "clips": len(rows),
        "language right": sum(row["right"] for row in rows),
        "invented English": sum(row["english"] for row in rows),
        "word error": round(float(np.mean([row["word_error"] for row in rows])), 3),
        "values right": f"{hits} of {hits + misses}",
        "values, micro F1": round(2 * hits / max(1, 2 * hits + misses + extra), 3),
        "cpu per second": round(
            sum(row.pop("cpu") for row in rows) / sum(row.pop("seconds") for row in rows), 3
        ),
        "rows": rows,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--make", action="store_true")
    args = parser.parse_args()
    if args.make:
        make()
        return 0
    english = Recogniser()
    whisper = Multilingual(Speech(engine="every_language"))
    codebook = load_codebook(HERE.parent / "prompts" / "codebook.yaml")
    values = LocalValues("local", codebook, LocalExtractor())

    def before(reading: ClipReading) -> Heard:
        assert reading.sound is not None
        return Heard(english.transcribe(reading.sound), "en")

    def fast(reading: ClipReading) -> Heard:
        assert reading.sound is not None
        return whisper.only_english(reading.sound, english.transcribe(reading.sound))

    def every_language(reading: ClipReading) -> Heard:
        assert reading.sound is not None
        return whisper.transcribe(reading.sound)

    groups = {"five languages": five_languages()} | ({} if args.quick else {"English": english_examples()})
    whisper.transcribe(np.zeros(16_000, np.int16) + 1000)  # what is made once is not counted
    found = {
        group: {
            name: measure(clips, hear, values, codebook.labels)
            for name, hear in zip(ENGINES, (before, fast, every_language), strict=True)
        }
        for group, clips in groups.items()
    }
    five = found["five languages"]
    met = {
        "language right": five["every_language"]["language right"] >= TARGETS["language right"],
        "invented English": five["every_language"]["invented English"] + five["fast"]["invented English"]
        == 0,
    }
    if not args.quick:
        ratio = found["English"]["every_language"]["word error"] / found["English"]["before"]["word error"]
        met["English word error, after over before"] = (
            ratio <= TARGETS["English word error, after over before"]
        )
    machine = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result = {"targets": TARGETS, "met": met, **found, "machine": machine}
    result["command"] = "python benchmarks/languages.py"
    if not args.quick:
        text = json.dumps(result, indent=2, ensure_ascii=False)
        (HERE / "results" / "languages.json").write_text(text + "\n")
    print(json.dumps(result, ensure_ascii=False))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
