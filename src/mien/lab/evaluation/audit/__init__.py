"""Whether a net reads one group of people, or of pictures, as well as others."""

from mien.lab.evaluation.audit.comparing import (
    FEWEST_FACES,
    FEWEST_OF_CLASS,
    FEWEST_PEOPLE,
    Audit,
    AuditedColumn,
    Comparison,
    Group,
    audit,
)
from mien.lab.evaluation.audit.inference import ALPHA, POWER, holm
from mien.lab.evaluation.audit.measures import OVERALL, measure_names

__all__ = [
    "ALPHA",
    "FEWEST_FACES",
    "FEWEST_OF_CLASS",
    "FEWEST_PEOPLE",
    "OVERALL",
    "POWER",
    "Audit",
    "AuditedColumn",
    "Comparison",
    "Group",
    "audit",
    "holm",
    "measure_names",
]
