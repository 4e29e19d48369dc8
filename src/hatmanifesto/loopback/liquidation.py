"""Accounts that ran out of margin: the venue's orders in the book, its backstop, and deleveraging.

Source: Hyperliquid docs, liquidations and auto-deleveraging. Simplified: the backstop takes positions over at the mark
with all the margin that carries them; where that margin is below nothing, holders of the other side close at the
bankruptcy price, those with the most profit and leverage first.
"""

from typing import Any, Final

from mypy_extensions import i64

from hatmanifesto.loopback.directory import Directory
from hatmanifesto.loopback.margin_rules import MarginRules
from hatmanifesto.loopback.markets import USDC
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.text import money_text, size_text
from hatmanifesto.model.margin import PARTIAL_NOTIONAL, PARTIAL_PAUSE_NS, partial_size
from hatmanifesto.model.margin_account import BACKSTOP, SOUND, MarginAccount
from hatmanifesto.model.money import RATE_SCALE
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.exchange import LiveExchange
from hatmanifesto.simulation.live.orders import DELEVERAGED, TAKEN_OVER

CROSS: Final = -1
VAULT: Final = "0x" + "2e" * 20
"""The address under which the backstop shows up."""


class Liquidator:
    """`look` before each block; `told` collects (address, the event, the ledger update) until it is fetched."""

    def __init__(self, exchange: LiveExchange, rules: MarginRules, directory: Directory) -> None:
        self.exchange = exchange
        self.rules = rules
        self.directory = directory
        self.vault = exchange.open_account("the liquidator's vault", 0)
        self.told: list[tuple[Participant, dict[str, Any], dict[str, Any]]] = []
        self.liquidations = self.backstops = self.deleveragings = 0
        self._partial_ns: dict[tuple[int, int], int] = {}

    def look(self, now_ms: int) -> None:
        """Liquidate whoever is below maintenance margin at the present marks."""
        for participant in list(self.directory.participants.values()):
            account = participant.account
            if all(int(holding.position.size) == 0 for holding in account.holdings):
                continue
            margin = self.rules.of(account)
            for at, leg in enumerate(margin.legs):
                if leg.isolated and margin.standing(at) != SOUND:
                    self._liquidate(participant, margin, at, [at], now_ms)
            if margin.standing(CROSS) != SOUND:
                held = [at for at, leg in enumerate(margin.legs) if not leg.isolated and leg.position.size != 0]
                self._liquidate(participant, margin, CROSS, held, now_ms)

    def _liquidate(
        self, participant: Participant, margin: MarginAccount, which: int, held: list[int], now_ms: int
    ) -> None:
        """Cancel what rests; sell in the book; hand what is still under water to the backstop."""
        account = participant.account
        self.liquidations += 1
        self._tell(participant, margin, which, held, now_ms)
        for order in list(account.orders.values()):
            if which == CROSS or int(order.instrument) == which:
                self.exchange.markets[order.instrument].end(order, wording.LIQUIDATED_CANCELED)
        if margin.standing(which) != BACKSTOP:
            for at in held:
                self._sell(participant, margin, at, now_ms)
                self.rules.of(account)
                if margin.standing(which) == SOUND:
                    return
        if margin.standing(which) == BACKSTOP:
            self._take_over(participant, margin, which, held)

    def _sell(self, participant: Participant, margin: MarginAccount, at: int, now_ms: int) -> None:
        leg = margin.legs[at]
        held = int(leg.position.size)
        key = (int(participant.account.index), at)
        now_ns = now_ms * 1_000_000
        order = abs(held)
        if now_ns - self._partial_ns.get(key, -PARTIAL_PAUSE_NS - 1) > PARTIAL_PAUSE_NS:
            limit = PARTIAL_NOTIONAL * USDC
            order = int(partial_size(i64(abs(held)), leg.notional(), i64(limit), leg.instrument.lot_size))
            if order < abs(held):
                self._partial_ns[key] = now_ns
        # the last price at which closing, fee paid, leaves nothing less than nothing; what is beyond is the backstop's
        price = int(margin.bankruptcy_price(at))
        rate = int(self.rules.fees[key[0]].taker_rates[at])
        if held > 0:
            price = -(-price * RATE_SCALE // (RATE_SCALE - rate))
        else:
            price = max(1, price * RATE_SCALE // (RATE_SCALE + rate))
        self.exchange.close_at_market(participant.account, at, order, min(price, int(leg.instrument.max_price)))

    def _take_over(self, participant: Participant, margin: MarginAccount, which: int, held: list[int]) -> None:
        """The backstop takes positions at the mark and all the margin that carries them."""
        equity = int(margin.cross_value() if which == CROSS else margin.leg_equity(which))
        if equity < 0:
            self._deleverage(participant, margin, held)
            return
        self.backstops += 1
        for at in held:
            leg = margin.legs[at]
            size = abs(int(leg.position.size))
            if size:
                price = int(leg.mark_price)
                self.exchange.hand_over(int(participant.account.index), self.vault, at, price, size, TAKEN_OVER)
        self.rules.pay(participant.account, -equity)
        self.exchange.account(self.vault).cash += equity

    def _deleverage(self, participant: Participant, margin: MarginAccount, held: list[int]) -> None:
        """Close positions of a bankrupt account against those who hold the other side."""
        for at in held:
            leg = margin.legs[at]
            price = min(int(margin.bankruptcy_price(at)), int(leg.instrument.max_price))
            for index in self._other_side(participant, at, 1 if leg.position.size > 0 else -1):
                left = abs(int(leg.position.size))
                theirs = abs(int(self.exchange.account(index).holdings[at].position.size))
                size = min(left, theirs)
                if size:
                    self.deleveragings += 1
                    self.exchange.hand_over(int(participant.account.index), index, at, price, size, DELEVERAGED)

    def _other_side(self, participant: Participant, at: int, side: int) -> list[int]:
        """Return who holds the other side: participants by rank, then those who make the market."""
        ranked: list[tuple[int, int]] = []
        for account in self.exchange.floor.accounts:
            index = int(account.index)
            if int(account.holdings[at].position.size) * side >= 0 or account is participant.account:
                continue
            known = self.directory.by_index.get(index)
            rank = -1 if known is None else int(self.rules.of(account).deleverage_rank(at))
            ranked.append((-rank, index))
        return [index for _, index in sorted(ranked)]

    def _tell(self, participant: Participant, margin: MarginAccount, which: int, held: list[int], now_ms: int) -> None:
        notional = sum(int(margin.legs[at].notional()) for at in held)
        value = int(margin.cross_value() if which == CROSS else margin.leg_equity(which))
        event = {
            "lid": self.liquidations,
            "liquidator": VAULT,
            "liquidated_user": participant.address,
            "liquidated_ntl_pos": money_text(notional),
            "liquidated_account_value": money_text(value),
        }
        update = participant.note(
            now_ms,
            "liquidation",
            liquidatedNtlPos=money_text(notional),
            accountValue=money_text(value),
            leverageType="Cross" if which == CROSS else "Isolated",
            liquidatedPositions=[
                {
                    "coin": margin.legs[at].instrument.name,
                    "szi": size_text(margin.legs[at].instrument, int(margin.legs[at].position.size)),
                }
                for at in held
            ],
        )
        self.told.append((participant, event, update))
