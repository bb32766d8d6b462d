"""Groups compared: known answers, planted differences, chance, and laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from sklearn.metrics import f1_score, recall_score

from mien.core.errors import OptionError
from mien.core.types import FloatArray, IntArray
from mien.lab.evaluation import expected_calibration_error
from mien.lab.evaluation.audit import ALPHA, Audit, Comparison, audit, holm
from mien.lab.evaluation.audit.inference import smallest_difference
from mien.lab.evaluation.audit.resampling import sides_of

NAMES = ("angry", "happy", "sad")
Strings = npt.NDArray[np.str_]


def answers(right: npt.NDArray[np.bool_], labels: IntArray, seed: int = 0) -> FloatArray:
    """Return probabilities of any confidence whose top is the label where it is to be right, else another class."""
    generator = np.random.default_rng(seed)
    tops = np.where(right, labels, (labels + generator.integers(1, len(NAMES), len(labels))) % len(NAMES))
    sure = generator.uniform(0.4, 1, len(labels))
    table = np.repeat((1 - sure)[:, None] / (len(NAMES) - 1), len(NAMES), axis=1)
    table[np.arange(len(labels)), tops] = sure
    return table.astype(np.float32)


def drawn(count: int, accuracy: Mapping[str, float], seed: int) -> tuple[FloatArray, IntArray, list[str]]:
    """Return faces of groups that are read as well as `accuracy` says."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(NAMES), count)
    groups = generator.choice(list(accuracy), count)
    right = generator.random(count) < np.array([accuracy[group] for group in groups.tolist()])
    return answers(right, labels, seed), labels, groups.tolist()


def compared(result: Audit, measure: str, group: str) -> Comparison:
    (one,) = (one for one in result.comparisons if (one.measure, one.group) == (measure, group))
    return one


def quick(table: FloatArray, labels: IntArray, groups: Sequence[str], subjects: Strings | None = None) -> Audit:
    return audit(table, labels, NAMES, {"g": groups}, subjects=subjects, uncertain_below=0.6, exchanges=999)


def test_the_figures_are_those_of_the_libraries() -> None:
    table, labels, groups = drawn(400, {"a": 0.9, "b": 0.6, "": 0.5}, 0)
    result = quick(table, labels, groups)
    for group in result.columns[0].groups:
        rows = np.array(groups) == group.name
        truth, tops = labels[rows], table[rows].argmax(axis=1)
        expected = {
            "accuracy": np.mean(truth == tops),
            "macro F1": f1_score(truth, tops, average="macro"),
            "calibration error": expected_calibration_error(table[rows], truth),
            "uncertain": np.mean(table[rows].max(axis=1) < 0.6),
        }
        recalls = recall_score(truth, tops, average=None)
        expected |= {f"recall of {name}": recall for name, recall in zip(NAMES, recalls, strict=True)}
        assert {name: score.value for name, score in group.figures.items()} == pytest.approx(expected, abs=1e-6)
        assert all(score.low <= score.value <= score.high for score in group.figures.values())
        assert group.faces == rows.sum()
        assert group.figures["recall of sad"].count == (truth == 2).sum()


def test_unknown_is_told_and_not_compared() -> None:
    table, labels, groups = drawn(400, {"a": 0.9, "b": 0.9, "": 0.2}, 0)
    result = quick(table, labels, groups)
    assert [group.name for group in result.columns[0].groups] == ["a", "b", ""]
    assert {name for one in result.comparisons for name in (one.group, one.against)} == {"a", "b"}
    without = [place for place, group in enumerate(groups) if group]
    alone = quick(table[without], labels[without], [groups[place] for place in without])
    assert alone.comparisons == result.comparisons


def test_a_planted_difference_is_found_and_its_size_is_right() -> None:
    table, labels, groups = drawn(1500, {"a": 0.55, "b": 0.85, "c": 0.85}, 1)
    result = quick(table, labels, groups)
    one = compared(result, "accuracy", "a")
    assert one.is_found
    assert one.against == "the rest"
    assert one.difference.low < -0.3 < one.difference.high < 0
    assert one.difference.value == pytest.approx(one.value - one.other)
    assert abs(one.expected) < 0.01
    assert {found.group for found in result.found} >= {"a"}
    assert not compared(result, "uncertain", "a").is_found


