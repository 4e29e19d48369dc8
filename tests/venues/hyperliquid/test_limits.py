"""The arithmetic of the venue's rate limits, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.venues.hyperliquid.limits import (
    MINUTE_NS,
    POSTS_IN_FLIGHT,
    SECOND_NS,
    TRICKLE_NS,
    AddressBudget,
    BackOff,
    Limits,
    Notice,
    SlidingWindow,
    Use,
    action_weight,
    info_weight,
)

NOW = 1_000 * SECOND_NS


class TestWeights:
    @pytest.mark.parametrize(("elements", "weight"), [(1, 1), (39, 1), (40, 2), (79, 2), (80, 3), (400, 11)])
    def test_of_actions(self, elements: int, weight: int) -> None:
        assert action_weight(elements) == weight

    @pytest.mark.parametrize(
        ("kind", "items", "weight"),
        [
            ("l2Book", 0, 2), ("orderStatus", 0, 2), ("clearinghouseState", 0, 2), ("userRole", 0, 60), ("meta", 0, 20),
            ("openOrders", 500, 20), ("userFills", 0, 20), ("userFills", 19, 20), ("userFills", 20, 21),
            ("userFillsByTime", 2000, 120), ("candleSnapshot", 59, 20), ("candleSnapshot", 5000, 103),
        ],
    )  # fmt: skip
    def test_of_info_requests(self, kind: str, items: int, weight: int) -> None:
        assert info_weight(kind, items) == weight


class TestWindow:
    def test_says_how_long_to_wait(self) -> None:
        window = SlidingWindow(10)
        window.spend(NOW, 6)
        window.spend(NOW + 20 * SECOND_NS, 3)
        at = NOW + 30 * SECOND_NS
        assert window.wait_ns(at, 1) == 0
        assert abs(window.wait_ns(at, 2) - 30 * SECOND_NS) <= SECOND_NS // 100
        assert abs(window.wait_ns(at, 1, reserve=2) - 30 * SECOND_NS) <= SECOND_NS // 100
        assert abs(window.wait_ns(at, 8) - 50 * SECOND_NS) <= SECOND_NS // 100
        assert window.wait_ns(at, 11) == MINUTE_NS
        assert window.wait_ns(NOW + 2 * MINUTE_NS, 10) == 0

    @given(st.lists(st.tuples(st.integers(0, 5 * SECOND_NS), st.integers(1, 5)), max_size=200))
    def test_no_minute_ever_holds_more_than_the_limit(self, asks: list[tuple[int, int]]) -> None:
        window = SlidingWindow(20)
        now = NOW
        spent: list[tuple[int, int]] = []
        for step, units in asks:
            now += step
            if window.wait_ns(now, units) == 0:
                window.spend(now, units)
                spent.append((now, units))
        for begin, _ in spent:
            assert sum(units for at, units in spent if begin <= at < begin + MINUTE_NS) <= 20


class TestAddressBudget:
    @pytest.mark.parametrize(
        ("used", "cap", "use", "actions", "allowed"),
        [
            (0, 10_000, Use.ORDER, 1, True),
            (9_499, 10_000, Use.ORDER, 1, True),
            (9_500, 10_000, Use.ORDER, 1, False),  # the reserve of 500
            (9_490, 10_000, Use.ORDER, 11, False),  # a batch counts its elements
            (9_500, 10_000, Use.CANCEL, 1, True),
            (19_499, 10_000, Use.CANCEL, 1, True),  # cancels: twice the cap …
            (19_500, 10_000, Use.CANCEL, 1, True),  # … and then one in ten seconds
            (20_000, 10_000, Use.EMERGENCY, 1, True),
            (299_499, 200_000, Use.CANCEL, 1, True),  # … but no more than 100,000 above it
        ],
    )
    def test_table(self, used: int, cap: int, use: Use, actions: int, allowed: bool) -> None:
        budget = AddressBudget(500)
        budget.correct(used, cap)
        assert (budget.refusal(NOW, use, actions) is None) == allowed

    def test_beyond_the_cap_one_cancel_in_ten_seconds(self) -> None:
        budget = AddressBudget(0)
        budget.correct(20_000, 10_000)
        assert budget.refusal(NOW, Use.CANCEL, 1) is None
        budget.spend(NOW, Use.CANCEL, 1)
        refused = budget.refusal(NOW + SECOND_NS, Use.CANCEL, 1)
        assert refused is not None
        assert refused.wait_ns == TRICKLE_NS - SECOND_NS
        assert budget.refusal(NOW + TRICKLE_NS, Use.EMERGENCY, 1) is None
        assert budget.refusal(NOW + TRICKLE_NS, Use.ORDER, 1) is not None, "orders leave the trickle to cancels"

    def test_trading_earns_one_action_a_dollar(self) -> None:
        budget = AddressBudget(0)
        budget.correct(10_000, 10_000)
        assert budget.refusal(NOW, Use.ORDER, 1) is not None
        for _ in range(4):
            budget.note_volume(250_000)
        assert budget.cap == 10_001
        assert budget.refusal(NOW, Use.ORDER, 1) is None
        assert budget.refusal(NOW, Use.ORDER, 2) is not None


class TestBackOff:
    def test_doubles_up_to_a_minute_and_forgets_after_success(self) -> None:
        back_off = BackOff()
        now = NOW
        pauses = []
        for _ in range(8):
            pauses.append(back_off.refused(now) // SECOND_NS)
            now = back_off.until_ns
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
        back_off.accepted(now)
        assert back_off.refused(now) == SECOND_NS

    def test_refusals_of_what_was_under_way_count_once(self) -> None:
        back_off = BackOff()
        assert back_off.refused(NOW) == SECOND_NS
        assert back_off.refused(NOW + SECOND_NS // 2) == SECOND_NS // 2
        assert back_off.until_ns == NOW + SECOND_NS

    def test_one_cancel_a_second_goes_meanwhile_and_no_order(self) -> None:
        back_off = BackOff()
        back_off.refused(NOW)
        back_off.refused(NOW + SECOND_NS)
        at = NOW + SECOND_NS + 1
        assert back_off.refusal(at, Use.ORDER) is not None
        assert back_off.refusal(at, Use.CANCEL) is None
        back_off.spend(at)
        refused = back_off.refusal(at + 1, Use.EMERGENCY)
        assert refused is not None
        assert refused.wait_ns == SECOND_NS - 1


class TestLimits:
    def limits(self, **changes: int) -> tuple[Limits, list[Notice]]:
        notices: list[Notice] = []
        return Limits(notices.append, **changes), notices

    @pytest.mark.parametrize(
        ("use", "sent"), [(Use.QUERY, 800), (Use.ORDER, 1000), (Use.CANCEL, 1200), (Use.EMERGENCY, 1200)]
    )
    def test_the_reserve_of_ip_weight_is_for_cancels_and_emergencies(self, use: Use, sent: int) -> None:
        limits, notices = self.limits()
        count = 0
        while limits.refusal(NOW, use, 0, 1, stream=False) is None:
            limits.spend(NOW, use, 0, 1, stream=False)
            count += 1
        assert count == sent
        assert [notice.rule for notice in notices] == ["IP weight"]

    def test_a_binding_limit_is_noted_when_it_begins_and_when_it_ends(self) -> None:
        limits, notices = self.limits(reserve_actions=0)
        limits.address.correct(10_000, 10_000)
        for _ in range(3):
            refused = limits.refusal(NOW, Use.ORDER, 1, 1, stream=True)
            assert refused is not None
            assert (refused.rule, refused.value, refused.limit) == ("address actions", 10_001, 10_000)
        assert len(notices) == 1
        assert notices[0].binding
        assert limits.refusal(NOW, Use.CANCEL, 1, 1, stream=True) is None
        assert len(notices) == 1, "that a cancel may go does not end it"
        limits.address.note_volume(5_000_000)
        assert limits.refusal(NOW, Use.ORDER, 1, 1, stream=True) is None
        assert notices[1:] == [Notice("address actions", False, 0, 0, 0, 2)]

    def test_a_429_silences_orders_and_says_so_once(self) -> None:
        limits, notices = self.limits()
        assert limits.refused_by_venue(NOW) == SECOND_NS
        limits.refused_by_venue(NOW + 1)
        assert [notice.rule for notice in notices] == ["back-off after 429"]
        assert limits.refusal(NOW + 2, Use.ORDER, 1, 1, stream=True) is not None
        assert limits.refusal(NOW + SECOND_NS, Use.ORDER, 1, 1, stream=True) is None
        assert not notices[-1].binding

    def test_posts_in_flight_keep_room_for_cancels(self) -> None:
        limits, _ = self.limits()
        limits.in_flight = POSTS_IN_FLIGHT - 10
        refused = limits.refusal(NOW, Use.ORDER, 1, 1, stream=True)
        assert refused is not None
        assert refused.rule == "posts in flight"
        assert limits.refusal(NOW, Use.ORDER, 1, 1, stream=False) is None
        assert limits.refusal(NOW, Use.CANCEL, 1, 1, stream=True) is None

    def test_stream_messages_have_a_limit_of_their_own(self) -> None:
        limits, _ = self.limits(ip_weight=1_000_000)
        count = 0
        while limits.refusal(NOW, Use.EMERGENCY, 0, 1, stream=True) is None:
            limits.spend(NOW, Use.EMERGENCY, 0, 1, stream=True)
            count += 1
        assert count == 2000

    def test_long_answers_are_charged_afterwards(self) -> None:
        limits, _ = self.limits()
        limits.charge(NOW, info_weight("userFillsByTime", 2000) - info_weight("userFillsByTime"))
        assert limits.weight.used == 100

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1_000_000, SECOND_NS, 20 * SECOND_NS]),
                st.sampled_from(list(Use)),
                st.integers(0, 4),
                st.integers(1, 60),
                st.booleans(),
                st.integers(0, POSTS_IN_FLIGHT),
                st.sampled_from([""] * 8 + ["429", "correct"]),
            ),
            max_size=60,
        )
    )
    def test_the_short_way_decides_as_the_close_look_does(
        self, asks: list[tuple[int, Use, int, int, bool, int, str]]
    ) -> None:
        told: dict[str, list[Notice]] = {"short": [], "close": []}
        two = {
            name: Limits(told[name].append, ip_weight=700, stream_messages=240, reserve_weight=100, reserve_actions=5)
            for name in told
        }
        now = NOW
        for later, use, actions, weight, stream, in_flight, event in asks:
            now += later
            refusals = {}
            for name, limits in two.items():
                limits.in_flight = in_flight
                if event == "429":
                    limits.refused_by_venue(now)
                elif event == "correct":
                    limits.address.correct(limits.address.used + 30, limits.address.used + 60)
                look = limits.refusal if name == "short" else limits._closely
                refusals[name] = look(now, use, actions, weight, stream=stream)
                if refusals[name] is None:
                    limits.spend(now, use, actions, weight, stream=stream)
            assert refusals["short"] == refusals["close"]
        assert told["short"] == told["close"]
