"""Repositories that the examples use."""
