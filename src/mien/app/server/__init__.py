"""The service: frames of many clients in over WebSocket, pictures over HTTP, rows of faces out; nothing is kept.

The protocol is described in ``docs/protocol.md``.
"""
