"""One sandbox for the reward tests."""

import pytest

from arcgym.sandbox import CodeSandbox


@pytest.fixture(scope="session")
def sandbox():
    with CodeSandbox(timeout_s=1.0, workers=1, allow_weak=True) as sandbox:
        yield sandbox
