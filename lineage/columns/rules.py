"""Which rule an operation follows: the names of pandas, and what they do to columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.columns import (
    aggregates,
    applying,
    converting,
    elementwise,
    grouping,
    groups,
    joining,
    making,
    merging,
    reshaping,
    selecting,
    setting,
    summing,
    texts,
)
from lineage.columns.operation import Op, default, kept, reconciled
from lineage.columns.values import Const, Flat, Frame, Group, Items, Lookup, Many, Table, flat, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lineage.columns.values import Value

    Rule = Callable[[Op], Value]


def _table(*rows: tuple[Rule, str]) -> dict[str, Rule]:
    return {name: rule for rule, names in rows for name in names.split()}


_OPERATORS = (
    "add sub mul truediv floordiv mod pow and or xor eq ne lt le gt ge neg invert abs pos round"
)
_OPERATOR_METHODS = """
    add sub subtract mul multiply div divide truediv floordiv mod pow radd rsub rmul rdiv rtruediv
    rfloordiv rmod rpow eq ne lt le gt ge divmod rdivmod
"""
_METHODS = _table(
    *((elementwise.pointwise, f"__{n}__ __r{n}__ __i{n}__") for n in _OPERATORS.split()),
    (elementwise.pointwise, _OPERATOR_METHODS),
    (elementwise.pointwise, """
        abs round clip astype fillna ffill bfill pad interpolate diff pct_change cumsum cumprod
        cummax cummin rank isna isnull notna notnull convert_dtypes applymap between combine
        duplicated argsort searchsorted"""),
    (elementwise.renamed_values, "replace"),
    (elementwise.where, "where mask"),
    (elementwise.isin, "isin"),
    (elementwise.ufunc, "__array_ufunc__"),
    (applying.applied, "apply transform"),
    (applying.mapped, "map"),
    (applying.gotten, "get"),
    (summing.reduced, """
        sum mean median min max std var sem skew kurt kurtosis prod product count nunique any all
        quantile item autocorr is_unique is_monotonic_increasing is_monotonic_decreasing hasnans
        argmax argmin"""),
    (summing.picked, "idxmax idxmin"),
    (summing.aggregated, "agg aggregate"),
    (summing.counted, "value_counts"),
    (summing.described, "describe mode"),
    (summing.correlated, "corr cov corrwith"),
    (converting.to_array, "to_numpy tolist to_list values array unique ravel"),
    (converting.to_mapping, "to_dict"),
    (converting.iterated, "iterrows itertuples items"),
    (converting.in_parts, "to_batches to_reader"),
    (kept, """
        copy head tail rename set_axis add_prefix add_suffix infer_objects rename_axis
        reorder_levels swaplevel droplevel take filter select_dtypes squeeze first last
        tz_localize tz_convert to_timestamp to_period set_flags to_frame isetitem __copy__
        __deepcopy__ repeat set_columns set_name
        to_pandas to_table scanner select slice combine_chunks
        truncate __iter__"""),
    (selecting.item, "__getitem__"),
    (selecting.located, "loc.__getitem__ iloc.__getitem__ at.__getitem__ iat.__getitem__"),
    (selecting.filtered_by, "dropna drop_duplicates"),
    (selecting.ordered, "sort_values nlargest nsmallest"),
    (selecting.ordered_by_index, "sort_index"),
    (selecting.sampled, "sample"),
    (selecting.dropped, "drop"),
    (selecting.exploded, "explode"),
    (selecting.by_time, "between_time at_time"),
    (selecting.cross_section, "xs"),
    (selecting.reindexed, "reindex reindex_like asfreq"),
    (selecting.shifted, "shift"),
    (setting.set_item, "__setitem__"),
    (setting.set_located, "loc.__setitem__ iloc.__setitem__ at.__setitem__ iat.__setitem__"),
    (setting.assigned, "assign"),
    (setting.inserted, "insert"),
    (setting.removed, "__delitem__ pop"),
    (setting.updated, "update"),
    (setting.index_given, "set_index_labels"),
    (texts.queried, "query"),
    (texts.evaluated, "eval"),
    (merging.merged_method, "merge"),
    (merging.joined, "join"),
    (joining.combined_first, "combine_first"),
    (joining.aligned, "align"),
    (reshaping.index_set, "set_index"),
    (reshaping.index_reset, "reset_index"),
    (reshaping.melted, "melt"),
    (reshaping.pivoted, "pivot pivot_table"),
    (reshaping.stacked, "stack"),
    (reshaping.unstacked, "unstack"),
    (reshaping.transposed, "T transpose"),
    (reshaping.compared, "compare"),
    (grouping.grouped, "groupby"),
    (grouping.windowed, "rolling expanding ewm"),
    (grouping.resampled, "resample"),
)  # fmt: skip
_OF_GROUPS = _table(
    (groups.selected, "__getitem__"),
    (groups.summed, """
        sum mean median min max std var sem skew kurt prod count nunique any all quantile first last
        describe ohlc corr cov unique interpolate asfreq nearest is_monotonic_increasing mode"""),
    (groups.same_rows, """
        transform cumsum cumprod cummax cummin rank shift diff pct_change ffill bfill fillna"""),
    (groups.numbered, "cumcount ngroup"),
    (groups.some_rows, "head tail nth sample filter nlargest nsmallest"),
    (groups.picked, "idxmax idxmin"),
    (groups.counted, "size"),
    (groups.value_counts, "value_counts"),
    (groups.one_group, "get_group"),
    (aggregates.aggregated, "agg aggregate"),
    (aggregates.applied, "apply"),
    (grouping.windowed, "rolling expanding ewm"),
    (grouping.resampled, "resample"),
)  # fmt: skip
_FUNCTIONS = _table(
    (converting.function_of, """
        cut qcut to_datetime to_numeric to_timedelta isna isnull notna notnull unique factorize"""),
    (converting.dummies, "get_dummies"),
    (converting.blocks, "transform_columns"),
    (joining.concatenated, "concat"),
    (merging.merged_function, "merge merge_asof merge_ordered"),
    (making.frame_of, "DataFrame from_records"),
    (making.of_mapping, "from_dict"),
    (making.series_of, "Series"),
    (reshaping.melted, "melt"),
    (reshaping.pivoted, "pivot pivot_table"),
    (reshaping.crossed, "crosstab"),
    (reshaping.widened, "wide_to_long"),
)  # fmt: skip


_KNOWN = {*_FUNCTIONS, *_METHODS, *_OF_GROUPS, "assign"}
_ACCESSORS = ("str.", "dt.", "cat.")


def has_function(name: str) -> bool:
    """Whether there is a rule for a function of that name."""
    return name in _FUNCTIONS


def is_known(name: str) -> bool:
    """Whether there is a rule for an operation of that name, on whatever it is called.

    >>> is_known("merge"), is_known("str.upper"), is_known("frobnicate")
    (True, True, False)
    """
    return name in _KNOWN or name.startswith(_ACCESSORS)


def apply_function(op: Op) -> Value:
    """Give what a function of pandas makes of its arguments."""
    return reconciled(_FUNCTIONS.get(op.name, default)(op), op)


def apply_method(op: Op) -> Value:
    """Give what a method makes of what it is called on."""
    match op.target:
        case Group():
            rule = _OF_GROUPS.get(op.name, _group_default)
        case Const():
            return Flat(join(flat(arg.value) for arg in _arguments(op)))
        case Frame() | Table() | Lookup() | Flat() | Many() | Items():
            is_accessor = op.name.startswith(_ACCESSORS)
            rule = converting.of_text if is_accessor else _METHODS.get(op.name, default)
        case _:
            rule = default
    return reconciled(rule(op), op)


def _arguments(op: Op) -> Iterable[Any]:
    return (*op.args, *op.kwargs.values())


def _group_default(op: Op) -> Value:
    op.notes.append(op.name)
    return groups.summed(op)
