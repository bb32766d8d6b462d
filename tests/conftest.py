"""Fixtures that all tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from mien.core.types import ByteArray

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set {variable} to where it is")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder that holds fer2013.csv.xz, or skip; for tests marked ``data``."""
    return _folder("MIEN_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """Return the folder of test media, or skip; for tests marked ``data``."""
    return _folder("MIEN_MEDIA", SHARED / "media")


@pytest.fixture(scope="session")
def chromium() -> tuple[str, str]:
    """Return the paths of chromium and chromedriver, or skip."""
    found = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in found:
        pytest.skip("Debian's chromium and chromium-driver are needed: sh tests/system.sh, as root, installs them")
    return str(found[0]), str(found[1])


@pytest.fixture(scope="session")
def astronaut() -> ByteArray:
    """Return the NASA portrait that scikit-image ships, (512, 512, 3) uint8 RGB, read-only."""
    from skimage import data

    picture: ByteArray = np.array(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    picture.setflags(write=False)
    return picture


@pytest.fixture(autouse=True)
def _marked(request: pytest.FixtureRequest) -> None:
    """Keep the mark ``data`` honest: whoever uses a data folder carries it."""
    if {"data_dir", "media_dir"} & set(request.fixturenames) and request.node.get_closest_marker("data") is None:
        pytest.fail("this test uses data_dir or media_dir: mark it with @pytest.mark.data")


# A busy machine must not fail a law by its clock.
settings.register_profile("mien", deadline=None, max_examples=60)
settings.load_profile("mien")
