"""What was recognised in a video -> a script in the paper's format (Figure 7, Table 2). Pure text.

Genre: Crafts/DIY
Sound: Yes
Picture: vertical, bright, slow, at least 2 cuts, 9 seconds

[THREE HOURS LATER]
SPEAKER: "I finally made it myself."
"""

import re
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Final

from tikval.media.reading import Caption, ClipReading, Segment
from tikval.privacy import strip_handles, strip_on_screen

_REPEATED: Final = 0.8  # a caption with this share of its words in the speech is a subtitle


def compose(reading: ClipReading, genre: str | None, account: str | None) -> str:
    """The script: header lines, then dialogue and [CAPTIONS] in order of time. Nothing is made up: a genre that
    nobody gave is not guessed, and who speaks is not told apart."""
    spoken = " ".join(segment.text for segment in reading.speech)
    blocks = [(caption.text, caption.first_seconds) for caption in reading.captions]
    texts = zip(reading.captions, strip_on_screen(blocks, account), strict=True)
    shown = [replace(caption, text=text) for caption, text in texts if text is not None]
    captions = shown if reading.photos else _not_repeated(shown, spoken)
    timed = [(caption.first_seconds, 0, _shown(caption)) for caption in captions]
    timed += [(segment.start_seconds, 1, _spoken(segment, account)) for segment in reading.speech]
    body = [line for _, _, line in sorted(timed)]
    return "\n".join([*_header(reading, genre, account), "", *body]).rstrip() + "\n"


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


def _shown(caption: Caption) -> str:
    text = _one_line(caption.text)
    return f"[{text.replace('[', '(').replace(']', ')')}]"


def _spoken(segment: Segment, account: str | None) -> str:
    text = _one_line(strip_handles(segment.text, account))
    return f'SPEAKER: "{text.replace(chr(34), chr(39))}"'


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
