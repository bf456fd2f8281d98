"""Which of the causes by which two runs may differ has moved the result: tried, not guessed.

The second run is replayed as it was; then again and again with one thing taken from the first run:
its code, its command, one of its inputs. What comes out is held against what either run had made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from lineage.errors import ReplayError
from lineage.replay import performed, unlike_each_other
from lineage.workplace import is_as_recorded, is_known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.recipes import Made, Recipe
    from lineage.replay import Terms

Effect = Literal["all", "some", "none", "other", "unknown"]
_SAID = {
    "all": "with this alone the result is that of the first run",
    "some": "with this alone some of the results are those of the first run",
    "none": "the result stays that of the second run",
    "other": "the result is that of neither run",
}


class Trial(NamedTuple):
    """One thing that was taken from the first run, and what that did to the result.

    `effect`: `all` results became those of the first run, or `some`; `none` changed; they became
    something `other`; or it is `unknown`, as the message says why.
    """

    cause: str
    effect: Effect
    message: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What trials have shown; `control` is the second run as it was, which must be the same."""

    control: Trial
    trials: tuple[Trial, ...]

    @property
    def causes(self) -> list[str]:
        """The causes that move the result."""
        return [trial.cause for trial in self.trials if trial.effect in ("all", "some", "other")]


def prove(first: Recipe, second: Recipe, terms: Terms) -> Proof:
    """Try which difference between two runs moves the result.

    Args:
        first: What one run took.
        second: The same of the other one.
        terms: How to replay.

    Raises:
        ReplayError: They have made nothing that is called or lies alike.
    """
    pairs = list(_pairs(first, second))
    if not pairs:
        raise ReplayError(
            f"{first.target!r} and {second.target!r} have made nothing that is called alike: there "
            "is nothing to compare"
        )
    control = _tried("nothing", second, pairs, terms)
    if control.effect != "none":
        text = "the second run does not come out as it was, so that no trial can tell anything"
        return Proof(control if control.effect == "unknown" else control._replace(message=text), ())
    trials = [_tried(name, recipe, pairs, terms) for name, recipe in _swaps(first, second)]
    return Proof(control, (*trials, *_untried(first, second)))


def _pairs(first: Recipe, second: Recipe) -> Iterator[tuple[Made, Made]]:
    """Match what was made: by the name of the product, or by the path."""
    known = {key: made for made in first.made for key in (made.path, made.name.rpartition("@")[0])}
    for made in second.made:
        own = known.get(made.name.rpartition("@")[0] or made.path) or known.get(made.path)
        if own is not None:
            yield own, made


def _swaps(first: Recipe, second: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield the second run with one thing after the other taken from the first."""
    if first.codes != second.codes:
        yield "code", replace(second, codes=first.codes)
    if first.command != second.command:
        yield "command", replace(second, command=first.command)
    before = {each.path: each for each in first.inputs}
    for each in second.inputs:
        other = before.get(each.path)
        if other is not None and other.version != each.version:
            inputs = tuple(other if own.path == each.path else own for own in second.inputs)
            yield f"input {each.path}", replace(second, inputs=inputs)


def _untried(first: Recipe, second: Recipe) -> Iterator[Trial]:
    """Name what differs and cannot be taken over."""
    for text in unlike_each_other(first.environment, second.environment):
        yield Trial(f"environment: {text}", "unknown", "an environment is not swapped")
    sides = [{each.path for each in recipe.inputs} for recipe in (first, second)]
    for path in sorted(sides[0] ^ sides[1]):
        which = "first" if path in sides[0] else "second"
        yield Trial(f"input {path}", "unknown", f"only the {which} run has read it")


def _tried(cause: str, recipe: Recipe, pairs: list[tuple[Made, Made]], terms: Terms) -> Trial:
    try:
        gone = [each.path for each in recipe.inputs if not is_known(recipe, each)]
        if gone:
            return Trial(cause, "unknown", f"{gone[0]} as it was is not known to be anywhere")
        with performed(recipe, terms) as done:
            places = [(done.places[mine.path], first, mine) for first, mine in pairs]
            found = [
                (is_as_recorded(place, first.content), is_as_recorded(place, mine.content))
                for place, first, mine in places
            ]
    except ReplayError as error:
        return Trial(cause, "unknown", str(error))
    effect = _effect(found)
    return Trial(cause, effect, _SAID[effect])


def _effect(found: list[tuple[bool, bool]]) -> Effect:
    if all(is_second for _, is_second in found):
        return "none"
    if all(is_first for is_first, _ in found):
        return "all"
    return "some" if any(is_first and not is_second for is_first, is_second in found) else "other"
