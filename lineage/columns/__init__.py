"""Which columns an output column depends on: pure rules over what a tape holds."""
