"""What alembic runs: the steps that are missing, in the transaction of whoever asks."""

from __future__ import annotations

from alembic import context

from lineage.datasets.migrating import REVISION_TABLE
from lineage.datasets.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
