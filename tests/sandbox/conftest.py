"""One sandbox for all tests that do not harm it."""

from collections.abc import Iterator

import pytest

from arcgym.sandbox import CodeSandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[CodeSandbox]:
    with CodeSandbox(timeout_s=1.0, memory_mb=256, workers=1) as shared:
        yield shared
