"""A summary report as plain text, Markdown or HTML, from the dictionary of the query engine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime
from typing import Any, NamedTuple, TypeGuard

from lineage.render.scene import escaped
from lineage.render.text import one_line

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
_NUMBER = re.compile(r"[-\d,.]*")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #16202c; max-width: 70em;
  margin: 2em auto; padding: 0 1em; overflow-wrap: anywhere }}
table {{ border-collapse: collapse; margin: .4em 0 1em }}
th, td {{ border-bottom: 1px solid #d7dde4; padding: 3px 14px 3px 0; text-align: left }}
th {{ color: #5b6776; font-weight: 600 }}
.number {{ text-align: right; font-variant-numeric: tabular-nums }}
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
        lines.append(f"{section.heading.upper()}:")
        lines += [f"  {name}: {value}" for name, value in section.figures]
        for table in section.tables:
            lines += [f"  {table.title}:"] if table.title else []
            lines += [f"    {row}" for row in _aligned(table)]
            if table.left_out:
                lines.append(f"    and {table.left_out:,} more")
        lines.append("")
    return "\n".join(lines)


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
        lines.append(f"<h2>{escaped(section.heading)}</h2>")
        lines.append(_html_table([], [list(pair) for pair in section.figures]))
        for table in section.tables:
            lines += [f"<h3>{escaped(table.title)}</h3>", _html_table(table.columns, table.rows)]
            lines += [f"<p>and {table.left_out:,} more</p>"] if table.left_out else []
    return _PAGE.format(title=TITLE, body="\n".join(filter(None, lines)))


def _html_table(columns: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escaped(name)}</th>" for name in columns) if any(columns) else ""
    lines = [f"<tr>{head}</tr>"] if head else []
    lines += ["<tr>" + "".join(map(_html_cell, row)) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>" if lines else ""


def _html_cell(text: str) -> str:
    number = ' class="number"' if _NUMBER.fullmatch(text) else ""
    return f"<td{number}>{escaped(text)}</td>"


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
            figures.append((_words(str(key)), _value(value)))
    return _Section(heading, figures, tables)


def _table(title: str, content: Mapping[str, Any] | Collection[Any]) -> _Table:
    if isinstance(content, Mapping):
        rows = [{"": key, **_columns(value)} for key, value in content.items()]
    else:
        rows = [_columns(value) for value in content]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_value(row.get(name, "")) for name in columns] for row in rows[:_MOST_ROWS]]
    return _Table(title, [_words(name) for name in columns], cells, len(rows) - len(cells))


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
    return one_line(str(value))


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
