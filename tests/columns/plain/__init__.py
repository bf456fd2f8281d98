"""Short functions over frames, one file for each kind of operation."""
