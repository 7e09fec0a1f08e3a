"""Find a policy by name and load its parts: the shipped `arcgym-tiny`, a folder, an adapter, or a model of the Hub."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.peft_utils import find_adapter_config_file

from arcgym.errors import ConfigError, GenerationError
from arcgym.models.tiny import TINY_FOLDER, TINY_NAME

# What a tokenizer for Python must not change: indentation, runs of spaces, quotes, case
_PROBE = "def f(x):\n    if x :\n\t\treturn 'a  b' , \"C\"\n\n    return x [0]\n"


def resolve_policy(name_or_path: str) -> str:
    """Return what Transformers loads for a name: the folder of `arcgym-tiny`, anything else unchanged."""
    return str(TINY_FOLDER) if name_or_path == TINY_NAME else name_or_path


def load_tokenizer(
    name_or_path: str, *, revision: str = "main", trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """Load a policy's tokenizer and set it up for Python and for generation in batches: padding on the left.

    A tokenizer without a padding token pads with its end-of-sequence token; masks are built from lengths, so the end
    of a program is still learned. Decoding never tidies up spaces.

    Args:
        name_or_path: `arcgym-tiny`, a folder, or a name on the Hub.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether code that comes with the tokenizer may run.

    Raises:
        GenerationError: There is no such model, or it has no tokenizer that can write Python and end a completion.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            resolve_policy(name_or_path),
            revision=revision,
            trust_remote_code=trust_remote_code,
            padding_side="left",
            clean_up_tokenization_spaces=False,
        )
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
    written = tokenizer.decode(tokenizer(_PROBE, add_special_tokens=False)["input_ids"])
    if written != _PROBE:
        raise GenerationError(
            f"The tokenizer of {name_or_path!r} does not keep Python's spaces, quotes and letters: it turns "
            f"{_PROBE!r} into {written!r}. Choose a model for code."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Prompts are counted before they are dropped for their length: that is no mistake to warn of.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return tokenizer


def adapter_base(name_or_path: str, *, revision: str = "main") -> str | None:
    """Return the name of the model that an adapter was trained on; `None` for what is no adapter.

    Args:
        name_or_path: A folder, or a name on the Hub.
        revision: Branch, tag or commit on the Hub.
    """
    try:
        if find_adapter_config_file(resolve_policy(name_or_path), revision=revision) is None:
            return None
    except OSError:  # there is no such model at all, which is said where its weights are looked for
        return None
    from peft import PeftConfig  # whose import takes seconds

    base: str = PeftConfig.from_pretrained(name_or_path, revision=revision).base_model_name_or_path
    # Of another machine or another version of arcgym
    return TINY_NAME if Path(base).name == TINY_NAME and not Path(base).exists() else base


def load_causal_lm(
    name_or_path: str,
    *,
    revision: str,
    dtype: str | torch.dtype,
    attn_implementation: str | None,
    device_map: Any,
    trust_remote_code: bool,
    model_kwargs: Mapping[str, Any],
) -> PreTrainedModel:
    """Load the weights of a causal LM; all of them have to be there.

    The arguments are those of `CodeLLM.load`.

    Raises:
        ConfigError: A setting does not suit the model or this machine.
        GenerationError: There is no such model, it is no causal LM, or weights are missing.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            resolve_policy(name_or_path),
            revision=revision,
            dtype=as_dtype(dtype),
            attn_implementation=attn_implementation,
            device_map=device_map,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **model_kwargs,
        )
    except OSError as exc:
        raise GenerationError(
            f"There is no model {name_or_path!r}: {str(exc).splitlines()[0]} Give `{TINY_NAME}`, a folder saved by "
            "`save_pretrained`, or a name on the Hub that this machine can reach."
        ) from exc
    except (ImportError, ValueError) as exc:
        if attn_implementation is not None and re.search("attention|attn", str(exc), re.IGNORECASE):
            raise ConfigError(
                f"`attn_implementation` is {attn_implementation!r}, which {name_or_path!r} cannot use here: "
                f"{str(exc).splitlines()[0]} Use `sdpa` or `eager`, or leave it out."
            ) from exc
        raise GenerationError(
            f"{name_or_path!r} cannot be loaded as a causal language model: {str(exc).splitlines()[0]}"
        ) from exc
    model: PreTrainedModel
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise GenerationError(
            f"{name_or_path!r} holds no weights for {', '.join(missing[:3])}{' and others' * (len(missing) > 3)}, so "
            "it would start from random ones. Give a folder or a name with all weights of a causal language model."
        )
    return model


def as_dtype(dtype: str | torch.dtype) -> str | torch.dtype:
    """Turn the name of a floating-point type into the type; `auto` stands for that of the saved weights.

    Raises:
        ConfigError: There is no such type.
    """
    if isinstance(dtype, torch.dtype) or dtype == "auto":
        return dtype
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ConfigError(f"`dtype` is {dtype!r}, but must be `float32`, `bfloat16`, `float16` or `auto`.")
    named: torch.dtype = getattr(torch, dtype)
    return named
