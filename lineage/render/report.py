"""A summary report as plain text, Markdown or HTML, from the dictionary of the query engine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeGuard

from lineage.render.scene import escaped
from lineage.render.text import ELLIPSIS, one_line

TITLE = "Data lineage summary report"
_ACRONYMS = {"id": "ID", "ms": "(ms)", "p50": "P50", "p90": "P90", "p95": "P95"}
_HEADINGS = {
    "basic_stats": "Basic statistics",
    "graph_structure": "Graph structure",
    "top_connected_nodes": "Top connected nodes",
    "recent_activity": "Recent activity",
    "freshness": "Freshness",
    "performance": "Performance",
    "volume": "Volume",
}
_MOST_ROWS = 20
_LONGEST = 300
_LEFT = ' style="text-align: left"'  # notebooks set texts to the right
_NUMBER = re.compile(r"[-\d,.]*")
_DURATION = re.compile(r"_duration_ms$")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?([+-]\d\d:\d\d)")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #16202c; max-width: 84em;
  margin: 2em auto; padding: 0 1em; overflow-wrap: anywhere }}
table {{ border-collapse: collapse; margin: .4em 0 1em }}
th, td {{ border-bottom: 1px solid #d7dde4; padding: 3px 12px 3px 0; text-align: left }}
th {{ color: #5b6776; font-weight: 600; overflow-wrap: normal }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
.picture {{ overflow: auto; border: 1px solid #d7dde4 }}
h3 {{ margin-bottom: 0; font-size: 1em }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


class _Section(NamedTuple):
    """One part of the report: single figures, then tables with their titles."""

    heading: str
    figures: list[tuple[str, str]]
    tables: list[_Table]


class _Table(NamedTuple):
    title: str
    columns: list[str]
    rows: list[list[str]]
    left_out: int


def to_text(report: Mapping[str, Any]) -> str:
    """Write a summary as plain text for a terminal or a mail.

    Args:
        report: What `LineageQueryEngine.build_lineage_summary()` gives, with any further
            sections, such as `freshness`, `performance` and `volume`. Missing ones are left out.

    >>> print(to_text({"basic_stats": {"total_operations": 3, "total_nodes": 4}}))
    ===========================
    DATA LINEAGE SUMMARY REPORT
    ===========================
    <BLANKLINE>
    BASIC STATISTICS:
      Total Operations: 3
      Total Nodes: 4
    <BLANKLINE>
    """
    rule = "=" * len(TITLE)
    lines = [rule, TITLE.upper(), rule, ""]
    for section in _sections(report):
        lines += [f"{section.heading.upper()}:", *_text_lines(section), ""]
    return "\n".join(lines)


def section_to_text(heading: str, content: Mapping[str, Any]) -> str:
    """Write figures and tables under a heading as plain text, the first rows of each table.

    >>> print(section_to_text("Nodes", {"total": 1200, "nodes": [{"node_id": "file:a"}]}))
    Nodes
      Total: 1,200
      Nodes:
        Node ID
        file:a
    """
    section = _section(one_line(heading), content)
    return "\n".join([section.heading, *_text_lines(section)])


def section_to_html(heading: str, content: Mapping[str, Any]) -> str:
    """Write figures and tables under a heading as HTML; all names are shown as text."""
    section = _section(one_line(heading), content)
    return "\n".join([f"<h4>{escaped(section.heading)}</h4>", *_html_lines(section, "h5", _LEFT)])


def to_markdown(report: Mapping[str, Any]) -> str:
    r"""Write a summary as Markdown with tables; whatever a name contains is shown as text.

    >>> print(to_markdown({"basic_stats": {"source_types": {"a|b": 2}}}).splitlines()[-1])
    | a\|b | 2 |
    """
    lines = [f"# {TITLE}", ""]
    for section in _sections(report):
        lines += [f"## {section.heading}", ""]
        if section.figures:
            lines += [*_markdown_table(["", ""], [list(pair) for pair in section.figures]), ""]
        for table in section.tables:
            lines += [f"### {_cell(table.title)}", ""] if table.title else []
            lines += [
                *_markdown_table(table.columns, table.rows),
                "",
                *([f"and {table.left_out:,} more", ""] if table.left_out else []),
            ]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_html(report: Mapping[str, Any], *, picture: str = "") -> str:
    """Write a summary as one HTML page that loads nothing; all names are shown as text.

    Args:
        report: As of `to_text`.
        picture: SVG of our own to show on top.

    >>> "a &lt;b&gt;" in to_html({"basic_stats": {"source_types": {"a <b>": 2}}})
    True
    """
    lines = [f"<h1>{TITLE}</h1>", f'<div class="picture">{picture}</div>' if picture else ""]
    for section in _sections(report):
        lines += [f"<h2>{escaped(section.heading)}</h2>", *_html_lines(section, "h3")]
    return _PAGE.format(title=TITLE, body="\n".join(filter(None, lines)))


def _text_lines(section: _Section) -> list[str]:
    lines = [f"  {name}: {value}" for name, value in section.figures]
    for table in section.tables:
        lines += [f"  {table.title}:"] if table.title else []
        lines += [f"    {row}" for row in _aligned(table)]
        lines += [f"    and {table.left_out:,} more"] if table.left_out else []
    return lines


def _html_lines(section: _Section, level: str, style: str = "") -> list[str]:
    lines = [_html_table([], [list(pair) for pair in section.figures], style)]
    for table in section.tables:
        lines += [f"<{level}>{escaped(table.title)}</{level}>"] if table.title else []
        lines.append(_html_table(table.columns, table.rows, style))
        lines += [f"<p>and {table.left_out:,} more</p>"] if table.left_out else []
    return list(filter(None, lines))


def _html_table(columns: list[str], rows: list[list[str]], style: str = "") -> str:
    names = "".join(f"<th{style}>{escaped(name)}</th>" for name in columns)
    lines = [f"<tr>{names}</tr>"] if any(columns) else []
    lines += ["<tr>" + "".join(_html_cell(text, style) for text in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>" if lines else ""


def _html_cell(text: str, style: str) -> str:
    kind = ' class="number"' if _NUMBER.fullmatch(text) else style
    return f"<td{kind}>{escaped(text)}</td>"


def _sections(report: Mapping[str, Any]) -> list[_Section]:
    order = [*_HEADINGS, *(name for name in report if name not in _HEADINGS)]
    return [
        _section(_HEADINGS.get(name) or _words(name), report[name])
        for name in order
        if report.get(name) not in (None, {}, [])
    ]


def _section(heading: str, content: object) -> _Section:
    if not isinstance(content, Mapping):
        content = {"": content} if _is_list(content) else {heading: content}
    figures: list[tuple[str, str]] = []
    tables: list[_Table] = []
    for key, value in content.items():
        if isinstance(value, Mapping) or _is_list(value):
            table = _table(_words(str(key)), value)
            if table.rows:
                tables.append(table)
        else:
            figures.append((_words(str(key)), _bounded(_value(value))))
    return _Section(heading, figures, tables)


def _table(title: str, content: Mapping[str, Any] | Collection[Any]) -> _Table:
    if isinstance(content, Mapping):
        pairs = islice(content.items(), _MOST_ROWS)
        rows = [{"": key, **_columns(value)} for key, value in pairs]
    else:
        # A slice, where there is one: a lazy sequence makes no more than that.
        first = content[:_MOST_ROWS] if isinstance(content, Sequence) else content
        rows = [_columns(value) for value in islice(first, _MOST_ROWS)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_bounded(_value(row.get(name, ""))) for name in columns] for row in rows]
    return _Table(title, [_heading(name) for name in columns], cells, len(content) - len(cells))


def _heading(column: str) -> str:
    """Name a column; durations stand side by side, so that of them the unit says enough."""
    return "ms" if column == "ms" else _words(_DURATION.sub("_ms", column))


def _bounded(text: str) -> str:
    """Leave out the middle of a text that would fill the page."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}{ELLIPSIS}{text[-half:]}"


