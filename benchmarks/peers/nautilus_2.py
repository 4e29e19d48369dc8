"""The peer of benchmarks.nautilus on NautilusTrader 2.x (Rust behind PyO3): the same maker, a process a run."""

from decimal import Decimal

import nautilus_trader
from nautilus_market import (
    CASH,
    MOST_CLIPS,
    ORDER_SIZE,
    SYMBOL,
    TICK,
    Model,
    Tally,
    arguments,
    finish,
    market_data,
    timed,
)
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AccountType,
    BookAction,
    BookOrder,
    BookType,
    CryptoPerpetual,
    Currency,
    InstrumentId,
    Money,
    OmsType,
    OrderBookDelta,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
    StrategyId,
    Symbol,
    TimeInForce,
    Venue,
)
from nautilus_trader.risk import RiskEngineConfig
from nautilus_trader.trading import Strategy, StrategyConfig

VENUE = Venue("SIM")
INSTRUMENT = InstrumentId(Symbol(SYMBOL), VENUE)
USDT = Currency.from_str("USDT")
MODEL = Model(
    Price,
    Quantity,
    QuoteTick,
    BookOrder,
    OrderBookDelta,
    {1: BookAction.ADD, 2: BookAction.UPDATE, 3: BookAction.DELETE},
    {1: OrderSide.BUY, 2: OrderSide.SELL},
)


class Maker(Strategy, Tally):
    """Every interval: cancel what works, then quote both sides that the inventory allows."""

    def __new__(cls, *_):
        config = StrategyConfig(strategy_id=StrategyId("M-1"), order_id_tag="1", log_events=False, log_commands=False)
        return super().__new__(cls, config)

    def __init__(self, l2, offset_ticks, interval_ns):
        self.begin()
        self.l2 = l2
        self.offset = offset_ticks * TICK
        self.interval_ns = interval_ns

    def on_start(self):
        self.size = Quantity(ORDER_SIZE, 3)
        if self.l2:
            self.subscribe_book_deltas(INSTRUMENT, BookType.L2_MBP, managed=True)
        else:
            self.subscribe_quotes(INSTRUMENT)

    def on_quote(self, tick):
        if self.due(tick.ts_event, self.interval_ns):
            self.quote(tick.bid_price, tick.ask_price)

    def on_book_deltas(self, deltas):
        if deltas.ts_event < self.next_ns:
            return
        book = self.cache.order_book(INSTRUMENT)
        bid, ask = book.best_bid_price(), book.best_ask_price()
        if bid is not None and ask is not None and bid < ask and self.due(deltas.ts_event, self.interval_ns):
            self.quote(bid, ask)

    def quote(self, bid, ask):
        for order_id in self.working:
            if not self.cache.is_order_closed(order_id):
                self.cancel_order(order_id)
                self.cancelled += 1
        self.working = []
        if self.clips < MOST_CLIPS:
            self.place(OrderSide.BUY, float(bid) - self.offset)
        if self.clips > -MOST_CLIPS:
            self.place(OrderSide.SELL, float(ask) + self.offset)

    def place(self, side, price):
        order = self.order_factory.limit(INSTRUMENT, side, self.size, Price(price, 1), TimeInForce.GTC, post_only=True)
        self.working.append(order.client_order_id)
        self.placed += 1
        self.submit_order(order)

    def on_order_filled(self, event):
        self.fills += 1
        self.clips += 1 if event.order_side == OrderSide.BUY else -1

    def on_order_rejected(self, event):
        self.refused += 1

    def on_order_denied(self, event):
        self.refused += 1


def perpetual():
    return CryptoPerpetual(
        instrument_id=INSTRUMENT,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=Currency.from_str("BTC"),
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=1,
        size_precision=3,
        price_increment=Price.from_str("0.1"),
        size_increment=Quantity.from_str("0.001"),
        max_quantity=Quantity.from_str("1000.000"),
        min_quantity=Quantity.from_str("0.001"),
        min_notional=Money(5, USDT),
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.025"),
        ts_event=0,
        ts_init=0,
    )


def main():
    args = arguments()
    l2 = args.workload == "l2"
    engine = BacktestEngine(
        BacktestEngineConfig(
            bypass_logging=True,
            logging=LoggerConfig(bypass_logging=True),
            run_analysis=False,
            risk_engine=RiskEngineConfig(
                max_order_submit_rate="1000000/00:00:01", max_order_modify_rate="1000000/00:00:01"
            ),
        )
    )
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(CASH, USDT)],
        default_leverage=Decimal(10),
        book_type=BookType.L2_MBP if l2 else BookType.L1_MBP,
        fee_model=MakerTakerFeeModel(Decimal("0.0001"), Decimal("0.0004")),
    )
    engine.add_instrument(perpetual())
    events, build_s, _ = timed(lambda: market_data(args, INSTRUMENT, MODEL))
    _, add_s, _ = timed(lambda: engine.add_data(events))
    maker = Maker(l2, args.offset_ticks, args.interval_ns)
    engine.add_strategy(maker)
    _, run_s, cpu_s = timed(engine.run)
    finish(nautilus_trader.__version__, len(events), build_s + add_s, run_s, cpu_s, maker)


if __name__ == "__main__":
    main()
