"""The four schemas of a Walacor backend: what its rows hold, and how long its texts may be."""

from __future__ import annotations

from typing import Any, NamedTuple

PROJECT, NODE, EDGE, RUN = 20000, 20001, 20002, 20003
FILE = 17
"""The type of what is known of files."""
SCHEMA_TYPE = 50
"""The type of the envelopes that make schemas."""
MOST_TEXT = 50
MOST_DESCRIPTION = 500
MOST_STATUS = 20


class Schema(NamedTuple):
    """A schema: its table, its fields as (name, type, required, most characters), its indexes."""

    etid: int
    table: str
    fields: tuple[tuple[str, str, bool, int | None], ...]
    indexes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def body(self) -> dict[str, Any]:
        """Give what makes it at the backend."""
        fields = [
            {"FieldName": name, "DataType": kind, "Required": is_required}
            | ({} if most is None else {"MaxLength": most})
            for name, kind, is_required, most in self.fields
        ]
        indexes = [{"Fields": list(names), "IndexValue": name} for name, names in self.indexes]
        schema = {
            "ETId": self.etid,
            "TableName": self.table,
            "Family": "DataScience",
            "DoSummary": True,
            "Fields": fields,
            "Indexes": indexes,
        }
        return {"ETId": SCHEMA_TYPE, "SV": 1, "Schema": schema}


SCHEMAS = (
    Schema(
        PROJECT,
        "project_metadata",
        (
            ("project_name", "TEXT", True, MOST_TEXT),
            ("description", "TEXT", False, MOST_DESCRIPTION),
            ("user_tag", "TEXT", False, MOST_TEXT),
        ),
    ),
    Schema(
        NODE,
        "transform_node",
        (
            ("run_uid", "TEXT", True, MOST_TEXT),
            ("project_uid", "TEXT", True, MOST_TEXT),
            ("artifact_uid", "TEXT", False, MOST_TEXT),
            ("operation", "TEXT", True, MOST_TEXT),
            ("shape", "ARRAY", False, None),
            ("params_json", "TEXT", False, None),
        ),
        (("project_uid", ("project_uid",)),),
    ),
    Schema(
        EDGE,
        "transform_edge",
        (
            ("parent_node_uid", "TEXT", True, MOST_TEXT),
            ("child_node_uid", "TEXT", True, MOST_TEXT),
        ),
        (("parent_child", ("parent_node_uid", "child_node_uid")),),
    ),
    Schema(
        RUN,
        "transform_run",
        (
            ("project_uid", "TEXT", True, MOST_TEXT),
            ("pipeline_name", "TEXT", True, MOST_TEXT),
            ("status", "TEXT", True, MOST_STATUS),
        ),
        (("project_uid", ("project_uid",)), ("pipeline_name", ("pipeline_name",))),
    ),
)
