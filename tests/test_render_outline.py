from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.outline import to_text
from tests.hostile import HOSTILE


def drawn(*pairs, **more):
    ids = dict.fromkeys(end for pair in pairs for end in pair)
    return Drawing("", tuple(Box(i, i) for i in ids), tuple(Arrow(*pair) for pair in pairs), **more)


def test_a_diamond_with_a_tail():
    text = to_text(drawn("ab", "ac", "bd", "cd", "de", note="a note"))
    assert text.splitlines() == [
        "a",
        "\u251c\u2500 b",
        "\u2502  \u2193 d",
        "\u2502  \u2193 e",
        "\u2514\u2500 c",
        "   \u2193 d (above)",
        "",
        "a note",
    ]


def test_failures_groups_and_the_root():
    boxes = (Box("a", "a", "operation", "read", has_error=True), Box("b", "b", is_root=True))
    assert to_text(Drawing("T", boxes)) == "T\n\na (read, failed)\nb *\n"


def test_nothing_is_said_to_be_nothing():
    assert to_text(Drawing("T", (), note="a note")) == "T\n(nothing)\n\na note\n"
    assert to_text(Drawing("", ())) == "\n"


def test_a_chain_of_thousands_is_not_deep():
    text = to_text(drawn(*((str(at), str(at + 1)) for at in range(5000))))
    assert len(text) < 60_000


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=15))
def test_every_box_is_written_once_whatever_the_cycles(pairs):
    pairs = list(dict.fromkeys(pairs))
    lines = to_text(drawn(*pairs)).splitlines()
    whole = [line.lstrip("\u251c\u2514\u2502\u2500\u2193 ") for line in lines]
    names = {end for pair in pairs for end in pair}
    assert sorted(name for name in whole if name and "(above)" not in name) == sorted(names)
    assert len(lines) <= max(1, len(names) + len(pairs))


def test_hostile_names_stay_on_their_lines():
    boxes = tuple(Box(str(at), text, group=text) for at, text in enumerate(HOSTILE))
    lines = to_text(Drawing("", boxes)).splitlines()
    assert len(lines) == len(HOSTILE)
    assert "\x1b" not in "".join(lines)
