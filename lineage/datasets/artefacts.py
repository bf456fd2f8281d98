"""What may be kept with a version, as bytes and back: frames, texts, bytes, files and folders.

| kind | kept as | comes back as |
|---|---|---|
| a frame of pandas or polars | Parquet | the same frame: types, labels, index |
| `str` | UTF-8 | the same text |
| `bytes`, `bytearray`, `memoryview` | as they are | `bytes` |
| `pathlib.Path` of a file | its bytes, streamed | the path of a copy |
| `pathlib.Path` of a folder | a tar without times and owners, streamed | the path of a copy |

Nothing is ever unpickled here.
"""

from __future__ import annotations

import atexit
import hashlib
import mimetypes
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from lineage.datasets.folders import pack, read_file, unpack
from lineage.datasets.frames import read_frame, write_frame
from lineage.errors import ArtefactError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lineage.datasets.values import Artefact

Form = Literal["frame", "polars", "text", "bytes", "file", "folder"]
PARQUET = "application/vnd.apache.parquet"
_POLARS, _TEXT, _OCTETS = (
    f"{PARQUET};frame=polars",
    "text/plain;charset=utf-8",
    "application/octet-stream",
)
_FILE, _FOLDER = ";kind=file", "application/x-tar;kind=folder"
_MEDIA_TYPES = {"frame": PARQUET, "polars": _POLARS, "text": _TEXT, "bytes": _OCTETS}
_SUFFIXES = {"frame": ".parquet", "polars": ".parquet", "text": ".txt", "bytes": ".bin"}
_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20
_MOST_NAME = 200
_scratch: dict[int, str] = {}
"""By process, the folder of files that were taken out; a fork must not remove its parent's."""


class Packed(NamedTuple):
    """Bytes of an artefact to be kept; what is not known of them before they are read is None."""

    filename: str
    media_type: str
    chunks: Callable[[], Iterable[bytes]]
    size: int | None = None
    sha256: str | None = None


def form_of(value: Any) -> Form:
    """Say what an object is kept as.

    Raises:
        TypeError: It cannot be an artefact.

    Examples:
        >>> form_of("a text"), form_of(b"bytes")
        ('text', 'bytes')
    """
    if isinstance(value, str):
        return "text"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if isinstance(value, Path):
        return "folder" if value.is_dir() else "file"
    forms: tuple[tuple[str, Form], ...] = (("pandas", "frame"), ("polars", "polars"))
    for library, form in forms:
        frame = getattr(sys.modules.get(library), "DataFrame", None)
        if frame is not None and type(value) is frame:
            return form
        if frame is not None and isinstance(value, frame):
            raise TypeError(
                f"a {type(value).__qualname__} would come back as a DataFrame of {library}; "
                f"give {library}.DataFrame(it), or write it to a file and give its path"
            )
    raise TypeError(
        f"an artefact is a DataFrame, a str, bytes or a pathlib.Path, not {_told(value)}; "
        "write it to a file and give its path"
    )


