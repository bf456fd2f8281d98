"""What is kept of what a user hands over: bounded, redacted, whatever it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage import codec, links
from lineage.parameters import Captor
from lineage.redact import hide, redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lineage.core import DataSource
    from lineage.settings import TrackerSettings


class Keeper:
    """Give data sources, mappings and errors the form in which they are recorded.

    Args:
        settings: How much is kept of a parameter, and of anything else.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self.captor = Captor(settings.max_parameter_size)
        self.wide_captor = Captor(settings.max_metadata_size)
        self._most = settings.max_metadata_size

    def ref(self, source: DataSource, version: str | None = None) -> links.Ref:
        """Give the reference to a data source, its metadata bounded and redacted."""
        metadata = schema = None
        if source.metadata:
            metadata = codec.to_json(self.bounded(self.wide_captor, source.metadata))
        if source.schema_info:
            info = self.bounded(self.wide_captor, source.schema_info)
            schema = links.schema_definition(codec.schema_id(info), info)
        known = links.source(
            source.source_type, source.source_id, source.location, metadata=metadata
        )
        own = links.clean(source.version) if source.version else version
        return known, own, schema, None

    def bounded(
        self, captor: Captor, value: Mapping[str, Any] | None, found: list[str] | None = None
    ) -> dict[str, Any]:
        """Give the plain, redacted form of a mapping, or say its size if that is too large."""
        plain = captor.capture(dict(value), found) if value else {}
        return plain if isinstance(plain, dict) else {"truncated": plain}

    def both(
        self,
        parameters: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        secrets: list[str],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Bound and redact both, and hide the secrets of each in the other."""
        captors = (self.captor, self.wide_captor)
        for _ in range(2):
            known = len(secrets)
            first = self.bounded(captors[0], parameters, secrets)
            second = self.bounded(captors[1], context, secrets)
            if len(secrets) == known:
                break
            captors = (self.captor.hiding(secrets), self.wide_captor.hiding(secrets))
        return first, second

    def error_of(self, error: BaseException, secrets: Sequence[str] = ()) -> tuple[str, str]:
        """Give an exception's type and its redacted text, whatever its own methods do.

        Args:
            error: The exception.
            secrets: Texts that are known to be secret, in whatever form they are in its text.
        """
        kind = type(error)
        name = kind.__qualname__
        if kind.__module__ not in ("builtins", "__main__"):
            name = f"{kind.__module__}.{name}"
        try:
            return name, self.error_text(str(error), secrets)
        except Exception:  # noqa: BLE001 - the text of a hostile exception
            return name, "<no text: the exception failed to give one>"

    def error_text(self, text: str, secrets: Sequence[str] = ()) -> str:
        """Give the redacted and bounded form of an error's text."""
        kept = redact_text(hide(text[: 4 * self._most], secrets))[: self._most]
        return kept.encode("utf-8", "backslashreplace").decode()
