"""A maker's own figures, as pure functions on columns: of a backtest's journal and tape, or of a live session's."""
