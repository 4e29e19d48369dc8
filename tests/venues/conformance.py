"""What every venue adapter must do, as tests: subclass `VenueConformance` and give it a `stage`.

The stage is a quiet market at some exchange (a loopback exchange, a tiny one in the test, a testnet) with two funded
accounts, a maker and a taker, each reached through an adapter of its own. Everything is done through the venue port,
so the suite knows no protocol. Faults are the stage's to make; where it cannot make one, that test is skipped.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvloop

from hatmanifesto.errors import UserError
from hatmanifesto.model import reasons
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.venues.port import ALL_INSTRUMENTS, OrderFate, Trust, Venue, VenueError, VenueOrder
from venues.listening import Diary

PATIENCE_S = 10.0


class Stage(ABC):
    """An exchange under test. `coins`: what is traded there, the first one by every test; nobody else may trade it."""

    coins: tuple[str, ...]

    @abstractmethod
    def running(self) -> AbstractAsyncContextManager[None]:
        """Have the exchange up inside the context."""

    @abstractmethod
    def adapter(self, who: str) -> Venue:
        """Return a new adapter, not opened, for the account of "maker" or "taker"."""

    async def cut(self) -> None:
        """Drop every connection without a word."""
        pytest.skip("this stage cannot cut connections")

    async def lose_next_answer(self) -> None:
        """Execute the next action and never answer it."""
        pytest.skip("this stage cannot lose answers")

    async def lose_next_request(self) -> None:
        """Neither execute nor answer the next action."""
        pytest.skip("this stage cannot lose requests")

    async def send_garbage(self) -> None:
        """Send something unreadable on every connection."""
        pytest.skip("this stage cannot send garbage")


class Account:
    """One adapter at work, and what it told."""

    def __init__(self, venue: Venue, diary: Diary, instrument: Instrument, price: int) -> None:
        self.venue = venue
        self.diary = diary
        self.instrument = instrument
        self.price = price
        self.now = 0

    def place(
        self, order_id: int, side: int, price: int, size: int, tif: int = POST_ONLY, *, reduce_only: bool = False
    ) -> None:
        """Place an order and send it."""
        self.venue.gateway.place(0, order_id, 0, side, price, size, tif, reduce_only)
        self.flush()

    def cancel(self, order_id: int) -> None:
        self.venue.gateway.cancel(0, order_id, 0)
        self.flush()

    def ask(self, order_id: int) -> None:
        self.venue.gateway.query(0, order_id, 0)
        self.flush()

    def flush(self) -> None:
        self.venue.gateway.flush(max(self.diary.last_ns, self.now))

    async def told(self, order_id: int, *triggers: str) -> None:
        """Wait until these triggers, and no others, were told of an order."""
        await until(lambda: len(self.diary.triggers(order_id)) >= len(triggers))
        assert self.diary.triggers(order_id) == list(triggers)

    def last_reason(self, order_id: int) -> int:
        return [told.reason for told in self.diary.orders if told.order_id == order_id][-1]

    async def open_orders(self) -> list[VenueOrder]:
        return [order for order in await self.venue.open_orders() if order.instrument == 0]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is true; fails the test when it stays false."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


class VenueConformance:
    """The suite. `session` numbers differ between adapters, as between real sessions."""

    SESSION = {"maker": 11, "taker": 12}

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError("a conformance suite needs a stage")

    def play(self, stage: Stage, story: Callable[[Account, Account], Coroutine[Any, Any, None]]) -> None:
        """Run a story with both accounts connected and in order."""

        async def whole() -> None:
            async with stage.running(), self.account(stage, "maker") as maker, self.account(stage, "taker") as taker:
                await story(maker, taker)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(whole())

    @asynccontextmanager
    async def account(self, stage: Stage, who: str) -> AsyncIterator[Account]:
        venue = stage.adapter(who)
        try:
            instruments = await venue.open(stage.coins)
            price = (await venue.prices())[0]
            diary = Diary()
            await venue.start(diary, self.SESSION[who])
            await until(lambda: self.live(diary))
            yield Account(venue, diary, instruments[0], price)
        finally:
            await venue.stop()

    @staticmethod
    def live(diary: Diary) -> bool:
        return diary.trust.get(ALL_INSTRUMENTS) is Trust.LIVE and diary.trust.get(0) is Trust.LIVE

    @staticmethod
    def bid(account: Account, percent: int = 1) -> tuple[int, int]:
        """Return a price some percent below the market and a size worth about 50 of the quote currency."""
        rules = account.instrument
        price = int(rules.snap(account.price * (100 - percent) // 100, 1))
        unit = int(rules.notional(price, 1))
        size = int(rules.snap_size(-(-50 * 10 ** int(rules.money_scale) // unit)))
        return price, max(size, int(rules.lot_size))

    # -- before trading ---------------------------------------------------------------------------

    def test_instruments_come_in_the_order_asked_for(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            found = maker.venue.instruments
            assert [instrument.name for instrument in found] == list(stage.coins)
            assert [int(instrument.index) for instrument in found] == list(range(len(stage.coins)))
            fees = await maker.venue.fees()
            assert all((instrument.maker_fee, instrument.taker_fee) == fees for instrument in found)
            assert set(await maker.venue.prices()) == set(range(len(stage.coins)))
            assert abs(await maker.venue.clock_offset_ns()) < 10**13

        self.play(stage, story)

    def test_an_unknown_coin_is_a_users_error(self, stage: Stage) -> None:
        async def story() -> None:
            async with stage.running():
                venue = stage.adapter("maker")
                with pytest.raises(UserError):
                    await venue.open(("NOSUCHCOIN",))
                await venue.stop()

        asyncio.run(story())

    # -- orders -----------------------------------------------------------------------------------

    def test_a_post_only_order_rests_is_found_and_is_cancelled(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(1, 1, price, size)
            await maker.told(1, "acknowledge")
            (order,) = await maker.open_orders()
            assert (order.order_id, order.session, order.side, order.price, order.remaining) == (1, 11, 1, price, size)
            assert order.venue_order_id == maker.diary.orders[0].venue_order_id != 0
            assert (await maker.venue.order_report(11, 1, order.purpose)).fate is OrderFate.OPEN
            maker.cancel(1)
            await maker.told(1, "acknowledge", "confirm_cancel")
            assert not await maker.open_orders()
            assert (await maker.venue.order_report(11, 1, order.purpose)).fate is OrderFate.CANCELLED
            assert not maker.diary.fills

        self.play(stage, story)

    def test_several_orders_of_one_turn_and_their_cancels(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            step = int(maker.instrument.tick_at(price))
            for order_id in (1, 2, 3):
                maker.venue.gateway.place(0, order_id, 0, 1, price - order_id * step, size, POST_ONLY, False)
            maker.venue.gateway.place(0, 4, 0, 1, price - 4 * step, size, GOOD_TILL_CANCEL, False)
            maker.flush()
            for order_id in (1, 2, 3, 4):
                await maker.told(order_id, "acknowledge")
            for order_id in (1, 2, 3, 4):
                maker.venue.gateway.cancel(0, order_id, 0)
            maker.flush()
            for order_id in (1, 2, 3, 4):
                await maker.told(order_id, "acknowledge", "confirm_cancel")

        self.play(stage, story)

    def test_refusals_carry_their_reason(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(1, 1, price, size)
            await maker.told(1, "acknowledge")
            taker.place(1, -1, price, size)
            await taker.told(1, "reject")
            assert taker.last_reason(1) == reasons.VENUE_POST_ONLY
            above = int(taker.instrument.snap(price * 105 // 100, -1))
            taker.place(2, -1, above, size, IMMEDIATE_OR_CANCEL)
            await until(lambda: bool(taker.diary.triggers(2)))
            assert taker.diary.triggers(2)[-1] in ("reject", "expire")
            assert taker.last_reason(2) == reasons.VENUE_NO_MATCH
            taker.place(3, 1, price, int(taker.instrument.lot_size))
            await taker.told(3, "reject")
            assert taker.last_reason(3) == reasons.VENUE_MIN_NOTIONAL
            taker.place(4, -1, above, size, GOOD_TILL_CANCEL, reduce_only=True)
            await taker.told(4, "reject")
            assert taker.last_reason(4) == reasons.VENUE_REDUCE_ONLY
            assert not taker.diary.fills
            assert not await taker.open_orders()

        self.play(stage, story)

    def test_a_fill_is_told_to_both_sides_once_and_shows_in_positions_and_history(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            since = (await maker.venue.account()).exch_ts_ns
            price, size = self.bid(maker)
            maker.place(1, 1, price, 2 * size)
            await maker.told(1, "acknowledge")
            taker.place(1, -1, price, size, IMMEDIATE_OR_CANCEL)
            await until(lambda: bool(maker.diary.fills) and bool(taker.diary.fills))
            (made,), (took,) = maker.diary.fills, taker.diary.fills
            assert (made.order_id, made.side, made.price, made.size, made.taker) == (1, 1, price, size, False)
            assert (took.order_id, took.side, took.price, took.size, took.taker) == (1, -1, price, size, True)
            assert made.trade_id == took.trade_id
            assert took.fee > 0
            held = {position.instrument: position.size for position in (await maker.venue.account()).positions}
            assert held[0] == size
            # then the whole of it: filled orders end by their fills
            taker.place(2, -1, price, size, IMMEDIATE_OR_CANCEL)
            await until(lambda: len(maker.diary.fills) == 2)
            assert maker.diary.triggers(1) in (["acknowledge"], ["acknowledge", "fill_whole"])
            history = [fill for fill in await maker.venue.fills_since(since) if fill.order_id == 1]
            assert [(fill.price, fill.size, fill.taker, fill.session) for fill in history] == [
                (price, size, False, 11)
            ] * 2
            assert [fill.trade_id for fill in history] == [fill.trade_id for fill in maker.diary.fills]
            await self.flatten(maker, taker, price, 2 * size)

        self.play(stage, story)

    async def flatten(self, maker: Account, taker: Account, price: int, size: int) -> None:
        """Trade back, so that a stage can be used again."""
        maker.place(90, -1, price, size, GOOD_TILL_CANCEL, reduce_only=True)
        taker.place(90, 1, price, size, GOOD_TILL_CANCEL, reduce_only=True)
        await until(lambda: sum(fill.size for fill in maker.diary.fills if fill.order_id == 90) == size)

    def test_an_ioc_that_fills_a_part_expires_after_its_fills(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(1, 1, price, size)
            await maker.told(1, "acknowledge")
            taker.place(1, -1, price, 3 * size, IMMEDIATE_OR_CANCEL)
            await until(lambda: bool({"expire", "confirm_cancel"} & set(taker.diary.triggers(1))))
            assert [fill.size for fill in taker.diary.fills] == [size], "the end waited for its fills"
            await self.flatten(maker, taker, price, size)

        self.play(stage, story)

    def test_a_cancel_too_late_is_refused_and_the_order_asked_about(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(1, 1, price, size)
            await maker.told(1, "acknowledge")
            orders = await maker.open_orders()
            assert await maker.venue.cancel_orders(orders) == 1
            await until(lambda: "confirm_cancel" in maker.diary.triggers(1))
            assert await maker.venue.cancel_orders(orders) == 0
            assert (await maker.venue.order_report(11, 99, 0)).fate is OrderFate.ABSENT

        self.play(stage, story)

    def test_leverage(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            await maker.venue.set_leverage(0, 3, cross=True)
            with pytest.raises(VenueError) as caught:
                await maker.venue.set_leverage(0, 5000, cross=True)
            assert caught.value.definite

        self.play(stage, story)

    def test_an_open_order_of_an_earlier_session_is_taken_over_and_is_like_one_of_this(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(7, 1, price, 3 * size)
            maker.place(8, 1, price - 10 * int(maker.instrument.tick_at(price)), size)
            await maker.told(8, "acknowledge")
            taker.place(1, -1, price, size, IMMEDIATE_OR_CANCEL)
            await until(lambda: len(maker.diary.fills) == 1)
            await maker.venue.stop()  # the session is gone, its orders are not
            later = stage.adapter("maker")
            try:
                await later.open(stage.coins)
                diary = Diary()
                await later.start(diary, 21)
                await until(lambda: self.live(diary))
                found = {order.order_id: order for order in await later.open_orders()}
                assert {order_id: (order.session, order.remaining) for order_id, order in found.items()} == {
                    7: (11, 2 * size),
                    8: (11, size),
                }
                later.gateway.adopt(found[7], size)
                later.gateway.adopt(found[8], 0)
                taker.place(2, -1, price, size, IMMEDIATE_OR_CANCEL)
                await until(lambda: bool(diary.fills))
                assert [(fill.order_id, fill.size) for fill in diary.fills] == [(7, size)]
                assert diary.triggers(7) == []
                later.gateway.cancel(0, 7, 0)
                later.gateway.query(0, 8, 0)
                later.gateway.flush(diary.last_ns)
                await until(lambda: diary.triggers(7) == ["confirm_cancel"])
                await until(lambda: diary.triggers(8) == ["find_open"])
                # an order of this session beside them, and the last one goes
                later.gateway.place(0, 9, 0, 1, found[8].price, size, POST_ONLY, False)
                later.gateway.cancel(0, 8, 0)
                later.gateway.flush(diary.last_ns)
                await until(lambda: diary.triggers(8)[-1] == "confirm_cancel" and diary.triggers(9) == ["acknowledge"])
                assert [order.order_id for order in await later.open_orders()] == [9]
                later.gateway.cancel(0, 9, 0)
                later.gateway.place(0, 10, 0, -1, price, 2 * size, GOOD_TILL_CANCEL, True)
                later.gateway.flush(diary.last_ns)
                taker.place(90, 1, price, 2 * size, GOOD_TILL_CANCEL, reduce_only=True)
                await until(lambda: sum(fill.size for fill in diary.fills if fill.order_id == 10) == 2 * size)
            finally:
                await later.stop()

        self.play(stage, story)

    # -- market data ------------------------------------------------------------------------------

    def test_books_and_prints_arrive_as_rows(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(1, 1, price, size)

            def shown() -> bool:
                return any(
                    row.price == price and row.side == 1 and row.size == size
                    for instrument, rows in taker.diary.rows
                    for row in rows
                    if instrument == 0 and row.channel in ("book", "bbo")
                )

            await until(shown)
            taker.place(1, -1, price, size, IMMEDIATE_OR_CANCEL)

            def printed() -> bool:
                return any(
                    (row.price, row.side, row.size) == (price, -1, size)
                    for _, rows in maker.diary.rows
                    for row in rows
                    if row.channel == "trades"
                )

            await until(printed)
            stamps = [row.local_ns for _, rows in maker.diary.rows for row in rows]
            assert stamps == sorted(stamps)
            await self.flatten(maker, taker, price, size)

        self.play(stage, story)

    # -- faults -----------------------------------------------------------------------------------

    def test_after_a_cut_everything_is_told_once_and_nothing_is_missed(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            maker.place(1, 1, price, size)
            maker.place(2, 1, price - 10 * int(maker.instrument.tick_at(price)), size)
            await maker.told(2, "acknowledge")
            await stage.cut()
            await until(lambda: maker.diary.trust[ALL_INSTRUMENTS] is not Trust.LIVE)
            await until(lambda: self.live(maker.diary) and self.live(taker.diary))
            taker.place(1, -1, price, size, IMMEDIATE_OR_CANCEL)
            await until(lambda: bool(maker.diary.fills))
            await stage.cut()
            await until(lambda: maker.diary.trust[ALL_INSTRUMENTS] is not Trust.LIVE)
            await until(lambda: self.live(maker.diary))
            maker.cancel(2)
            await until(lambda: "confirm_cancel" in maker.diary.triggers(2))
            assert len(maker.diary.fills) == 1
            assert not await maker.open_orders()
            await until(lambda: self.live(taker.diary))
            await self.flatten(maker, taker, price, size)

        self.play(stage, story)

    def test_a_lost_answer_is_unknown_until_the_venue_has_said(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            await stage.lose_next_answer()
            maker.place(1, 1, price, size)
            await until(lambda: bool(maker.diary.triggers(1)) or bool(maker.diary.unknown))
            if maker.diary.unknown:
                maker.ask(1)
                await until(lambda: bool(maker.diary.triggers(1)))
            assert maker.diary.triggers(1) in (["acknowledge"], ["find_open"])
            maker.cancel(1)
            await until(lambda: maker.diary.triggers(1)[-1] == "confirm_cancel")

        self.play(stage, story)

    def test_a_lost_request_is_found_absent_in_the_end_and_never_executes(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            price, size = self.bid(maker)
            await stage.lose_next_request()
            maker.place(1, 1, price, size)
            await until(lambda: maker.diary.unknown == [1])
            maker.ask(1)
            await until(lambda: maker.diary.triggers(1) == ["find_absent"])
            assert not await maker.open_orders()

        self.play(stage, story)

    def test_garbage_breaks_trust_and_a_new_connection_restores_it(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            await stage.send_garbage()
            await until(lambda: any(trust is Trust.BROKEN for _, trust, _ in maker.diary.trust_changes))
            await until(lambda: self.live(maker.diary))
            assert any("unreadable" in kind for kind, _ in maker.diary.notices)

        self.play(stage, story)

    def test_after_stop_nothing_is_told_and_stop_may_come_twice(self, stage: Stage) -> None:
        async def story(maker: Account, taker: Account) -> None:
            await maker.venue.stop()
            told = len(maker.diary.rows), len(maker.diary.orders)
            price, size = self.bid(taker)
            taker.place(1, 1, price, size)
            await taker.told(1, "acknowledge")
            assert (len(maker.diary.rows), len(maker.diary.orders)) == told
            await maker.venue.stop()
            await maker.venue.watch()
            taker.cancel(1)
            await taker.told(1, "acknowledge", "confirm_cancel")

        self.play(stage, story)