@pytest.fixture
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spend no time on intervals where many sets are simulated and only p-values are looked at."""
    monkeypatch.setattr("mien.lab.evaluation.audit.comparing.DRAWS", 20)


@pytest.mark.usefixtures("_few_draws")
@pytest.mark.parametrize("has_people", [False, True])
def test_chance_is_not_found_in_95_of_100_sets(has_people: bool) -> None:
    false_findings = 0
    for seed in range(100):
        table, labels, groups = drawn(150, {"a": 0.75, "b": 0.75}, seed)
        subjects = None
        if has_people:  # five faces each, all of one group; some people are read well and some badly
            generator = np.random.default_rng(seed)
            people = np.arange(150) // 5
            right = generator.random(150) < generator.beta(3, 1, 30)[people]
            table, groups = answers(right, labels, seed), generator.choice(["a", "b"], 30)[people].tolist()
            subjects = np.char.add("p", people.astype(str))
        false_findings += bool(quick(table, labels, groups, subjects).found)
    assert false_findings <= 5


def test_pictures_of_one_person_count_once() -> None:
    """The same 30 answers, each ten times: as faces they make a finding, as people they do not."""
    right = np.array([True] * 10 + [False] * 5 + [True] * 14 + [False])
    labels = np.arange(30) % 3
    table, many = answers(right, labels).repeat(10, axis=0), labels.repeat(10)
    groups = ["a"] * 150 + ["b"] * 150
    people = np.char.add("p", np.arange(30).astype(str)).repeat(10)
    as_faces, as_people = quick(table, many, groups), quick(table, many, groups, people)
    wide, narrow = (compared(result, "accuracy", "b").difference for result in (as_people, as_faces))
    assert compared(as_faces, "accuracy", "b").is_found
    assert not as_people.found
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)
    assert [group.people for group in as_people.columns[0].groups] == [15, 15]


def test_who_is_in_both_groups_is_compared_with_himself() -> None:
    """Half of the people are never read, the other half only in light: between people that would be lost."""
    people = np.char.add("p", np.arange(40).astype(str)).repeat(6)
    groups = ["dark", "dark", "dark", "light", "light", "light"] * 40
    is_read = (np.arange(240) // 6 % 2 == 0) & (np.array(groups) == "light")
    labels = np.arange(240) % 3
    one = compared(quick(answers(is_read, labels), labels, groups, people), "accuracy", "light")
    assert one.against == "dark"  # as many faces, the earlier name
    assert one.difference.value == 0.5
    assert one.p == pytest.approx(2 / 1000)  # nobody is better in the dark: 2 of 2^20 exchanges are as far


def test_one_wrong_face_is_no_finding_where_people_have_one_picture_here_and_two_there() -> None:
    """The face is one of three of a person, one of them first: in 1 of 3 exchanges the wrong one is."""
    people = np.char.add("p", np.repeat(np.arange(14), 9).astype(str))
    labels, groups = np.tile(np.repeat(np.arange(3), 3), 14), ["first", "later", "later"] * 42
    for wrong, p in ((0, 2 / 3), (1, 1)):
        right = np.arange(126) != wrong
        result = quick(answers(right, labels), labels, groups, people)
        assert not result.found
        for measure in ("accuracy", "recall of angry"):
            one = compared(result, measure, "first")
            assert one.p == pytest.approx(p, abs=0.06)
            assert one.difference.low <= min(one.difference.value, 0) <= max(one.difference.value, 0)
            assert one.difference.high >= max(one.difference.value, 0)


def test_one_wrong_face_is_no_finding_where_each_group_has_people_of_its_own() -> None:
    """Ten people have three pictures, 20 have six: one of the 30 faces of the smaller group is wrong, of all 150."""
    people = np.repeat(np.arange(30), np.repeat([3, 6], [10, 20]))
    groups = np.where(people < 10, "a", "b").tolist()
    labels = np.arange(150) % 3
    one = compared(
        quick(answers(np.arange(150) != 0, labels), labels, groups, np.char.add("p", people.astype(str))),
        "accuracy",
        "a",
    )
    assert one.p == pytest.approx(2 * 30 / 150, abs=0.06)
    assert one.difference.high == 0


def people_drawn(seed: int, design: str) -> tuple[IntArray, list[str], Strings, npt.NDArray[np.bool_]]:
    """Return labels, groups, people and rightness of 40 people with unequal numbers of pictures, read alike."""
    generator = np.random.default_rng(seed)
    if design == "own people":
        counts = np.repeat([3, 12], 20)
        people = np.repeat(np.arange(40), counts)
        groups = np.where(people < 20, "a", "b")
    else:
        people = np.repeat(np.arange(40), generator.integers(3, 13, 40))
        share = np.where(people < 20, 0.25, 0.8) if design == "both" else np.array([0, 1, 0.3, 0.3])[people % 4]
        groups = np.where(generator.random(len(people)) < share, "a", "b")
    labels = generator.integers(0, 3, len(people))
    right = generator.random(len(people)) < generator.beta(18, 2, 40)[people]
    return labels, groups.tolist(), np.char.add("p", people.astype(str)), right


@pytest.mark.usefixtures("_few_draws")
@pytest.mark.parametrize("design", ["both", "own people", "some in both"])
def test_people_with_unequal_numbers_of_pictures_are_judged_as_chance_says(design: str) -> None:
    small, sets = np.zeros(2, np.int64), 150
    for seed in range(sets):
        labels, groups, people, right = people_drawn(seed, design)
        result = audit(answers(right, labels, seed), labels, NAMES, {"g": groups}, subjects=people, exchanges=199)
        recalls = [one.p < ALPHA for one in result.comparisons if one.measure == "recall of angry"]
        accuracy = [one.p < ALPHA for one in result.comparisons if one.measure == "accuracy"]
        small += (sum(accuracy), sum(recalls))
    assert (small <= 0.08 * sets).all()  # 0.05, and 1.7 standard errors of 150 sets


def test_a_difference_within_people_is_found_with_unequal_numbers() -> None:
    labels, groups, people, _ = people_drawn(0, "both")
    right = np.random.default_rng(0).random(len(labels)) < np.where(np.array(groups) == "a", 0.6, 0.95)
    result = quick(answers(right, labels), labels, groups, people)
    assert any(one.is_found for one in result.comparisons if one.measure == "accuracy")


def test_few_wrong_faces_have_intervals_that_hold_the_figure_and_zero() -> None:
    labels = np.arange(120) % 3
    for wrong in range(1, 4):
        right = np.ones(120, np.bool_)
        right[:wrong] = False
        result = quick(answers(right, labels), labels, ["a"] * 30 + ["b"] * 90)
        for one in result.comparisons:
            assert one.difference.low <= one.difference.value <= one.difference.high
            assert one.detectable is None or one.detectable <= 1
        one = compared(result, "accuracy", "a")
        assert one.difference.high == pytest.approx(0)
        assert one.difference.low < one.difference.value


def test_the_smallest_difference_is_100_points_at_most() -> None:
    halves = np.repeat([0.0, 1.0], 50)
    assert smallest_difference([halves], 10) == 1
    assert smallest_difference([halves / 10, halves / 20], 1) == pytest.approx(0.05 * 2.8016, abs=1e-4)
    assert smallest_difference([halves, np.zeros(9)], 10) is None


def test_a_recall_is_tested_as_fisher_does() -> None:
    """With one class, faces that change groups are the exchange of Fisher's exact test."""
    labels = np.zeros(100, np.int64)
    right = np.arange(100) % 50 < np.repeat([45, 36], 50)
    one = compared(quick(answers(right, labels), labels, ["a"] * 50 + ["b"] * 50), "recall of angry", "b")
    p = fisher_exact([[45, 5], [36, 14]]).pvalue
    assert one.p == pytest.approx(p, abs=0.02)


