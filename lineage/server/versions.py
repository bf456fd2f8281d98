"""Routes of datasets and models: the same for both, but for what a model has beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request, Response

from lineage.datasets.values import MODEL_FIELDS, OF_MODEL, Artefact, Draft
from lineage.errors import DraftError, UnknownArtefactError, UnknownUploadError, UnknownVersionError
from lineage.server.guard import Maintainer, Served, Viewer, Writer  # noqa: TC001 - FastAPI reads the annotations
from lineage.server.history import Lineage, lineage_of
from lineage.server.shapes import (
    DatasetShape,
    FileShape,
    Listing,
    ModelShape,
    NewDataset,
    NewModel,
    version_shape,
)

if TYPE_CHECKING:
    from lineage.datasets.registry import Registry
    from lineage.datasets.values import Kind
    from lineage.server.service import Service

_Key = Annotated[str | None, Header(description="Who sends it again gets the first answer.")]


def router_of(kind: Kind) -> APIRouter:
    """Give the routes of a kind."""
    router = APIRouter(prefix=f"/{kind}s", tags=[f"{kind}s"])
    shape: Any = ModelShape if kind == "model" else DatasetShape
    taken: Any = NewModel if kind == "model" else NewDataset

    @router.get("", response_model=list[shape], summary=f"List the versions of {kind}s")
    def listed(
        request: Request,
        response: Response,
        who: Viewer,
        served: Served,
        asked: Annotated[Listing, Query()],
    ) -> Any:
        """Give a page; the header `Link` names the next one, where there is one."""
        registry = served.registry(who.tenant)
        where = dict(asked)
        version = where.pop("version")
        if version is not None:
            return _one_of(registry, kind, version, where)
        page = registry.versions(kind, **where)
        if page.after is not None:
            query = {**request.query_params, "after": page.after}
            response.headers["link"] = f'<{request.url.path}?{urlencode(query)}>; rel="next"'
        return [version_shape(each) for each in page.items]

    def saved(body: Any, who: Writer, served: Served, idempotency_key: _Key = None) -> Any:
        """Save a version of what was uploaded, or of what other versions have; all or nothing."""
        registry = served.registry(who.tenant)
        draft = Draft(
            name=body.name,
            version=body.version,
            description=body.description or "",
            parent=body.parent,
            metadata=_metadata(body),
            artefacts=_artefacts(served, who.tenant, body.artefacts),
        )
        made = registry.commit(kind, draft, idempotency_key=idempotency_key, creator=who.name)
        return version_shape(made)

    saved.__annotations__["body"] = taken
    router.post("", status_code=201, response_model=shape, summary=f"Save a version of a {kind}")(
        saved
    )

    @router.get("/{version_id}", response_model=shape, summary=f"Get a version of a {kind}")
    def got(version_id: str, who: Viewer, served: Served) -> Any:
        return version_shape(served.registry(who.tenant).get(kind, version_id))

    @router.delete("/{version_id}", status_code=204, summary=f"Delete a version of a {kind}")
    def deleted(version_id: str, who: Maintainer, served: Served) -> None:
        """Delete a version for good; its name and version are not free again."""
        served.registry(who.tenant).delete(kind, version_id)

    @router.get(
        "/{version_id}/lineage", response_model=Lineage, summary="What it came from, what of it"
    )
    def told(version_id: str, who: Viewer, served: Served) -> Any:
        return lineage_of(served.registry(who.tenant), kind, version_id)

    return router


def artefact_of(registry: Registry, version_id: str, key: str) -> Artefact | None:
    """Give what a version of either kind has under a key; None when there is no such version.

    Raises:
        UnknownArtefactError: It has no such key.
    """
    kinds: tuple[Kind, ...] = ("dataset", "model")
    for kind in kinds:
        try:
            found = registry.get(kind, version_id).artefacts
        except UnknownVersionError:
            continue
        if key not in found:
            raise UnknownArtefactError(f"version {version_id} has no artefact {key!r:.80}")
        return found[key]
    return None


def _one_of(registry: Registry, kind: Kind, version: str, where: dict[str, Any]) -> list[Any]:
    """Give the version of a name, if there is one."""
    if where["name"] is None:
        raise DraftError({"name": "is needed where a version is asked for"})
    try:
        found = registry.find(kind, where["name"], version)
    except UnknownVersionError:
        return []
    return [version_shape(found)] if where["parent"] in (None, found.parent) else []


def _metadata(body: NewDataset) -> dict[str, Any]:
    if not isinstance(body, NewModel):
        return body.metadata
    if OF_MODEL in body.metadata:
        raise DraftError({f"metadata.{OF_MODEL}": "is a name that models keep for themselves"})
    told = {name: getattr(body, name) for name in MODEL_FIELDS}
    known = {name: value for name, value in told.items() if value is not None}
    return body.metadata | {OF_MODEL: body.details | known}


def _artefacts(
    served: Service, tenant: str, asked: dict[str, str | FileShape]
) -> dict[str, str | Artefact]:
    """Find what ids mean: a version that has it, files that came together, or one upload."""
    registry = served.registry(tenant)
    found: dict[str, str | Artefact] = {}
    for key, given in asked.items():
        if isinstance(given, FileShape):
            found[key] = Artefact(key=key, **dict(given))
            continue
        batch = served.batches(tenant).find(given)
        if batch and key not in batch and len(batch) > 1:
            raise UnknownUploadError(f"the upload {given} has no file {key!r:.80}")
        there = None if batch else artefact_of(registry, given, key)
        if there is not None:
            found[key] = there
        else:
            found[key] = batch.get(key, next(iter(batch.values()))) if batch else given
    return found
