from __future__ import annotations

import pytest

from mien.core.errors import OptionError
from mien.core.labels import ALIASES, EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT, UNCERTAIN, canonical


def test_the_order_is_that_of_fer2013_with_contempt_eighth() -> None:
    assert EXPRESSIONS == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert EXPRESSIONS_AND_CONTEMPT[:7] == EXPRESSIONS
    assert EXPRESSIONS_AND_CONTEMPT[7:] == ("contempt",)


@pytest.mark.parametrize("name", EXPRESSIONS_AND_CONTEMPT)
def test_mien_names_stay(name: str) -> None:
    assert canonical(name) == name


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_lead_to_a_label_whatever_their_case(alias: str, name: str) -> None:
    assert name in EXPRESSIONS_AND_CONTEMPT
    assert canonical(f" {alias.upper()}\n") == name


@pytest.mark.parametrize("name", ["", "bored", UNCERTAIN])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OptionError, match=r"expected one of angry, .*contempt.*happiness") as caught:
        canonical(name)
    assert repr(name) in str(caught.value)
