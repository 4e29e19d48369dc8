"""Importers, one file a source: recordings in, one tape out."""
