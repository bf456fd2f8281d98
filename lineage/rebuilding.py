"""An environment as files that make it again: requirements, a lock file, a Dockerfile.

What a format cannot say, or what was not recorded, stands in the file as a comment. Names and
versions are checked by the package `packaging`, since a package can call itself anything.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lineage.documents import toml_text
from lineage.redact import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    Content = Mapping[str, Any]

_BY = "track-lineage"
_BASES = {"CPython": "python", "PyPy": "pypy"}
_DEBIAN = re.compile(r"Debian GNU/Linux \d+ \((\w+)\)")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def requirements(environment_id: str, content: Content) -> str:
    """Write a `requirements.txt`, for `pip install --no-deps -r`, or `uv pip sync`.

    Examples:
        >>> print(requirements("4f2a", {"packages": [["numpy", "2.1.0"]]}).splitlines()[-1])
        numpy==2.1.0
    """
    return "".join(f"{line}\n" for line in (*_head(environment_id, content), *_lines(content)))


def pylock(environment_id: str, content: Content, locks: Iterable[Path] = ()) -> str:
    """Write a `pylock.toml` (PEP 751).

    An entry needs the files of a package with their hashes, which an environment does not have.
    They are taken from lock files that are the ones that were recorded; packages of which nothing
    is known there are named in comments.

    Args:
        environment_id: How the environment is called.
        content: What it has.
        locks: Lock files, `uv.lock` or `pylock.toml`; those with another content are not used.
    """
    files = _locked(content, locks)
    entries, missing = [], []
    for name, version, origin in _packages(content):
        entry = _entry(name, version, origin, files)
        if entry is None:
            missing.append(f"# {_one_line(name)} {_one_line(version or '')}".rstrip())
        else:
            entries.append(entry)
    document: dict[str, Any] = {"lock-version": "1.0", "created-by": _BY}
    if python := _python(content):
        document["requires-python"] = f"=={python}"
    document["packages"] = sorted(entries, key=lambda entry: str(entry["name"]))
    head = [f"# environment {environment_id}, written by {_BY}"]
    if missing:
        head += [
            f"# {len(missing)} packages are not in this lock: their files and hashes were not "
            "recorded, and no",
            "# recorded lock file was given that has them. Their versions are:",
            *missing,
        ]
    return "\n".join(head) + "\n" + toml_text(document)


def dockerfile(environment_id: str, content: Content) -> str:
    """Write a Dockerfile (BuildKit) with the interpreter, the packages and the variables."""
    lines = ["# syntax=docker/dockerfile:1", *_head(environment_id, content)]
    conda = content.get("conda") or ()
    lines += _base(content, is_conda=bool(conda))
    lines += _variables(content)
    if conda:
        names = [f"{name}={version}={build}" for name, version, build in conda]
        lines += _heredoc("/environment.txt", names)
        lines.append("RUN conda install --yes --no-deps --file /environment.txt")
    told = list(_lines(content))
    if any("git+" in line and not line.startswith("#") for line in told):
        lines.append("RUN apt-get update && apt-get install --yes --no-install-recommends git")
    lines += _heredoc("/requirements.txt", told)
    lines.append("RUN python -m pip install --no-cache-dir --no-deps -r /requirements.txt")
    return "".join(f"{line}\n" for line in lines)


FORMATS: dict[str, Callable[..., str]] = {
    "requirements": requirements,
    "pylock": pylock,
    "dockerfile": dockerfile,
}
"""What writes an environment, by the name of the format."""


def _head(environment_id: str, content: Content) -> list[str]:
    what = "every package is here: install with --no-deps"
    if content.get("is_whole") is False:
        what = "only what was imported is known, by the names of modules"
    told = (content.get("interpreter") or {}).get("name")
    head = [f"# environment {environment_id}, written by {_BY}; {what}"]
    return [*head, f"# {_one_line(told)}"] if told else head


def _lines(content: Content) -> Iterator[str]:
    """Write each package as a requirement; as a comment, with the reason, where that is none."""
    for name, version, origin in _packages(content):
        told = _one_line(f"{name} {version or ''}").rstrip()
        if not version and not origin:
            yield f"# {told}: its version is not known"
            continue
        line, note = _requirement(name, version, origin or {})
        if line is None:
            yield f"# {told}: {note}"
            continue
        yield f"{line}  # {note}" if note else line


_UNKNOWN = "its origin is none that an installer knows"


def _requirement(
    name: str, version: str | None, origin: Mapping[str, Any]
) -> tuple[str | None, str]:
    """Give a requirement and what is to be said of it; no requirement, and why."""
    if not origin.get("url"):
        return _indexed(name, version or "")
    url = _without_user(str(origin["url"]))
    note = "" if url == origin["url"] else "credentials were left out"
    if origin.get("editable"):
        path = _path(url)
        if path is None:
            return None, "it was editable, in a place that is no path"
        return f"-e {_quoted(path)}", f"{_one_line(name)} {_one_line(version or '')}".rstrip()
    try:
        line = str(Requirement(f"{name} @ {_place(url, origin)}"))
    except InvalidRequirement:
        return None, _UNKNOWN
    return (line, note) if urlsplit(url).scheme else (None, _UNKNOWN)


def _indexed(name: str, version: str) -> tuple[str | None, str]:
    try:
        # A package can say anything of itself: only what is a name and a version is written.
        line, known = str(Requirement(f"{name}=={Version(version)}")), Version(version)
    except (InvalidRequirement, InvalidVersion):
        return None, "its name or version is none that an installer knows"
    return line, "" if known.local is None else "its version names a build of an index of its own"


def _place(url: str, origin: Mapping[str, Any]) -> str:
    """Give a URL as a requirement has it: with the commit, the hash, the folder in it."""
    fragments = []
    if origin.get("vcs"):
        revision = origin.get("commit") or origin.get("revision")
        url = f"{origin['vcs']}+{url}{f'@{revision}' if revision else ''}"
    elif origin.get("hashes"):
        fragments.append("=".join(sorted(origin["hashes"].items())[-1]))
    if origin.get("subdirectory"):
        fragments.append(f"subdirectory={origin['subdirectory']}")
    return f"{url}#{'&'.join(fragments)}" if fragments else url


def _entry(
    name: str, version: str | None, origin: Mapping[str, Any] | None, files: Mapping[Any, Any]
) -> dict[str, Any] | None:
    """Give a package of a lock; None where a lock needs what is not known."""
    entry: dict[str, Any] = {"name": canonicalize_name(name)}
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", entry["name"]):
        return None
    if origin and origin.get("url"):
        found = _source(origin, _without_user(str(origin["url"])))
    else:
        found = files.get((entry["name"], version))
    if found is None:
        return None
    # What lies in a folder or a repository may be of another version by then.
    return entry | ({} if {"vcs", "directory"} & found.keys() else {"version": version}) | found


def _source(origin: Mapping[str, Any], url: str) -> dict[str, Any] | None:
    """Give the one source of a package that is from elsewhere than an index."""
    if not urlsplit(url).scheme:
        return None
    extra = {name: origin[name] for name in ("subdirectory",) if origin.get(name)}
    if origin.get("vcs"):
        if not origin.get("commit"):
            return None
        told = {"requested-revision": origin["revision"]} if origin.get("revision") else {}
        commit = {"type": origin["vcs"], "url": url, "commit-id": origin["commit"]}
        return {"vcs": commit | told | extra}
    if origin.get("hashes"):
        return {"archive": {"url": url, "hashes": dict(origin["hashes"])} | extra}
    path = _path(url)
    if path is None:
        return None
    told = {"editable": True} if origin.get("editable") else {}
    return {"directory": {"path": path} | told | extra}


def _locked(content: Content, locks: Iterable[Path]) -> dict[tuple[str, str], dict[str, Any]]:
    """Read the files of packages out of lock files, if they are those that were recorded."""
    import hashlib

    known = {digest for _, digest in content.get("lock_files") or ()}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in locks:
        data = path.read_bytes()
        if f"sha256:{hashlib.sha256(data).hexdigest()}" not in known:
            continue
        told = tomllib.loads(data.decode())
        for package in told.get("packages") or told.get("package") or ():
            key = canonicalize_name(package.get("name", "")), str(package.get("version"))
            files = {
                "sdist": _file(package.get("sdist")),
                "wheels": list(filter(None, map(_file, package.get("wheels") or ()))),
            }
            if any(files.values()):
                found[key] = {name: value for name, value in files.items() if value}
    return found


def _file(told: Any) -> dict[str, Any] | None:
    """Give a file of a lock in the form of PEP 751; `uv.lock` has one hash in one text."""
    if not isinstance(told, dict) or not (told.get("url") or told.get("path")):
        return None
    hashes = told.get("hashes") or dict([str(told.get("hash")).split(":", 1)])
    kept = {name: told[name] for name in ("name", "url", "path", "size") if told.get(name)}
    return kept | {"hashes": hashes}


def _base(content: Content, *, is_conda: bool) -> Iterator[str]:
    python = _python(content)
    name = str((content.get("interpreter") or {}).get("name") or "").partition(" ")[0]
    told = str((content.get("platform") or {}).get("distribution") or "")
    if is_conda:
        yield "FROM condaforge/miniforge3"
    elif python is None or name not in _BASES:
        yield f"# which interpreter is not known, or has no image: {_one_line(name)}"
        yield "FROM python:3"
    else:
        debian = _DEBIAN.fullmatch(told)
        yield f"FROM {_BASES[name]}:{python}-slim{f'-{debian[1]}' if debian else ''}"
        if told and not debian:
            yield f"# it ran on {_one_line(told)}; the image is of Debian"
    for file, digest in content.get("lock_files") or ():
        yield f"# beside it was {_one_line(file)} {digest or '(unreadable)'}"


def _variables(content: Content) -> Iterator[str]:
    told = dict(content.get("variables") or ()) | dict(content.get("threads") or {})
    if "TZ" not in told and content.get("time_zone"):
        told["TZ"] = content["time_zone"]
    for name, value in sorted(told.items()):
        if not _PLAIN.fullmatch(name) or REDACTED in value or not value.isprintable():
            yield f"# the variable {_one_line(name)} cannot be set here: {_one_line(value)}"
        else:
            text = re.sub(r'(["\\$])', r"\\\1", value)
            yield f'ENV {name}="{text}"'


def _heredoc(file: str, lines: list[str]) -> Iterator[str]:
    end = "END"
    while end in lines:
        end += "D"
    yield f"COPY <<'{end}' {file}"
    yield from lines
    yield end


def _packages(content: Content) -> Iterator[tuple[str, str | None, dict[str, Any] | None]]:
    """Give the packages with their origins, but for a word that only tells of their metadata."""
    for name, version, *rest in content.get("packages") or ():
        origin = {
            key: value for key, value in (rest[0] if rest else {}).items() if key != "metadata"
        }
        yield name, version, origin or None


def _python(content: Content) -> str | None:
    name = str((content.get("interpreter") or {}).get("name") or "")
    match = re.fullmatch(r"\w+ (\d+\.\d+\.\d+)", name)
    return match[1] if match else None


def _without_user(url: str) -> str:
    """Leave out the user of a URL where a secret was taken out of it."""
    return url.replace(f"{REDACTED}@", "") if REDACTED in url else url


def _path(url: str) -> str | None:
    split = urlsplit(url)
    return unquote(split.path) if split.scheme == "file" else None


def _quoted(path: str) -> str:
    return f'"{path}"' if re.search(r"\s", path) else path


def _one_line(text: str) -> str:
    """Write a text so that a comment ends where it ends."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
