"""How the sample that both systems of a cascade judge is divided."""

import numpy as np

from tikval.evaluate.cascade_sample import halves

NAMES = [f"{i:032x}" for i in range(200)]
ACCOUNTS = np.arange(200) // 20


def test_a_promise_about_these_videos_holds_out_videos_whoever_made_them() -> None:
    held_out = halves(None, NAMES, 0)
    assert held_out.sum() == 100
    assert all(0 < held_out[account == ACCOUNTS].sum() < 20 for account in range(10))


def test_a_promise_about_other_accounts_holds_out_whole_ones() -> None:
    held_out = halves(ACCOUNTS, NAMES, 0)
    assert {int(held_out[account == ACCOUNTS].sum()) for account in range(10)} == {0, 20}
    assert held_out.sum() == 100


def test_one_account_alone_is_divided() -> None:
    assert halves(np.zeros(200, np.int64), NAMES, 0).sum() == 100
