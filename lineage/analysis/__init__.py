"""Answers of a graph or a table: pure functions, no input or output, the clock is an argument."""
