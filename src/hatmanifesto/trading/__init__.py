"""The live driver: one engine on one account at a venue, its recovery, reconciliation, control and guard."""
