"""The errors a user of lineage can catch.

```
LineageError
├── AuditError                      what is signed or logged is not as it says, or cannot be signed
├── ConfigError(ValueError)        a setting is wrong: names it, its value, what is allowed
├── NodeNotFoundError(ValueError)  no such node: names the near ones
├── OperationError(ValueError)     an operation id that is not active or not known
├── ProductError(ValueError)       a data product that cannot be registered so: names it, says why
├── GittrailError                  a data folder does not stem from the commits of its sessions
│   ├── UncleanGitStatusError      the code is not what was committed: names the files
│   ├── IncompleteHistoryError     the record of a session is missing
│   ├── UnknownCommitError         a session's commit is not in the history of the code
│   └── IntegrityError             files, or the records, are not what the sessions left
├── SnapshotError(ValueError)      a snapshot that is not accepted: says why
│   └── SnapshotNotFoundError      no such snapshot
├── RegistryError                  a version of a dataset or model cannot be kept or found so
│   ├── AccessError                a key opens nothing, or not this
│   ├── DraftError(ValueError)     a name, a key or a description that is not taken: by field
│   ├── ArtefactError(ValueError)  what cannot be kept as it is, or is not what was kept
│   ├── VersionConflictError       this name has this version already
│   ├── IdempotencyError           the key was used to save something else
│   ├── UnknownVersionError        there is no such version, or it was deleted
│   ├── UnknownArtefactError       there is no such content, or it was deleted
│   ├── UnknownKeyError            there is no such key of a server
│   ├── UnknownUploadError         there is no such upload, or its lease has ended
│   ├── OffsetError                an upload goes on elsewhere: its `offset` says where
│   └── ChecksumError              bytes are not those that were said
├── ReplayError                    what made a product cannot run again: says each reason
├── StoreError                     the store cannot be reached, read or written
│   ├── CorruptStoreError          a file of the store is damaged or written by a newer version
│   └── DeletedError               a file of the store was deleted under its writer
└── MissingDependencyError(ImportError)  an optional package or program is missing
```

Those that state a bad value are also `ValueError`, so code that knows nothing of this package
can catch them.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_COMPARED = 2000


class LineageError(Exception):
    """The root of all errors that this package raises on purpose."""


class AuditError(LineageError):
    """A log, a checkpoint, a proof or a key is not what it says; or it cannot be used."""


class ConfigError(LineageError, ValueError):
    """A setting has a value that cannot be used."""


class NodeNotFoundError(LineageError, ValueError):
    """The node asked for is not in the graph."""


class OperationError(LineageError, ValueError):
    """An operation id is not active, or not known."""


class ProductError(LineageError, ValueError):
    """A data product cannot be registered as it was asked for; nothing was recorded."""


class GittrailError(LineageError):
    """A data folder is not one whose files stem from sessions, or its trail cannot be used."""


class UncleanGitStatusError(GittrailError):
    """The working tree differs from its commit."""


class IncompleteHistoryError(GittrailError):
    """The record of a session is missing."""


class UnknownCommitError(GittrailError):
    """A session ran with a commit that the history of the code does not have."""


class IntegrityError(GittrailError):
    """Files, or the records of sessions, are not as the sessions left them."""


class SnapshotError(LineageError, ValueError):
    """A snapshot is not accepted as it is, or no version of its pipeline can be this one."""


class SnapshotNotFoundError(SnapshotError):
    """There is no snapshot of this name."""


class RegistryError(LineageError):
    """A version of a dataset or a model cannot be kept, or found, as it was asked for."""


class AccessError(RegistryError):
    """A server does not know the key, or the key may not do this."""


class DraftError(RegistryError, ValueError):
    """What would be a version is not taken; nothing was kept of it.

    Args:
        fields: By the name of a field, what is wrong with it.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name} {what}" for name, what in self.fields.items()))


class ArtefactError(RegistryError, ValueError):
    """Something would not come back as it is if it was kept; or it is not what was kept."""


class VersionConflictError(RegistryError):
    """There is such a version of this name already, or there was one that was deleted."""


class IdempotencyError(RegistryError):
    """The idempotency key was used to save something else."""


class UnknownVersionError(RegistryError):
    """There is no such version, or it was deleted."""


class UnknownArtefactError(RegistryError):
    """There is no such artefact, or its bytes were deleted."""


class UnknownUploadError(RegistryError):
    """There is no such upload: its lease has ended, or a version has taken it."""


class UnknownKeyError(RegistryError):
    """The tenant has no such key."""


class OffsetError(RegistryError):
    """An upload does not go on at this offset.

    Args:
        message: What was asked for.
        offset: Where it goes on, in bytes.
    """

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


class ChecksumError(RegistryError):
    """Bytes are not as many, or not the same, as was said of them."""


class ReplayError(LineageError):
    """What made a product cannot be run again, or failed when it was."""


class StoreError(LineageError):
    """A store cannot be reached, read or written."""


class CorruptStoreError(StoreError):
    """A file of the store is damaged, or was written by a newer version."""


class DeletedError(StoreError):
    """A file of the store was deleted while it was written."""


class MissingDependencyError(LineageError, ImportError):
    """An optional package or program is needed and not there."""


def node_not_found(node_id: str, known: Iterable[str], scope: str = "") -> NodeNotFoundError:
    """Build the error for an unknown node, with the known ids most like it.

    Args:
        node_id: The node asked for.
        known: The ids of the graph.
        scope: Of which time the graph is, where it is not of now.
    """
    names, wanted = list(known), str(node_id)
    parts = [wanted[at : at + 4] for at in range(0, len(wanted), 4)]
    # Comparing all of 100,000 names takes seconds; most share no part with the wanted one.
    alike = [name for name in names if any(part in name for part in parts)]
    near = get_close_matches(wanted, alike[:_MOST_COMPARED], n=3, cutoff=0.5)
    if not near:
        near = [name for name in alike if wanted and wanted in name][:3]
    hint = "the graph has no similar node"
    if near:
        hint = f"did you mean {', '.join(map(repr, near))}?"
    elif not names:
        hint = "nothing is recorded here: name the right store, or run a tracked program first"
        if scope:
            hint = "nothing was recorded by then: ask as of a later time"
    return NodeNotFoundError(f"no node {node_id!r} among {len(names)} nodes{scope}; {hint}")