def test_ten_right_of_ten_are_no_finding() -> None:
    labels = np.repeat([0, 1], [110, 60])
    groups = ["a"] * 10 + ["b"] * 100 + ["a"] * 30 + ["b"] * 30
    right = np.ones(170, np.bool_)
    right[10:28] = False
    one = compared(quick(answers(right, labels), labels, groups), "recall of angry", "a")
    assert one.value == 1
    assert one.other == pytest.approx(0.82)
    assert one.p > 0.1


def test_another_mix_of_classes_is_expected_and_no_finding() -> None:
    """Happy faces are read better; a group with more of them has the higher accuracy and no bias."""
    generator = np.random.default_rng(0)
    groups = ["a"] * 500 + ["b"] * 500
    labels = np.where(generator.random(1000) < np.repeat([0.8, 0.2], 500), 1, 0)
    right = generator.random(1000) < np.where(labels == 1, 0.95, 0.6)
    result = quick(answers(right, labels), labels, groups)
    one = compared(result, "accuracy", "b")
    assert one.difference.high < -0.1
    assert one.expected == pytest.approx(-0.21, abs=0.04)
    assert not one.is_found


@pytest.mark.usefixtures("_few_draws")
def test_the_smallest_difference_is_found_about_four_times_in_five() -> None:
    table, labels, groups = drawn(400, {"a": 0.75, "b": 0.75}, 0)
    smallest = compared(quick(table, labels, groups), "accuracy", min(set(groups), key=groups.count)).detectable
    assert smallest is not None
    finds = 0
    for seed in range(40):
        result = quick(*drawn(400, {"a": 0.75 - smallest / 2, "b": 0.75 + smallest / 2}, seed))
        finds += any(one.is_found for one in result.comparisons if one.measure == "accuracy")
    assert 0.65 < finds / 40 <= 0.97


