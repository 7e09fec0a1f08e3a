"""The policies and the sandbox of the inference tests."""

import pytest
import tiny_policies

from arcgym.sandbox import CodeSandbox


@pytest.fixture(scope="session")
def byte_tokenizer():
    return tiny_policies.byte_tokenizer()


@pytest.fixture(scope="session")
def taught_model(byte_tokenizer):
    return tiny_policies.taught_llama(byte_tokenizer)


@pytest.fixture(scope="session")
def sandbox():
    with CodeSandbox(workers=1, allow_weak=True) as sandbox:
        yield sandbox
