"""`Model`: what was trained, by which code, on which data, in which environment, how well."""

from __future__ import annotations

import hashlib
import inspect
import json
import pickle
import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lineage import environment as environments
from lineage.datasets.artefacts import form_of
from lineage.datasets.dataset import Dataset
from lineage.datasets.values import OF_MODEL
from lineage.datasets.versioned import Versioned
from lineage.errors import ArtefactError, ChecksumError, RegistryError
from lineage.redact import is_secret_name, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lineage.datasets.keeping import Keeper
    from lineage.datasets.listing import Listing
    from lineage.datasets.telling import Node
    from lineage.datasets.values import Version

TRAINED = "trained_model"
"""The key of the artefact that the trained object is kept under."""
_MOST_SOURCE = 65_536
_MOST_TEXT = 1000


class Model(Versioned):
    """A version of a model: a draft until it is saved, and never changed from then on.

    `setup`, `train` and `eval` call a function of yours each, and keep its source and its digest.
    The object that was trained is kept as a pickle, which is read only by `load_trained_model`.

    Args:
        name: What it is a version of.
        version: Any text; versions after PEP 440 have that order.
        description: For readers.
        parent: The saved version that it was made from, or its id.
        dataset: The dataset that the functions get; by its id, where that is all there is.
        config: What `setup` gets.
        artefacts: By key: frames, texts, bytes, paths of files and folders.
        metadata: Anything that has a form in JSON.
        registry: Where it is saved; else where `LINEAGE_DATASETS` says, or `lineage_datasets`.

    Examples:
        >>> model = Model("mean", "0.1.0", config={"start": 1})
        >>> model.setup(lambda dataset, config: {"total": config["start"]})
        >>> model.train(lambda trained, dataset: {"total": trained["total"] + 1})
        >>> model.eval(lambda trained, dataset: {"total": trained["total"]})
        >>> model.evaluation
        {'total': 2}
    """

    kind = "model"

    def __init__(  # noqa: PLR0913 - the names others know, and config
        self,
        name: str,
        version: str,
        description: str = "",
        parent: Versioned | str | None = None,
        artefacts: Mapping[str, Any] | None = None,
        *,
        dataset: Dataset | str | None = None,
        config: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        registry: Keeper | None = None,
    ) -> None:
        super().__init__(
            name, version, description, parent, artefacts, metadata=metadata, registry=registry
        )
        self._dataset = dataset
        self._told: dict[str, Any] = {"config": dict(config or {})}
        self.model_obj: Any = None
        """What `setup` has made."""
        self._trained: Any = None

    # --- making it ---

    def setup(self, fn: Callable[[Any, Any], Any]) -> None:
        """Call `fn(dataset, config)`, which gives the object that is to be trained."""
        self._check_open("set it up")
        self.model_obj = fn(self.dataset, self.config)
        self._told |= {"setup": _function(fn), **_described(self.model_obj)}

    def train(self, fn: Callable[[Any, Any], Any]) -> None:
        """Call `fn(model_obj, dataset)`, which gives the trained object.

        Raises:
            RegistryError: There is nothing to train: call `setup` before.
        """
        self._check_open("train it")
        if self.model_obj is None:
            raise RegistryError(f"{self!r} has nothing to train; call setup() before train()")
        self._trained = fn(self.model_obj, self.dataset)
        if self._trained is None:
            raise TypeError("the function gives nothing; have it return what it has trained")
        self._told |= {"train": _function(fn), "environment": _environment()}
        self._told |= _described(self._trained)

    def eval(self, fn: Callable[[Any, Any], Any]) -> None:
        """Call `fn(trained_model, dataset)`, which gives figures by name.

        Raises:
            RegistryError: There is nothing to look at: call `train` before.
            TypeError: It gives what has no form in JSON.
        """
        self._check_open("evaluate it")
        if self._trained is None:
            raise RegistryError(f"{self!r} is not trained; call train() before eval()")
        found = fn(self._trained, self.dataset)
        self._told |= {"eval": _function(fn), "evaluation": _plain(found, "the evaluation")}

    # --- what it is ---

    @property
    def dataset(self) -> Dataset | None:
        """The dataset that it was made with; that of a saved model is read from the registry."""
        if isinstance(self._dataset, str):
            self._dataset = Dataset.of(self.registry.get("dataset", self._dataset), self.registry)
        return self._dataset

    @property
    def config(self) -> dict[str, Any]:
        """What `setup` got."""
        found: dict[str, Any] = self._told["config"]
        return found

    @property
    def evaluation(self) -> Any:
        """What `eval` gave; None if it was not called."""
        return self._told.get("evaluation")

    @property
    def environment(self) -> dict[str, Any]:
        """The interpreter, the platform and the packages that it was trained with."""
        return dict(self._told.get("environment", {}))

    @property
    def parameters(self) -> dict[str, Any]:
        """What `get_params` of the object gave, plain."""
        return dict(self._told.get("parameters", {}))

    @property
    def code(self) -> dict[str, dict[str, Any]]:
        """The functions of `setup`, `train` and `eval`: their names, sources and digests."""
        return {step: self._told[step] for step in ("setup", "train", "eval") if step in self._told}

    @property
    def trained_model(self) -> Any:
        """The trained object, in the process that has trained it.

        Raises:
            ArtefactError: It was trained elsewhere: only `load_trained_model` reads its pickle.
        """
        if self._trained is None and TRAINED in self._held:
            digest = self.kept[TRAINED].sha256
            raise ArtefactError(
                f"the trained model of {self!r} is a pickle, which runs code of whoever made it "
                f"when it is read; if you trust that, call load_trained_model(sha256={digest!r})"
            )
        return self._trained

    def load_trained_model(self, *, sha256: str) -> Any:
        """Unpickle the trained object, if its bytes are those that you say.

        A pickle runs code of whoever made it. Give the digest that you had from them, by another
        way than this registry.

        Args:
            sha256: The digest of the pickle, 64 hexadecimal digits.

        Raises:
            ChecksumError: Its bytes are others; nothing was unpickled.
            KeyError: It has no trained object.
        """
        if TRAINED not in self._held:
            raise KeyError(f"{self!r} has no trained model")
        data = b"".join(self.registry.read(self.kept[TRAINED]))
        found = hashlib.sha256(data).hexdigest()
        if not sha256 or found != sha256.lower() or found != self.kept[TRAINED].sha256:
            raise ChecksumError(
                f"the trained model of {self!r} has the SHA-256 {found}, not {sha256}; "
                "it was not unpickled"
            )
        self._trained = pickle.loads(data)  # noqa: S301 - asked for, and the digest is right
        return self._trained

    @property
    def metadata_to_compare(self) -> dict[str, Any]:
        """What is known of it; packages are by their names, and of functions the digests count."""
        told = {**self._told, **{step: each.get("sha256") for step, each in self.code.items()}}
        environment = self.environment
        environment["packages"] = {
            str(each[0]): list(each[1:]) for each in environment.get("packages") or ()
        }
        mine = {name: each for name, each in self.metadata.items() if name != OF_MODEL}
        dataset = None if self.dataset is None else self.dataset.id
        return {**mine, **told, "environment": environment, "dataset": dataset}

    # --- keeping it ---

    def _metadata_to_keep(self) -> Mapping[str, Any]:
        if self._trained is not None and TRAINED not in self._held:
            self._held[TRAINED] = _pickled(self._trained)
        dataset = self.dataset
        if dataset is not None and dataset.id is None:
            raise RegistryError(f"{dataset!r} is not saved yet; save() it before the model")
        told = {**self._told, "config": _hidden(_plain(self.config, "the config"))}
        return {**self._draft.metadata, OF_MODEL: {**told, "dataset": dataset and dataset.id}}

    def _made_from(self, parent: Version | None) -> list[Node]:
        nodes = super()._made_from(parent)
        return nodes if self.dataset is None else [*nodes, self.dataset.node]

    def _take(self, version: Version) -> None:
        super()._take(version)
        found = version.metadata.get(OF_MODEL)
        own = dict(found) if isinstance(found, dict) else {}  # others save models too
        dataset = own.pop("dataset", None)
        if getattr(self, "_dataset", None) is None:
            self._dataset = dataset
        self._told = {"config": {}, **own}
        self.model_obj = getattr(self, "model_obj", None)
        self._trained = getattr(self, "_trained", None)


