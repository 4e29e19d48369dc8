"""The chart of accounts: what each account holds, and which sign its balance normally has.

Amounts are signed, debits positive: every transaction adds up to zero in each currency. An account exists once for each
currency, instrument and strategy that it concerns ("" where it concerns none).
"""

from typing import Final, NamedTuple

CASH: Final = "cash"
POSITION_COST: Final = "position_cost"
REALIZED: Final = "realized_pnl"
FEES: Final = "trading_fees"
REBATES: Final = "rebates"
FUNDING_RECEIVED: Final = "funding_received"
FUNDING_PAID: Final = "funding_paid"
LIQUIDATION: Final = "liquidation"
TRANSFERS: Final = "transfers"
OPENING: Final = "opening"
ROUNDING: Final = "rounding"
ADJUSTMENTS: Final = "adjustments"

MEANINGS: Final = {
    CASH: "what would be left if every position were settled at its entry cost: the venue's balance less that cost",
    POSITION_COST: "open positions at their entry cost, signed like the position; `quantity` holds the size",
    REALIZED: "profit (credit) or loss (debit) of closed positions, fees apart",
    FEES: "fees that the venue charged, as the venue told them (debit)",
    REBATES: "maker rebates that the venue paid (credit)",
    FUNDING_RECEIVED: "funding received (credit)",
    FUNDING_PAID: "funding paid (debit)",
    LIQUIDATION: "profit or loss of fills that the venue forced: liquidation, backstop, deleveraging",
    TRANSFERS: "money paid in (credit) and taken out (debit); no profit",
    OPENING: "what the account held when the first journal began (credit), and what a later one began with unexplained",
    ROUNDING: "the venue's roundings, booked by corrections",
    ADJUSTMENTS: "the other side of corrections that have no better account",
}
"""Every account kind, in the order of reports."""

OUTSIDE: Final = frozenset({TRANSFERS, OPENING})
"""Accounts whose other side is money from or to the outside: not profit."""


class Account(NamedTuple):
    """One account; `strategy` and `instrument` are "" where it belongs to the account as a whole."""

    kind: str
    currency: str
    instrument: str = ""
    strategy: str = ""
