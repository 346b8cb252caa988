"""A million rows of metadata: what a process takes that reads an export and writes its posts.

    python benchmarks/posts.py            # 1,000,000 rows of about 2 KB in each form; writes results/posts.json
    python benchmarks/posts.py --quick    # 20,000 rows; writes nothing

Made-up posts as Zeeschuimer writes them (one object a line), as one JSON list of the platform's web items, and as
4CAT's table; every hundredth is listed twice. Each form is read by a process of its own, which recognises it and writes
a catalog with the table of its posts, one of which has a file. Targets, at a million rows: 600 seconds of CPU time (it
is one process, so this is what a quiet machine takes) and 1,000 MB at most, the interpreter and its libraries among
them. Prints one JSON object last.
"""

import argparse
import csv
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from benchmarks.decode import machine
from benchmarks.evaluate import memory_mb
from tikval.config import CatalogConfig
from tikval.sources.write_catalog import write_catalog

RESULT: Final = Path(__file__).parent / "results" / "posts.json"
MOST_MB: Final = 1_000
MOST_SECONDS: Final = 600
FORMS: Final = ("zeeschuimer.ndjson", "items.json", "4cat.csv")
VIDEO: Final = 13 << 8  # bits of an id that say it is a video's
COLUMNS: Final = (
    "id,thread_id,author,author_full,body,unix_timestamp,is_ad,music_name,tiktok_url,likes,plays,hashtags"
)
WORDS: Final = "how we fold paper boats on a windy day by the lake with friends who never sleep".split()


def web_item(number: int, rng: random.Random) -> dict[str, Any]:
    """One post as the platform's page has it, of about 1.7 KB."""
    when = 1_600_000_000 + number * 97 % 150_000_000
    video_id = str((when << 32) + (number << 13) + VIDEO)
    account = f"maker.{number % 20_000}"
    tags = [f"tag{rng.randrange(5_000)}" for _ in range(4)]
    counts = {name: rng.randrange(10**6) for name in ("diggCount", "shareCount", "commentCount", "playCount")}
    caption = " ".join(rng.choices(WORDS, k=18)) + "".join(f" #{tag}" for tag in tags) + " \u2728"
    place = f"https://v16.example.net/{rng.getrandbits(128):032x}/video/"
    return {
        "id": video_id,
        "desc": caption,
        "createTime": when,
        "author": {
            "id": str(when << 31),
            "uniqueId": account,
            "nickname": account,
            "signature": "paper and glue",
        },
        "authorStats": {"followerCount": 1, "heartCount": 2, "videoCount": 3, "diggCount": 4},
        "stats": {**counts, "collectCount": 12},
        "statsV2": {name: str(count) for name, count in counts.items()} | {"collectCount": "12"},
        "music": {
            "id": "70000",
            "title": "original sound",
            "authorName": account,
            "original": True,
            "playUrl": place,
        },
        "challenges": [{"id": str(n), "title": tag, "desc": ""} for n, tag in enumerate(tags)],
        "textExtra": [{"hashtagName": tag, "hashtagId": "1", "userUniqueId": ""} for tag in tags],
        "video": {
            "id": video_id,
            "duration": 5 + number % 90,
            "height": 1024,
            "width": 576,
            "playAddr": place * 2,
        },
        "isAd": number % 50 == 0,
        "duetEnabled": True,
        "privateItem": False,
        "CategoryType": 120,
    } | ({"isPinnedItem": True} if number % 30 == 0 else {})


def items(n: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    for number in range(n):
        yield web_item(number - 1 if number % 100 == 99 else number, rng)


def write_form(file: Path, n: int) -> None:
    with file.open("w", encoding="utf-8", newline="") as sink:
        if file.suffix == ".csv":
            writer = csv.writer(sink)
            writer.writerow(COLUMNS.split(","))
            for item in items(n):
                account, stats = item["author"]["uniqueId"], item["stats"]
                url = f"https://www.tiktok.com/@{account}/video/{item['id']}"
                tags = ",".join(tag["title"] for tag in item["challenges"])
                ad = "yes" if item["isAd"] else "no"
                title = item["music"]["title"]
                first = [
                    item["id"],
                    item["id"],
                    account,
                    account,
                    item["desc"],
                    item["createTime"],
                    ad,
                    title,
                    url,
                ]
                writer.writerow([*first, stats["diggCount"], stats["playCount"], tags])
            return
        in_list = file.suffix == ".json"
        sink.write("[" if in_list else "")
        for number, item in enumerate(items(n)):
            row = item if in_list else _in_envelope(item)
            sink.write((",\n" if in_list and number else "") + json.dumps(row) + ("" if in_list else "\n"))
        sink.write("]" if in_list else "")


def _in_envelope(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "nav_index": "1:1:1",
        "item_id": item["id"],
        "timestamp_collected": 1_795_000_000_000,
        "source_platform": "tiktok.com",
        "source_platform_url": "https://www.tiktok.com/foryou",
        "source_url": "https://www.tiktok.com/api/recommend/item_list/",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "data": item,
    }


def read_here(file: str) -> None:
    """One form, in a process of its own."""
    place = Path(file).parent
    lines: list[str] = []
    (place / "media").mkdir()
    (place / "media" / f"{web_item(0, random.Random(0))['id']}.mp4").write_bytes(b"x")
    config = CatalogConfig(videos=file, media=f"{place}/media", out=f"{place}/out")
    begin = time.monotonic()
    run = write_catalog(config, lines.append)
    seconds, used = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_SELF)
    written = Path(config.folder) / run.side_tables["posts"]
    found = {
        "posts": pq.read_metadata(written).num_rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "most_mb": round(memory_mb("VmHWM")),
        "file_mb": round(Path(file).stat().st_size / 1e6),
        "written_mb": round(written.stat().st_size / 1e6),
        "line": next(line for line in lines if " rows, " in line).partition(": ")[2],
    }
    print(json.dumps(found))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--form", choices=FORMS, action="append", help="this form only; may be given again")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read_here(arguments.read)
        return 0
    n = 20_000 if arguments.quick else 1_000_000
    forms = {}
    for form in arguments.form or FORMS:
        work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
        try:
            write_form(work / form, n)
            command = [sys.executable, __file__, "--read", str(work / form)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            forms[form] = json.loads(done.stdout.splitlines()[-1])
            print(f"{form}: {forms[form]}", file=sys.stderr)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    met = all(form["most_mb"] < MOST_MB and form["cpu_seconds"] < MOST_SECONDS for form in forms.values())
    whole = all(form["posts"] == n - n // 100 and f"{n:,} rows" in form["line"] for form in forms.values())
    result = {
        "rows": n,
        "forms": forms,
        "targets": {
            "most_mb": MOST_MB,
            "most_cpu_seconds": MOST_SECONDS,
            "met": met,
            "each_post_once": whole,
        },
        "machine": machine(),
        "command": " ".join(
            ["python benchmarks/posts.py", *["--quick"] * arguments.quick]
            + [f"--form {form}" for form in arguments.form or ()]
        ),
    }
    if not arguments.quick:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if met and whole else 1


if __name__ == "__main__":
    sys.exit(main())
