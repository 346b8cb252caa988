"""Configurations that are bombs, or nested without end: refused at once, in one line."""

import time
from pathlib import Path

import pytest

from tikval.codebook import load_codebook
from tikval.config import ScriptConfig, UserError, load_config

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
HOSTILE = {
    "a bomb of lists": f"{BOMB}videos: *a8\nout: *a8\n",
    "a bomb of keys": "a: &a {x: 1}\n"
    + "".join(
        f"b{n}: &b{n} {{l: *{'a' if n == 0 else f'b{n - 1}'}, r: *{'a' if n == 0 else f'b{n - 1}'}}}\n"
        for n in range(30)
    ),
    "itself": "videos: &a [*a]\nout: x\n",
    "itself as a key": "out: &a {out: *a}\n",
    "deep lists": "out: " + "[" * 100_000,
    "deep lists that end": "out: " + "[" * 3_000 + "]" * 3_000,
    "deep mappings": "out: " + "{a: " * 3_000 + "}" * 3_000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(2_000)),
    "a date that is none": "out: 2026-99-99\n",
    "a number without end": "out: " + "1" * 10_000 + "\n",
    "a tag": "out: !!python/object/apply:os.system [true]\n",
    "a list as a key": "? [a, b]\n: c\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_configuration_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(text)
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"scripts\.yaml") as err:
        load_config(ScriptConfig, str(path), [])
    assert time.monotonic() - begin < 20
    assert "\n" not in str(err.value)
    assert len(str(err.value)) < 1_000
    with pytest.raises(ValueError, match=r"scripts\.yaml"):
        load_codebook(path)


def test_an_override_is_no_way_around(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(f"out: {tmp_path}\nvideos: {{videos: x, out: {tmp_path}}}\n")
    for text in ("[" * 100_000, "&a [*a]", "1" * 10_000):
        with pytest.raises(UserError, match="not YAML"):
            load_config(ScriptConfig, str(path), [f"videos.videos={text}"])


def test_anchors_may_be_used(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(f"out: &out {tmp_path}\nvideos: {{videos: x, out: *out}}\n")
    assert load_config(ScriptConfig, str(path), []).videos.out == str(tmp_path)
