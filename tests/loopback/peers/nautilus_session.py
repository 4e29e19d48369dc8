"""nautilus_trader at the loopback exchange: every step of its strategy prints {"step", "answer"}."""

import json
import os
import signal
from typing import Any

from nautilus_trader.core import nautilus_pyo3 as nautilus

STAGE = json.loads(os.environ["STAGE"])
INSTRUMENT = nautilus.InstrumentId.from_str("BTC-USD-PERP.HYPERLIQUID")
TRADER = nautilus.TraderId("N-001")
SIZE = nautilus.Quantity.from_str("0.01")
BUY, SELL = nautilus.OrderSide.BUY, nautilus.OrderSide.SELL


def tell(step: str, answer: Any) -> None:
    print(json.dumps({"step": step, "answer": answer}), flush=True)


class Session(nautilus.Strategy):
    """Each answer of the exchange leads to the next order."""

    def __init__(self) -> None:
        super().__init__(nautilus.StrategyConfig(strategy_id=nautilus.StrategyId("S-001")))
        self.told: set[str] = set()
        self.orders: list[Any] = []
        self.position = ""

    def once(self, step: str, answer: Any) -> None:
        if step not in self.told:
            self.told.add(step)
            tell(step, answer)
            if {"quote", "trade", "book", "mark", "funding"} <= self.told and not self.orders:
                self.limit("50000", post_only=True)

    def limit(self, price: str, tif: Any = None, **more: Any) -> None:
        order = self.order_factory.limit(
            INSTRUMENT, BUY, SIZE, nautilus.Price.from_str(price), time_in_force=tif, **more
        )
        self.orders.append(order)
        self.submit_order(order)

    def on_start(self) -> None:
        self.subscribe_quotes(INSTRUMENT)
        self.subscribe_trades(INSTRUMENT)
        self.subscribe_book_deltas(INSTRUMENT, nautilus.BookType.L2_MBP)
        self.subscribe_mark_prices(INSTRUMENT)
        self.subscribe_funding_rates(INSTRUMENT)

    def on_quote(self, quote: Any) -> None:
        self.once("quote", [str(quote.bid_price), str(quote.ask_price)])

    def on_trade(self, trade: Any) -> None:
        self.once("trade", str(trade.price))

    def on_book_deltas(self, deltas: Any) -> None:
        self.once("book", len(deltas.deltas))

    def on_mark_price(self, mark: Any) -> None:
        self.once("mark", str(mark.value))

    def on_funding_rate(self, rate: Any) -> None:
        self.once("funding", str(rate.rate))

    def on_order_accepted(self, event: Any) -> None:
        tell("accepted", str(event.client_order_id))
        if len(self.orders) == 1:
            self.modify_order(event.client_order_id, price=nautilus.Price.from_str("51000"))

    def on_order_updated(self, event: Any) -> None:
        tell("updated", str(event.price))
        self.cancel_order(event.client_order_id)

    def on_order_modify_rejected(self, event: Any) -> None:
        tell("modify rejected", str(event.reason))

    def on_order_denied(self, event: Any) -> None:
        tell("denied", str(event.reason))

    def on_order_canceled(self, event: Any) -> None:
        tell("canceled", str(event.client_order_id))
        if len(self.orders) == 1:
            self.limit("60010", post_only=True)

    def on_order_rejected(self, event: Any) -> None:
        tell("rejected", [str(event.reason), bool(event.due_post_only)])
        if len(self.orders) == 2:
            self.limit("60010", nautilus.TimeInForce.IOC)

    def on_order_filled(self, event: Any) -> None:
        tell("filled", [str(event.order_side), str(event.last_qty), str(event.last_px), str(event.commission)])

    def on_position_opened(self, event: Any) -> None:
        tell("position opened", str(event.quantity))
        self.submit_order(self.order_factory.market(INSTRUMENT, SELL, SIZE, reduce_only=True))

    def on_position_closed(self, event: Any) -> None:
        tell("position closed", str(event.realized_pnl))
        os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    network = nautilus.HyperliquidEnvironment.TESTNET
    urls = {"base_url_http": STAGE["url"] + "/info", "base_url_ws": STAGE["stream_url"], "environment": network}
    execution = nautilus.HyperliquidExecClientConfig(
        private_key=STAGE["agent_key"],
        account_address=STAGE["address"],
        base_url_exchange=STAGE["url"] + "/exchange",
        **urls,
    )
    builder = nautilus.LiveNode.builder("N-001", TRADER, nautilus.Environment.LIVE).with_delay_post_stop_secs(1)
    builder = builder.with_logging(nautilus.LoggerConfig(bypass_logging=True))
    builder = builder.add_data_client(
        None, nautilus.HyperliquidDataClientFactory(), nautilus.HyperliquidDataClientConfig(**urls)
    )
    account = nautilus.AccountId("HYPERLIQUID-001")
    builder = builder.add_exec_client(
        None,
        nautilus.HyperliquidExecutionClientFactory(),
        nautilus.HyperliquidExecFactoryConfig(TRADER, account, execution),
    )
    node = builder.build()
    node.add_strategy(Session())
    node.run()


main()
