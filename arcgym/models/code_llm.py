"""A code language model with its tokenizer: loading, quantization, adapters, freezing, and the ways back to disk.

`CodeLLM` adds to Transformers, PEFT and bitsandbytes what goes wrong between them: one place that loads a full model
or an adapter in any precision, refuses what would fail later or silently, and gives plain folders back. The model
itself is `.model`, for any trainer.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from rich.console import Console
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from arcgym.errors import ConfigError, GenerationError
from arcgym.models.freezing import freeze, parameter_table
from arcgym.models.loading import adapter_base, as_dtype, load_causal_lm, load_tokenizer
from arcgym.models.quantization import (
    Quantization,
    check_expansion,
    is_quantized,
    keep_weights_in_place,
    merge_dequantized,
    prepare_bitsandbytes,
    quantization_config,
    weight_bytes,
)
from arcgym.models.value import VALUE_HEAD_FILE, critic_of, save_critic


class CodeLLM:
    """A causal language model that writes Python, with its tokenizer.

    Args:
        model: A causal LM, in PEFT's wrapper or not.
        tokenizer: Its tokenizer, as `load_tokenizer` sets it up.
        source: Name or folder that it was loaded from, if any.

    Raises:
        GenerationError: The tokenizer knows tokens that the model has no embedding for.
    """

    def __init__(
        self, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, source: str | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.source = source
        num_embeddings = cast(Any, self.causal_lm.get_input_embeddings()).num_embeddings
        if len(tokenizer) > num_embeddings:
            raise GenerationError(
                f"The tokenizer has {len(tokenizer)} tokens, but the model only {num_embeddings} embeddings. Use the "
                "tokenizer that was saved with the model."
            )
        # As TRL's trainers do; padding that means another token would end or begin completions
        for config in (self.causal_lm.config.get_text_config(), self.causal_lm.generation_config):
            if config is not None:
                config.pad_token_id = tokenizer.pad_token_id

    @classmethod
    def load(
        cls,
        name_or_path: str,
        *,
        revision: str = "main",
        dtype: str | torch.dtype = "float32",
        attn_implementation: str | None = None,
        device_map: str | dict[str, Any] | None = None,
        quantization: Quantization | BitsAndBytesConfig | None = None,
        peft_config: PeftConfig | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        trust_remote_code: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Load a model; given the folder of an adapter, its base model and the adapter, which is to go on learning.

        Args:
            name_or_path: `arcgym-tiny`, a folder, or a name on the Hub.
            revision: Branch, tag or commit on the Hub.
            dtype: `float32`, `bfloat16`, `float16`, or `auto` for that of the saved weights.
            attn_implementation: `sdpa`, `eager`, `flash_attention_2`, …; Transformers' choice if left out.
            device_map: Where weights go, as in `from_pretrained`; left out, they stay on the CPU for trainers to move.
            quantization: `4bit` (nf4), `4bit-double` (its scales quantized too), `8bit`, or a config of bitsandbytes.
            peft_config: Adapter to put on, LoRA for example; with `quantization` this is QLoRA.
            tokenizer: Its tokenizer, if that is loaded already.
            trust_remote_code: Whether code that comes with the model may run.
            model_kwargs: Further arguments of `from_pretrained`.

        Raises:
            ConfigError: A setting does not suit the model or this machine.
            GenerationError: There is no such model, or it cannot write Python.
        """
        further = dict(model_kwargs or {})
        if quantization is not None:
            prepare_bitsandbytes()
            compute_dtype = as_dtype(dtype)
            further["quantization_config"] = (
                quantization_config(
                    quantization, compute_dtype if isinstance(compute_dtype, torch.dtype) else torch.float32
                )
                if isinstance(quantization, str)
                else quantization
            )
        base = adapter_base(name_or_path, revision=revision)
        if base is not None and peft_config is not None:
            raise ConfigError(
                f"{name_or_path!r} is an adapter already, and the one that is trained. Set `use_peft` to false, or "
                "`export` it first and put a new adapter on that."
            )
        if tokenizer is None:
            tokenizer = load_tokenizer(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
        model = load_causal_lm(
            name_or_path if base is None else base,
            # That of an adapter says nothing of its base
            revision=revision if base is None else "main",
            dtype=dtype,
            attn_implementation=attn_implementation,
            device_map=device_map,
            trust_remote_code=trust_remote_code,
            model_kwargs=further,
        )
        if is_quantized(model):
            keep_weights_in_place(model)
            check_expansion(model)
        if base is not None:
            adapted = PeftModel.from_pretrained(model, name_or_path, revision=revision, is_trainable=True)
            return cls(adapted, tokenizer, name_or_path)
        return cls(model if peft_config is None else add_adapter(model, peft_config), tokenizer, name_or_path)

    @property
    def causal_lm(self) -> PreTrainedModel:
        """The causal LM itself, inside PEFT's wrapper if there is one."""
        model = self.model
        return cast(PreTrainedModel, model.get_base_model()) if isinstance(model, PeftModel) else model

    @property
    def weight_bytes(self) -> int:
        """Bytes that the weights take in memory."""
        return weight_bytes(self.model)

    def freeze(self, *, pattern: Sequence[str] | str = (), layers: int = 0, all_but_head: bool = False) -> None:
        """Take parameters out of training; see `arcgym.models.freezing.freeze`."""
        freeze(self.model, pattern=pattern, layers=layers, all_but_head=all_but_head)

    def print_parameters(self) -> None:
        """Print a table of what learns and what does not."""
        Console().print(parameter_table(self.model))

    def merge(self) -> None:
        """Put the adapter into the weights, expanded if they are quantized; all of them learn afterwards.

        Raises:
            ConfigError: There is no adapter, or it is of a kind that cannot be merged.
        """
        if not isinstance(self.model, PeftModel):
            raise ConfigError("There is no adapter to merge. Load the folder of an adapter, or give a `peft_config`.")
        self.model = _merged(self.model)
        self.model.requires_grad_(True)

    def save(self, folder: str | Path) -> None:
        """Write everything that `load` needs: weights or adapter, tokenizer, and the critic if there is one."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(folder)
        critic = critic_of(self.causal_lm)
        # One of an earlier model would be taken for this one's
        (Path(folder) / VALUE_HEAD_FILE).unlink(missing_ok=True)
        if critic is not None:
            save_critic(critic, folder)

    def export(self, folder: str | Path, dtype: str | torch.dtype | None = None) -> None:
        """Write a plain causal LM that Transformers loads by itself: merged, not quantized, without critic.

        Args:
            folder: Made if it is not there.
            dtype: Type of the weights; that of the model if left out.

        Raises:
            ConfigError: The adapter is of a kind that cannot be merged.
        """
        model = self.model
        wanted = as_dtype(dtype) if dtype is not None else "auto"
        is_changed = isinstance(model, PeftModel) or is_quantized(model) or wanted != "auto"
        plain = _merged(copy.deepcopy(model)) if is_changed else model
        if isinstance(wanted, torch.dtype):
            plain = cast(PreTrainedModel, plain.to(wanted))  # type: ignore[arg-type]
        Path(folder).mkdir(parents=True, exist_ok=True)
        plain.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(folder)


def add_adapter(model: PreTrainedModel, peft_config: PeftConfig) -> PeftModel:
    """Put an adapter on a causal LM, whose own weights learn no more.

    Raises:
        ConfigError: The adapter does not fit the model.
    """
    try:
        return cast(PeftModel, get_peft_model(model, peft_config))
    except ValueError as exc:
        raise ConfigError(
            f"The adapter does not fit the model: {exc} Set `lora_target_modules`, for example to `all-linear`."
        ) from exc


def _merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Make a plain model of any, changing it."""
    dtype = cast(Any, model).get_input_embeddings().weight.dtype
    if not isinstance(model, PeftModel):
        return model.dequantize(dtype=dtype) if is_quantized(model) else model
    if is_quantized(model):
        return merge_dequantized(model, dtype)
    try:
        plain: PreTrainedModel = model.merge_and_unload(safe_merge=True)
    except (AttributeError, ValueError) as exc:
        raise ConfigError(f"The adapter cannot be merged: {exc}") from exc
    return plain
