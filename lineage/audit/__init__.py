"""Proof: a log of digests in which nothing is changed, left out or put in without a trace.

`log` appends, `verifying` checks, `proofs` gives what a stranger can check without the log, and
`checkpoint` is what the holder of a key signs. What that proves, and what not, is in
`docs/trust.md`. `trail` and what begins so hold a folder of data to the commits of its code.
`snapshots` freezes the graph of a run, or of a store, as documents that are only superseded.
"""
