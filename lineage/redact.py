"""What may be kept of a text, a name or a URL: secrets never reach a record.

A parameter whose name says that it is a secret is replaced whole. In any other text, the parts
that look like one are: the user part of a URL, `key=value` pairs with a secret's name, bearer
tokens, private keys, and the tokens that well-known issuers mark by a prefix.
"""

from __future__ import annotations

import re

REDACTED = "<redacted>"

_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase|code)s?|pwd|secret|token$|^tokens$|api[_-]?key|"
    r"(?:access|account|private)[_-]?key|(?:^|_)pass$|"
    r"credential|auth$|authorization|cookie|session_?id|signature|connection_?string|dsn$|bearer|"
    r"^sas$|^sig$",
    re.IGNORECASE,
)
_NAME = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|(?:access|account|private)[_-]?key|"
    r"credential|authorization|cookie|signature|\bsig(?![a-z])|\bsas(?![a-z]))"
)
# Repetitions are bounded, so that no text takes quadratic time.
_PATTERNS = [
    (re.compile(r"([a-z][a-z0-9+.-]{1,20}://)[^/\s'\"]+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (
        re.compile(r"([a-z][a-z0-9+.-]{1,20}://)[^\s:/@]*:(?!\d+/)[^\s@'\"]+@", re.IGNORECASE),
        rf"\1{REDACTED}@",
    ),
    (
        re.compile(
            rf"({_NAME}[\w.-]{{0,40}}[\"']?\s{{0,3}}(?:=>|=|:)\s{{0,3}}[\"']?)"
            r"(?:(?:bearer|basic|token)\s{1,3})?[^\s\"'&,;})\]]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # A quoted secret goes on to its quote; SQL says PASSWORD 'x' and IDENTIFIED BY 'x'.
    (
        re.compile(
            rf"((?:{_NAME}[\w.-]{{0,40}}|identified\s{{1,3}}by)[\"']?\s{{0,3}}(?:=>|=|:)?\s{{0,3}})"
            r"(?:\"[^\"]{1,500}\"|'[^']{1,500}')",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(rf"((?<![\w-])--?[\w-]{{0,40}}{_NAME}[\w-]{{0,40}}\s)\S+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(bearer)\s[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # "basic statistics" are none.
    (re.compile(r"\b([Bb]asic)\s(?=[\w.~+/-]*[A-Z0-9=])[\w.~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), REDACTED),
    (
        re.compile(
            r"\b(?:A(?:KIA|SIA)[A-Z0-9]{12,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|"
            r"xox[abprs]-[\w-]{10,}|sk-[\w-]{16,}|[sr]k_(?:live|test)_\w{10,}|AIza[\w-]{30,}|"
            r"ya29\.[\w-]{20,}|hf_\w{20,}|pypi-[\w-]{20,}|npm_\w{20,}|lin_\w{20,}|"
            r"SG\.[\w-]{16,}\.[\w-]{16,})"
        ),
        REDACTED,
    ),
]
# One cheap look tells most texts innocent, so that the patterns above run on few: every pattern
# needs one of these.
_MARKS = (
    *("://", "pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie"),
    *("sig", "sas", "bearer", "basic", "begin", "eyj", "akia", "asia", "gh", "glpat-", "xox"),
    *("github_pat_", "sk-", "k_", "aiza", "ya29", "hf_", "pypi-", "npm_", "lin_", "sg."),
    "identified",
)


def is_secret_name(name: str) -> bool:
    """Tell whether a parameter, key or variable of this name holds a secret.

    >>> is_secret_name("db_password"), is_secret_name("passenger")
    (True, False)
    """
    return _SECRET_NAME.search(name) is not None


def redact_text(text: str) -> str:
    """Replace what looks like a secret in a text.

    >>> redact_text("postgresql://me:hunter2@db/prices")
    'postgresql://<redacted>@db/prices'
    >>> redact_text("login with password=hunter2 failed")
    'login with password=<redacted> failed'
    """
    low = text.lower()
    for mark in _MARKS:
        if mark in low:
            break
    else:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
