"""The loopback exchange without its sockets: addresses, agents, nonces and histories around the live matcher.

A server hands it signed actions and questions, advances it block by block, and passes on what a block did. It has no
clock and no sockets of its own; times are the block's.
"""

from collections.abc import Callable
from typing import Any, Final

from hatmanifesto.loopback.actions import Building, build_action, response_of
from hatmanifesto.loopback.budget import spend
from hatmanifesto.loopback.directory import Directory
from hatmanifesto.loopback.liquidation import Liquidator
from hatmanifesto.loopback.margin_rules import MarginRules
from hatmanifesto.loopback.market_state import MarketState
from hatmanifesto.loopback.markets import MONEY_SCALE, USDC, Market
from hatmanifesto.loopback.news import BlockNews
from hatmanifesto.loopback.participants import Builder, Participant
from hatmanifesto.loopback.reporter import Reporter
from hatmanifesto.loopback.signer import Envelope, Refused
from hatmanifesto.loopback.transfers import Transfers
from hatmanifesto.model.fees import HYPERLIQUID_PERPS, PLAIN_MARKET, AccountFees
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.account import LiveAccount
from hatmanifesto.simulation.live.events import ActionAnswered
from hatmanifesto.simulation.live.exchange import LiveExchange
from hatmanifesto.simulation.live.floor import LiveOptions
from hatmanifesto.venues.hyperliquid.wire import actions as wire

HOUR_MS: Final = 3_600_000
HISTORY_MS: Final = 60_000
"""Between two points of an account's history."""
SCHEDULE_VOLUME: Final = 1_000_000 * USDC
FOREVER_MS: Final = 1 << 42
POST_ONLY_MS: Final = 1_000
"""How long orders stay restricted after it was last asked for; longer than a block takes."""
NOTHING_STAKED: Final = "Insufficient delegatable balance for priority order"
Answered = Callable[[dict[str, Any]], None]
"""Called with an action's answer, once its block has executed it."""


