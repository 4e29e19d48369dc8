"""The agents' market live: dice that are fair, a fair value of the stated volatility, and a market others can join."""

import hashlib
import random

import pytest

from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.agents.dice import MILLION, Dice, Quantiles, exponential
from hatmanifesto.simulation.agents.fair_value import Basis, CommonFactor, FairValue
from hatmanifesto.simulation.agents.market import AgentsMarket
from hatmanifesto.simulation.agents.parameters import MARKETS
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.events import Event, Fill, FundingPaid, LevelChanged, OrderChanged, Trade
from hatmanifesto.simulation.live.exchange import BLOCK_NS, LiveExchange
from hatmanifesto.simulation.live.orders import OrderRequest
from support.live import T0, btc


def dice(seed: int = 1) -> Dice:
    return Dice(random.Random(seed))


def test_dice_are_fair() -> None:
    d, many = dice(), 20_000
    assert abs(sum(d.below(6) for _ in range(many)) / many - 2.5) < 0.05
    assert abs(sum(d.chance(250_000) for _ in range(many)) / many - 0.25) < 0.01
    assert not any(d.chance(0) for _ in range(100))
    assert all(d.chance(MILLION) for _ in range(100))
    normal = [int(d.normal(1_000_000)) for _ in range(many)]
    assert abs(sum(normal) / many) < 25_000
    assert abs(sum(x * x for x in normal) / many / 1e12 - 1) < 0.04
    waits = [int(d.waiting(1_000_000)) for _ in range(many)]
    assert abs(sum(waits) / many / 1e6 - 1) < 0.03
    assert min(waits) >= 0
    sizes = sorted(int(d.lognormal(1_000, 1_000_000)) for _ in range(many))
    assert abs(sizes[many // 2] / 1_000 - 1) < 0.05


def test_quantiles_are_met_and_limits_kept() -> None:
    points = [(0, 10), (500, 100), (900, 5_000), (1000, 80_000)]
    d, drawn = dice(), Quantiles(points)
    values = sorted(int(d.draw(drawn)) for _ in range(20_000))
    assert values[0] >= 10
    assert values[-1] <= 80_000
    assert abs(values[10_000] / 100 - 1) < 0.08
    assert abs(values[18_000] / 5_000 - 1) < 0.12
    with pytest.raises(ValueError, match="from 0 to 1000"):
        Quantiles([(1, 10), (1000, 20)])


def test_the_table_of_exponentials() -> None:
    for x, y in ((0, 1.0), (1, 2.718282), (-2, 0.135335), (9, 54.59815), (-9, 0.018316)):
        assert exponential(x * MILLION) == pytest.approx(y * MILLION, abs=2)


def test_the_fair_value_has_the_volatility_that_is_asked_for_and_shares_it_with_others() -> None:
    common = CommonFactor(dice(9), 450_000, 60, 0)
    values = [
        FairValue(dice(seed), 0, volatility, 0, 950_000, common) for seed, volatility in ((3, 10**6), (4, 2 * 10**6))
    ]
    moves: list[list[int]] = [[], []]
    last = [0, 0]
    for _ in range(6_000):  # seconds
        for _ in range(14):
            common.step()
            for value in values:
                value.step()
        for at, value in enumerate(values):
            moves[at].append(int(value.value) - last[at])
            last[at] = int(value.value)
    squares = [sum(move * move for move in one) / len(one) for one in moves]
    assert 0.75 < squares[0] / 1e12 < 1.3
    assert 0.75 < squares[1] / 4e12 < 1.3
    together = sum(one * other for one, other in zip(*moves, strict=True)) / len(moves[0])
    assert 0.85 < together / (squares[0] * squares[1]) ** 0.5 < 0.95  # 0.95 squared
    assert values[0].seen(0) == values[0].value
    before = values[0].value
    values[0].push(5)
    common.step()
    values[0].step()
    assert values[0].seen(1) == before


def test_a_jump_moves_every_instrument_the_same_way_and_stirs_the_market() -> None:
    common = CommonFactor(dice(5), 450_000, 60, 1_000_000)  # one each block
    values = [FairValue(dice(seed), 0, 0, jump, 950_000, common) for seed, jump in ((3, 1_000), (4, 3_000))]
    common.step()
    for value in values:
        value.step()
    assert values[0].value != 0
    assert abs(values[1].value - 3 * values[0].value) <= 3
    assert common.level > 0


def test_the_basis_returns_to_its_mean() -> None:
    basis = Basis(dice(5), -500, 4_000, 100)
    values = []
    for _ in range(60_000):
        basis.step()
        values.append(int(basis.value))
    mean = sum(values) / len(values)
    assert abs(mean + 500) < 500
    assert abs((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5 / 4_000 - 1) < 0.1


def a_market(seed: int = 7) -> tuple[LiveExchange, AgentsMarket]:
    exchange = LiveExchange([btc()])
    return exchange, AgentsMarket(exchange, 0, MARKETS["BTC"], random.Random(seed))


def run(exchange: LiveExchange, agents: AgentsMarket, blocks: int, begin: int = 0) -> list[list[Event]]:
    told = []
    for block in range(begin, begin + blocks):
        now = T0 + block * BLOCK_NS
        agents.act(now)
        told.append(exchange.advance(now))
    return told


def digest(blocks: list[list[Event]]) -> str:
    text = []
    for events in blocks:
        for e in events:
            if isinstance(e, LevelChanged):
                text.append(f"{e.side} {e.price} {e.size} {e.count}")
            elif isinstance(e, Trade):
                text.append(f"{e.tid} {e.price} {e.size} {e.side} {e.buyer} {e.seller}")
    return hashlib.blake2b("\n".join(text).encode()).hexdigest()


def test_the_same_seed_steps_through_the_same_market() -> None:
    assert digest(run(*a_market(), 300)) == digest(run(*a_market(), 300)) != digest(run(*a_market(8), 300))


def test_a_stranger_trades_with_the_agents_and_they_go_on() -> None:
    exchange, agents = a_market()
    run(exchange, agents, 200)
    stranger = exchange.open_account("stranger", 10**12)
    book = exchange.markets[0].book
    resting = OrderRequest(0, 1, int(book.bids.best_price()), 5_000, POST_ONLY)
    taking = OrderRequest(0, -1, int(book.bids.best_price()) - 1_000, 30_000_000, IMMEDIATE_OR_CANCEL)
    exchange.submit(stranger, Place([resting]))
    exchange.submit(stranger, Place([taking]))
    events = [e for events in run(exchange, agents, 1, 200) for e in events]
    own = [e for e in events if isinstance(e, Fill) and e.order.account == stranger]
    assert len(own) > 3
    # the taker met its own resting order, which was cancelled instead
    cancelled = [e.status for e in events if isinstance(e, OrderChanged) and e.order.account == stranger]
    assert "selfTradeCanceled" in cancelled
    later = run(exchange, agents, 400, 201)
    assert sum(isinstance(e, Trade) for events in later for e in events) > 10
    assert len(book.bids.keys) >= 20
    assert len(book.asks.keys) >= 20


def test_a_stranger_who_buys_much_moves_the_price_and_the_makers_lean_against_what_they_hold() -> None:
    quiet_exchange, quiet = a_market(9)
    run(quiet_exchange, quiet, 900)
    exchange, agents = a_market(9)
    run(exchange, agents, 300)
    stranger = exchange.open_account("stranger", 10**15)
    for block in range(300, 900):
        if block % 10 == 0:
            price = int(exchange.markets[0].book.asks.best_price())
            exchange.submit(stranger, Place([OrderRequest(0, 1, price + 20, 500_000, IMMEDIATE_OR_CANCEL)]))
        run(exchange, agents, 1, block)
    assert exchange.account(stranger).holdings[0].position.size > 10_000_000
    assert exchange.markets[0].book.mid() > quiet_exchange.markets[0].book.mid()


def test_prices_are_published_and_funding_can_be_settled() -> None:
    exchange, agents = a_market()
    run(exchange, agents, 200)
    prices = exchange.markets[0].prices
    assert prices.mark == agents.mark > 0
    assert prices.oracle == agents.oracle > 0
    assert abs(int(prices.mark) / int(exchange.markets[0].book.mid()) - 1) < 0.002
    assert -100_000_000 < agents.funding_rate < 100_000_000
    exchange.settle_funding(0, agents.funding_rate)
    paid = [e for events in run(exchange, agents, 1, 200) for e in events if isinstance(e, FundingPaid)]
    assert len(paid) > 5
    total = sum(int(e.amount) for e in paid)
    assert -len(paid) <= total <= len(paid)  # each payment is truncated to a micro-USDC


@pytest.mark.parametrize("coin", sorted(MARKETS))
def test_every_market_of_the_table_keeps_two_sides(coin: str) -> None:
    from hatmanifesto.backtest.tape.importers.hyperliquid_perps import perp, size_decimals

    exchange = LiveExchange([perp(coin, size_decimals(coin, 0)[0]).build(0)])
    agents = AgentsMarket(exchange, 0, MARKETS[coin], random.Random(4))
    run(exchange, agents, 100)
    book = exchange.markets[0].book
    empty = 0
    for block in range(100, 500):
        run(exchange, agents, 1, block)
        assert not book.crossed()
        empty += not book.bids.keys or not book.asks.keys
    assert empty <= 4
