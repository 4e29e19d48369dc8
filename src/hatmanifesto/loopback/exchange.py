"""The loopback exchange without its sockets: addresses, agents, nonces and histories around the live matcher.

A server hands it signed actions and questions, advances it block by block, and passes on what a block did. It has no
clock and no sockets of its own; times are the block's.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hatmanifesto.loopback.actions import Building, build_action, response_of
from hatmanifesto.loopback.candles import Candles
from hatmanifesto.loopback.margin_rules import MarginRules
from hatmanifesto.loopback.markets import MONEY_SCALE, Market
from hatmanifesto.loopback.orders import basic_order, fill_object
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import Envelope, NonceSet, Refused
from hatmanifesto.loopback.text import money_text, price_text, rate_text, size_text
from hatmanifesto.model.fees import HYPERLIQUID_PERPS, PLAIN_MARKET, AccountFees
from hatmanifesto.model.funding import FUNDING_SCALE
from hatmanifesto.model.money import parse_decimal
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.events import ActionAnswered, Fill, FundingPaid, LevelChanged, OrderChanged, Trade
from hatmanifesto.simulation.live.exchange import LiveExchange
from hatmanifesto.simulation.live.floor import LiveOptions
from hatmanifesto.simulation.live.orders import MARKET, OrderRequest
from hatmanifesto.venues.hyperliquid.wire import actions as wire

HOUR_MS: Final = 3_600_000
TRADES_KEPT: Final = 500
DEFAULT_OK: Final[dict[str, Any]] = {"status": "ok", "response": {"type": "default"}}
Answered = Callable[[dict[str, Any]], None]
"""Called with an action's answer, once its block has executed it."""


@dataclass
class BlockNews:
    """What a block did, for those who listen. Keys are coins, or addresses."""

    time_ms: int
    trades: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    books: set[str] = field(default_factory=set)
    order_updates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    fills: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    funding: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ledger: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    contexts: set[str] = field(default_factory=set)


