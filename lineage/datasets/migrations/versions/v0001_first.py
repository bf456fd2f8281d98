"""Versions, their artefacts and contents, uploads, and answers to idempotency keys."""

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
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import LONGTEXT

from lineage.datasets.migrating import make_missing

revision = "0001"
down_revision = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_row_format": "DYNAMIC",
}
TEXT = Text().with_variant(LONGTEXT(), "mysql")
TENANT, ID, KIND, DIGEST = String(63), String(36), String(16), String(64)

_metadata = MetaData()


def _needed(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


Table(
    "registry_versions",
    _metadata,
    _needed("tenant", TENANT),
    _needed("id", ID),
    _needed("kind", KIND),
    _needed("name", String(200)),
    _needed("version", String(100)),
    Column("parent", ID),
    _needed("description", TEXT),
    _needed("metadata", TEXT),
    _needed("creator", String(200)),
    _needed("created_at", BigInteger),
    Column("deleted_at", BigInteger),
    PrimaryKeyConstraint("tenant", "id"),
    UniqueConstraint("tenant", "kind", "name", "version", name="registry_versions_once"),
    Index("registry_versions_time", "tenant", "kind", "created_at", "id"),
    Index("registry_versions_name", "tenant", "kind", "name", "created_at", "id"),
    Index("registry_versions_parent", "tenant", "parent"),
    **_MYSQL,
)
Table(
    "registry_artefacts",
    _metadata,
    _needed("tenant", TENANT),
    _needed("version_id", ID),
    _needed("name", String(200)),
    _needed("position", BigInteger),
    _needed("filename", String(255)),
    _needed("media_type", String(400)),
    _needed("size", BigInteger),
    _needed("sha256", DIGEST),
    PrimaryKeyConstraint("tenant", "version_id", "name"),
    Index("registry_artefacts_content", "tenant", "sha256"),
    **_MYSQL,
)
Table(
    "registry_contents",
    _metadata,
    _needed("tenant", TENANT),
    _needed("sha256", DIGEST),
    _needed("generation", String(16)),
    _needed("state", String(16)),
    _needed("size", BigInteger),
    PrimaryKeyConstraint("tenant", "sha256"),
    Index("registry_contents_state", "tenant", "state"),
    **_MYSQL,
)
Table(
    "registry_uploads",
    _metadata,
    _needed("tenant", TENANT),
    _needed("id", ID),
    _needed("filename", String(255)),
    _needed("media_type", String(400)),
    _needed("received", BigInteger),
    _needed("expires_at", BigInteger),
    Column("object", String(80)),
    Column("sha256", DIGEST),
    PrimaryKeyConstraint("tenant", "id"),
    Index("registry_uploads_content", "tenant", "sha256"),
    Index("registry_uploads_end", "tenant", "expires_at"),
    **_MYSQL,
)
Table(
    "registry_parts",
    _metadata,
    _needed("tenant", TENANT),
    _needed("upload_id", ID),
    _needed("start", BigInteger),
    _needed("object", String(80)),
    _needed("size", BigInteger),
    _needed("sha256", DIGEST),
    PrimaryKeyConstraint("tenant", "upload_id", "start"),
    **_MYSQL,
)
Table(
    "registry_answers",
    _metadata,
    _needed("tenant", TENANT),
    _needed("idempotency_key", String(200)),
    _needed("body", DIGEST),
    _needed("version_id", ID),
    _needed("created_at", BigInteger),
    PrimaryKeyConstraint("tenant", "idempotency_key"),
    **_MYSQL,
)


def upgrade() -> None:
    """Make what is missing."""
    make_missing(op.get_bind(), _metadata)


def downgrade() -> None:
    """Refuse: versions are not thrown away by a change of the tables.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError("the first tables have nothing before them")
