"""The general ledger as it is being written: currencies, accounts by number, cash, and the transactions of a batch."""

from typing import Any, Final

from hatmanifesto.ledger.accounts import CASH, Account
from hatmanifesto.ledger.postings import Posting, check_balance
from hatmanifesto.ledger.rows import Rows

_KEPT: Final = ("cash", "transfers", "currency_of", "scales", "journal")


class General:
    """Money by currency and the chart of accounts. `rows` collects what the batch adds."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.accounts: dict[Account, int] = {}
        self.cash: dict[str, int] = {}
        self.transfers: dict[str, int] = {}
        """Paid in since the hour began, by currency."""
        self.currency_of: dict[str, str] = {}
        """The currency that an instrument is settled in."""
        self.scales: dict[str, int] = {}
        self.journal = 0

    def know_currency(self, code: str, scale: int) -> None:
        """Add a currency."""
        if code not in self.scales:
            self.scales[code] = scale
            self.cash[code] = 0
            self.rows.currencies.append((code, scale))

    def number(self, account: Account) -> int:
        """Return an account's number; a new account gets the next one."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = len(self.accounts) + 1
            self.rows.accounts.append((found, *account))
        return found

    def book(self, seq: int, ts_ns: int, kind: str, postings: list[Posting], exch_ts_ns: int = 0) -> None:
        """Write a transaction. UnbalancedError when its postings do not add up to zero."""
        check_balance(postings, f"journal {self.journal}, record {seq} ({kind})")
        self.rows.transactions.append((self.journal, seq, ts_ns, exch_ts_ns, kind, ""))
        for line, posting in enumerate(postings):
            account = posting.account
            if account.kind == CASH:
                self.cash[account.currency] += posting.amount
            self.rows.postings.append((self.journal, seq, line, self.number(account), posting.amount, posting.quantity))

    def pay_in(self, currency: str, amount: int) -> None:
        """Count money from outside (negative: taken out) for the hour; it is no profit."""
        self.transfers[currency] = self.transfers.get(currency, 0) + amount

    def issue(self, seq: int, kind: str, detail: str) -> None:
        """Report something that the auditor must tell."""
        self.rows.issues.append((self.journal, seq, kind, detail))

    def state(self) -> dict[str, Any]:
        """Return what the next batch must know."""
        return {name: getattr(self, name) for name in _KEPT}

    def restore(self, state: dict[str, Any], accounts: dict[Account, int]) -> None:
        """Go on where `state` was taken."""
        for name in _KEPT:
            setattr(self, name, state[name])
        self.accounts = accounts
