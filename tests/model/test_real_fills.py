"""Real fills of four vaults through the position: chains, closed profit, and the venue's own fees."""

from decimal import Decimal
from pathlib import Path

import pytest

from support.vault import VenueFill, read, replay, replay_coin

HANDMADE = [
    # coin, price, size, side, time, startPosition, dir, closedPnl, crossed, fee
    VenueFill("BTC", "86724.0", "0.00016", 1, 1, "0.0", "Open Long", "0.0", False, "0.001387"),
    VenueFill("BTC", "86656.0", "0.00017", 1, 2, "0.00016", "Open Long", "0.0", False, "0.001473"),
    # the average entry is 86688.9696…; the venue reckons with 86688.9
    VenueFill("BTC", "86702.0", "0.00033", -1, 3, "0.00033", "Close Long", "0.004323", False, "0.002861"),
    VenueFill("BTC", "86700.0", "0.00017", -1, 4, "0.0", "Open Short", "0.0", True, "0.00515"),
    VenueFill("BTC", "86680.0", "0.00037", 1, 5, "-0.00017", "Short > Long", "0.0034", True, "0.01122"),
    VenueFill("BTC", "86700.0", "0.0002", -1, 6, "0.0002", "Close Long", "0.004", False, "-0.0005"),
]


def test_a_small_history_by_hand() -> None:
    result = replay_coin("BTC", HANDMADE)
    assert (result.links, result.breaks) == (5, {})
    assert (result.closes, result.within, result.equal) == (3, 3, 3)
    assert result.fees == result.booked_fees == Decimal("0.021591")


def test_a_missing_fill_is_a_named_break_and_what_follows_is_not_judged_by_an_unknown_entry() -> None:
    result = replay_coin("BTC", HANDMADE[:1] + HANDMADE[2:])
    assert result.breaks == {"missing fills": 1}
    assert (result.closes, result.equal) == (2, 2)


def test_a_wrong_profit_is_noticed() -> None:
    wrong = [fill._replace(closed="0.004") if fill.time_ms == 3 else fill for fill in HANDMADE]
    result = replay_coin("BTC", wrong)
    assert (result.closes, result.within, result.equal) == (3, 2, 2)


@pytest.mark.parametrize(
    ("vault", "coins", "closes", "within", "equal"),
    [
        ("0x2f5fb1_bbd904ad", 5, 1091, 1083, 1081),
        ("0x8f61ec_5fd1bf67", 68, 733, 715, 698),
        ("0xa4e9c8_915d0b23", 1, 970, 968, 970),
        ("0xfdb03a_25c3db25", 1, 906, 906, 905),
    ],
)
def test_four_real_vaults(shared_dir: Path, vault: str, coins: int, closes: int, within: int, equal: int) -> None:
    """Each position follows from the fills before it. Where a close is off by more than a step of the venue's
    entry price, the file gives an average of several prices, rounded, as one fill's price."""
    file = shared_dir / "data" / "hyperliquid" / "vault_fills" / f"vault_{vault}_trades.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    results = replay(read(file))
    names = ("coin", "fills", "links", "breaks", "closes", "within", "equal", "fees")
    print("\n" + " ".join(f"{name:>8}" for name in names))
    for one in results:
        values = (one.coin, one.fills, one.links, sum(one.breaks.values()), one.closes, one.within, one.equal)
        print(" ".join(f"{value:>8}" for value in values), f"{one.fees:>12}")
    assert len(results) == coins
    assert sum(result.fills for result in results) == 2000
    assert [result.breaks for result in results if result.breaks] == []
    assert all(result.continuity >= 0.93 for result in results)
    assert all(result.fees == result.booked_fees for result in results)
    assert sum(result.closes for result in results) == closes
    assert sum(result.within for result in results) == within
    assert sum(result.equal for result in results) == equal
