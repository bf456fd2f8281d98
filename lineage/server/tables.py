"""The tables of the server, in the database of the registry: keys, and files that came together."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, String, Table

from lineage.datasets.tables import DIGEST, ID, MYSQL, TENANT, metadata

keys = Table(
    "server_keys",
    metadata,
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
    **MYSQL,
)
batches = Table(
    "server_batches",
    metadata,
    Column("tenant", TENANT, nullable=False),
    Column("id", ID, nullable=False),
    Column("field", String(200), nullable=False),
    Column("upload_id", ID, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "id", "field"),
    Index("server_batches_end", "expires_at"),
    **MYSQL,
)
