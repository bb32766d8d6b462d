"""Groups side by side: figures, differences, and which of them chance does not explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.model import Score
from mien.core.types import FloatArray, IntArray
from mien.lab.evaluation.audit.inference import ALPHA, holm, scored, smallest_difference, two_sided
from mien.lab.evaluation.audit.measures import OVERALL, figures, measure_names, supports, tally
from mien.lab.evaluation.audit.resampling import Sides, Sums, sides_of
from mien.lab.evaluation.intervals import DRAWS

FEWEST_FACES, FEWEST_PEOPLE = 30, 10
"""Of a group that is judged, and of what it is compared with."""
FEWEST_OF_CLASS = 10
"""Faces of a class on either side, for its recall to be compared."""
EXCHANGES = 9_999
EXCHANGES_A_COMPARISON = 100  # the smallest p-value, 2 / exchanges, stays below ALPHA after correction
REST = "the rest"
BIASED = OVERALL.index("calibration error")


@dataclass(frozen=True)
class Group:
    """What was measured of one group.

    Parameters
    ----------
    name : str
        ``""`` where the group is unknown.
    faces : int
    people : int or None
        None where people are not known.
    problem : str
        Why it is not judged; ``""`` if it is.
    figures : dict of str to Score
        By measure, with 95 % bootstrap intervals; a recall only where there are faces of the class, its `count` being
        theirs.
    missing : tuple of str
        Classes that other groups have and this one lacks.
    """

    name: str
    faces: int
    people: int | None
    problem: str
    figures: dict[str, Score]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One measure of a group against the same measure of others.

    Parameters
    ----------
    column, group, against, measure : str
    value, other : float
        Of the group and of the others; macro F1 over the classes that both have.
    difference : Score
        `value` less `other`, with its 95 % bootstrap interval.
    expected : float
        The mean of the exchanges behind `p`, what the difference is if the net answers both alike: not 0 where their
        classes are mixed otherwise, or, of the calibration error, where one has fewer faces.
    p, p_holm : float
        Two-sided, of the exchange; and corrected for all comparisons of the audit.
    detectable : float or None
        The smallest difference that this audit would have found four times in five, 1 where it would have found none;
        None where every exchange gives the same, as when all faces are right.
    """

    column: str
    group: str
    against: str
    measure: str
    value: float
    other: float
    difference: Score
    expected: float
    p: float
    p_holm: float
    detectable: float | None

    @property
    def is_found(self) -> bool:
        """Whether chance does not explain it, all comparisons of the audit considered."""
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class AuditedColumn:
    """One way to group the faces; `reference` is the group that others are compared with, or :data:`REST`."""

    name: str
    reference: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Audit:
    """What :func:`audit` measured; no p-value is below 2 / (`exchanges` + 1)."""

    columns: tuple[AuditedColumn, ...]
    comparisons: tuple[Comparison, ...]
    exchanges: int

    @property
    def found(self) -> tuple[Comparison, ...]:
        """The differences that chance does not explain."""
        return tuple(one for one in self.comparisons if one.is_found)

    def of_column(self, name: str) -> tuple[Comparison, ...]:
        """Return the comparisons of one column."""
        return tuple(one for one in self.comparisons if one.column == name)


@dataclass(frozen=True, eq=False)
class _Faces:
    """What the laws of chance are applied to: one row for each face."""

    tally: FloatArray
    labels: IntArray
    label_names: tuple[str, ...]
    subjects: npt.NDArray[np.str_] | None

    def sides(self, pool: npt.NDArray[np.bool_], is_group: npt.NDArray[np.bool_], *, keep_whole: bool = True) -> Sides:
        subjects = None if self.subjects is None else self.subjects[pool]
        return sides_of(self.tally[pool], self.labels[pool], subjects, is_group[pool], keep_whole=keep_whole)

    def people(self, chosen: npt.NDArray[np.bool_]) -> int | None:
        if self.subjects is None:
            return None
        known = self.subjects[chosen]
        return len(set(known[known != ""])) + int((known == "").sum())

    def problem(self, chosen: npt.NDArray[np.bool_]) -> str:
        people = self.people(chosen)
        if chosen.sum() < FEWEST_FACES:
            return f"fewer than {FEWEST_FACES} faces"
        return f"fewer than {FEWEST_PEOPLE} people" if people is not None and people < FEWEST_PEOPLE else ""


@dataclass(frozen=True, eq=False)
class _Pair:
    """A group and what it is compared with, before anything is computed."""

    column: str
    group: str
    against: str
    pool: npt.NDArray[np.bool_]
    is_group: npt.NDArray[np.bool_]
    measures: tuple[int, ...]


