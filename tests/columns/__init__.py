"""Functions of pandas with the columns that each output column depends on, written by hand."""
