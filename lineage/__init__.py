"""Decorator-driven data lineage with a columnar metadata store."""
