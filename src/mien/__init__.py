"""mien reads facial expressions from photos, videos and cameras: in real time, offline, on an ordinary computer."""

__version__ = "0.1.0"
