"""What routes take and give, as JSON."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lineage.datasets.values import MODEL_FIELDS, OF_MODEL
from lineage.server.access import Role

if TYPE_CHECKING:
    from lineage.datasets.values import Artefact, Version

_Text = Annotated[str, Field(min_length=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileShape(BaseModel):
    """Bytes of a version."""

    filename: str
    media_type: str
    size: int
    sha256: str


class Listing(_Body):
    """Which versions, and which page of them."""

    name: str | None = None
    version: str | None = None
    parent: str | None = None
    after: str | None = None
    limit: int = Field(default=1_000, ge=1, le=1_000)
    order: Literal["oldest", "newest"] = "oldest"


class NewDataset(_Body):
    """A dataset version to be saved."""

    name: Annotated[_Text, Field(examples=["customer_churn"])]
    version: Annotated[_Text, Field(examples=["1.0.0"])]
    description: Annotated[
        _Text | None,
        Field(examples=["export from CRM"], description="Null where there is none to be told."),
    ]
    parent: Annotated[str | None, Field(description="The id of the version it was made from.")] = (
        None
    )
    metadata: dict[str, Any] = Field(default_factory=dict)
    artefacts: Annotated[
        dict[str, str | FileShape],
        Field(
            description="By key, the id of an upload, or of a version that has this key, or what "
            "file of another version it is."
        ),
    ] = Field(default_factory=dict)


class NewModel(NewDataset):
    """A model version to be saved."""

    dataset: Annotated[str | None, Field(description="The dataset version it was made of.")] = None
    config: Any = None
    environment: Any = None
    evaluation: Any = None
    details: Annotated[dict[str, Any], Field(description="What else is known of it.")] = Field(
        default_factory=dict
    )


class DatasetShape(BaseModel):
    """A version that was saved. `artefacts` has the ids that `GET /uploads/{id}/{key}` takes."""

    id: str
    name: str
    parent: str | None
    version: str
    description: str
    metadata: dict[str, Any]
    artefacts: dict[str, str]
    files: dict[str, FileShape]
    created_at: datetime
    creator: str


class ModelShape(DatasetShape):
    """A model that was saved."""

    dataset: str | None
    config: Any
    environment: Any
    evaluation: Any
    details: dict[str, Any]


class UploadedFile(BaseModel):
    """A file of an upload."""

    provider: str
    filename: str
    path: str
    media_type: str
    size: int
    sha256: str


class UploadShape(BaseModel):
    """Files that are here, and of no version yet."""

    id: str
    files: dict[str, UploadedFile]
    expires_at: datetime


class NewLease(_Body):
    """An upload that may be interrupted."""

    filename: _Text
    media_type: str = "application/octet-stream"


class LeaseShape(BaseModel):
    """How far an upload is; the next bytes go to `offset`."""

    id: str
    filename: str
    media_type: str
    offset: int
    expires_at: datetime


class Finish(_Body):
    """What an upload is to be, once all is here."""

    size: int | None = None
    sha256: str | None = None


class NewKey(_Body):
    """A key to be made."""

    name: _Text
    role: Annotated[str, Field(pattern="|".join(f"^{role.name}$" for role in Role))]
    expires_at: datetime | None = None


class KeyShape(BaseModel):
    """A key; its text is given once, when it is made."""

    id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    key: str | None = None


def file_shape(artefact: Artefact) -> FileShape:
    """Give what is told of an artefact."""
    return FileShape(
        filename=artefact.filename,
        media_type=artefact.media_type,
        size=artefact.size,
        sha256=artefact.sha256,
    )


def version_shape(version: Version) -> DatasetShape | ModelShape:
    """Give what is told of a version."""
    told: dict[str, Any] = {
        "id": version.id,
        "name": version.name,
        "parent": version.parent,
        "version": version.version,
        "description": version.description,
        "metadata": dict(version.metadata),
        "artefacts": dict.fromkeys(version.artefacts, version.id),
        "files": {key: file_shape(each) for key, each in version.artefacts.items()},
        "created_at": version.created_at,
        "creator": version.creator,
    }
    if version.kind == "dataset":
        return DatasetShape(**told)
    found = told["metadata"].pop(OF_MODEL, None)
    own = dict(found) if isinstance(found, dict) else {}  # others save models too
    told |= {name: own.pop(name, None) for name in MODEL_FIELDS}
    return ModelShape(**told, details=own)
