"""Small policies for the tests of models; no network."""

import pytest
import tiny_policies
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()


@pytest.fixture(scope="session")
def byte_tokenizer():
    return tiny_policies.byte_tokenizer()


@pytest.fixture(scope="session")
def tiny_model(byte_tokenizer):
    return tiny_policies.random_llama(byte_tokenizer)


@pytest.fixture(scope="session")
def save_policy(byte_tokenizer):
    """Write a random Llama and its tokenizer to a folder; keyword arguments change its config."""

    def save(folder, seed=0, **changes):
        settings = {
            "vocab_size": len(byte_tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 128,
            "bos_token_id": byte_tokenizer.bos_token_id,
            "eos_token_id": byte_tokenizer.eos_token_id,
            "pad_token_id": byte_tokenizer.pad_token_id,
            "initializer_range": 0.1,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            LlamaForCausalLM(LlamaConfig(**settings | changes)).save_pretrained(folder)
        byte_tokenizer.save_pretrained(folder)
        return str(folder)

    return save
