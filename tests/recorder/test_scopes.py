"""Scopes: whose word counts, and who said it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.settings.scopes import INNER_SCOPES, Layer, Resolved, Scope, resolve

KEYS = st.sampled_from(["a", "b", "c"])
SAID = st.dictionaries(KEYS, st.booleans())


@st.composite
def layers(draw: st.DrawFn) -> list[Layer]:
    """Some scopes, outermost first; the outermost says every key, as the server does."""
    first = Layer(Scope.DEFAULT, {key: draw(st.booleans()) for key in "abc"})
    return [first, *(Layer(scope, draw(SAID)) for scope in list(Scope)[1:] if draw(st.booleans()))]


@given(layers())
def test_the_innermost_that_says_something_counts(given: list[Layer]) -> None:
    for key, found in resolve(given).items():
        last = [layer for layer in given if key in layer.values][-1]
        assert found == Resolved(last.values[key], last.scope)


@given(layers(), st.sets(KEYS), st.sets(KEYS))
def test_a_value_always_comes_from_the_scope_that_is_named(
    given: list[Layer], narrowing: set[str], locked: set[str]
) -> None:
    said = {layer.scope: layer.values for layer in given}
    found = resolve(given, narrowing=narrowing, locked=locked)
    assert set(found) == set("abc")
    assert all(said[one.scope][key] == one.value for key, one in found.items())


@given(layers())
def test_a_narrowing_key_is_on_only_where_every_scope_has_it_on(given: list[Layer]) -> None:
    for key, found in resolve(given, narrowing={"a", "b", "c"}).items():
        words = [(layer.scope, layer.values[key]) for layer in given if key in layer.values]
        assert found.value == all(value for _, value in words)
        if not found.value:
            assert found.scope == next(scope for scope, value in words if not value)


@given(layers())
def test_a_locked_key_is_said_by_the_server_alone(given: list[Layer]) -> None:
    outer = [layer for layer in given if layer.scope not in INNER_SCOPES]
    assert resolve(given, locked={"a", "b", "c"}) == resolve(outer)


@given(layers(), st.sampled_from(list(Scope)))
def test_a_scope_that_says_nothing_changes_nothing(given: list[Layer], scope: Scope) -> None:
    if scope in {layer.scope for layer in given}:
        return
    order = list(Scope)
    more = sorted([*given, Layer(scope, {})], key=lambda layer: order.index(layer.scope))
    assert resolve(more) == resolve(given)


@pytest.mark.parametrize("scopes", [(Scope.TEMPLATE, Scope.ACCOUNT), (Scope.ACCOUNT, Scope.ACCOUNT)])
def test_scopes_that_do_not_lie_in_each_other_are_refused(scopes: tuple[Scope, ...]) -> None:
    with pytest.raises(ValueError, match="account"):
        resolve(Layer(scope, {}) for scope in scopes)
