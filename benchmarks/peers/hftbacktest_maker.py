"""The peer of benchmarks.reference_tape: the same maker contract on hftbacktest, in an environment of its own.

Run by that benchmark, never by hand: reads "run" lines from standard input, answers each with one JSON line.
"""

import argparse
import json
import sys
import time

import numpy as np
from hftbacktest import GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest
from numba import njit


@njit
def trade(engine, step_ns, order_size, max_position):
    """Each step: cancel what rests, then join the touch on the sides that the position allows."""
    steps = 0
    requests = 0
    next_id = 1
    while engine.elapse(step_ns) == 0:
        steps += 1
        engine.clear_inactive_orders(0)
        depth = engine.depth(0)
        best_bid = depth.best_bid
        best_ask = depth.best_ask
        position = engine.position(0)
        resting = engine.orders(0).values()
        while resting.has_next():
            order = resting.get()
            if order.cancellable:
                engine.cancel(0, order.order_id, False)
                requests += 1
        if position < max_position - order_size * 1e-6:
            engine.submit_buy_order(0, next_id, best_bid, order_size, GTX, LIMIT, False)
            next_id += 1
            requests += 1
        if position > -max_position + order_size * 1e-6:
            engine.submit_sell_order(0, next_id, best_ask, order_size, GTX, LIMIT, False)
            next_id += 1
            requests += 1
    return steps, requests


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tape")
    for name in ("tick", "lot", "order-size", "max-position", "maker-fee", "taker-fee"):
        parser.add_argument(f"--{name}", type=float, required=True)
    for name in ("step-ns", "entry-ns", "response-ns"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    rows = np.load(args.tape)["data"]

    def run(data):
        asset = (
            BacktestAsset()
            .data(data)
            .linear_asset(1.0)
            .constant_order_latency(args.entry_ns, args.response_ns)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(args.maker_fee, args.taker_fee)
            .tick_size(args.tick)
            .lot_size(args.lot)
            .last_trades_capacity(0)
        )
        engine = HashMapMarketDepthBacktest([asset])
        began = time.perf_counter()
        steps, requests = trade(engine, args.step_ns, args.order_size, args.max_position)
        seconds = time.perf_counter() - began
        state = engine.state_values(0)
        answer = {
            "seconds": seconds,
            "rows": len(data),
            "steps": int(steps),
            "requests": int(requests),
            "fills": int(state.num_trades),
            "position": state.position,
            "volume": state.trading_volume,
            "value": state.trading_value,
            "balance": state.balance,
            "fee": state.fee,
        }
        engine.close()
        return answer

    run(rows[:20_000].copy())  # compiles
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() != "run":
            break
        print(json.dumps(run(rows)), flush=True)


if __name__ == "__main__":
    main()
