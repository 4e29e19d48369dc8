"""From one wanted quote to what is sent: skew by inventory and expected funding, then layers."""

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.routing.fixed_point import PPB, bounded, share
from hatmanifesto.core.routing.rules import Rules
from hatmanifesto.core.strategy import MAX_QUOTES, Quote, Quotes, View
from hatmanifesto.model.instrument import Instrument


def skew_of(rules: Rules, desk: Desk, view: View, lean: int) -> int:
    """Return the shift of bids and asks in price units, at most `max_skew_ticks` ticks either way.

    Inventory: `inventory_skew_ticks` at a position of `inventory_skew_size`, down when long. Funding: what longs are
    expected to pay per coin over `funding_skew_intervals` intervals, down when they pay. `lean` comes on top.
    """
    mid = int(view.mid_price())
    if mid <= 0:
        return 0
    tick = int(desk.holding.instrument.tick_at(mid))
    shift = lean
    if rules.inventory_skew_ticks != 0:
        full = rules.inventory_skew_size if rules.inventory_skew_size > 0 else int(view.max_position)
        shift -= share(int(desk.position.size) * rules.inventory_skew_ticks * tick, full, 1)
    if rules.funding_skew_intervals != 0:
        shift -= share(int(desk.holding.funding_rate) * rules.funding_skew_intervals * mid, PPB, 1)
    return bounded(shift, rules.max_skew_ticks * tick)


def passive_price(instrument: Instrument, view: View, side: int, price: int) -> int:
    """Return the nearest valid post-only price: on the grid, and at least a tick behind the opposite best.

    0 or less where there is none.
    """
    opposite = int(view.ask_price if side > 0 else view.bid_price)
    tick = int(instrument.tick_at(opposite))
    furthest = opposite - side * tick
    if (price - furthest) * side > 0:
        price = furthest
    if price <= 0:
        return 0
    return int(instrument.snap(price, side))


def add_layers(rules: Rules, desk: Desk, view: View, quote: Quote, shift: int, routed: Quotes) -> None:
    """Add one wanted quote to `routed` as `layer_percents` says: the first at its price, the others further out.

    What rounding to lots leaves goes to the first layer, and so does a layer below the venue's minimum.
    """
    instrument = desk.holding.instrument
    side = int(quote.side)
    first = passive_price(instrument, view, side, int(quote.price) + shift)
    if first <= 0:
        return
    whole = int(quote.size)
    rest = whole
    sizes: list[int] = []
    prices: list[int] = []
    price = first
    for at in range(1, len(rules.layer_percents)):
        tick = int(instrument.tick_at(price))
        price = int(instrument.snap(price - side * rules.layer_spacing_ticks * tick, side))
        if price <= 0:
            break
        size = int(instrument.snap_size(whole * rules.layer_percents[at] // 100))
        if size <= 0 or price * size * int(desk.holding.factor) < instrument.min_notional:
            continue
        sizes.append(size)
        prices.append(price)
        rest -= size
    if rest > 0 and routed.count < MAX_QUOTES:
        routed.add(side, first, rest, quote.time_in_force, quote.reduce_only, quote.purpose)
    for at in range(len(sizes)):
        if routed.count < MAX_QUOTES:
            routed.add(side, prices[at], sizes[at], quote.time_in_force, quote.reduce_only, quote.purpose)
