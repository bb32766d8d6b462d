"""What lasts longer than a frame: events with onset, apex and offset, summaries of people, seconds of a group.

All of it is computed as frames come, and only what is still open is kept.
"""

from mien.engine.events.finder import EVENT_COLUMNS, Event, EventFinder
from mien.engine.events.summaries import (
    GroupSecond,
    GroupSummarizer,
    TrackSummarizer,
    TrackSummary,
    group_columns,
    track_columns,
)

__all__ = [
    "EVENT_COLUMNS",
    "Event",
    "EventFinder",
    "GroupSecond",
    "GroupSummarizer",
    "TrackSummarizer",
    "TrackSummary",
    "group_columns",
    "track_columns",
]
