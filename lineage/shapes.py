"""What secrets look like in a text: the patterns that `redact` goes by.

None takes more than linear time: repetitions are bounded or possessive, or begin where no other
can. Those that are not about names keep their first group and hide the rest of what they match.
"""

from __future__ import annotations

import re

SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase|code|wort)s?|pwd|secret(?!ar)|token$|^tokens$|api[\s_-]?key|"
    r"(?:access|account|private|signing|encryption|master|shared|subscription|functions|ssh|deploy)"
    r"[\s_-]?key|(?:^|[_.-])(?:pass|pw|otp|jwt|creds?)$|(?-i:[a-z]Pass$)|"
    r"credential|auth$|authorization|cookie|session[_-]?id|signature|"
    r"conn(?:ection)?[_-]?str(?:ing)?|dsn$|bearer|^-{0,2}(?:sas|sig)$",
    re.IGNORECASE,
)
NO_SECRET_NAME = re.compile(r"(?:error|exception|warning)$", re.IGNORECASE)
# In a header the rest of the line belongs to them: schemes and values of several words.
HEADER = re.compile(r"authorization$|cookie2?$", re.IGNORECASE)

# A name, and what stands between it and its value; `%3D` is an encoded `=`.
NAMED = re.compile(
    r"(?<![\w.-])(?:(?<=%)(?:25)?(?:3F|26))?"
    r"((?:(?:api|secret|access|account|private|shared)\s)?[\w.-]++)"
    r"(?:\\{0,4}[\"']\]?)?(\s{0,3}(?:=>|:=|={1,2}|:|%(?:25)?3D)\s{0,3}|\s{1,3}(?=[\"']))",
    re.IGNORECASE,
)
NAME_WITHOUT_SIGN = re.compile(r"pass(?!ed|ing|es$)|pwd|secret", re.IGNORECASE)
OPTION = re.compile(r"(?<![\w-])-{1,2}([A-Za-z][\w-]*+)[\"']?,?\s{1,3}(?!-)")
# ("password", "x"), {"name": "password", "value": "x"}, <password>x</password>
PAIR = re.compile(r"[(\[]\s{0,3}[bu]?\\{0,4}[\"']([\w.-]{1,100})\\{0,4}[\"']\s{0,3},\s{0,3}")
ENTRY = re.compile(
    r"\b(?:name|key|header)\\{0,4}[\"']?\s{0,3}[:=]\s{0,3}\\{0,4}[\"']([\w.-]{1,100})\\{0,4}[\"']"
    r"\s{0,3},?\s{0,3}\\{0,4}[\"']?value\\{0,4}[\"']?\s{0,3}[:=]\s{0,3}",
    re.IGNORECASE,
)
ELEMENT = re.compile(r"<([\w.:-]{1,100})(?:\s[^<>]{0,100})?>(?=[^<\s])")
SIGNS = ("=", ":", "-", "'", '"', "%3", "<")
"""No name has a value without one of these."""
NAME_MARKS = (
    *("pass", "pw", "secret", "token", "key", "cred", "auth", "cookie", "sig", "sas", "bearer"),
    *("session", "dsn", "conn", "otp", "jwt"),
)

QUOTED = re.compile(
    r"[bBrRuUfF]{0,2}(?:\\+\"[^\"]*+\"?|\\+'[^']*+'?|\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?)",
    re.DOTALL,
)
# A closing bracket or a comma ends a value, unless the value plainly goes on behind it.
BARE = re.compile(
    r"(?:(?:bearer|basic|token|digest|apikey|negotiate)(?:\s{1,3}|%20|\+))?"
    r"(?:[^\s\"'&,;<>)}\]]|[)}\]](?=\w)|,(?!\s|\w{1,40}[\"']?\s?[=:])(?=[^\"'{\[(])|<redacted>)++",
    re.IGNORECASE,
)
OPENING = re.compile(r"\\*[\"']")
TEXT = re.compile(r"[^<]++")
LINE = re.compile(r"[^\n\r\"']++")
WORD = re.compile(r"\S++")
BRACKETS = re.compile(r"[\[({]|[\])}]|\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?", re.DOTALL)

