"""Where records wait on this host for a store that is elsewhere."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from lineage.errors import StoreError


def waiting_folder(identity: str, shown: str) -> Path:
    """Give the folder of a store, in the user's folder for the state of programs.

    That is `XDG_STATE_HOME`, or `~/.local/state` (XDG Base Directory Specification).

    Args:
        identity: What tells the store from others; only its digest is in the name.
        shown: What the store is called in messages.

    Raises:
        StoreError: There is no such folder.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        home = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    except RuntimeError:
        raise StoreError(
            f"no folder in which records can wait for {shown}: this user has no home; "
            "name one by XDG_STATE_HOME, or in the URL by ?outbox=/path"
        ) from None
    return home / "track-lineage" / "outbox" / sha256(identity.encode()).hexdigest()[:16]
