"""Keys of a server, and files that came to it together."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

from lineage.datasets.migrating import make_missing

revision = "0002"
down_revision = "0001"

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_row_format": "DYNAMIC",
}
TENANT, ID, DIGEST = String(63), String(36), String(64)

_metadata = MetaData()

Table(
    "server_keys",
    _metadata,
    Column("id", ID, nullable=False),
    Column("tenant", TENANT, nullable=False),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", DIGEST, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    PrimaryKeyConstraint("id"),
    Index("server_keys_digest", "digest", unique=True),
    Index("server_keys_tenant", "tenant", "created_at"),
    **_MYSQL,
)
Table(
    "server_batches",
    _metadata,
    Column("tenant", TENANT, nullable=False),
    Column("id", ID, nullable=False),
    Column("field", String(200), nullable=False),
    Column("upload_id", ID, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "id", "field"),
    Index("server_batches_end", "expires_at"),
    **_MYSQL,
)


def upgrade() -> None:
    """Make what is missing."""
    make_missing(op.get_bind(), _metadata)


def downgrade() -> None:
    """Take the tables away."""
    _metadata.drop_all(op.get_bind())
