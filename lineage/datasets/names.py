"""Which names, keys and descriptions are taken. None of them is ever part of a path or a key here.

They are shown, compared and sent in headers, and others write files by them: so they are printable,
have one form in Unicode, and no space at an end, which MySQL and MariaDB do not compare.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

from lineage.datasets.values import Artefact, Kind, Upload
from lineage.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lineage.datasets.values import Draft

NAME_LENGTH = 200
VERSION_LENGTH = 100
FILENAME_LENGTH = 255
DESCRIPTION_LENGTH = 65_536
METADATA_BYTES = 1 << 20
MOST_ARTEFACTS = 10_000

_MEDIA_TYPE = re.compile(
    r"[!#$&^_.+\-A-Za-z0-9]{1,127}/[!#$&^_.+\-A-Za-z0-9]{1,127}(;[ -~]{0,100})?"
)
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_draft(draft: Draft) -> str:
    """Refuse a draft that cannot be kept as it is; gives its metadata as JSON.

    Raises:
        DraftError: Says of each field what is wrong with it.
    """
    wrong = {
        "name": _name_problem(draft.name, NAME_LENGTH),
        "version": _name_problem(draft.version, VERSION_LENGTH),
        "description": _text_problem(draft.description),
        "artefacts": _many_problem(len(draft.artefacts)),
    }
    for key, given in draft.artefacts.items():
        wrong[f"artefacts[{key!r:.60}]"] = _artefact_problem(key, given)
    metadata, wrong["metadata"] = _metadata(draft.metadata)
    _refuse(wrong)
    return metadata


def check_upload(filename: str, media_type: str) -> None:
    """Refuse the name of a file, or a type, that cannot be kept.

    Raises:
        DraftError: Says of each field what is wrong with it.
    """
    _refuse({"filename": _path_problem(filename), "media_type": _type_problem(media_type)})


def check_word(field: str, text: str, length: int) -> None:
    """Refuse a text that is no name; `field` says what it would be.

    Raises:
        DraftError: Says what is wrong with it.
    """
    _refuse({field: _name_problem(text, length)})


def check_tenant(tenant: str) -> None:
    """Refuse the name of a tenant that could not be part of a path.

    Raises:
        DraftError: Says what it may be.
    """
    if not _TENANT.fullmatch(tenant):
        shape = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first"
        raise DraftError({"tenant": f"{shape}, not {tenant!r:.80}"})


def _refuse(wrong: Mapping[str, str | None]) -> None:
    found = {field: what for field, what in wrong.items() if what is not None}
    if found:
        raise DraftError(found)


def _name_problem(text: object, length: int) -> str | None:
    if not isinstance(text, str):
        return f"must be a text, not {type(text).__name__}"
    if not text:
        return "is a required field"
    if len(text) > length:
        return f"must have at most {length} characters, not {len(text)}"
    if not text.isprintable():
        bad = next(letter for letter in text if not letter.isprintable())
        return f"must have printable characters only, not U+{ord(bad):04X}"
    if text != text.strip() or unicodedata.normalize("NFC", text) != text:
        return f"must be in Unicode's form NFC, with no space at an end: {text!r:.80}"
    return None


def _path_problem(name: object) -> str | None:
    problem = _name_problem(name, FILENAME_LENGTH)
    if problem is not None or not isinstance(name, str):
        return problem
    parts = name.split("/")
    if "\\" in name or PurePosixPath(name).is_absolute() or {"", ".", ".."} & set(parts):
        return f"must be a relative path without '.', '..' and backslashes, not {name!r:.80}"
    return None


def _text_problem(text: object) -> str | None:
    if not isinstance(text, str):
        return f"must be a text, not {type(text).__name__}"
    if len(text) > DESCRIPTION_LENGTH:
        return f"must have at most {DESCRIPTION_LENGTH} characters, not {len(text)}"
    if not can_be(text):
        return "must have neither NUL nor a half of a character"
    return None


def _type_problem(text: object) -> str | None:
    if isinstance(text, str) and _MEDIA_TYPE.fullmatch(text):
        return None
    return f"must be a type as in text/csv, not {text!r:.80}"


def _many_problem(count: int) -> str | None:
    if count > MOST_ARTEFACTS:
        return f"must be at most {MOST_ARTEFACTS}, not {count}; put them together in one file"
    return None


def _artefact_problem(key: object, given: object) -> str | None:
    problem = _name_problem(key, NAME_LENGTH)
    if problem is not None:
        return f"has a key that {problem}"
    if isinstance(given, (str, Upload)):
        return None
    if not isinstance(given, Artefact):
        return f"must be an upload, its id or an artefact, not {type(given).__name__}"
    if not _DIGEST.fullmatch(str(given.sha256)):
        return f"must have a SHA-256 of 64 hexadecimal digits, not {given.sha256!r:.80}"
    return _path_problem(given.filename) or _type_problem(given.media_type)


def _metadata(metadata: Mapping[str, Any]) -> tuple[str, str | None]:
    try:
        text = json.dumps(dict(metadata), sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        return "", f"must have a form in JSON: {error}"
    if len(text) > METADATA_BYTES:
        return "", f"must take at most {METADATA_BYTES} bytes in JSON, not {len(text)}"
    return text, None


def can_be(text: object) -> bool:
    """Say whether a database could have such a text at all: neither NUL nor half a character."""
    if not isinstance(text, str):
        return False
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


def check_kind(kind: object) -> None:
    """Refuse what is neither a dataset nor a model.

    Raises:
        DraftError: Says what there is.
    """
    if kind not in get_args(Kind):
        raise DraftError({"kind": f"must be one of {', '.join(get_args(Kind))}, not {kind!r:.80}"})
