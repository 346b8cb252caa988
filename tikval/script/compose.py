"""What was recognised in a video -> a script in the paper's format (Figure 7, Table 2). Pure text.

Genre: Crafts/DIY
Sound: Yes
Picture: vertical, bright, slow, at least 2 cuts, 9 seconds
Language: de, probability 0.93; TRANSLATED is the recogniser's English

[THREE HOURS LATER]
SPEAKER (DE): "Endlich habe ich es selbst gemacht."
TRANSLATED: "I finally made it myself."
"""

import re
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from tikval.ask.multilingual import Heard
from tikval.media.reading import Caption, ClipReading, Segment
from tikval.privacy import strip_handles, strip_on_screen

TRANSLATED: Final = "TRANSLATED"  # who speaks where the recogniser's English stands
_REPEATED: Final = 0.8  # a caption with this share of its words in the speech is a subtitle


class TimedScript(NamedTuple):
    """A script, and the seconds from which, and up to which, each line of script.splitlines() was heard or seen.

    None inside: a line without a time, as the header's, and no end of a caption that one picture alone shows. None: of
    a photo post, whose pictures stand at no time.
    """

    script: str
    line_starts: list[float | None] | None
    line_ends: list[float | None] | None


class _Line(NamedTuple):
    start_seconds: float  # lines are sorted as tuples
    rank: int  # of what begins at the same time
    text: str
    end_seconds: float


def compose(
    reading: ClipReading, genre: str | None, account: str | None, heard: Heard | None = None
) -> TimedScript:
    """The script: header lines, then dialogue and [CAPTIONS] in order of time. Nothing is made up: a genre that
    nobody gave is not guessed, and who speaks is not told apart. `heard`: in place of the reading's own speech."""
    heard = heard or Heard(reading.speech)
    spoken = " ".join(segment.text for segment in heard.segments)
    blocks = [(caption.text, caption.first_seconds) for caption in reading.captions]
    texts = zip(reading.captions, strip_on_screen(blocks, account), strict=True)
    shown = [replace(caption, text=text) for caption, text in texts if text is not None]
    captions = shown if reading.photos else _not_repeated(shown, spoken)
    body = [_Line(each.first_seconds, 0, _shown(each), each.last_seconds) for each in captions]
    for rank, segments in enumerate((heard.segments, heard.translations), 1):
        for each in segments:
            words = _spoken(speaker_of(each) if rank == 1 else TRANSLATED, each, account)
            body.append(_Line(each.start_seconds, rank, words, each.end_seconds))
    body.sort()
    lines = [*_header(reading, genre, account), *_language(heard), "", *(line.text for line in body)]
    script = "\n".join(lines).rstrip() + "\n"
    if reading.photos:
        return TimedScript(script, None, None)
    untimed: list[float | None] = [None] * (len(script.splitlines()) - len(body))
    starts = [round(line.start_seconds, 3) for line in body]
    ends = [round(line.end_seconds, 3) if line.end_seconds > line.start_seconds else None for line in body]
    return TimedScript(script, [*untimed, *starts], [*untimed, *ends])


def speaker_of(segment: Segment) -> str:
    """SPEAKER, with the language where it is not English."""
    return f"SPEAKER ({segment.language.upper()})" if segment.language not in ("", "en") else "SPEAKER"


def _not_repeated(shown: list[Caption], spoken: str) -> list[Caption]:
    return [caption for caption in _unique(shown) if not _stands_in(caption.text, spoken)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _header(reading: ClipReading, genre: str | None, account: str | None) -> list[str]:
    lines = [
        f"Genre: {_one_line(strip_handles(genre or '', account)) or 'not stated'}",
        f"Sound: {'Yes' if reading.has_sound else 'No'}{_track(reading)}",
    ]
    if scene := reading.scene:
        still = f"{reading.photos} still picture{'s' * (reading.photos != 1)}"
        cuts = f"at least {scene.cuts} cut{'s' * (scene.cuts != 1)}" if scene.cuts else "no cut seen"
        seen = [still] if reading.photos else [scene.motion, cuts]
        words = [scene.orientation, scene.brightness, *seen, f"{reading.seconds:.0f} seconds"]
        lines.append(f"Picture: {', '.join(words)}")
    return lines


def _track(reading: ClipReading) -> str:
    """Which of several sound tracks was heard."""
    if not reading.has_sound or reading.sound_tracks < 2:
        return ""
    language = f", {reading.sound_language}" if reading.sound_language else ""
    return f" (track {reading.sound_track} of {reading.sound_tracks}{language})"


def _language(heard: Heard) -> list[str]:
    if heard.probability is None:  # nothing was spoken, or the recogniser does not tell
        return []
    named = heard.language or "not recognised, so its words are left out"
    marked = f"; {TRANSLATED} is the recogniser's English" if heard.translations else ""
    return [f"Language: {named}, probability {heard.probability:.2f}{marked}"]


def _shown(caption: Caption) -> str:
    text = _one_line(caption.text)
    return f"[{text.replace('[', '(').replace(']', ')')}]"


def _spoken(speaker: str, segment: Segment, account: str | None) -> str:
    text = _one_line(strip_handles(segment.text, account))
    return f'{speaker}: "{text.replace(chr(34), chr(39))}"'


def _unique(captions: list[Caption]) -> list[Caption]:
    """Captions without those that a longer one repeats: text that stays while other text joins it."""
    kept: list[Caption] = []
    for caption in sorted(captions, key=lambda caption: -len(_words(caption.text))):
        if not any(_stands_in(caption.text, other.text) for other in kept):
            kept.append(caption)
    return kept


def _stands_in(caption: str, text: str) -> bool:
    """Whether the words of a caption stand in a text in the same order, but for small errors of recognition."""
    shown, spoken = _words(caption), _words(text)
    if not shown or not spoken:
        return False
    blocks = SequenceMatcher(None, spoken, shown, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(shown) >= _REPEATED


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())
