"""What was found as a configuration: one section of market_making an instrument, ready for `hat backtest`."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from hatmanifesto.backtest.calibration.estimate import Calibration, Estimate
from hatmanifesto.config.quantities import duration_text

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def settings_text(
    origin: str,
    found: Sequence[Calibration],
    *,
    horizon_ns: int,
    flow_half_life_ns: int,
    order_usd: str,
    full_position: int,
) -> str:
    """Return the TOML; `origin` says in a comment where it comes from. Weights that may be zero are left at zero."""
    lines = [
        f"# {line}" if line else "#"
        for line in (
            *origin.splitlines(),
            "a: 1/s, k: 1/bps, sigma: bps/sqrt(s); 95 % intervals behind them. With this gamma a full position of",
            f"{full_position} quotes is quoted out at the fair price and the maker fee: choose your own.",
        )
    ]
    for one in found:
        name = f"market_making_{one.instrument}"
        weights = one.fair_price
        lines += [
            "",
            f"[strategies.{name if _BARE.fullmatch(name) else _quoted(name)}]",
            'class = "market_making"',
            f"instruments = [{_quoted(one.instrument)}]",
            f"[strategies.{name if _BARE.fullmatch(name) else _quoted(name)}.params]",
            f'order_size = "{order_usd} USD"',
            f'max_position = "{_times(order_usd, full_position)} USD"',
            f"a = {one.a.value:.6g}{_interval(one.a)}",
            f"k = {one.k.value:.6g}{_interval(one.k)}",
            f"sigma = {one.volatility.sigma.value:.6g}{_interval(one.volatility.sigma)}",
            f"gamma = {one.gamma:.6g}",
            f"microprice_weight = {_weight(weights.microprice_weight)}",
            f"flow_bps = {_weight(weights.flow_bps)}",
            f'flow_half_life = "{duration_text(flow_half_life_ns)}"',
            f'horizon = "{duration_text(horizon_ns)}"',
        ]
    return "\n".join([*lines, ""])


def _times(order_usd: str, full_position: int) -> str:
    return format(Decimal(order_usd) * full_position, "f")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "  # too little seen for an interval"
    return f"  # {estimate.low:.4g} to {estimate.high:.4g}"


def _weight(estimate: Estimate) -> str:
    if not estimate.telling:
        return f"0.0  # {estimate.value:.4g}, but it may be zero"
    return f"{estimate.value:.6g}{_interval(estimate)}"
