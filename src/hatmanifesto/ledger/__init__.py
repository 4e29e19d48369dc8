"""The trade ledger: journals projected into double entry, trade rows and attribution; rebuilt at any time."""