def _told(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def form_of_artefact(artefact: Artefact) -> Form:
    """Say what an artefact comes back as; one of a type that nobody here gives, as bytes."""
    kind = artefact.media_type.partition(";")[0]
    if artefact.media_type == _FOLDER:
        return "folder"
    if artefact.media_type.endswith(_FILE):
        return "file"
    if kind == PARQUET:
        return "polars" if artefact.media_type == _POLARS else "frame"
    return "text" if kind == "text/plain" else "bytes"


@contextmanager
def packed(key: str, value: Any) -> Iterator[Packed]:
    """Give an object as the bytes that are kept of it.

    Args:
        key: Its name in the version.
        value: A frame, a text, bytes or a path.

    Raises:
        TypeError: It cannot be an artefact.
        ArtefactError: It would not come back as it is, or cannot be read.
    """
    form = form_of(value)
    if form == "file":
        path = Path(value)
        kind = mimetypes.guess_type(path.name)[0] or _OCTETS
        size = path.stat().st_size if path.is_file() else None
        yield Packed(_filename(path.name, key), f"{kind}{_FILE}", lambda: read_file(path), size)
    elif form == "folder":
        path = Path(value)
        yield Packed(f"{_base(key)}.tar", _FOLDER, lambda: pack(path))
    else:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            try:
                _write(form, value, file)
            except ArtefactError as error:
                raise ArtefactError(f"artefact {key!r}: {error}") from error
            digest, size = _digest(file)
            base, suffix = _base(key), _SUFFIXES[form]
            name = base if base.endswith(suffix) else base + suffix
            chunks = lambda: _read_again(file)  # noqa: E731 - one of three of a kind
            yield Packed(name, _MEDIA_TYPES[form], chunks, size, digest)


def _write(form: Form, value: Any, file: IO[bytes]) -> None:
    if form == "frame":
        write_frame(value, file)
    elif form == "polars":
        _write_polars(value, file)
    elif form == "text":
        try:
            file.write(value.encode())
        except UnicodeEncodeError as error:
            raise ArtefactError(
                f"the text is no Unicode: {error.reason} at {error.start}; keep it as bytes, "
                "with .encode('utf-8', 'surrogateescape')"
            ) from error
    else:
        file.write(value)


def _write_polars(frame: Any, file: IO[bytes]) -> None:
    import polars

    try:
        frame.write_parquet(file)
        file.seek(0)
        kept = polars.read_parquet_schema(file)
    except (polars.exceptions.PolarsError, TypeError) as error:
        raise ArtefactError(f"the frame cannot be kept as Parquet: {error}") from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # what Rust could not go on with
            raise ArtefactError(f"the frame cannot be kept as Parquet: {error}") from error
        raise
    for name, dtype in frame.schema.items():
        if kept.get(name) != dtype:
            raise ArtefactError(
                f"column {name!r} is of type {dtype} and would come back as {kept.get(name)}; "
                "cast it first"
            )


def _digest(file: IO[bytes]) -> tuple[str, int]:
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _read_again(file: Any) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def _filename(name: str, key: str) -> str:
    """Give the name of a file as it can be kept, or one made of the key."""
    is_usable = name.isprintable() and name == name.strip() and "\\" not in name
    suffix = Path(name).suffix
    other = _base(key) + (suffix if suffix.isascii() and suffix.isalnum() else "")
    return name if is_usable and len(name) <= _MOST_NAME else other


def _base(key: str) -> str:
    """Give a key as the name of a file: what could lead elsewhere is written in hexadecimal."""
    plain = all(part not in ("", ".", "..") for part in key.split("/"))
    text = key if plain and "\\" not in key else quote(key, safe=" ").replace(".", "%2E")
    return text if len(text.encode()) <= _MOST_NAME else text[: _MOST_NAME // 4]


def loaded(artefact: Artefact, chunks: Iterable[bytes], target: Path | None = None) -> Any:
    """Make the object of an artefact again.

    Args:
        artefact: What it is.
        chunks: Its bytes.
        target: Where a file or folder goes, which must not be there yet; else it is in a place that
            is removed when the process ends.

    Raises:
        ArtefactError: It is not what it says it is.
        MissingDependencyError: It is a frame of a package that is not installed.
    """
    form = form_of_artefact(artefact)
    if form in ("file", "folder") or target is not None:
        path = target or Path(_fresh()) / Path(artefact.filename).name.removesuffix(
            ".tar" if form == "folder" else ""
        )
        write_out(artefact, chunks, path)
        return path
    if form == "text":
        return _text(artefact, b"".join(chunks))
    if form == "bytes":
        return b"".join(chunks)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        try:
            return _read_polars(file) if form == "polars" else read_frame(file)
        except ArtefactError as error:
            raise ArtefactError(f"artefact {artefact.key!r}: {error}") from error


def _text(artefact: Artefact, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ArtefactError(
            f"artefact {artefact.key!r} is no text in UTF-8: {error.reason} at {error.start}; "
            "write it out as a file, with to="
        ) from error


def _read_polars(file: Any) -> Any:
    try:
        import polars
    except ImportError as error:
        raise MissingDependencyError(
            "this artefact is a frame of polars: pip install 'track-lineage[polars]', or check it "
            "out and read its Parquet with something else"
        ) from error
    return polars.read_parquet(file)


def write_out(artefact: Artefact, chunks: Iterable[bytes], path: Path) -> None:
    """Write an artefact as a new file or folder; whole, or not at all.

    Raises:
        ArtefactError: Something is there already, or it is no folder that was kept here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        raise ArtefactError(f"{os.fspath(path)!r} is there already; name another place")
    with tempfile.TemporaryDirectory(prefix=".lineage-", dir=path.parent) as folder:
        made = Path(folder) / "made"
        if form_of_artefact(artefact) == "folder":
            unpack(chunks, made)
        else:
            with open(made, "xb") as file:
                for chunk in chunks:
                    file.write(chunk)
        os.rename(made, path)


def place_in(folder: Path, artefact: Artefact, taken: set[str]) -> Path:
    """Give where an artefact goes in a folder: its key, with the ending of its file.

    Args:
        folder: The folder.
        artefact: The artefact.
        taken: The places that are given already; this one is added.
    """
    base, form = _base(artefact.key), form_of_artefact(artefact)
    suffix = "" if form == "folder" else Path(artefact.filename).suffix
    stem = base.removesuffix(suffix) if suffix else base
    name, number = f"{stem}{suffix}", 2
    while any(_meet(name, other) for other in taken):
        name, number = f"{stem}~{number}{suffix}", number + 1
    taken.add(name)
    return folder / name


def _meet(name: str, other: str) -> bool:
    """Whether two places cannot both be: the same, or one within the other."""
    return name == other or name.startswith(f"{other}/") or other.startswith(f"{name}/")


def _fresh() -> str:
    """Give a new folder, that goes when the process ends."""
    process = os.getpid()
    place = _scratch.get(process)
    if place is None or not os.path.isdir(place):
        place = _scratch[process] = tempfile.mkdtemp(prefix="lineage-artefacts-")
        atexit.register(_remove, process, place)
    return tempfile.mkdtemp(dir=place)


def _remove(process: int, place: str) -> None:
    if os.getpid() == process:
        shutil.rmtree(place, ignore_errors=True)
