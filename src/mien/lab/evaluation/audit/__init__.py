"""Whether a net reads one group of people, or of pictures, as well as others."""

from mien.lab.evaluation.audit.comparing import (
    ALPHA,
    FEWEST_FACES,
    FEWEST_OF_CLASS,
    FEWEST_PEOPLE,
    POWER,
    Audit,
    AuditedColumn,
    Comparison,
    Group,
    audit,
    holm,
)
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
