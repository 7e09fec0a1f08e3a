"""Policies: the default one, its tokenizer and how it is pretrained, and loading any other by name."""

from arcgym.models.loading import load_tokenizer, resolve_policy
from arcgym.models.tiny import TINY_NAME, build_tiny
from arcgym.models.tokenizer import build_tokenizer

__all__ = ["TINY_NAME", "build_tiny", "build_tokenizer", "load_tokenizer", "resolve_policy"]