def audit(
    probabilities: FloatArray,
    labels: IntArray,
    label_names: tuple[str, ...],
    columns: Mapping[str, Sequence[str]],
    *,
    subjects: npt.NDArray[np.str_] | None = None,
    uncertain_below: float = 0.0,
    references: Mapping[str, str] | None = None,
    seed: int = 0,
    exchanges: int = EXCHANGES,
) -> Audit:
    """Compare how well a net reads groups of faces.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
    labels : (N,) ndarray of int64
        True classes, indices into `label_names`.
    label_names : tuple of str
    columns : mapping of str to sequence of str
        The group of each face, for each way to group them; ``""`` is unknown, told but not compared.
    subjects : (N,) ndarray of str, optional
        The person on each picture, ``""`` where unknown: pictures of one person are not independent.
    uncertain_below : float
        A face whose top probability is lower answers ``"uncertain"``.
    references : mapping of str to str, optional
        The group of a column that all others are compared with. Without it, the larger of two groups is that; of more,
        each is compared with the rest.
    seed : int
    exchanges : int
        Least number of random exchanges behind a p-value.

    Returns
    -------
    Audit

    Raises
    ------
    OptionError
        If the arrays do not agree, a column has fewer than two groups, or there is no such reference.

    Notes
    -----
    *Intervals*: bootstrap over people, or over faces where people are not known, in each group by itself; percentiles,
    of the calibration error moved by the bias of the draws, their mean less the figure.

    *p-values*: permutation. Where people are not known, faces of the same label are exchanged between the groups: the
    question is whether, the label given, the answer depends on the group. Where they are known: (1) pictures of one
    person and one label that are in both groups are exchanged among themselves, one by one; (2) of who is in both
    groups, but with a label in one only, the pictures of that label are exchanged as a whole with such pictures of the
    same label of others; (3) who is in one group only is exchanged as a whole with others of whom this is so. Under (2)
    and (3) the numbers of faces change with who is exchanged, so that they alone can make the observed difference the
    farthest; therefore these faces are also exchanged one by one within their label, and the larger of both p-values
    counts (an intersection-union test, Berger 1982). Twice the smaller tail, the observed counted in, so never 0
    (Phipson and Smyth 2010); Holm's correction (1979) over all comparisons of all columns. Unlike DiCiccio et al. the
    difference is not divided by its standard error: groups that are alike in one measure and unlike in others may be
    found to differ.

    *Smallest difference*: (z(1 - alpha / 2m) + z(power)) standard deviations of the exchanged differences, the larger
    of both exchanges, for m comparisons (Bloom 1995); at most 1.

    References
    ----------
    C. DiCiccio, S. Vasudevan, K. Basu, K. Kenthapadi, D. Agarwal, "Evaluating fairness using permutation tests", KDD
    2020, https://doi.org/10.1145/3394486.3403199; B. Phipson, G. K. Smyth, "Permutation p-values should never be zero",
    2010, https://doi.org/10.2202/1544-6115.1585; S. Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979, 65-70; R. L. Berger, "Multiparameter hypothesis testing and acceptance
    sampling", Technometrics 24, 1982, 295-300; H. S. Bloom, "Minimum detectable effects", Evaluation Review
    19(5), 1995, https://doi.org/10.1177/0193841X9501900504
    """
    _check(probabilities, labels, label_names, columns, subjects)
    faces = _Faces(tally(probabilities, labels, uncertain_below), labels, label_names, subjects)
    audited, pairs = [], list[_Pair]()
    for name, values in columns.items():
        of_face = np.asarray(values, np.str_)
        reference = _reference(name, of_face, (references or {}).get(name))
        audited.append(AuditedColumn(name, reference, tuple(_groups(faces, of_face, seed))))
        pairs += _pairs(faces, name, of_face, reference)
    total = sum(len(pair.measures) for pair in pairs)
    draws = max(exchanges, EXCHANGES_A_COMPARISON * total)
    comparisons: list[Comparison] = []
    for pair in pairs:
        comparisons += _compared(faces, pair, draws, total, seed)
    corrected = holm([one.p for one in comparisons])
    return Audit(
        tuple(audited),
        tuple(replace(one, p_holm=p) for one, p in zip(comparisons, corrected.tolist(), strict=True)),
        draws,
    )


