"""Pictures behind a URL: fetched whole, so that they are checked and decoded like a file."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from mien.core.errors import MediaError
from mien.engine.video.headers import picture_format
from mien.engine.video.streams import unanswered

STILL_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".avif")
MAX_DOWNLOAD_BYTES = 200_000_000


def is_picture_url(name: str) -> bool:
    """Whether a source is a web address that names a still picture; nothing is contacted."""
    parts = urlsplit(name)
    return parts.scheme.lower() in ("http", "https") and PurePosixPath(parts.path).suffix.lower() in STILL_SUFFIXES


def download_picture(url: str, *, timeout_s: float) -> bytes:
    """Return the bytes of a picture.

    Raises
    ------
    MediaError
        If the server does not answer in time or refuses, or what comes is no picture or larger than 200 MB.
    """
    try:
        with urlopen(url, timeout=timeout_s) as response:
            content: bytes = response.read(MAX_DOWNLOAD_BYTES + 1)
    except TimeoutError as error:
        raise unanswered(url, timeout_s) from error
    except HTTPError as error:
        error.close()  # it holds the connection
        raise MediaError(f"{url}: the server answers {error.code} ({error.reason}): check the address") from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise unanswered(url, timeout_s) from error
        raise MediaError(f"{url}: cannot be reached ({error.reason}): check the address") from error
    except (OSError, HTTPException, ValueError) as error:
        raise MediaError(f"{url}: cannot be downloaded ({error}): download it by other means") from error
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise MediaError(f"{url}: is larger than 200 MB: expected a picture; export it smaller")
    if picture_format(content) is None:
        raise MediaError(f"{url}: holds no picture that can be read: expected an image file")
    return content
