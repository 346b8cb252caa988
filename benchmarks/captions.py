"""Captions found, and CPU time for each second of video: where the text changes, against five even pictures.

    python benchmarks/captions.py [--quick] [--write]

Both ways read the same clips in one process, in turns: pictures of the scene, the captions, no sound. The clips are
drawn (caption_clips.py): slides, words one at a time as automatic captions come, a caption that stays, none, credits
that scroll, photographs; some with a keyframe each second. Exit code 1 where a target is missed.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.caption_clips import CLIPS, Captioned, clip_file  # noqa: E402
from tikval.media.clip import read_clip  # noqa: E402
from tikval.media.cutouts import read_cutouts  # noqa: E402
from tikval.media.ocr import read_captions  # noqa: E402
from tikval.media.reading import Caption  # noqa: E402
from tikval.media.scene import FRAMES  # noqa: E402

RESULT: Final = ROOT / "benchmarks" / "results" / "captions.json"
PICTURES: Final = 5
QUICK: Final = ("slides", "words", "static", "none", "scroll", "photos")
MOST_CPU: Final = 1.5  # of what five even pictures take, for each kind of clip
LEAST_FOUND: Final = {"slides": 11, "slides-keyframes": 11, "words": 10, "words-keyframes": 10}


def cpu_seconds() -> float:
    """Of this process and those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def read(path: Path, changes: bool) -> tuple[list[Caption], float]:
    """Captions of a file, and the CPU time that reading it took."""
    before = cpu_seconds()
    clip = read_clip(str(path), frames=FRAMES, key_frames=PICTURES, changes=changes, sound=False)
    captions = read_cutouts(clip.cutouts) if changes else read_captions(clip.key_frames, clip.key_seconds)
    return captions, cpu_seconds() - before


def n_found(clip: Captioned, captions: list[Caption]) -> int:
    """How many of a clip's captions stand in what was read, in their order."""
    text = " ".join(words(" ".join(caption.text for caption in captions)))
    at = found = 0
    for caption in clip.captions:
        wanted = " ".join(words(caption))
        place = re.compile(rf"\b{re.escape(wanted)}\b").search(text, at)
        if place:
            found, at = found + 1, place.end()
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def n_invented(clip: Captioned, captions: list[Caption]) -> int:
    """Words that were read and stand in no caption."""
    true = set(words(" ".join(clip.captions)))
    return sum(word not in true for caption in captions for word in words(caption.text))


def compare(clip: Captioned, turns: int) -> dict[str, Any]:
    path = clip_file(clip)
    used: dict[bool, list[float]] = {False: [], True: []}
    captions: dict[bool, list[Caption]] = {}
    for turn in range(turns):
        for changes in (False, True) if turn % 2 else (True, False):
            captions[changes], seconds = read(path, changes)
            used[changes].append(seconds)
    ratios = [new / old for new, old in zip(used[True], used[False], strict=True)]
    return {
        "clip": clip.name,
        "seconds": clip.seconds,
        "captions": len(clip.captions),
        "found": {"changes": n_found(clip, captions[True]), "even": n_found(clip, captions[False])},
        "invented_words": {
            "changes": n_invented(clip, captions[True]),
            "even": n_invented(clip, captions[False]),
        },
        "cpu_per_second": {
            name: statistics.median(used[changes]) / clip.seconds
            for name, changes in (("changes", True), ("even", False))
        },
        "cpu_ratio": statistics.median(ratios),
        "cpu_ratio_range": [min(ratios), max(ratios)],
    }


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def rounded(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: rounded(value) for name, value in x.items()}
    if isinstance(x, list):
        return [rounded(value) for value in x]
    return round(x, 4) if isinstance(x, float) else x


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    import pytesseract  # noqa: F401  (a second of its own, which no clip is to pay)

    rows = []
    for clip in [clip for clip in CLIPS if not options.quick or clip.name in QUICK]:
        row = compare(clip, 1 if options.quick else 3)
        rows.append(row)
        print(
            f"{clip.name:18} {row['found']['changes']:2} of {row['captions']:2} captions "
            f"(even {row['found']['even']}), "
            f"{1000 * row['cpu_per_second']['changes']:4.0f} ms of CPU a second, {row['cpu_ratio']:.2f} of even",
            flush=True,
        )
    targets = {
        f"{row['clip']}, CPU of even pictures": {"figure": row["cpu_ratio"], "at_most": MOST_CPU}
        for row in rows
    }
    for row in rows:
        if row["clip"] in LEAST_FOUND:
            least = LEAST_FOUND[row["clip"]]
            targets[f"{row['clip']}, captions"] = {"figure": row["found"]["changes"], "at_least": least}
        targets[f"{row['clip']}, words invented"] = {"figure": row["invented_words"]["changes"], "at_most": 3}
    for target in targets.values():
        most, least = target.get("at_most", float("inf")), target.get("at_least", 0)
        target["met"] = least <= target["figure"] <= most
    report = rounded({
        "command": " ".join(["python", "benchmarks/captions.py", *arguments]),
        "machine": machine(),
        "clips": rows,
        "targets": targets,
    })  # fmt: skip
    if options.write or not options.quick:
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if all(target["met"] for target in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