class Loopback:
    """See the module's text. `funding_ms` is the time between two funding payments, an hour at the venue."""

    def __init__(self, markets: list[Market], *, funding_ms: int = HOUR_MS, schedule_gate: bool = False) -> None:
        self.markets: Final = markets
        self.instruments: Final = [market.instrument(index) for index, market in enumerate(markets)]
        self.by_coin: Final = {market.name: index for index, market in enumerate(markets)}
        self.rules: Final = MarginRules([market.margin_table() for market in markets])
        options = LiveOptions(first_oid=1_000_000, first_tid=1 << 40, schedule_volume=10**12 if schedule_gate else 0)
        self.exchange: Final = LiveExchange(self.instruments, rules=self.rules, options=options)
        self.participants: dict[str, Participant] = {}
        self.by_index: dict[int, Participant] = {}
        self.agent_of: dict[str, str] = {}
        self.subaccounts: dict[str, str] = {}
        self.subaccount_names: dict[str, str] = {}
        self.nonces: dict[str, NonceSet] = {}
        self.funding_ms: Final = funding_ms
        self.now_ms = 0
        self.trades: list[deque[dict[str, Any]]] = [deque(maxlen=TRADES_KEPT) for _ in markets]
        self.candles: list[Candles] = [Candles(instrument) for instrument in self.instruments]
        self.funding_history: list[list[dict[str, Any]]] = [[] for _ in markets]
        self.funding_rates = [12_500_000 for _ in markets]  # 10^-12; whoever drives the market sets them
        self.premiums = [0 for _ in markets]
        self.day_open = [0 for _ in markets]
        self.day_base = [0 for _ in markets]
        self.day_notional = [0 for _ in markets]
        self.next_funding_ms = 0
        self._waiting: dict[int, tuple[Building, Answered]] = {}
        self._ledger_news: dict[str, list[dict[str, Any]]] = {}

    # -- who is who -------------------------------------------------------------------------------

    def fund(self, address: str, amount: int) -> Participant:
        """Pay micro-USDC into an address's account, opening it if need be."""
        address = address.lower()
        participant = self.participants.get(address)
        if participant is None:
            index = self.exchange.open_account(address, 0)
            participant = Participant(address, self.exchange.account(index))
            self.participants[address] = participant
            self.by_index[index] = participant
            self.rules.fees[index] = AccountFees(
                HYPERLIQUID_PERPS, [PLAIN_MARKET for _ in self.markets], money_unit=10**MONEY_SCALE
            )
        participant.account.cash += amount
        update = participant.note(self.now_ms, "deposit", usdc=money_text(amount))
        self._ledger_news.setdefault(address, []).append(update)
        return participant

    def approve(self, master: str, agent: str, name: str = "") -> None:
        """Let an agent act for an address, as approveAgent does."""
        participant = self.participants[master.lower()]
        old = participant.agents.get(name)
        if old is not None:
            self.agent_of.pop(old, None)
        if int(agent, 16) == 0:
            participant.agents.pop(name, None)
            return
        participant.agents[name] = agent.lower()
        self.agent_of[agent.lower()] = master.lower()

    def actor(self, envelope: Envelope) -> tuple[str, Participant]:
        """Return (signer, whose account acts). Raises Refused with the venue's words for one it does not know."""
        for signer in envelope.signers:
            master = self.agent_of.get(signer, signer)
            participant = self.participants.get(master)
            if participant is None:
                continue
            if envelope.vault is not None:
                if self.subaccounts.get(envelope.vault) != master:
                    raise Refused(f"Vault not registered: {envelope.vault}")
                participant = self.participants[envelope.vault]
            return signer, participant
        if envelope.action is None:
            raise Refused(f"Must deposit before performing actions. User: {envelope.signers[0]}")
        raise Refused(f"User or API Wallet {envelope.signers[0]} does not exist.")

    # -- actions ----------------------------------------------------------------------------------

    def act(self, envelope: Envelope, answered: Answered) -> None:
        """Take a signed action; `answered` is called now or when its block has executed it. Raises Refused."""
        signer, participant = self.actor(envelope)
        self.nonces.setdefault(signer, NonceSet()).use(envelope.nonce, self.now_ms)
        if envelope.expires_ms is not None and envelope.expires_ms < self.now_ms:
            participant.requests += 5
            raise Refused(wording.EXPIRED)
        action = envelope.action
        if action is None:
            answered(self._user_signed(envelope, participant))
            return
        count = wire.element_count(action)
        self._spend(participant, count, cancels=isinstance(action, wire.Cancel | wire.CancelByCloid))
        building = build_action(self.instruments, action)
        if building.action is None:
            answered(building.answer or self._at_once(action, participant))
            return
        if envelope.expires_ms is not None:
            building.action.expires_ns = envelope.expires_ms * 1_000_000
        ticket = self.exchange.submit(int(participant.account.index), building.action)
        self._waiting[ticket] = (building, answered)

    def _spend(self, participant: Participant, count: int, *, cancels: bool) -> None:
        """Count requests against the address's budget. Raises Refused beyond it."""
        cap = 10_000 + participant.volume // 10**MONEY_SCALE
        limit = min(cap + 100_000, 2 * cap) if cancels else cap
        if participant.requests + count > limit:
            raise Refused(
                f"Too many cumulative requests sent ({participant.requests + count} > {cap}) for cumulative volume "
                f"traded ${money_text(participant.volume)}. Place taker orders to free up 1 request per USDC traded."
            )
        participant.requests += count

    def _at_once(self, action: wire.Action, participant: Participant) -> dict[str, Any]:
        """Answer what needs no block."""
        if isinstance(action, wire.CreateSubAccount):
            made = "0x" + hashlib.blake2b(f"{participant.address}/{action.name}".encode(), digest_size=20).hexdigest()
            self.fund(made, 0)
            self.subaccounts[made] = participant.address
            self.subaccount_names[made] = action.name
            return {"status": "ok", "response": {"type": "createSubAccount", "data": made}}
        if isinstance(action, wire.SubAccountTransfer):
            other = self.participants.get(action.sub_account_user.lower())
            if other is None or self.subaccounts.get(other.address) != participant.address:
                return refused(f"Invalid sub-account transfer from {participant.address} to {action.sub_account_user}")
            giver, taker = (participant, other) if action.is_deposit else (other, participant)
            return self._move(giver, taker, action.usd, "subAccountTransfer")
        if isinstance(action, wire.ReserveRequestWeight):
            cost = action.weight * 500
            if cost > int(participant.account.cash):
                return refused("Insufficient balance for withdrawal")
            participant.account.cash -= cost
            participant.requests -= action.weight
            return DEFAULT_OK
        if isinstance(action, wire.TwapOrder | wire.TwapCancel):
            return refused("TWAP orders are not simulated here.")
        if isinstance(action, wire.VaultTransfer):
            return refused(f"Vault not registered: {action.vault_address}")
        return DEFAULT_OK

    def _move(self, giver: Participant, taker: Participant, amount: int, kind: str) -> dict[str, Any]:
        free = self.rules.equity(giver.account) - self.rules.needed(giver.account)
        if amount <= 0 or amount > free:
            return refused("Insufficient balance for withdrawal")
        giver.account.cash -= amount
        taker.account.cash += amount
        for side in (giver, taker):
            update = side.note(
                self.now_ms, kind, usdc=money_text(amount), user=giver.address, destination=taker.address
            )
            self._ledger_news.setdefault(side.address, []).append(update)
        return DEFAULT_OK

    def _user_signed(self, envelope: Envelope, participant: Participant) -> dict[str, Any]:
        fields = envelope.fields
        kind = fields["type"]
        try:
            if kind == "approveAgent":
                self.approve(participant.address, str(fields["agentAddress"]), str(fields.get("agentName") or ""))
            elif kind in ("usdSend", "sendAsset"):
                destination = str(fields["destination"]).lower()
                if not (destination.startswith("0x") and len(destination) == 42):
                    return refused("Invalid send")
                taker = self.participants.get(destination) or self.fund(destination, 0)
                return self._move(participant, taker, usdc(str(fields["amount"])), "internalTransfer")
            elif kind == "withdraw3":
                amount = usdc(str(fields["amount"]))
                if amount > self.rules.equity(participant.account) - self.rules.needed(participant.account):
                    return refused("Insufficient balance for withdrawal")
                participant.account.cash -= amount
                update = participant.note(
                    self.now_ms, "withdraw", usdc=money_text(amount - 1_000_000), nonce=envelope.nonce, fee="1.0"
                )
                self._ledger_news.setdefault(participant.address, []).append(update)
        except (KeyError, ValueError):
            return refused("Invalid send")
        return DEFAULT_OK

    # -- blocks -----------------------------------------------------------------------------------

    def set_prices(self, coin: str, mark: int, oracle: int) -> None:
        """Set a market's mark and oracle price, price units."""
        index = self.by_coin[coin]
        self.rules.marks[index] = mark
        self.day_open[index] = self.day_open[index] or mark
        self.exchange.set_prices(index, mark, oracle)

    def advance(self, now_ms: int) -> BlockNews:
        """Execute one block and return what it did; answers of its actions are given before."""
        self.now_ms = now_ms
        self.rules.now_ns = now_ms * 1_000_000
        news = BlockNews(now_ms)
        if self.next_funding_ms == 0:
            self.next_funding_ms = now_ms - now_ms % self.funding_ms + self.funding_ms
        if now_ms >= self.next_funding_ms:
            self._settle_funding(now_ms)
        self._liquidate()
        for event in self.exchange.advance(now_ms * 1_000_000):
            self._digest(event, news)
        for address, updates in self._ledger_news.items():
            news.ledger.setdefault(address, []).extend(updates)
        self._ledger_news = {}
        return news

    def _settle_funding(self, now_ms: int) -> None:
        self.next_funding_ms = now_ms - now_ms % self.funding_ms + self.funding_ms
        for index, instrument in enumerate(self.instruments):
            rate = self.funding_rates[index]
            self.exchange.settle_funding(index, rate)
            self.funding_history[index].append(
                {
                    "coin": instrument.name,
                    "fundingRate": rate_text(rate // 1_000, 9),
                    "premium": rate_text(self.premiums[index] * 10**10 // FUNDING_SCALE, 10),
                    "time": now_ms,
                }
            )

    def _liquidate(self) -> None:
        """Cancel the orders of accounts below maintenance margin and close their positions at market."""
        for participant in self.participants.values():
            account = participant.account
            maintenance = self.rules.maintenance(account)
            if maintenance == 0 or self.rules.equity(account) >= maintenance:
                continue
            self.exchange.cancel_all(account, wording.LIQUIDATED_CANCELED)
            for index, holding in enumerate(account.holdings):
                size = int(holding.position.size)
                if size:
                    side = -1 if size > 0 else 1
                    mark = self.rules.marks[index]
                    price = int(self.instruments[index].snap(mark + side * mark // 2, side))
                    closing = OrderRequest(index, side, price, abs(size), MARKET, reduce_only=True)
                    self.exchange.submit(int(account.index), Place([closing]))

    def _digest(self, event: Any, news: BlockNews) -> None:
        now_ms = news.time_ms
        if isinstance(event, ActionAnswered):
            waiting = self._waiting.pop(int(event.ticket), None)
            if waiting is not None:
                building, answered = waiting
                answered(response_of(self.instruments, building, event))
        elif isinstance(event, OrderChanged):
            participant = self.by_index.get(int(event.order.account))
            if participant is not None:
                participant.remember(event.order, event.status, now_ms)
                news.order_updates.setdefault(participant.address, []).append(self._update(event, now_ms))
        elif isinstance(event, Fill):
            self._filled(event, news)
        elif isinstance(event, Trade):
            self._traded(event, news)
        elif isinstance(event, LevelChanged):
            news.books.add(self.instruments[event.instrument].name)
        elif isinstance(event, FundingPaid):
            self._paid(event, news)

    def _update(self, event: OrderChanged, now_ms: int) -> dict[str, Any]:
        order = event.order
        instrument = self.instruments[order.instrument]
        shown = basic_order(instrument, order)
        shown["sz"] = size_text(instrument, int(event.remaining))
        return {"order": shown, "status": event.status, "statusTimestamp": now_ms}

    def _filled(self, event: Fill, news: BlockNews) -> None:
        participant = self.by_index.get(int(event.order.account))
        if participant is None:
            return
        instrument = self.instruments[event.order.instrument]
        participant.volume += int(instrument.notional(event.price, event.size))
        shown = fill_object(instrument, event, news.time_ms)
        participant.fills.append(shown)
        news.fills.setdefault(participant.address, []).append(shown)
        if int(event.start) == 0:
            participant.funding_since_open.pop(int(event.order.instrument), None)

    def _traded(self, event: Trade, news: BlockNews) -> None:
        index = int(event.instrument)
        instrument = self.instruments[index]
        users = [self.address_of(int(event.buyer)), self.address_of(int(event.seller))]
        trade = {
            "coin": instrument.name,
            "side": "B" if event.side > 0 else "A",
            "px": price_text(instrument, int(event.price)),
            "sz": size_text(instrument, int(event.size)),
            "time": news.time_ms,
            "hash": hash_of(int(event.tid)),
            "tid": int(event.tid),
            "users": users,
        }
        self.trades[index].append(trade)
        self.candles[index].add(news.time_ms, int(event.price), int(event.size))
        self.day_base[index] += int(event.size)
        self.day_notional[index] += int(instrument.notional(event.price, event.size))
        news.trades.setdefault(instrument.name, []).append(trade)

    def _paid(self, event: FundingPaid, news: BlockNews) -> None:
        participant = self.by_index.get(int(event.account))
        if participant is None:
            return
        index, amount = int(event.instrument), int(event.amount)
        instrument = self.instruments[index]
        for sums in (participant.funding_since_open, participant.funding_all_time):
            sums[index] = sums.get(index, 0) - amount
        delta = {
            "coin": instrument.name,
            "usdc": money_text(amount),
            "szi": size_text(instrument, int(event.size)),
            "fundingRate": rate_text(int(event.rate), 12),
            "nSamples": None,
        }
        participant.funding.append(
            {"time": news.time_ms, "hash": "0x" + "0" * 64, "delta": {"type": "funding", **delta}}
        )
        news.funding.setdefault(participant.address, []).append({"time": news.time_ms, **delta})

    def address_of(self, index: int) -> str:
        """Return an account's address; those of the market's own participants are made up from their number."""
        participant = self.by_index.get(index)
        return participant.address if participant is not None else f"0x{index + 1:040x}"

    def order_entry(self, participant: Participant, oid: int | str) -> Any:
        """Return an order by id or client id, or None."""
        if isinstance(oid, str):
            return participant.by_cloid.get(oid.lower())
        return participant.orders.get(oid)


def refused(text: str) -> dict[str, Any]:
    """Return the answer to an action that is refused as a whole."""
    return {"status": "err", "response": text}


def usdc(text: str) -> int:
    """Return an amount in micro-USDC; raises ValueError for what is none or has more decimals."""
    amount = parse_decimal(text, MONEY_SCALE)
    if amount <= 0:
        raise ValueError(text)
    return amount


def hash_of(number: int) -> str:
    """Return a transaction hash that is none: a number in 32 bytes."""
    return f"0x{number:064x}"