def _columns(value: object) -> dict[str, Any]:
    """Give the cells of one row by their column: of a mapping, a tuple or a single value."""
    if isinstance(value, Mapping):
        return {str(key): cell for key, cell in value.items()}
    if _is_list(value):
        return {" " * at: cell for at, cell in enumerate(value, 1)}
    return {" ": value}


def _is_list(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, Sequence | Set) and not isinstance(value, (str, bytes))


def _words(name: str) -> str:
    words = [_ACRONYMS.get(word, word[:1].upper() + word[1:]) for word in name.split("_")]
    return one_line(" ".join(words)).strip()


def _value(value: object) -> str:
    """Write one value as a person reads it: grouped digits, times to the second."""
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(str(key))}: {_value(cell)}" for key, cell in value.items())
    if _is_list(value):
        return ", ".join(map(_value, value))
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".removesuffix(".00")
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    text = str(value)
    time = _TIME.fullmatch(text)
    return f"{time[1]} {time[2]}{time[3]}" if time else one_line(text)


def _aligned(table: _Table) -> list[str]:
    has_header = any(table.columns[1:]) or (len(table.columns) == 1 and bool(table.columns[0]))
    rows = [table.columns, *table.rows] if has_header else table.rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [
        all(_NUMBER.fullmatch(cell) for cell in column) for column in zip(*table.rows, strict=True)
    ]
    return [
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    ]


def _markdown_table(columns: list[str], rows: list[list[str]]) -> list[str]:
    lines = [columns, *rows]
    written = ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]
    return [written[0], "|" + " --- |" * len(columns), *written[1:]]


def _cell(text: str) -> str:
    """Escape what Markdown or the HTML within it would take for itself."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~<>&$])", r"\\\1", text)
    return re.sub(r"\b(https?|ftp|mailto|www)(?=[:.])", "\\1\u200b", escaped)
