"""The bed is made once a worker; every test gets it as it was at first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.hosts.bed import Bed, made, missing


@pytest.fixture(scope="session")
def one_bed() -> Iterator[Bed]:
    missing()
    with made() as bed:
        yield bed


@pytest.fixture
def bed(one_bed: Bed) -> Bed:
    one_bed.reset()
    return one_bed
