"""What has been booked already: a venue tells fills and payments twice, after a reconnect as a rule."""

from typing import Final

from hatmanifesto.venues.port import VenueFill, VenueFunding

KEPT: Final = 200_000
"""Fills remembered; a venue's history that is asked for again reaches back far less."""

FillKey = tuple[int, int, int]
"""(venue's stamp in milliseconds, instrument, trade id): what is unique at a venue, and what a journal keeps."""


def fill_key(exch_ts_ns: int, instrument: int, trade_id: int) -> FillKey:
    """Return the key of a fill."""
    return exch_ts_ns // 1_000_000, instrument, trade_id


class Booked:
    """Fills and funding payments that the engine has been told."""

    def __init__(self) -> None:
        self._fills: dict[FillKey, None] = {}  # oldest first
        self._funding: dict[tuple[int, int], None] = {}
        self.last_fill_ns = 0
        self.last_funding_ns = 0
        self.repeated = 0

    def know_fill(self, exch_ts_ns: int, instrument: int, trade_id: int) -> bool:
        """Remember a fill; False when it was known."""
        key = fill_key(exch_ts_ns, instrument, trade_id)
        if key in self._fills:
            self.repeated += 1
            return False
        self._fills[key] = None
        if len(self._fills) > KEPT:
            del self._fills[next(iter(self._fills))]
        self.last_fill_ns = max(self.last_fill_ns, exch_ts_ns)
        return True

    def is_new_fill(self, fill: VenueFill) -> bool:
        """Remember a venue's fill; False when it was told before."""
        return self.know_fill(fill.ts_ns, fill.instrument, fill.trade_id)

    def know_funding(self, ts_ns: int, instrument: int) -> bool:
        """Remember a payment by its hour, since a stream and a history may stamp it some milliseconds apart."""
        key = (ts_ns // 60_000_000_000, instrument)
        if key in self._funding:
            self.repeated += 1
            return False
        self._funding[key] = None
        if len(self._funding) > KEPT:
            del self._funding[next(iter(self._funding))]
        self.last_funding_ns = max(self.last_funding_ns, ts_ns)
        return True

    def is_new_funding(self, payment: VenueFunding) -> bool:
        """Remember a venue's payment; False when it was told before."""
        return self.know_funding(payment.ts_ns, payment.instrument)
