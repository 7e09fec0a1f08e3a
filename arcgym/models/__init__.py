"""Policies: any causal LM that writes Python, and the default one with its tokenizer and how it is pretrained.

Names that need PEFT or TRL, whose import takes seconds, are resolved on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from arcgym.models.loading import load_tokenizer, resolve_policy
from arcgym.models.tiny import TINY_NAME, build_tiny
from arcgym.models.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from arcgym.models.code_llm import CodeLLM
    from arcgym.models.policy import PolicyNetwork
    from arcgym.models.sampling import SamplingConfig
    from arcgym.models.value import ValueHead, ValueNetwork

_HOMES = {
    "CodeLLM": "code_llm",
    "PolicyNetwork": "policy",
    "SamplingConfig": "sampling",
    "ValueHead": "value",
    "ValueNetwork": "value",
}

__all__ = [
    "TINY_NAME",
    "CodeLLM",
    "PolicyNetwork",
    "SamplingConfig",
    "ValueHead",
    "ValueNetwork",
    "build_tiny",
    "build_tokenizer",
    "load_tokenizer",
    "resolve_policy",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
