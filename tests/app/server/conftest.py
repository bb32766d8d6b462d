"""What the tests of the service share: one that runs as it is shipped, the pictures of a person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from running_service import Running, jpeg, running_service

from mien.core.types import ByteArray


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_service() as service:
        yield service


@pytest.fixture(scope="session")
def person(astronaut: ByteArray) -> bytes:
    """Return a JPEG, 320x256, of a person who smiles."""
    return jpeg(np.ascontiguousarray(astronaut[0:256, 60:380]))