_VALUE = r"(?:\"[^\"\n]*+\"?|'[^'\n]*+'?|[^\s\"']++)"
_IN_COMMAND = r"\b[^\n|;&]{0,300}?\s"
_PORT = r"(?!\d{1,5}(?:[/?#\s,;)\]'\"]|$))"
URLS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"((?<=:)//)[^\s/?#'\"]+(?=@)",
        rf"(//)[^\s:/@'\"]*+:{_PORT}[^\s'\"/@]+(?=@)",
        # What is no proper URL: a password with slashes, quotes or spaces.
        rf"(//)[^\s:/@'\"]*+:{_PORT}[^\s@\"][^\n@\"]{{0,200}}(?=@[\w\[.%-])",
        # user:password@host:port, and with a host that has dots if that looks like a password.
        r"((?<![\w/@:.+%-])[a-z][\w.+-]{0,63}(?::|%3A))[^\s@'\"]{1,200}"
        r"(?=@(?!sha\d)(?:[\w.-]{1,200}|\[[0-9a-f:]{2,40}\]):\d{2,5}(?!\w))",
        r"((?<![\w/@:.+%-])(?!(?:mailto|e?-?mail|from|to|cc|bcc|sips?|xmpp|acct|reply-to|author|by|user|"
        r"contact|maintainer|owner):)[a-z][\w.+-]{0,63}:)(?=[a-z._-]{0,100}[\d!$%^&*#+=~])"
        r"[^\s@'\"]{1,200}(?=@(?:[\w-]{1,63}\.){1,10}[a-z]{2,20}\b|@(?:\d{1,3}\.){3}\d{1,3}\b)",
    )
)
ENCODED_URL = re.compile(
    r"((?:%(?:25)?2F){2})(?:(?!%(?:25)?2F)[^\s'\"&]){1,300}(?=%(?:25)?40)", re.IGNORECASE
)
# The secret half of an AWS key has no mark of its own, but stands with the other half.
_AWS_HALF = r"(?<![\w/+=])(?![0-9a-f]{40})[A-Za-z0-9/+]{40}(?![\w/+=])"
_PRIVATE_KEY = (
    r"-{4,5}\s?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?\s?-{4,5}"
    r".*?(?:-{4,5}\s?END [A-Z0-9 ]{0,60}-{4,5}|\Z)"
)
_ISSUED = {
    "----": (("PRIVATE KEY", _PRIVATE_KEY),),
    "A": (
        ("AKIA", _AWS_HALF),
        ("ASIA", _AWS_HALF),
        ("AKIA", r"AKIA[A-Z0-9]{12,}"),
        ("ASIA", r"ASIA[A-Z0-9]{12,}"),
        ("AIza", r"AIza[\w-]{30,}"),
        ("AGE-SECRET", r"AGE-SECRET-KEY-\w{20,}"),
    ),
    "1//0": (("1//0", r"1//0[\w-]{20,}"),),
    # What signs the audit log, and Go's checksum databases.
    "PRIVATE+KEY+": (
        ("PRIVATE+KEY+", r"PRIVATE\+KEY\+[^\s+]{1,200}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]++"),
    ),
    "dapi": (("dapi", r"dapi[0-9a-f]{32}"),),
    "slack": (
        (
            "hooks.slack.com",
            r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]{10,}",
        ),
    ),
}
_PASSWORD_OPTION = (
    r"(\b(?:mysql\w*|mariadb[\w-]*|sshpass|mongo\w*|7za?|(?:docker|podman|helm)\slogin)"
    # What looks like ports is one, unless it is attached.
    rf"{_IN_COMMAND}-p)(?:\s{{1,3}}(?!-|\d{{2,5}}(?::\d{{2,5}})?(?:\s|$)){_VALUE}|{_VALUE})"
)
_OTHER_OPTION = (
    rf"(\b(?:redis-cli{_IN_COMMAND}-a|ldap\w{{0,20}}{_IN_COMMAND}-w|"
    rf"(?:sqlcmd|bcp|isql|tsql|unzip|zip){_IN_COMMAND}-P)\s{{0,3}})(?!-){_VALUE}"
)
_USER_OPTION = (
    r"((?<![\w-])(?:-[a-zA-Z]{0,6}u\s{0,3}|--(?:proxy-)?user(?:\s{1,3}|=)))"
    r"(?:\"[^\"\n]*+\"?|'[^'\n]*+'?|[^\s:\"']{1,200}:[^\s\"']++)"
)
_QUERY = r"(?i:([?&](?:key|hmac|code(?==[^&\s]{16}))=)[^&\s'\"#;]++)"
_SAID = {
    " -": (("curl", _USER_OPTION), (" -p", _PASSWORD_OPTION), (" -", _OTHER_OPTION)),
    "?": (("=", _QUERY),),
    "/": (("sqlplus", r"(\bsqlplus\s(?:-\w{1,10}\s){0,3}[\w$#]{1,40}/)[^\s@]++"),),
}
# Texts that one cheap look finds, and what it may be.
RUNS = tuple(
    (character, re.compile(look).search, re.compile(f"((?<![A-Za-z0-9])){pattern}"))
    for character, look, pattern in (
        (
            "_",
            r"_\w{10}",
            r"(?:gh[pousr]_|github_pat_|hf_|npm_|lin_|shp(?:at|ca|pa|ss)_|do[opr]_v1_|"
            r"[a-z]{2,5}_(?:live|test)_)\w{10,}",
        ),
        (
            "-",
            r"-[\w.-]{10}",
            r"(?:glpat-|xox[a-z](?:\.xox[a-z])?-|xapp-|sk-|pypi-|GOCSPX-)[\w-]{10,}",
        ),
        (
            ".",
            r"\.[\w-]{4}",
            r"(?:eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*){1,3}|ya29\.[\w-]{20,}|"
            r"SG\.[\w-]{16,}\.[\w-]{16,})",
        ),
    )
)

# In a text that holds these words, whatever their case.
SPOKEN = tuple(
    (mark, re.compile(pattern))
    for mark, pattern in (
        ("password ", r"(\blogin\s\S{1,200}\spassword\s)\S++"),
        # "basic statistics" are none.
        ("basic ", r"(\b[Bb]asic\s)(?=[\w.~+/-]*[A-Z0-9=])[\w.~+/=-]{8,}"),
        ("bearer ", r"(?i:(\bbearer\s)[\w.~+/=-]{8,})"),
        (
            "identified ",
            rf"(?i:(\bidentified\s{{1,3}}by\s{{1,3}}(?:values\s)?){_VALUE})",
        ),
    )
)

Group = tuple[str, tuple[str, ...], tuple[re.Pattern[str], ...]]


def _group(character: str, rows: tuple[tuple[str, str], ...], before: str) -> Group:
    patterns = tuple(re.compile(before + pattern, re.DOTALL) for _, pattern in rows)
    return character, tuple(mark for mark, _ in rows), patterns


MARKED: tuple[Group, ...] = (
    *(_group(key, rows, "((?<![A-Za-z0-9]))") for key, rows in _ISSUED.items()),
    *(_group(key, rows, "") for key, rows in _SAID.items()),
)
"""Patterns, by a text that most texts do not have, and by a mark that each of them needs."""
