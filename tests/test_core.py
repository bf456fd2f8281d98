"""The model."""

import copy
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.core import DataOperation, DataSource, LineageNode, OperationType
from lineage.errors import (
    ConfigError,
    CorruptStoreError,
    LineageError,
    MissingDependencyError,
    NodeNotFoundError,
    OperationError,
    StoreError,
    node_not_found,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_seven_types_and_any_other_text():
    assert [kind.value for kind in OperationType] == [
        *("read", "write", "transform", "aggregate", "filter", "join", "derive"),
    ]
    own = OperationType("publish")
    assert own == "publish"
    assert str(own) == f"{own}" == own.value == "publish"
    assert own.name == "PUBLISH"
    assert own in {"publish"}
    assert hash(own) == hash("publish")
    assert OperationType("READ") != OperationType.READ
    assert isinstance(own, OperationType)
    assert len(OperationType) == 7
    for again in (copy.copy(own), copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        assert again == own
        assert again.value == "publish"
    assert pickle.loads(pickle.dumps(OperationType.READ)) is OperationType.READ


@pytest.mark.parametrize("value", ["", "  ", None, 7, b"read", ["read"]])
def test_what_is_no_type(value):
    with pytest.raises((ValueError, TypeError)):
        OperationType(value)


def test_a_source_is_its_type_and_id():
    one = DataSource("file", "a", "/x", {"c": 1}, {"m": 1}, "v1")
    assert one.node_id == "file:a"
    assert one == DataSource("file", "a", "/x", {"c": 1}, {"m": 1}, "v1")
    assert one != DataSource("file", "a", "/y")
    assert len({one, DataSource("file", "a", "/x", version="v1")}) == 2
    assert hash(one) == hash(DataSource("file", "a", "/x", version="v1"))
    with pytest.raises(AttributeError):
        one.location = "/z"
    given = {"a": 1}
    made = DataSource("file", "b", metadata=given)
    given["a"] = 2
    assert made.metadata == {"a": 1}
    assert DataSource("file", "b", metadata=None).metadata == {}
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


@pytest.mark.parametrize(("kind", "name"), [("", "a"), ("a:b", "c"), ("file", "")])
def test_wrong_sources(kind, name):
    with pytest.raises(ValueError, match="source"):
        DataSource(kind, name)


def test_sources_from_text():
    assert DataSource.parse("file:a:b") == DataSource("file", "a:b")
    source = DataSource("file", "a")
    assert DataSource.parse(source) is source
    with pytest.raises(ValueError, match="'file' is not of the form 'type:id'"):
        DataSource.parse("file")


@given(st.text(min_size=1).filter(lambda text: ":" not in text), st.text(min_size=1))
def test_a_node_id_is_read_back(kind, name):
    assert DataSource.parse(DataSource(kind, name).node_id) == DataSource(kind, name)


def test_operations():
    made = DataOperation.create("read", parameters={"a": 1})
    assert made.operation_type is OperationType.READ
    assert made.timestamp.tzinfo is UTC
    assert not made.is_failed
    assert DataOperation.create("x").operation_id != made.operation_id
    assert DataOperation("id", "write", NOW).operation_type is OperationType.WRITE
    assert DataOperation("id", "write", NOW, status="failed").is_failed
    with pytest.raises(ValueError, match="OperationType"):
        DataOperation.create("")


def test_nodes():
    node = LineageNode("file:a", DataSource("file", "a"))
    node.add_dependency("file:a")
    node.add_dependent("file:a")
    node.add_dependency("file:b")
    node.add_dependent("file:c")
    assert (node.dependencies, node.dependents) == ({"file:b"}, {"file:c"})
    node.record_access(NOW)
    node.record_access(NOW - timedelta(days=1))
    assert (node.accessed_count, node.last_accessed) == (2, NOW)
    node.record_access()
    assert node.last_accessed > NOW - timedelta(days=1)
    node.record_write("second", NOW)
    node.record_write("first", NOW - timedelta(days=1))
    assert (node.created_by, node.created_at) == ("first", NOW - timedelta(days=1))
    assert (node.written_count, node.last_written) == (2, NOW)


def test_errors_are_also_what_python_would_raise():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(NodeNotFoundError, ValueError)
    assert issubclass(OperationError, ValueError)
    assert issubclass(CorruptStoreError, StoreError)
    assert issubclass(MissingDependencyError, ImportError)
    for each in (ConfigError, NodeNotFoundError, OperationError, StoreError):
        assert issubclass(each, LineageError)


def test_an_unknown_node_names_the_near_ones():
    known = ["file:prices.csv", "file:trades.csv", "api:quotes"]
    assert "'file:prices.csv'" in str(node_not_found("file:price.csv", known))
    assert "'api:quotes'" in str(node_not_found("quotes", known))
    assert "no similar node" in str(node_not_found("zzzzzzzz", known))
    assert "no similar node" in str(node_not_found("", known))
    assert "nothing is recorded here" in str(node_not_found("", []))
    assert "ask as of a later time" in str(node_not_found("a", [], " as of 2000-01-01"))
