"""Reads everything that people have, as frames with their true time.

One file for each way in: ``headers`` (what a picture file claims, from its bytes), ``pictures`` (stills, pages,
animated WebP), ``streams`` (videos, URLs, animated GIF, PNG and AVIF), ``seeking`` (parts of them), ``camera``;
``sources`` decides which it is.
"""

from mien.engine.video.pictures import read_picture
from mien.engine.video.seeking import Timeline
from mien.engine.video.sources import Source, expand, frames, probe, timeline
from mien.engine.video.streams import Frame

__all__ = ["Frame", "Source", "Timeline", "expand", "frames", "probe", "read_picture", "timeline"]
