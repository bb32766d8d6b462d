"""Data sets of facial expressions: read, joined, split, and made accountable."""

from mien.lab.datasets.faces import SIDE, FaceDataset, concatenate, whole_frame
from mien.lab.datasets.fer2013 import OFFICIAL_SPLITS, load_fer2013
from mien.lab.datasets.ferplus import VOTES, ferplus_distribution, ferplus_majority, not_a_face
from mien.lab.datasets.files import DataFiles, find_data
from mien.lab.datasets.folders import load_ck48, load_folders, subjects_of
from mien.lab.datasets.paper_set import draw_paper_set
from mien.lab.datasets.splits import (
    FOLDS,
    copied_elsewhere,
    duplicate_groups,
    duplicate_report,
    duplicates,
    fingerprint,
    manifest,
    split_by_subject,
    ten_folds,
    with_splits,
)

__all__ = [
    "FOLDS",
    "OFFICIAL_SPLITS",
    "SIDE",
    "VOTES",
    "DataFiles",
    "FaceDataset",
    "concatenate",
    "copied_elsewhere",
    "draw_paper_set",
    "duplicate_groups",
    "duplicate_report",
    "duplicates",
    "ferplus_distribution",
    "ferplus_majority",
    "find_data",
    "fingerprint",
    "load_ck48",
    "load_fer2013",
    "load_folders",
    "manifest",
    "not_a_face",
    "split_by_subject",
    "subjects_of",
    "ten_folds",
    "whole_frame",
    "with_splits",
]
