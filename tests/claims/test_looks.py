"""What looks may spend, and that none of them can be lost unnoticed."""

from pathlib import Path
from typing import Any

import pytest

from tikval.claims.looks import LabelLook, alpha_of_next, check_looks_left, read_looks, write_look
from tikval.config import UserError
from tikval.config.claims import Claim, ClaimsConfig


def config(**keys: Any) -> ClaimsConfig:
    return ClaimsConfig(name="mine", claims={"c": Claim(label="face+", against=0.1)}, **keys)


def look(number: int, alpha: float) -> LabelLook:
    return LabelLook(number, "2026-03-01T00:00:00+00:00", str(number), alpha, 10 * number, (), {"c": 1.0})


def spent(one: ClaimsConfig, labels: list[int]) -> list[float]:
    looks: list[LabelLook] = []
    for n, labelled in enumerate(labels, 1):
        check_looks_left(one, looks)
        looks.append(look(n, alpha_of_next(one, looks, labelled)))
    return [each.alpha for each in looks]


def test_alpha_is_spent_and_never_more() -> None:
    assert spent(config(), [10] * 5) == pytest.approx([0.01] * 5)
    assert sum(spent(config(spending="open"), [10] * 500)) == pytest.approx(0.05, rel=0.002)
    assert sum(spent(config(spending="open"), [10] * 500)) < 0.05
    late = spent(config(spending="obrien_fleming", labels=1000), [250, 500, 750, 1000, 2000])
    assert [sum(late[:k]) for k in (1, 2, 4, 5)] == pytest.approx([0.0000886, 0.00557, 0.05, 0.05], rel=0.01)


def test_no_more_looks_than_planned() -> None:
    with pytest.raises(UserError, match="2 looks planned and used, so no error is left"):
        check_looks_left(config(looks=2), [look(1, 0.025), look(2, 0.025)])
    check_looks_left(config(looks=2, spending="open"), [look(1, 0.03), look(2, 0.008)])


def test_a_look_that_is_gone_is_noticed(tmp_path: Path) -> None:
    for one in (look(1, 0.01), look(2, 0.01)):
        write_look(str(tmp_path), "mine", one)
    assert read_looks(str(tmp_path), "mine") == [look(1, 0.01), look(2, 0.01)]
    (tmp_path / "claims/mine/look-001.json").unlink()
    with pytest.raises(UserError, match="one of its looks is gone"):
        read_looks(str(tmp_path), "mine")
    (tmp_path / "claims/mine/look-001.json").write_text("{}")
    with pytest.raises(UserError, match="not what tikval wrote"):
        read_looks(str(tmp_path), "mine")
