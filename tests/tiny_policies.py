"""Policies for tests, made on the spot: a byte-level tokenizer, a random tiny Llama, and one taught a few programs."""

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"
IDENTITY = "def transform(grid):\n    return grid\n"
PARTIAL = "def transform(grid):\n    assert grid.shape[0] == 1\n    return grid[:, ::-1]\n"
BROKEN = "def transform(grid)\n"
PROSE = "I do not know.\n"
TAUGHT = (FLIP, IDENTITY, PARTIAL, BROKEN, PROSE)


def byte_tokenizer():
    """Bytes, and one token for each program that a policy is taught."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<bos>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in TAUGHT])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


def random_llama(tokenizer, context=256):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=context,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.2,  # a distribution that is not flat, and an argmax that rounding does not change
        )
        return LlamaForCausalLM(config).eval()


def taught_llama(tokenizer):
    """Return a model that writes each of `TAUGHT` about equally often, whatever it is asked."""
    model = random_llama(tokenizer).train()
    rows = [
        [*tokenizer(f"{digits}\nProgram:\n{program}")["input_ids"], tokenizer.eos_token_id]
        for digits in ("12", "34")
        for program in TAUGHT
    ]
    ids = torch.tensor(rows)  # equally long: a program is one token
    labels = torch.full_like(ids, -100)
    labels[:, -2:] = ids[:, -2:]  # the program and the end
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()
