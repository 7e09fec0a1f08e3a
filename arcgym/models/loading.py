"""Find a policy by name and prepare its tokenizer: the shipped `arcgym-tiny`, a folder, or a model of the Hub."""

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from arcgym.errors import GenerationError
from arcgym.models.tiny import TINY_FOLDER, TINY_NAME


def resolve_policy(name_or_path: str) -> str:
    """Return what Transformers loads for a name: the folder of `arcgym-tiny`, anything else unchanged."""
    return str(TINY_FOLDER) if name_or_path == TINY_NAME else name_or_path


def load_tokenizer(name_or_path: str) -> PreTrainedTokenizerBase:
    """Load a policy's tokenizer, padding on the left, as generation in batches needs.

    A tokenizer without a padding token pads with its end-of-sequence token; masks are built from lengths, so the end
    of a program is still learned.

    Args:
        name_or_path: `arcgym-tiny`, a folder, or a name on the Hub.

    Raises:
        GenerationError: There is no such model, or it has no tokenizer that can end a completion.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve_policy(name_or_path), padding_side="left")
    except (OSError, ValueError) as exc:
        raise GenerationError(
            f"There is no tokenizer for the model {name_or_path!r}: {str(exc).splitlines()[0]} Give `{TINY_NAME}`, a "
            "folder saved by `save_pretrained`, or a name on the Hub that this machine can reach."
        ) from exc
    if tokenizer.eos_token_id is None:
        raise GenerationError(
            f"The tokenizer of {name_or_path!r} has no end-of-sequence token, so a program would never end. Set "
            "`eos_token` in its tokenizer_config.json."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Prompts are counted before they are dropped for their length: that is no mistake to warn of.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return tokenizer
