"""Tracking without decorators: what ordinary code did to frames, noted as it runs."""
