"""Writers: attached to a tracker by `tracker.add_writer`, they write what it tells of."""
