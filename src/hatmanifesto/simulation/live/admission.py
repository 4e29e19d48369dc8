"""Whether the venue takes an order: the rules in the order in which they are asked, each with its verbatim refusal."""

from mypy_extensions import i64

from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.account import LiveAccount
from hatmanifesto.simulation.live.floor import Floor, beyond_band
from hatmanifesto.simulation.live.order_book import LiveBook
from hatmanifesto.simulation.live.orders import OrderRequest
from hatmanifesto.simulation.live.prices import Prices
from hatmanifesto.simulation.live.wording import Refusal


def malformed(floor: Floor, prices: list[Prices], request: OrderRequest) -> str:
    """Return why an order is refused before anything is looked up, with its whole action; empty when it is not."""
    if request.instrument < 0 or request.instrument >= len(floor.instruments):
        return wording.UNKNOWN_ASSET
    instrument = floor.instruments[request.instrument]
    if request.price <= 0 or request.price > instrument.max_price:
        return wording.INVALID_PRICE
    if request.trigger_price < 0 or request.trigger_price > instrument.max_price:
        return wording.INVALID_PRICE
    if request.size < 0 or request.size > instrument.max_size or request.size % instrument.lot_size != 0:
        return wording.INVALID_SIZE
    if request.size == 0 and not request.reduce_only:
        return wording.ZERO_SIZE
    if beyond_band(request.price, prices[request.instrument].reference(), floor.options.reference_band):
        return wording.REFERENCE_PRICE
    return ""


def refuse(
    floor: Floor,
    account: LiveAccount,
    book: LiveBook,
    prices: Prices,
    request: OrderRequest,
    parent: OrderRequest | None,
) -> Refusal | None:
    """Return why the venue does not take an order, or None. `parent` is the order that a child waits for."""
    instrument = floor.instruments[request.instrument]
    holding = account.holdings[request.instrument]
    side = request.side
    if floor.now_ns < floor.post_only_until_ns and (request.time_in_force != POST_ONLY):
        return Refusal(wording.REJECTED, wording.AFTER_UPGRADE)
    if not instrument.on_grid(request.price):
        return Refusal(wording.TICK_REJECTED, wording.TICK)
    if request.trigger_price > 0:
        if not instrument.on_grid(request.trigger_price):
            return Refusal(wording.TICK_REJECTED, wording.TICK)
        if not waits(request, prices.mark if parent is None else parent.price):
            return Refusal(wording.TRIGGER_PRICE_REJECTED, wording.TRIGGER_PRICE)
    held = holding.position.size
    reducible = -held * side
    size = request.size
    if request.reduce_only and parent is None:
        if reducible <= 0:
            return Refusal(wording.REDUCE_ONLY_REJECTED, wording.REDUCE_ONLY)
        if size == 0 or size > reducible:
            size = reducible
    small = instrument.notional(request.price, size) < instrument.min_notional
    if small and not (request.reduce_only and (size >= reducible or size == 0)):
        return Refusal(wording.MIN_NOTIONAL_REJECTED, wording.MIN_NOTIONAL)
    limit = floor.open_order_limit(account)
    count = len(account.orders)
    if count >= limit or (count >= floor.options.open_orders and (request.reduce_only or request.trigger_price > 0)):
        text = wording.TOO_MANY_OPEN_ORDERS.format(count=count, limit=min(limit, floor.options.open_orders))
        return Refusal(wording.TOO_MANY_OPEN_ORDERS_REJECTED, text)
    if beyond_band(request.price, prices.oracle, floor.options.oracle_band):
        return Refusal(wording.ORACLE_REJECTED, wording.ORACLE)
    if request.trigger_price > 0:
        return None  # money is asked about when it fires
    best = book.of(-side).best_price()
    crosses = best > 0 and (request.price - best) * side >= 0
    if prices.capped() and not request.reduce_only and size > reducible:
        if prices.oracle > 0 and (request.price - prices.oracle) * side > 0:
            return Refusal(wording.OPEN_INTEREST_PRICE_REJECTED, wording.OPEN_INTEREST_PRICE)
        if crosses and request.time_in_force != POST_ONLY:
            flips = reducible > 0
            status = wording.OPEN_INTEREST_FLIP_REJECTED if flips else wording.OPEN_INTEREST_INCREASE_REJECTED
            return Refusal(status, wording.OPEN_INTEREST_CAP)
    if crosses and request.time_in_force == POST_ONLY:
        bid = instrument.price_text(book.bids.best_price())
        ask = instrument.price_text(book.asks.best_price())
        return Refusal(wording.POST_ONLY_REJECTED, wording.POST_ONLY.format(bid=bid, ask=ask))
    if not request.reduce_only and not floor.rules.may_open(
        account, instrument, side, request.price, size, prices.reference()
    ):
        return Refusal(wording.MARGIN_REJECTED, wording.MARGIN)
    if not request.reduce_only and not floor.rules.within_tier(
        account, instrument, side, request.price, size, prices.reference()
    ):
        return Refusal(wording.POSITION_TIER_REJECTED, wording.POSITION_TIER)
    return None


def waits(request: OrderRequest, price: i64) -> bool:
    """Tell whether a trigger lies on the side of a price where it waits, and does not fire at once."""
    if price <= 0:
        return False
    if request.take_profit == (request.side < 0):
        return request.trigger_price > price
    return request.trigger_price < price
