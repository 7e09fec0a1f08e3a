"""The default policy, `arcgym-tiny`: where its weights are, and what a model like it looks like before training."""

from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TINY_NAME = "arcgym-tiny"
TINY_FOLDER = Path(__file__).parent / TINY_NAME
HEAD_SIZE = 32


def build_tiny(
    tokenizer: PreTrainedTokenizerFast, *, hidden_size: int, num_layers: int, max_length: int
) -> LlamaForCausalLM:
    """Make an untrained Llama-architecture model for a tokenizer.

    Args:
        tokenizer: Its vocabulary size and special tokens are taken over.
        hidden_size: Width; a multiple of 32, the size of an attention head.
        num_layers: Depth.
        max_length: Context length, in tokens.
    """
    heads = hidden_size // HEAD_SIZE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=hidden_size * 8 // 3 // 32 * 32,
        num_hidden_layers=num_layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)
