"""Tapes, harness, statistics and reports; may touch model, core, strategy, simulation, journal and files."""
