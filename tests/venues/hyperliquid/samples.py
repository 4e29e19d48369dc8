"""The recorded answers and messages that are here, with the struct each decodes to."""

import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatmanifesto.venues.hyperliquid.wire import info

SHAPES: dict[str, Any] = {
    "meta": info.Meta,
    "metaAndAssetCtxs": tuple[info.Meta, list[info.AssetContext]],
    "allMids": dict[str, str],
    "l2Book": info.BookSnapshot,
    "candleSnapshot": list[info.Candle],
    "fundingHistory": list[info.FundingRate],
    "openOrders": list[info.BasicOrder],
    "frontendOpenOrders": list[info.FrontendOrder],
    "historicalOrders": list[info.OrderRecord],
    "userFills": list[info.Fill],
    "userFillsByTime": list[info.Fill],
    "clearinghouseState": info.ClearinghouseState,
    "spotClearinghouseState": info.SpotState,
    "spotMeta": info.SpotMeta,
    "spotMetaAndAssetCtxs": tuple[info.SpotMeta, list[info.SpotContext]],
    "userFunding": list[info.FundingRecord],
    "userNonFundingLedgerUpdates": list[info.LedgerRecord],
    "userRateLimit": info.RateLimit,
    "userRole": info.UserRole,
    "userFees": info.UserFees,
    "extraAgents": list[info.ExtraAgent],
    "orderStatus": info.OrderStatus,
}
_REPORT_NAMES = {
    "info.meta": "meta",
    "info.meta_and_asset_ctxs": "metaAndAssetCtxs",
    "info.all_mids": "allMids",
    "info.spot_meta": "spotMeta",
    "info.spot_meta_and_asset_ctxs": "spotMetaAndAssetCtxs",
    "info.l2_snapshot": "l2Book",
    "info.candles_snapshot": "candleSnapshot",
    "info.user_role": "userRole",
    "info.extra_agents": "extraAgents",
    "info.user_state": "clearinghouseState",
    "info.spot_user_state": "spotClearinghouseState",
    "info.open_orders": "openOrders",
    "info.frontend_open_orders": "frontendOpenOrders",
    "info.user_fills": "userFills",
    "info.user_fills_by_time": "userFillsByTime",
    "info.historical_orders": "historicalOrders",
    "info.user_fees": "userFees",
    "info.user_rate_limit": "userRateLimit",
    "info.user_funding_history": "userFunding",
    "info.query_order_by_oid": "orderStatus",
    "info.query_order_by_cloid": "orderStatus",
}


def _unzip(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def _whole(value: Any) -> Any:
    """Undo how the recorder of the reports cut long lists."""
    if isinstance(value, dict):
        if "_items" in value:
            return [_whole(item) for item in value["_items"]]
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


def info_answers(shared: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield (where from, request type, answer) of every recorded /info answer that some struct reads."""
    folder = shared / "data/hyperliquid/api_fixtures"
    with gzip.open(folder / "python_sdk_cassettes.jsonl.gz") as lines:
        for line in lines:
            pair = json.loads(line)
            yield pair["cassette"], pair["request"]["type"], pair["response"]
    for name in ("info_api_20260601T2105.json.gz", "info_api_20260602T1831.json.gz"):
        calls = json.loads(_unzip(folder / name))["calls"]
        for call, entry in calls.items():
            kind = _REPORT_NAMES.get(call.partition("[")[0])
            if kind is not None:
                yield f"{name} {call}", kind, _whole(entry["response"])
    yield "dust", "userFills", json.loads((folder / "nautilus_http_user_fills_dust_conversion.json").read_text())
    yield "cloid", "userFills", json.loads((folder / "nautilus_http_user_fills_with_cloid.json").read_text())
    yield "book", "l2Book", json.loads((folder / "nautilus_http_l2_book_btc.json").read_text())


def stream_messages(shared: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (where from, raw message) of every recorded WebSocket message."""
    folder = shared / "data/hyperliquid/api_fixtures"
    with gzip.open(shared / "data/hyperliquid/ws_raw/btcusd_20250126.gz") as lines:
        for line in lines:
            yield "ws_raw", line.split(b" ", 1)[1].strip()
    for line in (shared / "data/multi_venue/tardis_node_hyperliquid_ws.jsonl").read_bytes().splitlines():
        yield "tardis", line
    yield "liquidation", (folder / "nautilus_ws_user_fill_liquidation.json").read_bytes()
    yield "contexts", _unzip(folder / "nautilus_ws_all_dexs_asset_ctxs.json.gz")
    with zipfile.ZipFile(folder / "jkorf_hyperliquid_net_unittest_pairs.zip") as pairs:
        for name in pairs.namelist():
            if not name.startswith("Subscriptions/"):
                continue
            for block in _blocks(pairs.read(name).decode()):
                yield name, block


def _blocks(text: str) -> Iterator[bytes]:
    """Yield what the venue sent (`<` and `=`) of a subscription sample."""
    current: list[str] | None = None
    for line in text.splitlines():
        mark = line[:1]
        if mark in "<=>" and mark:
            if current:
                yield "\n".join(current).encode()
            current = [line[1:].lstrip("0123456789").strip()] if mark in "<=" else None
        elif current is not None:
            current.append(line)
    if current:
        yield "\n".join(current).encode()