def test_holm_on_a_worked_example() -> None:
    """At 0.05 of 0.01, 0.04, 0.03, 0.005 the first and the last are rejected: 0.005 < 0.05 / 4, 0.01 < 0.05 / 3."""
    corrected = holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (corrected < ALPHA).tolist() == [True, False, False, True]
    assert holm([]).tolist() == []
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_laws_of_holm(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert (corrected >= np.array(p_values)).all()
    bonferroni = np.minimum(np.array(p_values) * len(p_values), 1)
    assert (corrected <= bonferroni + 1e-12).all()
    assert corrected.min() == pytest.approx(bonferroni.min())
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()
    assert holm([p_values[place] for place in order]).tolist() == corrected[order].tolist()


def test_holm_counts_all_columns() -> None:
    table, labels, groups = drawn(300, {"a": 0.5, "b": 0.8}, 0)
    alone, twice = (
        audit(table, labels, NAMES, dict.fromkeys(columns, groups), exchanges=1999) for columns in ("g", "gh")
    )
    assert len(twice.comparisons) == 2 * len(alone.comparisons)
    assert [one.p for one in twice.of_column("g")] == [one.p for one in alone.comparisons]
    assert min(one.p_holm for one in twice.comparisons) == pytest.approx(
        2 * min(one.p_holm for one in alone.comparisons)
    )


faces_of_groups = st.integers(0, 50).map(lambda seed: drawn(260, {"a": 0.8, "b": 0.6, "c": 0.7}, seed))


@settings(max_examples=4)
@given(faces_of_groups, st.permutations(["a", "b", "c"]), st.booleans())
def test_names_and_order_of_groups_change_nothing(
    made: tuple[FloatArray, IntArray, list[str]], names: list[str], has_people: bool
) -> None:
    table, labels, groups = made
    subjects = np.char.add("p", (np.arange(260) // 4).astype(str)) if has_people else None
    renamed = dict(zip("abc", names, strict=True))
    before = quick(table, labels, groups, subjects)
    after = quick(table, labels, [renamed[group] for group in groups], subjects)

    def told(result: Audit, name: Callable[[str], str]) -> set[tuple[object, ...]]:
        return {
            (name(one.group), one.measure, one.value, one.difference, one.expected, one.p, one.detectable)
            for one in result.comparisons
        }

    assert told(before, renamed.__getitem__) == told(after, str)


@settings(max_examples=4)
@given(st.integers(0, 50))
def test_equal_groups_differ_by_nothing(seed: int) -> None:
    table, labels, _ = drawn(120, {"a": 0.7}, seed)
    result = quick(np.tile(table, (2, 1)), np.tile(labels, 2), ["a"] * 120 + ["b"] * 120)
    assert result.comparisons
    for one in result.comparisons:
        assert one.difference.value == pytest.approx(0, abs=1e-12)
        assert one.difference.low <= 0 <= one.difference.high
        assert one.p > 0.85  # 1 but for the randomness of the exchanges
        assert one.p_holm == 1


@given(st.integers(0, 100))
def test_an_exchange_keeps_every_face_and_every_class(seed: int) -> None:
    _, labels, groups = drawn(60, {"a": 0.7, "b": 0.7}, seed)
    chosen = np.array(groups) == "a"
    features = np.eye(len(NAMES), dtype=np.float32)[labels]
    group, others = sides_of(features, labels, None, chosen).exchanged(20, seed)
    assert (group == features[chosen].sum(axis=0)).all()
    assert (group + others == features.sum(axis=0)).all()
    group, _ = sides_of(features, labels, None, chosen).bootstrapped(20, seed)
    assert (group.sum(axis=1) == chosen.sum()).all()


def test_small_groups_and_few_people_are_told_and_not_judged() -> None:
    table, labels, _ = drawn(200, {"a": 0.7}, 0)
    groups = ["a"] * 100 + ["b"] * 71 + ["c"] * 29
    result = quick(table, labels, groups)
    assert {one.group for one in result.comparisons} == {"a", "b"}
    assert [group.problem for group in result.columns[0].groups] == ["", "", "fewer than 30 faces"]
    people = np.char.add("p", np.where(np.arange(200) < 100, np.arange(200), np.arange(200) % 9).astype(str))
    result = quick(table, labels, ["a"] * 100 + ["b"] * 100, people)
    assert [group.problem for group in result.columns[0].groups] == ["", "fewer than 10 people"]
    assert result.comparisons == ()
    assert len(result.columns[0].groups[1].figures) == 7


def test_people_who_are_unknown_are_one_each() -> None:
    table, labels, groups = drawn(200, {"a": 0.7, "b": 0.7}, 0)
    result = quick(table, labels, groups, np.full(200, "", np.str_))
    assert [group.people for group in result.columns[0].groups] == [groups.count("a"), groups.count("b")]
    assert result.comparisons


def test_a_class_that_a_group_lacks() -> None:
    table, labels, groups = drawn(600, {"a": 0.7, "b": 0.7, "c": 0.7}, 0)
    groups = ["b" if group == "a" and label == 2 else group for group, label in zip(groups, labels, strict=True)]
    result = quick(table, labels, groups)
    assert [group.missing for group in result.columns[0].groups] == [("sad",), (), ()]
    assert "recall of sad" not in result.columns[0].groups[0].figures
    assert [one.measure for one in result.comparisons if one.group == "a"][-1] == "recall of happy"
    shared = (np.array(groups) != "a") & (labels != 2)
    truth, tops = labels[shared], table[shared].argmax(axis=1)
    other = compared(result, "macro F1", "a").other
    assert other == pytest.approx(f1_score(truth, tops, labels=[0, 1], average="macro"))


def test_groups_without_a_common_class() -> None:
    table, labels, _ = drawn(200, {"a": 0.7}, 0)
    result = quick(table, labels, np.where(labels == 0, "a", "b").tolist())
    assert [one.measure for one in result.comparisons] == ["accuracy", "calibration error", "uncertain"]
    assert {(one.p, one.detectable) for one in result.comparisons} == {
        (1, None)
    }  # no face can change groups within its class


def test_a_reference() -> None:
    table, labels, groups = drawn(400, {"a": 0.7, "b": 0.7, "c": 0.7}, 0)
    result = audit(table, labels, NAMES, {"g": groups}, references={"g": "b"}, exchanges=199)
    assert {(one.group, one.against) for one in result.comparisons} == {("a", "b"), ("c", "b")}
    pair = [place for place, group in enumerate(groups) if group != "c"]
    two = audit(
        table[pair], labels[pair], NAMES, {"g": [groups[p] for p in pair]}, references={"g": "b"}, exchanges=199
    )
    difference = compared(result, "accuracy", "a").difference
    assert compared(two, "accuracy", "a").difference == difference
    with pytest.raises(OptionError, match="reference 'x': is no group of 'g': expected a, b, c"):
        audit(table, labels, NAMES, {"g": groups}, references={"g": "x"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sex": ["f"] * 3}, "column 'sex': has the group 'f' only: expected two or more"),
        ({"sex": [""] * 3}, "column 'sex': has no group: expected two or more"),
        ({"sex": ["f", "m"]}, "column 'sex': has 2 groups for 3 faces: expected one for each"),
    ],
)
def test_columns_that_cannot_be_compared(columns: dict[str, list[str]], message: str) -> None:
    table, labels, _ = drawn(3, {"a": 0.7}, 0)
    with pytest.raises(OptionError, match=message):
        audit(table, labels, NAMES, columns)


def test_arrays_that_do_not_agree() -> None:
    table, labels, groups = drawn(10, {"a": 0.7, "b": 0.7}, 0)
    with pytest.raises(OptionError, match=r"probabilities of shape \(10, 3\) and 9 labels"):
        audit(table, labels[:9], NAMES, {"g": groups[:9]})
    with pytest.raises(OptionError, match="at least one face"):
        audit(table[:0], labels[:0], NAMES, {"g": []})
    with pytest.raises(OptionError, match="9 subjects for 10 faces"):
        audit(table, labels, NAMES, {"g": groups}, subjects=np.full(9, "p"))
