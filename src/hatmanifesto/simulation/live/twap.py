"""Orders worked over time: a TWAP sends a suborder into the book every thirty seconds until its size or time is up.

Source: Hyperliquid docs, order types: suborders at least 30 s apart, none farther than 3 % from the middle of the book;
one that is behind catches up by at most three times the normal suborder; random sizes differ by up to 20 %.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.money import RATE_SCALE, muldiv
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.account import LiveAccount
from hatmanifesto.simulation.live.events import REFUSED, RUNS, SUCCESS, Answer, TwapChanged
from hatmanifesto.simulation.live.floor import Floor
from hatmanifesto.simulation.live.market import LiveMarket
from hatmanifesto.simulation.live.orders import LiveOrder, OrderRequest
from hatmanifesto.simulation.live.twap_order import (
    ACTIVATED,
    FAILED,
    FINISHED,
    LEAST_MINUTES,
    MOST_MINUTES,
    RUNNING_BITS,
    SLICE_NS,
    STOPPED,
    TERMINATED,
    WAITING_FOR_TRIGGER,
    Twap,
    TwapRequest,
)


@final
class TwapDesk:
    """Every TWAP that has not ended, in the order in which they came; `work` once a block."""

    def __init__(self, floor: Floor, markets: list[LiveMarket]) -> None:
        self._floor: Final[Floor] = floor
        self._markets: Final[list[LiveMarket]] = markets
        self._working: Final[dict[int, Twap]] = {}
        self._number: i64 = 0

    def begin(self, account: LiveAccount, request: TwapRequest) -> Answer:
        """Take a TWAP or refuse it; its first suborder goes out with this block."""
        refusal = self._refusal(account, request)
        if refusal:
            return Answer(REFUSED, 0, "", refusal)
        self._number += 1
        twap = Twap(self._number, account.index, request, self._floor.now_ns)
        self._working[int(twap.number)] = twap
        self._turn(twap, WAITING_FOR_TRIGGER if request.trigger_price else ACTIVATED)
        return Answer(RUNS, twap.number)

    def _refusal(self, account: LiveAccount, request: TwapRequest) -> str:
        if not 0 <= request.instrument < len(self._markets):
            return wording.UNKNOWN_ASSET
        instrument = self._floor.instruments[request.instrument]
        market = self._markets[request.instrument]
        if request.minutes < LEAST_MINUTES or request.minutes > MOST_MINUTES:
            return wording.TWAP_DURATION.format(minutes=request.minutes)
        if request.size == 0:
            return wording.ZERO_SIZE
        if request.size < 0 or request.size > instrument.max_size or request.size % instrument.lot_size != 0:
            return wording.INVALID_SIZE
        if request.reduce_only and market.reducible(account, request.side) <= 0:
            return wording.TWAP_REDUCE_ONLY
        least = self._floor.options.twap_minimum
        if int(instrument.notional(market.prices.reference(), request.size)) < least:
            return wording.TWAP_TOO_SMALL.format(least=least // 10 ** int(instrument.money_scale))
        return ""

    def cancel(self, account: LiveAccount, instrument: int, number: int) -> Answer:
        """End a TWAP of an account's; what it has done stays done."""
        twap = self._working.get(number)
        if twap is None or twap.account != account.index or int(twap.request.instrument) != instrument:
            return Answer(REFUSED, 0, "", wording.TWAP_NEVER_PLACED)
        self._end(twap, TERMINATED)
        return Answer(SUCCESS, twap.number)

    def of(self, account: int) -> list[Twap]:
        """Return an account's TWAPs that have not ended, oldest first."""
        return [twap for twap in self._working.values() if int(twap.account) == account]

    def work(self) -> None:
        """Send the suborders that are due; none while only post-only orders are allowed."""
        if not self._working:
            return
        now_ns = self._floor.now_ns
        for twap in list(self._working.values()):
            request = twap.request
            prices = self._markets[request.instrument].prices
            if request.stop_price and prices.mark > 0 and (prices.mark - request.stop_price) * request.side >= 0:
                self._end(twap, STOPPED)
                continue
            if twap.status == WAITING_FOR_TRIGGER:
                if prices.mark == 0 or not request.fires_at(prices.mark):
                    continue
                twap.begun_ns = now_ns
                self._turn(twap, ACTIVATED)
            if now_ns >= twap.begun_ns + twap.slices * SLICE_NS:
                self._send(twap)

    def _send(self, twap: Twap) -> None:
        """Send the suborder that is due now; suborders whose time passed unused are not sent, but caught up with."""
        request = twap.request
        market = self._markets[request.instrument]
        instrument = market.instrument
        account = self._floor.accounts[twap.account]
        due = (self._floor.now_ns - twap.begun_ns) // SLICE_NS
        twap.slices = (due if due < request.last_slice() else request.last_slice()) + 1
        if request.reduce_only and market.reducible(account, request.side) <= 0:
            self._end(twap, FAILED, wording.TWAP_REDUCE_ONLY)
            return
        size = instrument.snap_size(i64(twap.next_size()))
        price = self._limit(market, request.side)
        if size > 0 and price > 0 and self._floor.now_ns >= self._floor.post_only_until_ns:
            order = LiveOrder(
                self._floor.next_oid(),
                twap.account,
                OrderRequest(
                    int(request.instrument),
                    int(request.side),
                    int(price),
                    int(size),
                    IMMEDIATE_OR_CANCEL,
                    reduce_only=request.reduce_only,
                ),
                self._floor.now_ns,
            )
            order.twap = twap.number
            if request.reduce_only or self._floor.rules.may_open(
                account, instrument, request.side, price, size, market.prices.reference()
            ):
                market.enter(order)
                twap.executed_size += order.filled_size()
                twap.executed_value += order.filled_value
        if twap.executed_size == request.size or twap.slices > request.last_slice():
            self._end(twap, FINISHED)

    def _limit(self, market: LiveMarket, side: i64) -> i64:
        """Return the worst price of a suborder, 0 when there is nothing to measure it by."""
        middle = market.book.mid()
        if middle <= 0:
            middle = market.prices.reference()
        if middle <= 0:
            return 0
        slippage = i64(muldiv(int(middle), self._floor.options.twap_slippage, RATE_SCALE))
        return market.instrument.snap(middle + side * slippage, side)

    def _turn(self, twap: Twap, status: i64, why: str = "") -> None:
        twap.status = status
        self._floor.events.append(TwapChanged(twap, status, why))

    def _end(self, twap: Twap, status: i64, why: str = "") -> None:
        assert (RUNNING_BITS >> twap.status) & 1
        del self._working[int(twap.number)]
        self._turn(twap, status, why)
