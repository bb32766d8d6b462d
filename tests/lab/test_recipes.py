from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import OptionError
from mien.lab.augmentation import AUGMENTATIONS
from mien.lab.models import ARCHITECTURES, HEADS
from mien.lab.recipes import SCHEDULES, Recipe, read_recipe, recipe_of
from mien.lab.schedules import learning_rate

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_recipe_of_the_repository_can_be_run(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.architecture in ARCHITECTURES
    assert recipe.augmentation in AUGMENTATIONS
    assert set(recipe.heads) <= set(HEADS)


def test_there_are_recipes() -> None:
    assert "default.toml" in [path.name for path in CONFIGS]


def test_a_recipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('architecture = "paper"\nheads = ["fer2013"]\nlearning_rate = 1\nepochs = 3\n', encoding="utf-8")
    recipe = read_recipe(path)
    assert recipe == Recipe(architecture="paper", heads=("fer2013",), learning_rate=1.0, epochs=3)
    assert type(recipe.learning_rate) is float
    assert recipe_of(asdict(recipe), "a checkpoint") == recipe


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.touch()
    assert read_recipe(path) == Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 0.1", "unknown option 'learning_rat': expected one of architecture, heads, epochs"),
        ("epochs = 1.5", "epochs is 1.5: expected a whole number"),
        ("epochs = true", "epochs is True: expected a whole number"),
        ("learning_rate = true", "learning_rate is True: expected a number"),
        ('learning_rate = "fast"', "learning_rate is 'fast': expected a number"),
        ("architecture = 5", "architecture is 5: expected text in quotes"),
        ('heads = "ferplus"', "heads is 'ferplus': expected a list of texts"),
        ("heads = [1, 2]", r"heads is \[1, 2\]: expected a list of texts"),
        ("epochs 5", "is no TOML"),
        ("epochs = 5\nepochs = 6", "is no TOML"),
        ("epochs = 0", "epochs is 0: expected at least 1"),
        ("batch_size = -1", "batch_size is -1: expected at least 1"),
        ('schedule = "linear"', "schedule is 'linear': expected one of one-cycle, cosine, step, constant"),
        ('optimizer = "lion"', "optimizer is 'lion': expected one of sgd, adam"),
        ('precision = "8-bit"', "precision is '8-bit': expected one of auto, bf16-mixed, 32-true"),
        ("learning_rate = 0", "learning_rate is 0.0: expected a number above 0"),
        ("learning_rate = nan", "learning_rate is nan: expected a number above 0"),
        ("mixup = 1.1", "mixup is 1.1: expected 0 to 1"),
        ("mixup_alpha = 0.0", "mixup_alpha is 0.0: expected a number above 0"),
        ("label_smoothing = -0.1", "label_smoothing is -0.1: expected 0 to 1"),
        ("average_decay = 2", "average_decay is 2.0: expected 0 to 1"),
        ("seed = -1", "seed is -1: expected 0 or more"),
        ("processes = 3", "batch_size 128 cannot be shared by 3 processes"),
        ("heads = []", r"heads are \[\]: expected 'fer2013', 'ferplus' or both"),
        ('heads = ["fer2013", "fer2013"]', "expected 'fer2013', 'ferplus' or both, each once"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=message) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(OptionError, match=r"cannot be read .*expected a recipe \(.toml\)"):
            read_recipe(path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="is no TOML"):
        read_recipe(binary)


# the learning rate


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(1, 3000),
    highest=st.floats(1e-6, 10),
    share=st.floats(0, 1, exclude_max=True),
)
def test_the_rate_stays_between_zero_and_the_highest(schedule: str, steps: int, highest: float, share: float) -> None:
    rate = learning_rate(Recipe(schedule=schedule, learning_rate=highest), int(share * steps), steps)
    assert 0 < rate <= highest * (1 + 1e-12)


@given(steps=st.integers(5, 500))
def test_one_cycle_rises_for_a_fifth_and_falls_for_the_rest(steps: int) -> None:
    rates = [learning_rate(Recipe(schedule="one-cycle", learning_rate=1.0), step, steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.04)
    assert abs(top - 0.2 * steps) < 1
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.2


def test_cosine_and_constant() -> None:
    cosine = [learning_rate(Recipe(schedule="cosine", learning_rate=2.0), step, 4) for step in range(4)]
    assert cosine == pytest.approx([2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5])
    constant = Recipe(schedule="constant", learning_rate=0.3)
    assert {learning_rate(constant, step, 9) for step in range(9)} == {0.3}


def test_step_is_a_tenth_after_half_and_a_hundredth_after_three_quarters() -> None:
    rates = [learning_rate(Recipe(schedule="step", learning_rate=1.0), step, 8) for step in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
