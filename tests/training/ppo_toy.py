"""The toy task of the PPO tests, for tests and for the processes that they start."""

from datasets import Dataset

WORDS = ["<pad>", "<eos>", "<unk>", "a", "b", "c", "d", "e", "f", "g", "h"]


def toy_prompts():
    return Dataset.from_dict({"prompt": ["a b", "c d e", "f", "g h a b"] * 8})


def share_of_a(completions, **_):
    """Toy reward: the share of `a` among eight tokens."""
    return [completion.split().count("a") / 8 for completion in completions]
