"""Capture in notebooks: `%load_ext lineage`, then `%%lineage` in a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.run import autotrack, stop_autotrack, track

if TYPE_CHECKING:
    from collections.abc import Callable


def load_ipython_extension(shell: Any) -> None:
    """Begin to capture what the cells do, and give them the magic `%%lineage`.

    `%%lineage name` makes one cell a run of its own; `%lineage stop` and `%lineage start` end the
    run of the notebook and begin another.
    """
    shell.register_magic_function(_magic(shell), "line_cell", "lineage")
    autotrack()


def unload_ipython_extension(shell: Any) -> None:
    """End the run of the notebook; what was recorded stays."""
    stop_autotrack()
    shell.magics_manager.magics["line"].pop("lineage", None)
    shell.magics_manager.magics["cell"].pop("lineage", None)


def _magic(shell: Any) -> Callable[..., None]:
    def lineage(line: str, cell: str | None = None) -> None:
        """Run a cell as a run of its own, or `start` and `stop` the run of the notebook."""
        if cell is not None:
            with track(line.strip() or "cell"):
                shell.run_cell(cell).raise_error()
        elif line.strip() == "stop":
            stop_autotrack()
        elif line.strip() in ("", "start"):
            autotrack()
        else:
            raise ValueError(f"%lineage takes start or stop, not {line.strip()!r}")

    return lineage
