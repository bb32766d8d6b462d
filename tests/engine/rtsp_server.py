"""Serves a moving test picture as ``rtsp://127.0.0.1:PORT/camera``: ``/usr/bin/python3 rtsp_server.py PORT``.

A program of its own, since Debian has an RTSP server for its own Python, and PyPI has none. It prints a line when it
listens, and serves until it is killed.
"""

from __future__ import annotations

import sys

PICTURES = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1"
CODING = "openh264enc gop-size=10 ! rtph264pay name=pay0"
NEEDED = "Debian's python3-gi and gir1.2-gst-rtsp-server-1.0 are needed"


def serve(port: str) -> None:
    try:
        import gi  # type: ignore[import-not-found]

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]
    except (ImportError, ValueError) as error:
        sys.exit(f"{NEEDED}: {error}")
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    factory = GstRtspServer.RTSPMediaFactory(launch=f"( {PICTURES} ! {CODING} )", shared=True)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is in use")
    print("ready", flush=True)  # noqa: T201 - who started it waits for this line
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(sys.argv[1])
