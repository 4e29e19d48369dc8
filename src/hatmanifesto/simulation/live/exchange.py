"""The live exchange: accounts submit actions, blocks execute them, every participant matches with every other.

Single-threaded, deterministic, without a clock. A driver owns it (the agents' market, the loopback exchange) and does:

    exchange = LiveExchange(instruments)                  # rules= for fee tiers and margin, options= for strictness
    alice = exchange.open_account("0xa11ce…", cash)       # -> account index; money in money units (micro-USDC)
    exchange.set_prices(0, mark, oracle)                  # applied at the start of the next block
    ticket = exchange.submit(alice, Place([OrderRequest(0, 1, price, size, POST_ONLY)]))
    for event in exchange.advance(block_time_ns):         # one block; times rise from block to block
        …

`submit` only queues; the answer is the `ActionAnswered` event with the ticket. A block does, in this order:

1. prices set since the last block apply; scheduled cancels that are due cancel everything of their accounts;
2. actions without a taking order (post-only, triggers, leverage, …), in the order of submission;
3. cancels;
4. triggers that the mark price has reached, in the order in which they were armed, and suborders of TWAPs that are due;
5. actions with a taking order (good-till-cancel, immediate-or-cancel, market); a modify is classed by what it places;
6. the levels that changed are reported.

Events (events.py) come in the order of what happened: `Trade`, its two `Fill`s (taker first), `OrderChanged` with
each new status, `TwapChanged` with each of a TWAP, `ActionAnswered` after what the action did, `FundingPaid`, and
`LevelChanged` last. Order ids (`oid`) come from one counter; an order refused here uses one too, but not a whole action
that is refused, nor a failed modify. Trade ids (`tid`) are counted likewise. Hashes, nonces, signatures and rate limits
are the server's.

Where the venue's behaviour is not published this is assumed: a reduce-only order larger than the position rests and is
cut to the position when it matches; the rest of a partly filled immediate order ends as `canceled`; a cloid used twice
finds the newer order; a fired trigger keeps its oid; a market trigger's 10 % are counted from the mark that fired it; a
TWAP's first suborder goes out at once and its last at the end of its time, so that m minutes have 2 m + 1 of them.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.funding import funding_payment
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT, format_decimal
from hatmanifesto.model.order import GOOD_TILL_CANCEL, POST_ONLY
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.account import AccountRules, LiveAccount
from hatmanifesto.simulation.live.actions import (
    TAKING,
    Action,
    Cancel,
    CancelByCloid,
    CancelTwap,
    ChangeMargin,
    Modify,
    Place,
    PlaceTwap,
    ScheduleCancel,
    SetLeverage,
)
from hatmanifesto.simulation.live.admission import malformed, refuse
from hatmanifesto.simulation.live.events import (
    REFUSED,
    RESTS,
    SUCCESS,
    WAITS_FOR_FILL,
    WAITS_FOR_TRIGGER,
    ActionAnswered,
    Answer,
    Event,
    FundingPaid,
)
from hatmanifesto.simulation.live.floor import Floor, LiveOptions
from hatmanifesto.simulation.live.market import LiveMarket
from hatmanifesto.simulation.live.orders import (
    ARMED,
    ENDED,
    LIQUIDATED,
    MARKET,
    PARENT_GROUP,
    POSITION_GROUP,
    WAITING,
    LiveOrder,
    OrderRequest,
)
from hatmanifesto.simulation.live.prices import Prices
from hatmanifesto.simulation.live.twap import TwapDesk

BLOCK_NS: Final = 70_000_000
"""The venue's usual time between blocks."""
_SCHEDULE_LEAD_NS: Final = 5_000_000_000
_SCHEDULES_A_DAY: Final = 10
_DAY_NS: Final = 86_400_000_000_000


@final
class _Pending:
    """An action on its way into a block."""

    def __init__(self, ticket: i64, account: i64, action: Action, block: i64) -> None:
        self.ticket: Final[i64] = ticket
        self.account: Final[i64] = account
        self.action: Final[Action] = action
        self.block: Final[i64] = block