def _pickled(value: Any) -> bytes:
    try:
        data = pickle.dumps(value, protocol=5)
    except Exception as error:
        raise ArtefactError(
            f"the trained {type(value).__name__} cannot be pickled: {error}; write it to a file in "
            "its own format, and give that to set_artefact()"
        ) from error
    form_of(data)
    return data


def _function(fn: Callable[..., Any]) -> dict[str, Any]:
    """Tell of a function its name, and its source with a digest, where that is to be had."""
    told: dict[str, Any] = {"name": getattr(fn, "__qualname__", type(fn).__name__)}
    with suppress(OSError, TypeError):
        source = textwrap.dedent(inspect.getsource(fn))
        told["sha256"] = hashlib.sha256(source.encode("utf-8", "backslashreplace")).hexdigest()
        told["source"] = kept(source, _MOST_SOURCE)
    return told


def _described(value: Any) -> dict[str, Any]:
    """Tell of an object its class, and what it says to be set up with."""
    kind = type(value)
    told: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}"}
    ask = getattr(value, "get_params", None)
    if callable(ask):
        with suppress(Exception):  # an object of anybody's; without it, less is known
            told["parameters"] = _hidden({str(k): _shown(v) for k, v in ask().items()})
    return told


def _environment() -> dict[str, Any]:
    found = environments.capture(())
    content = json.loads(found.content)
    names = "interpreter", "platform", "packages"
    return {"id": found.environment_id, **{name: content.get(name) for name in names}}


def _shown(value: Any) -> Any:
    """Give a value as JSON has it; one that it has no word for as Python shows it."""
    try:
        return _plain(value, "it")
    except TypeError:
        return kept(repr(value), _MOST_TEXT)


def _plain(value: Any, what: str) -> Any:
    """Give a value as JSON has it.

    Raises:
        TypeError: It has no form in JSON.
    """
    try:
        return json.loads(json.dumps(value, default=_item, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"{what} has no form in JSON: {error}; give plain numbers and texts"
        ) from error


def _item(value: Any) -> Any:
    """Give a number or an array of numpy's as one of Python's."""
    give = getattr(value, "tolist", None)
    if give is None:
        raise TypeError(f"{type(value).__name__} is none of its types")
    return give()


def _hidden(found: Any) -> Any:
    """Give settings without the values of those that are secrets by their names."""
    if isinstance(found, dict):
        return {k: "***" if is_secret_name(k) else _hidden(v) for k, v in found.items()}
    if isinstance(found, list):
        return [_hidden(each) for each in found]
    return kept(found, _MOST_SOURCE) if isinstance(found, str) else found


def list_models(registry: Keeper | None = None) -> Listing[Model]:
    """List all saved models, the oldest first."""
    return Model.list(registry=registry)
