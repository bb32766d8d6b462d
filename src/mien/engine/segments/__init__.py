"""Long videos in segments: each is kept once it is read, so that a run that was killed goes on.

A segment does not depend on who reads it, or when: it is always entered :data:`WARM_UP_S` before its start, by when
ids, smoothing and schedule have settled. Over that time the people of two neighbors are compared, and their ids joined.
"""

from mien.engine.segments.joining import in_segments
from mien.engine.segments.reading import Reading, Record, Segment
from mien.engine.segments.videos import SegmentedVideo

__all__ = ["Reading", "Record", "Segment", "SegmentedVideo", "in_segments"]