def _check(
    probabilities: FloatArray,
    labels: IntArray,
    label_names: tuple[str, ...],
    columns: Mapping[str, Sequence[str]],
    subjects: npt.NDArray[np.str_] | None,
) -> None:
    count = len(labels)
    if count == 0 or probabilities.shape != (count, len(label_names)):
        raise OptionError(
            f"probabilities of shape {probabilities.shape} and {count} labels: "
            f"expected (N, {len(label_names)}) and N, at least one face"
        )
    if subjects is not None and len(subjects) != count:
        raise OptionError(f"{len(subjects)} subjects for {count} faces: expected one for each face")
    for name, values in columns.items():
        if len(values) != count:
            raise OptionError(
                f"column {name!r}: has {len(values)} groups for {count} faces: expected one for each face"
            )
        known = sorted(set(values) - {""})
        if len(known) < 2:
            held = f"the group {known[0]!r} only" if known else "no group"
            raise OptionError(f"column {name!r}: has {held}: expected two or more, or leave the column out")


def _reference(column: str, of_face: npt.NDArray[np.str_], asked: str | None) -> str:
    names, counts = np.unique(of_face[of_face != ""], return_counts=True)
    if asked is not None:
        if asked not in names:
            raise OptionError(f"reference {asked!r}: is no group of {column!r}: expected {', '.join(names)}")
        return asked
    return str(names[np.argmax(counts)]) if len(names) == 2 else REST


def _groups(faces: _Faces, of_face: npt.NDArray[np.str_], seed: int) -> Iterator[Group]:
    names = measure_names(faces.label_names)
    in_some = np.bincount(faces.labels[of_face != ""], minlength=len(faces.label_names)) > 0
    known = sorted(set(of_face.tolist()) - {""})
    for name in [*known, *([""] if (of_face == "").any() else [])]:
        chosen = of_face == name
        sides = faces.sides(chosen, chosen)
        sums, _ = sides.observed
        classes = np.ones(len(faces.label_names), np.bool_)
        values, drawn = figures(sums, classes), figures(sides.bootstrapped(DRAWS, seed)[0], classes)
        support = supports(sums, len(classes))
        counts = [int(chosen.sum())] * len(OVERALL) + support.astype(int).tolist()
        yield Group(
            name=name,
            faces=int(chosen.sum()),
            people=faces.people(chosen),
            problem=faces.problem(chosen) if name else "unknown",
            figures={
                names[place]: scored(
                    values[place], drawn[:, place], counts[place], lowest=0.0, is_biased=bool(place == BIASED)
                )
                for place in np.flatnonzero(np.isfinite(values))
            },
            missing=tuple(np.array(faces.label_names)[in_some & (support == 0)].tolist()) if name else (),
        )


def _pairs(faces: _Faces, column: str, of_face: npt.NDArray[np.str_], reference: str) -> Iterator[_Pair]:
    known = of_face != ""
    for name in sorted(set(of_face[known].tolist()) - {reference}):
        is_group = of_face == name
        others = known & ~is_group if reference == REST else of_face == reference
        if faces.problem(is_group) or faces.problem(others):
            continue
        counts = [np.bincount(faces.labels[side], minlength=len(faces.label_names)) for side in (is_group, others)]
        enough = np.flatnonzero(np.minimum(*counts) >= FEWEST_OF_CLASS)
        measures = [OVERALL.index(measure) for measure in OVERALL if measure != "macro F1" or np.minimum(*counts).any()]
        measures += (len(OVERALL) + enough).tolist()
        yield _Pair(column, name, reference, is_group | others, is_group, tuple(measures))


def _compared(faces: _Faces, pair: _Pair, draws: int, total: int, seed: int) -> Iterator[Comparison]:
    sides = faces.sides(pair.pool, pair.is_group)
    group, others = sides.observed
    classes = np.minimum(*(supports(sums, len(faces.label_names)) for sums in (group, others))) > 0
    value, other = figures(group, classes), figures(others, classes)

    def differences(sums: tuple[Sums, Sums]) -> npt.NDArray[np.float64]:
        return figures(sums[0], classes) - figures(sums[1], classes)

    bootstrapped = differences(sides.bootstrapped(DRAWS, seed))
    laws = [sides] if faces.subjects is None else [sides, faces.sides(pair.pool, pair.is_group, keep_whole=False)]
    exchanged = [differences(law.exchanged(draws, seed)) for law in laws]
    names = measure_names(faces.label_names)
    for place in pair.measures:
        difference = value[place] - other[place]
        by_chance = [law[np.isfinite(law[:, place]), place] for law in exchanged]
        p_values = [two_sided(difference, law) for law in by_chance]
        p = max(p_values)
        yield Comparison(
            column=pair.column,
            group=pair.group,
            against=pair.against,
            measure=names[place],
            value=float(value[place]),
            other=float(other[place]),
            difference=scored(
                difference,
                bootstrapped[:, place],
                int(pair.is_group.sum()),
                lowest=-1.0,
                is_biased=place == BIASED,
            ),
            expected=float(by_chance[p_values.index(p)].mean()),
            p=p,
            p_holm=p,
            detectable=smallest_difference(by_chance, total),
        )
