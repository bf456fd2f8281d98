"""What a server is told: by arguments, by `LINEAGE_SERVER_…`, or as Traintrack's was."""

from __future__ import annotations

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    """Settings of a server.

    Examples:
        >>> ServerSettings(port=9000).port
        9000
    """

    model_config = SettingsConfigDict(
        env_prefix="LINEAGE_SERVER_", extra="ignore", populate_by_name=True
    )

    host: str = Field(
        default="127.0.0.1", description="Where to listen; only this machine by default."
    )
    port: int = Field(
        default=8080,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("LINEAGE_SERVER_PORT", "TRAINTRACK_PORT"),
    )
    database: str | None = Field(
        default=None,
        description="Folder, or URL of a database; LINEAGE_DATASETS by default.",
        validation_alias=AliasChoices(
            "LINEAGE_SERVER_DATABASE", "TRAINTRACK_DB_URL", "TRAINTRACK_DATABASE_URL"
        ),
    )
    blobs: str | None = Field(default=None, description="Folder, or URL of a bucket, for bytes.")
    operations: str | None = Field(
        default=None,
        pattern=r"\{tenant\}",
        description="URL of the database of a tenant's operations, with {tenant} in it; beside "
        "`database` by default.",
    )
    max_body_bytes: int = Field(
        default=4 << 20, gt=0, description="Most of a request that is no upload."
    )
    max_batch_bytes: int = Field(
        default=64 << 20, gt=0, description="Most of a batch of operations."
    )
    max_upload_bytes: int = Field(default=1 << 40, gt=0, description="Most of an upload.")
    max_files: int = Field(default=1_000, gt=0, description="Most files of one upload.")
    auth_name: str | None = Field(
        default=None,
        validation_alias=AliasChoices("LINEAGE_SERVER_AUTH_NAME", "TRAINTRACK_AUTH_NAME"),
    )
    auth_client_id: str | None = Field(
        default=None,
        validation_alias=AliasChoices("LINEAGE_SERVER_AUTH_CLIENT_ID", "TRAINTRACK_AUTH_CLIENT_ID"),
    )
    auth_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("LINEAGE_SERVER_AUTH_URL", "TRAINTRACK_AUTH_URL"),
    )
