"""The `lineage` command: ask a store from the shell.

Data go to stdout, all else to stderr. Exit codes: 0 done, 1 something was found (stale data, a
problem), 2 wrong usage or settings, 3 what was asked for is not there, 4 the store cannot be used.
"""

from __future__ import annotations

from lineage.cli.attest import register as register_attest
from lineage.cli.audit import register as register_audit
from lineage.cli.audit_keys import register as register_audit_keys
from lineage.cli.check import register as register_check
from lineage.cli.columns import register as register_columns
from lineage.cli.command import app
from lineage.cli.dataset import register as register_dataset
from lineage.cli.documents import register as register_documents
from lineage.cli.env import register as register_env
from lineage.cli.graph import register as register_graph
from lineage.cli.history import register as register_history
from lineage.cli.measures import register as register_measures
from lineage.cli.product import register as register_product
from lineage.cli.replay import register as register_replay
from lineage.cli.run import register as register_run
from lineage.cli.serve import register as register_serve
from lineage.cli.settings import register as register_settings
from lineage.cli.snapshot import register as register_snapshot
from lineage.cli.structure import register as register_structure
from lineage.cli.synth import register as register_synth
from lineage.cli.tail import register as register_tail
from lineage.cli.trail import register as register_trail
from lineage.cli.upkeep import register as register_upkeep
from lineage.cli.why import register as register_why
from lineage.cli.witness import register as register_witness

__all__ = ["app", "main"]

register_settings(app)
register_history(app)
register_tail(app)
register_why(app)
register_graph(app)
register_columns(app)
register_product(app)
register_dataset(app)
register_snapshot(app)
register_env(app)
register_structure(app)
register_measures(app)
register_check(app)
register_documents(app)
register_trail(app)
register_upkeep(app)
audit = register_audit(app)
register_audit_keys(audit)
register_witness(audit)
register_attest(audit)
register_synth(app)
register_serve(app)
register_run(app)
register_replay(app)


def main() -> None:
    """Run the command with the arguments of this process."""
    app(prog_name="lineage")