class Loopback:
    """See the module's text.

    `funding_ms` is the time between two funding payments, an hour at the venue; each pays an hour's rate. `strict`:
    what the venue allows only to accounts that traded a lot (the dead man's switch, sub-accounts) is refused to others.
    """

    def __init__(self, markets: list[Market], *, funding_ms: int = HOUR_MS, strict: bool = False) -> None:
        self.markets: Final = markets
        self.instruments: Final = [market.instrument(index) for index, market in enumerate(markets)]
        self.by_coin: Final = {market.name: index for index, market in enumerate(markets)}
        self.rules: Final = MarginRules([market.margin_table() for market in markets])
        options = LiveOptions(first_oid=1_000_000, first_tid=1 << 40, schedule_volume=SCHEDULE_VOLUME if strict else 0)
        self.exchange: Final = LiveExchange(self.instruments, rules=self.rules, options=options)
        self.rules.markets = self.exchange.markets
        self.states: Final = [
            MarketState(market, instrument, live)
            for market, instrument, live in zip(markets, self.instruments, self.exchange.markets, strict=True)
        ]
        self.directory: Final = Directory(self._open_account)
        self.transfers: Final = Transfers(self.directory, self.rules, self._noted, strict=strict)
        self.liquidator: Final = Liquidator(self.exchange, self.rules, self.directory)
        self._reporter: Final = Reporter(self.states, self.directory, self.rules)
        self.funding_ms: Final = funding_ms
        self.next_funding_ms = 0
        self.now_ms = 0
        self._history_ms = 0
        self._waiting: dict[int, tuple[Building, Answered]] = {}
        self._ledger_news: list[tuple[str, dict[str, Any]]] = []

    # -- accounts ---------------------------------------------------------------------------------

    @property
    def participants(self) -> dict[str, Participant]:
        """Every address that has an account, by its lower-case text."""
        return self.directory.participants

    def fund(self, address: str, amount: int) -> Participant:
        """Pay micro-USDC into an address's account, opening it if need be."""
        participant = self.directory.open(address)
        if amount:
            self.transfers.pay_in(participant, amount)
        return participant

    def approve(self, master: str, agent: str, name: str = "") -> None:
        """Let an agent act for an address, for ever."""
        self.directory.approve(master, agent, name, self.now_ms, FOREVER_MS)

    def _open_account(self, address: str) -> LiveAccount:
        account = self.exchange.account(self.exchange.open_account(address, 0))
        fees = AccountFees(HYPERLIQUID_PERPS, [PLAIN_MARKET for _ in self.markets], money_unit=10**MONEY_SCALE)
        self.rules.enter(account, fees)
        return account

    def _noted(self, address: str, update: dict[str, Any]) -> None:
        self._ledger_news.append((address, update))

    # -- actions ----------------------------------------------------------------------------------

    def act(self, envelope: Envelope, answered: Answered) -> None:
        """Take a signed action; `answered` is called now or when its block has executed it. Raises Refused."""
        signer, participant = self.directory.actor(envelope, self.now_ms)
        self.directory.use_nonce(signer, envelope.nonce, self.now_ms)
        if envelope.expires_ms is not None and envelope.expires_ms < self.now_ms:
            participant.requests += 5
            raise Refused(wording.EXPIRED)
        action = envelope.action
        if action is None:
            answered(self.transfers.act_as_user(envelope, participant))
            return
        spend(participant, action, self.now_ms)
        if self.transfers.strict and isinstance(action, wire.Order) and isinstance(action.grouping, wire.Priority):
            raise Refused(NOTHING_STAKED)
        building = build_action(self.instruments, self._builders_of(participant), action)
        if building.answer is not None:
            answered(building.answer)
        elif building.action is None:
            answered(self.transfers.act(action, participant))
        else:
            if envelope.expires_ms is not None:
                building.action.expires_ns = envelope.expires_ms * 1_000_000
            ticket = self.exchange.submit(int(participant.account.index), building.action)
            self._waiting[ticket] = (building, answered)

    def _builders_of(self, participant: Participant) -> dict[str, Builder]:
        """A sub-account's builders are its master's."""
        return self.participants[participant.master].builders if participant.master else participant.builders

    @property
    def waiting(self) -> int:
        """How many actions wait for a block."""
        return len(self._waiting)

    # -- blocks -----------------------------------------------------------------------------------

    def allow_only_post_only(self) -> None:
        """Refuse other orders in the next block, as the venue does for a while after an upgrade."""
        self.exchange.floor.post_only_until_ns = (self.now_ms + POST_ONLY_MS) * 1_000_000

    def set_prices(self, coin: str, mark: int, oracle: int) -> None:
        """Set a market's mark and oracle price from the next block on, price units."""
        self.exchange.set_prices(self.by_coin[coin], mark, oracle)

    def advance(self, now_ms: int) -> BlockNews:
        """Execute one block and return what it did; its actions' answers are given before it returns."""
        if self.now_ms == 0:
            self._date_first_entries(now_ms)
        self.now_ms = self.transfers.now_ms = now_ms
        self.rules.now_ns = now_ms * 1_000_000
        news = BlockNews(now_ms)
        for state in self.states:
            state.sample(now_ms)
        if self.next_funding_ms == 0:
            self.next_funding_ms = now_ms - now_ms % self.funding_ms + self.funding_ms
        if now_ms >= self.next_funding_ms:
            self.next_funding_ms = now_ms - now_ms % self.funding_ms + self.funding_ms
            for index, state in enumerate(self.states):
                self.exchange.settle_funding(index, state.settle(now_ms))
        self.liquidator.look(now_ms)
        for event in self.exchange.advance(now_ms * 1_000_000):
            if isinstance(event, ActionAnswered):
                waiting = self._waiting.pop(int(event.ticket), None)
                if waiting is not None:
                    building, answered = waiting
                    answered(response_of(self.instruments, building, event))
            else:
                self._reporter.take(event, news)
        self._tell_ledger(news)
        if not 0 <= now_ms - self._history_ms < HISTORY_MS:
            self._history_ms = now_ms
            self._keep_history()
        return news

    def _date_first_entries(self, now_ms: int) -> None:
        """Give what was paid in before there was a time the first block's."""
        for participant in self.participants.values():
            for update in participant.ledger:
                update["time"] = now_ms

    def _tell_ledger(self, news: BlockNews) -> None:
        for address, update in self._ledger_news:
            news.ledger[address].append(update)
        self._ledger_news.clear()
        for participant, event, update in self.liquidator.told:
            news.liquidations[participant.address].append(event)
            news.ledger[participant.address].append(update)
        self.liquidator.told.clear()

    def _keep_history(self) -> None:
        for participant in self.participants.values():
            value = int(self.rules.of(participant.account).account_value())
            participant.history.append((self.now_ms, value, value - participant.paid_in))


def refused(text: str) -> dict[str, Any]:
    """Return the answer to an action that is refused as a whole."""
    return {"status": "err", "response": text}
