"""Transactions: the postings that one journal record causes, which add up to zero in each currency."""

from typing import NamedTuple

from hatmanifesto.ledger.accounts import (
    CASH,
    FEES,
    FUNDING_PAID,
    FUNDING_RECEIVED,
    POSITION_COST,
    REBATES,
    TRANSFERS,
    Account,
)


class Posting(NamedTuple):
    """One side of a transaction: money units, debits positive; `quantity` in size units, on position_cost only."""

    account: Account
    amount: int
    quantity: int = 0


class UnbalancedError(ArithmeticError):
    """Postings that do not add up to zero: a defect, nothing of the batch is kept."""


def check_balance(postings: list[Posting], where: str) -> None:
    """Raise UnbalancedError when the postings of a transaction do not add up to zero in every currency."""
    sums: dict[str, int] = {}
    for posting in postings:
        currency = posting.account.currency
        sums[currency] = sums.get(currency, 0) + posting.amount
    for currency, total in sums.items():
        if total:
            raise UnbalancedError(f"{where}: postings in {currency} add up to {total}, not to zero")


def fill_postings(
    currency: str,
    instrument: str,
    strategy: str,
    *,
    signed_notional: int,
    cost_change: int,
    realized: int,
    fee: int,
    quantity: int,
    gains: str,
) -> list[Posting]:
    """Return a fill's postings: the notional against cash, the cost of the position, what was realized, the fee.

    `signed_notional` is positive for a buy, `fee` negative for a rebate; `gains` is the account that takes `realized`.
    """
    found = [
        Posting(Account(CASH, currency), -signed_notional - fee),
        Posting(Account(POSITION_COST, currency, instrument, strategy), cost_change, quantity),
    ]
    if realized:
        found.append(Posting(Account(gains, currency, instrument, strategy), -realized))
    if fee:
        found.append(Posting(Account(FEES if fee > 0 else REBATES, currency, instrument, strategy), fee))
    return found


def funding_postings(currency: str, instrument: str, shares: list[tuple[str, int]]) -> list[Posting]:
    """Return a funding payment's postings; `shares` says what each strategy received (negative: paid)."""
    found = [Posting(Account(CASH, currency), sum(amount for _, amount in shares))]
    for strategy, amount in shares:
        if amount:
            kind = FUNDING_RECEIVED if amount > 0 else FUNDING_PAID
            found.append(Posting(Account(kind, currency, instrument, strategy), -amount))
    return found


def transfer_postings(currency: str, amount: int) -> list[Posting]:
    """Return a deposit's (positive) or withdrawal's postings."""
    return [Posting(Account(CASH, currency), amount), Posting(Account(TRANSFERS, currency), -amount)]
