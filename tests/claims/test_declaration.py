"""A file of claims: what is wrong with it is said with its place, and what was declared stays as it was."""

from pathlib import Path

import pytest

from tikval.claims.declaration import Declaration, check_claims, check_unchanged, read_claims, text_sha
from tikval.codebook import load_codebook
from tikval.config import UserError
from tikval.config.base import find_file

TEXT = "name: mine\nclaims:\n  a: {label: hedonism+, group: {genre: food}, against: 0.2}\n"


def declared(text: str = TEXT) -> Declaration:
    return Declaration(
        "mine", text, text_sha(text), "2026-03-01T00:00:00+00:00", "schwartz-19", "s", (), (), 0, "1"
    )


def test_the_example_is_a_family_over_the_shipped_codebook() -> None:
    config, text = read_claims("configs/claims.yaml")
    check_claims(config, load_codebook(find_file("prompts/codebook.yaml")))
    assert "tikval claim out/study configs/claims.yaml --declare" in text
    assert len(config.claims) == 3


def test_what_yaml_takes_for_something_else_is_a_word(tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(TEXT.replace("{genre: food}", "{is_ad: yes, pinned: [no], genre: [5, food]}"))
    assert read_claims(str(file))[0].claims["a"].group == {
        "is_ad": "yes",
        "pinned": ["no"],
        "genre": ["5", "food"],
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            TEXT.replace("0.2", "0.1"),
            "line 3 was 'a: {label: hedonism+, group: {genre: food}, against: 0.2}' and is",
        ),
        (TEXT + "alpha: 0.1\n", "line 4 was nothing and is 'alpha: 0.1'"),
        (TEXT.rstrip("\n"), "its last line has another end"),
    ],
)
def test_a_file_that_was_changed_since_is_refused_with_the_line(changed: str, reason: str) -> None:
    check_unchanged(declared(), TEXT, "schwartz-19")
    with pytest.raises(UserError) as err:
        check_unchanged(declared(), changed, "schwartz-19")
    assert reason in str(err.value)
    assert "declared on 2026-03-01" in str(err.value)
    assert "under another name" in str(err.value)


def test_a_family_is_of_one_codebook() -> None:
    with pytest.raises(UserError, match="--codebook schwartz-19 tests it"):
        check_unchanged(declared(), TEXT, "emotions")


def test_a_declaration_that_was_edited_is_noticed() -> None:
    data = declared().to_json()
    assert Declaration.from_json(data, "here") == declared()
    with pytest.raises(UserError, match="changed by hand"):
        Declaration.from_json(data.replace(b"0.2", b"0.1"), "here")
    with pytest.raises(UserError, match="not what tikval wrote"):
        Declaration.from_json(b"[1]", "here")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: mine\nclaims: {a: {label: hedonism+}}", "name one of against"),
        ("name: mine\nclaims: {a: {label: hedonism, against: 0.2}}", "such as hedonism"),
        ("name: mine\nclaims: {a: {label: hedonism+, against: 0}}", "greater than 0"),
        ("name: Mine\nclaims: {a: {label: hedonism+, against: 0.2}}", "name"),
        ("- a", "a mapping of keys"),
        ("a: [", "not YAML"),
        (
            "name: mine\nclaims: {a: {label: hedonism+, over_time: {before: 2026-02-01, since: 2026-01-01}}}",
            "since",
        ),
        (
            "name: mine\nclaims: {a: {label: hedonsm+, against: 0.2}}",
            r"claims.a.label: no label 'hedonsm\+'; is hedonism",
        ),
        (
            "name: mine\nclaims: {a: {label: face+, group: {gnere: x}, against: 0.2}}",
            "claims.a.group: no column 'gnere'",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=reason):
        check_claims(read_claims(str(file))[0], load_codebook(find_file("prompts/codebook.yaml")))
