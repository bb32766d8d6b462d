"""How well a net does: reports, confidence intervals, calibration, figures of record."""

from mien.core.errors import MissingExtraError

try:
    import sklearn  # noqa: F401 - brings scipy too
except ImportError as error:
    raise MissingExtraError("scikit-learn", "mien[analysis]") from error

from mien.lab.evaluation.calibration import (
    CalibrationBins,
    calibration_bins,
    calibration_score,
    expected_calibration_error,
    fit_temperature,
    uncertain_threshold,
)
from mien.lab.evaluation.intervals import Subjects, accuracy_score, bootstrap, range_text, score_text
from mien.lab.evaluation.record import Probable, figures_of_folder, figures_of_record, in_batches
from mien.lab.evaluation.report import ClassScore, ConfusedPair, Evaluation, confused_pairs, cross_entropy, evaluate
from mien.lab.evaluation.robustness import CONDITIONS, Robustness, robustness, worsened
from mien.lab.evaluation.selective import RiskCoverage, risk_coverage
from mien.lab.evaluation.turned import TurnedAccuracy, accuracy_by_yaw, yaws_of

__all__ = [
    "CONDITIONS",
    "CalibrationBins",
    "ClassScore",
    "ConfusedPair",
    "Evaluation",
    "Probable",
    "RiskCoverage",
    "Robustness",
    "Subjects",
    "TurnedAccuracy",
    "accuracy_by_yaw",
    "accuracy_score",
    "bootstrap",
    "calibration_bins",
    "calibration_score",
    "confused_pairs",
    "cross_entropy",
    "evaluate",
    "expected_calibration_error",
    "figures_of_folder",
    "figures_of_record",
    "fit_temperature",
    "in_batches",
    "range_text",
    "risk_coverage",
    "robustness",
    "score_text",
    "uncertain_threshold",
    "worsened",
    "yaws_of",
]