@final
class LiveExchange:
    """See the module's text."""

    def __init__(
        self, instruments: list[Instrument], *, rules: AccountRules | None = None, options: LiveOptions | None = None
    ) -> None:
        self.floor: Final[Floor] = Floor(instruments, rules or AccountRules(), options or LiveOptions())
        self.markets: Final[list[LiveMarket]] = [LiveMarket(i64(at), self.floor) for at in range(len(instruments))]
        self.twaps: Final[TwapDesk] = TwapDesk(self.floor, self.markets)
        self._prices: Final[list[Prices]] = [market.prices for market in self.markets]
        self._queues: list[list[_Pending]] = [[], [], []]
        self._new_prices: list[tuple[int, int, int]] = []
        self._tickets: i64 = 0
        self.blocks: i64 = 0

    # -- what a driver does -----------------------------------------------------------------------

    def open_account(self, name: str, cash: int = 0) -> int:
        """Open an account with money in it and return its index."""
        index = len(self.floor.accounts)
        self.floor.accounts.append(LiveAccount(i64(index), name, self.floor.instruments, i64(cash)))
        return index

    def account(self, index: int) -> LiveAccount:
        """Return an account by its index."""
        return self.floor.accounts[index]

    def submit(self, account: int, action: Action) -> int:
        """Queue an action for the next block and return its ticket. Raises IndexError for an unknown account."""
        if not 0 <= account < len(self.floor.accounts):
            raise IndexError(f"there is no account {account}; open_account returns the numbers")
        self._tickets += 1
        kind = action.block_class()
        block = self.blocks + (self.floor.options.taking_delay_blocks if kind == TAKING else 0)
        self._queues[kind].append(_Pending(self._tickets, i64(account), action, block))
        return int(self._tickets)

    def set_prices(self, instrument: int, mark: int, oracle: int) -> None:
        """Set mark and oracle price from the next block on; raises ValueError when one is not positive."""
        if mark <= 0 or oracle <= 0:
            raise ValueError(f"mark {mark} and oracle {oracle} must be positive")
        self._new_prices.append((instrument, mark, oracle))

    def advance(self, now_ns: int) -> list[Event]:
        """Execute one block at a time later than the last one's, and return what it did."""
        floor = self.floor
        if now_ns <= floor.now_ns:
            raise ValueError(f"block time {now_ns} is not after the last block's {int(floor.now_ns)}")
        floor.now_ns = now_ns
        for instrument, mark, oracle in self._new_prices:
            self.markets[instrument].set_prices(i64(mark), i64(oracle))
        self._new_prices.clear()
        for account in floor.accounts:
            if 0 < account.cancel_at_ns <= now_ns:
                self._fire_scheduled_cancel(account)
        queues = self._queues
        self._queues = [[], [], []]
        for kind in range(3):
            if kind == TAKING:
                for market in self.markets:
                    market.fire_triggers()
                self.twaps.work()
            for pending in queues[kind]:
                if pending.block > self.blocks:
                    self._queues[kind].append(pending)
                else:
                    self._execute(pending)
        for market in self.markets:
            market.report_levels()
        self.blocks += 1
        events = floor.events
        floor.events = []
        return events

    def settle_funding(self, instrument: int, rate: int) -> None:
        """Pay funding on every position: rate in 10^-12 of oracle notional (model.funding), positive = longs pay.

        The payments are events of the next block.
        """
        oracle = self.markets[instrument].prices.oracle
        for account in self.floor.accounts:
            position = account.holdings[instrument].position
            if position.size != 0:
                amount = funding_payment(position.size, oracle, position.notional_factor, i64(rate))
                position.apply_funding(amount)
                account.cash += amount
                self.floor.rules.funded(account, self.floor.instruments[instrument], amount)
                paid = FundingPaid(account.index, i64(instrument), amount, i64(rate), position.size, oracle)
                self.floor.events.append(paid)

    def close_at_market(self, account: LiveAccount, instrument: int, size: int, price: int) -> None:
        """Close some of a position (size > 0) in the book, up to a price, because its margin ran out.

        It does not wait for a block; what it did are events of the next one.
        """
        market = self.markets[instrument]
        side = -1 if account.holdings[instrument].position.size > 0 else 1
        request = OrderRequest(instrument, side, price, size, MARKET, reduce_only=True)
        order = LiveOrder(self.floor.next_oid(), account.index, request, self.floor.now_ns)
        order.closing = LIQUIDATED
        market.enter(order)

    def hand_over(self, giver: int, taker: int, instrument: int, price: int, size: int, closing: int) -> None:
        """Let one account take over some of another's position (size > 0) at a price, outside the book.

        `closing` says why, TAKEN_OVER or DELEVERAGED. What it did are events of the next block.
        """
        side = -1 if self.floor.accounts[giver].holdings[instrument].position.size > 0 else 1
        orders: list[LiveOrder] = []
        for account, direction in [(giver, side), (taker, -side)]:
            request = OrderRequest(instrument, direction, price, size, MARKET)
            order = LiveOrder(self.floor.next_oid(), i64(account), request, self.floor.now_ns)
            order.closing = closing
            orders.append(order)
        self.markets[instrument].exchange_outside(orders[0], orders[1], i64(price), i64(size))

    def cancel_all(self, account: LiveAccount, status: str) -> None:
        """End everything that an account has open, oldest first."""
        for order in list(account.orders.values()):
            if order.place != ENDED:
                self.markets[order.instrument].end(order, status)

    # -- actions ----------------------------------------------------------------------------------

    def _execute(self, pending: _Pending) -> None:
        action = pending.action
        account = self.floor.accounts[pending.account]
        answers: list[Answer] = []
        error = ""
        if 0 < action.expires_ns < int(self.floor.now_ns):
            error = wording.EXPIRED
        elif isinstance(action, Place):
            error = self._place(account, action, answers)
        elif isinstance(action, Cancel):
            for instrument, oid in action.orders:
                answers.append(self._cancel(account.orders.get(oid), instrument, action.fast))
        elif isinstance(action, CancelByCloid):
            for instrument, cloid in action.orders:
                answers.append(self._cancel(account.by_cloid.get(cloid), instrument, action.fast))
        elif isinstance(action, Modify):
            error = self._modify(account, action, answers)
        elif isinstance(action, ScheduleCancel):
            error = self._schedule_cancel(account, action.at_ns)
        elif isinstance(action, SetLeverage):
            error = self._set_leverage(account, action)
        elif isinstance(action, ChangeMargin):
            error = self._change_margin(account, action)
        elif isinstance(action, PlaceTwap):
            answers.append(self.twaps.begin(account, action.request))
        elif isinstance(action, CancelTwap):
            answers.append(self.twaps.cancel(account, action.instrument, action.number))
        self.floor.events.append(ActionAnswered(pending.ticket, pending.account, answers, error))

    def _place(self, account: LiveAccount, action: Place, answers: list[Answer]) -> str:
        orders = action.orders
        if not orders:
            return wording.NO_ORDERS
        for request in orders:
            error = malformed(self.floor, self._prices, request)
            if error:
                return error
        if action.grouping == PARENT_GROUP:
            return self._place_family(account, orders, answers)
        if action.grouping == POSITION_GROUP:
            return self._place_position_triggers(account, orders, answers)
        for request in orders:
            answers.append(self._place_one(account, request))
        return ""

    def _place_one(self, account: LiveAccount, request: OrderRequest) -> Answer:
        order, refused = self._admit(account, request, None)
        if refused is not None:
            return refused
        market = self.markets[request.instrument]
        if request.trigger_price > 0:
            market.keep_trigger(order, ARMED)
            return Answer(RESTS, order.oid, order.cloid)
        return market.enter(order)

    def _admit(
        self, account: LiveAccount, request: OrderRequest, parent: OrderRequest | None
    ) -> tuple[LiveOrder, Answer | None]:
        """Return a new order with its id, and the answer when the venue does not take it."""
        market = self.markets[request.instrument]
        refusal = refuse(self.floor, account, market.book, market.prices, request, parent)
        order = LiveOrder(self.floor.next_oid(), account.index, request, self.floor.now_ns)
        if refusal is None:
            self._size_whole(account, order, parent)
            return order, None
        order.place = ENDED
        self.floor.tell(order, refusal.status)
        text = self.floor.refusal_text(refusal.text, request.instrument)
        return order, Answer(REFUSED, order.oid, order.cloid, text)

    def _size_whole(self, account: LiveAccount, order: LiveOrder, parent: OrderRequest | None) -> None:
        """A size of 0 is the whole position: now for an order, when it fires for a trigger."""
        if order.size == 0 and order.trigger_price == 0 and parent is None:
            held = account.holdings[order.instrument].position.size
            order.size = held if held > 0 else -held
            order.remaining = order.size

    def _place_family(self, account: LiveAccount, orders: list[OrderRequest], answers: list[Answer]) -> str:
        """A parent, and triggers that are armed when it is filled."""
        first = orders[0]
        if first.trigger_price > 0 or len(orders) > 3:
            return wording.TRIGGER_COUNT
        for child in orders[1:]:
            if child.trigger_price == 0 or not child.reduce_only or child.instrument != first.instrument:
                return wording.TRIGGER_COUNT
        parent, refused = self._admit(account, first, None)
        if refused is not None:
            answers.append(refused)
            for _ in orders[1:]:
                answers.append(Answer(REFUSED, 0, "", refused.text))
            return ""
        market = self.markets[first.instrument]
        siblings: list[LiveOrder] = []
        kept: list[Answer | None] = []
        for child in orders[1:]:
            order, no = self._admit(account, child, first)
            kept.append(no)
            if no is None:
                order.siblings = siblings
                siblings.append(order)
                market.keep_trigger(order, WAITING)
        if siblings:
            parent.children = list(siblings)
        answers.append(market.enter(parent))
        waiting = WAITS_FOR_TRIGGER if parent.remaining == 0 else WAITS_FOR_FILL
        for no in kept:
            answers.append(Answer(waiting) if no is None else no)
        return ""

    def _place_position_triggers(self, account: LiveAccount, orders: list[OrderRequest], answers: list[Answer]) -> str:
        """Triggers of the position: at most a stop and a take-profit, cancelled with it."""
        if len(orders) > 2:
            return wording.TRIGGER_COUNT
        for request in orders:
            if request.trigger_price == 0 or not request.reduce_only:
                return wording.TRIGGER_COUNT
        siblings: list[LiveOrder] = []
        for request in orders:
            order, refused = self._admit(account, request, None)
            if refused is not None:
                answers.append(refused)
                continue
            order.of_position = True
            order.siblings = siblings
            siblings.append(order)
            self.markets[request.instrument].keep_trigger(order, ARMED)
            answers.append(Answer(WAITS_FOR_TRIGGER))
        return ""

    def _cancel(self, order: LiveOrder | None, instrument: int, fast: bool) -> Answer:
        if order is None or int(order.instrument) != instrument or (fast and order.trigger_price > 0):
            known = 0 <= instrument < len(self.markets)
            text = self.floor.refusal_text(wording.NEVER_PLACED, i64(instrument)) if known else wording.NEVER_PLACED
            return Answer(REFUSED, 0, "", text)
        self.markets[instrument].end(order, wording.CANCELED)
        return Answer(SUCCESS, order.oid, order.cloid)

    def _modify(self, account: LiveAccount, action: Modify, answers: list[Answer]) -> str:
        if not action.changes:
            return wording.NO_ORDERS
        for change in action.changes:
            error = malformed(self.floor, self._prices, change.order)
            if error:
                return error
        for change in action.changes:
            old = account.orders.get(change.oid) if change.oid else account.by_cloid.get(change.cloid)
            answers.append(self._replace(account, old, change.order, action.always))
        return ""

    def _replace(self, account: LiveAccount, old: LiveOrder | None, request: OrderRequest, always: bool) -> Answer:
        if old is None and not always:
            return Answer(REFUSED, 0, "", wording.CANNOT_MODIFY)
        if not always:
            if request.time_in_force == GOOD_TILL_CANCEL:
                request = request.post_only()
            elif request.time_in_force != POST_ONLY:
                return Answer(REFUSED, 0, "", wording.MODIFY_NOT_POST_ONLY)
        if old is not None:
            self.markets[old.instrument].end(old, wording.CANCELED)
        market = self.markets[request.instrument]
        refusal = refuse(self.floor, account, market.book, market.prices, request, None)
        if refusal is not None:
            text = self.floor.refusal_text(wording.MODIFY_FAILED + refusal.text, request.instrument)
            return Answer(REFUSED, 0, "", text)
        return self._place_one(account, request)

    def _schedule_cancel(self, account: LiveAccount, at_ns: int) -> str:
        required = self.floor.options.schedule_volume
        if int(account.volume) < required:
            scale = 6
            return wording.SCHEDULE_VOLUME.format(
                required=format_decimal(required, scale), traded=format_decimal(int(account.volume), scale)
            )
        if at_ns != 0:
            if at_ns < int(self.floor.now_ns) + _SCHEDULE_LEAD_NS or at_ns > MAX_AMOUNT:
                return wording.SCHEDULE_TOO_SOON
            if self.floor.now_ns // _DAY_NS == account.cancel_day and account.cancels_fired >= _SCHEDULES_A_DAY:
                return wording.SCHEDULE_USED_UP
        account.cancel_at_ns = at_ns
        return ""

    def _fire_scheduled_cancel(self, account: LiveAccount) -> None:
        day = self.floor.now_ns // _DAY_NS
        if day != account.cancel_day:
            account.cancel_day = day
            account.cancels_fired = 0
        account.cancels_fired += 1
        account.cancel_at_ns = 0
        self.cancel_all(account, wording.SCHEDULED_CANCEL)

    def _set_leverage(self, account: LiveAccount, action: SetLeverage) -> str:
        if not 0 <= action.instrument < len(self.markets):
            return wording.UNKNOWN_ASSET
        instrument = self.floor.instruments[action.instrument]
        return self.floor.rules.set_leverage(account, instrument, i64(action.leverage), action.cross)

    def _change_margin(self, account: LiveAccount, action: ChangeMargin) -> str:
        if not 0 <= action.instrument < len(self.markets):
            return wording.UNKNOWN_ASSET
        instrument = self.floor.instruments[action.instrument]
        return self.floor.rules.change_margin(account, instrument, i64(action.amount))
