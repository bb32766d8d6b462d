from __future__ import annotations

import pytest

from mien.core import errors

CLASSES = [
    errors.MediaError,
    errors.DatasetError,
    errors.ModelError,
    errors.OutputError,
    errors.OptionError,
    errors.MissingExtraError,
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_a_mien_error(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.MienError)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_docstring_names_every_class(kind: type[Exception]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_the_standard_classes_catch_theirs() -> None:
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.MissingExtraError, ImportError)


def test_a_missing_extra_names_the_pip_command() -> None:
    error = errors.MissingExtraError("pyarrow", "mien[analysis]")
    assert str(error) == "pyarrow is not installed: pip install 'mien[analysis]'"
