"""Functions of many steps, as people write them, and the truth about their columns."""
