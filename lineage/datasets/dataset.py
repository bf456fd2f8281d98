"""`Dataset`: a version of data, made once, kept for good, and made from another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lineage.datasets.artefacts import form_of
from lineage.datasets.names import NAME_LENGTH, check_word
from lineage.datasets.telling import Node, making
from lineage.datasets.versioned import Versioned
from lineage.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.datasets.keeping import Keeper
    from lineage.datasets.listing import Listing


class Dataset(Versioned):
    """A version of a dataset: a draft until it is saved, and never changed from then on.

    Examples:
        >>> import tempfile, pandas
        >>> from lineage.datasets.registry import Registry
        >>> registry = Registry(f"sqlite:///{tempfile.mkdtemp()}/registry.db")
        >>> churn = Dataset("churn", "1.0.0", "export from CRM", registry=registry)
        >>> churn.set_artefact("rows", pandas.DataFrame({"id": [1, 2], "left": [None, True]}))
        >>> churn.save()
        <Dataset churn:1.0.0>
        >>> clean = churn.transform(lambda rows: rows.dropna(), version="1.0.1").save()
        >>> len(clean.get_artefact("rows")), clean.parent == churn.id
        (1, True)
    """

    kind = "dataset"

    def transform(
        self,
        fn: Callable[[Any], Any] | None = None,
        *,
        version: str,
        name: str | None = None,
        description: str = "",
        artefact: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """Make a new version of this one, which is its parent; it is not saved yet.

        Args:
            fn: What makes its artefacts. Of a dataset with one artefact, it is called with that and
                gives what takes its place; of one with several, with a dictionary of all by key,
                and gives another with those of the new version. None keeps all as they are, and no
                byte of them is read.
            version: Which one it is.
            name: What it is called; as this one, if None.
            description: What is different about it.
            artefact: The key of the one artefact that `fn` is about; the others stay as they are.
            metadata: What else is to be known of it.

        Raises:
            RegistryError: This one is not saved, and cannot be a parent.
            KeyError: There is no such artefact.
            TypeError: What `fn` gives cannot be an artefact.
        """
        if self.id is None:
            raise RegistryError(
                f"{self!r} is not saved yet; save() it first, so that the new version has a parent"
            )
        made = Dataset(
            self.name if name is None else name,
            version,
            description,
            parent=self,
            metadata=metadata,
            registry=self.registry,
        )
        made._held = dict(self._held)
        if fn is not None:
            node = Node(self.kind, made.name, made.version)
            with making(fn, self.node, node) as told:
                made._held = self._transformed(fn, artefact)
            made._making = told[0]
        return made

    def _transformed(self, fn: Callable[[Any], Any], artefact: str | None) -> dict[str, Any]:
        if artefact is None and len(self._held) == 1:
            artefact = next(iter(self._held))
        if artefact is not None:
            result = fn(self.get_artefact(artefact))
            _check(artefact, result)
            return {**self._held, artefact: result}
        results = fn({key: self.get_artefact(key) for key in self._held})
        if not isinstance(results, Mapping):
            raise TypeError(
                f"of {len(self._held)} artefacts, the function has to give a dictionary of those "
                f"of the new version, not {type(results).__name__}; or name one with artefact="
            )
        for key, each in results.items():
            check_word(f"artefacts[{key!r:.60}]", key, NAME_LENGTH)
            _check(key, each)
        return dict(results)


def _check(key: str, value: Any) -> None:
    if value is None:
        raise TypeError(f"the function gives nothing for {key!r}; have it return what it has made")
    form_of(value)


def list_datasets(registry: Keeper | None = None) -> Listing[Dataset]:
    """List all saved datasets, the oldest first."""
    return Dataset.list(registry=registry)
