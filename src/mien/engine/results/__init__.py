"""Writes results: JSON Lines, CSV and Parquet tables, subtitles, annotated pictures and videos.

Every writer is used in a ``with`` statement and takes one frame at a time. A file grows beside its place as
``.NAME.partial`` and takes its place when the statement ends. That is so too when an exception ends it, as when a video
breaks off or the user presses Ctrl-C: what was computed is kept. Where no frame came, an older file stays as it was.

When the disk is full, JSON Lines, CSV and subtitles are cut back to the last whole frame. A picture, video or Parquet
file that could not be written to its end cannot be read: it is removed, and an older file stays as it was.
"""

from mien.engine.results.media import (
    PICTURE_OPTIONS,
    AnnotatedFolder,
    AnnotatedPicture,
    open_annotation,
)
from mien.engine.results.tables import SCHEMA, TABLES, Table, read_jsonl, table_header
from mien.engine.results.timelines import SUBTITLES, EventTable, GroupTable, Subtitles, TrackTable
from mien.engine.results.videos import VIDEO_FORMATS, AnnotatedVideo, join_videos
from mien.engine.results.writer import Writer

__all__ = [
    "PICTURE_OPTIONS",
    "SCHEMA",
    "SUBTITLES",
    "TABLES",
    "VIDEO_FORMATS",
    "AnnotatedFolder",
    "AnnotatedPicture",
    "AnnotatedVideo",
    "EventTable",
    "GroupTable",
    "Subtitles",
    "Table",
    "TrackTable",
    "Writer",
    "join_videos",
    "open_annotation",
    "read_jsonl",
    "table_header",
]
