"""The tokenizer of the default policy: one token per digit, primitive name and fixed phrase, bytes for all the rest.

It is a byte-level BPE without merges, so any text is encoded and comes back unchanged. On top of the 256 bytes stand
whole-phrase tokens for what a program over the primitives is made of: a two-step program takes about fifteen tokens.
"""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from arcgym import primitives
from arcgym.data.synthetic.expressions import FOOTER, HEADER, STEP

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
_PROMPT = ("Input:\n", "Output:\n", "Test:\n", "Program:\n")
_PUNCTUATION = ("(grid)", "(grid)\n", "(grid, ", "grid", ", ", ")\n", "-")


def phrases() -> tuple[str, ...]:
    """The texts that are one token each, apart from single bytes, in vocabulary order."""
    return (*_PROMPT, HEADER, STEP, FOOTER, *_PUNCTUATION, *sorted(primitives.__all__))


def build_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Make the tokenizer of `arcgym-tiny`.

    Args:
        max_length: Context length of the model, in tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([PAD, BOS, EOS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, BOS, EOS])
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases() if phrase not in vocabulary])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        model_max_length=max_length,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
