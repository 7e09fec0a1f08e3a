"""Quantized policies with bitsandbytes: 4 or 8 bits per weight, on CPU too, and what they weigh.

Linear layers are quantized; embeddings, norms and the output head keep their type. A quantized policy learns through
adapters only.
"""

import importlib.util
import logging
from typing import Any, Literal, TypeAlias, cast, get_args

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from arcgym.errors import ConfigError

Quantization: TypeAlias = Literal["4bit", "4bit-double", "8bit"]


def quantization_config(kind: Quantization, compute_dtype: torch.dtype = torch.float32) -> BitsAndBytesConfig:
    """Make the config of a quantization.

    Args:
        kind: `4bit` is nf4 with a float32 scale per 64 weights, `4bit-double` quantizes these scales too, `8bit` is
            int8 with a scale per row.
        compute_dtype: What 4-bit weights are expanded to for a multiplication.

    Raises:
        ConfigError: There is no such quantization.

    Reference:
        Dettmers et al. (2023), QLoRA, sections 2 and 3; Dettmers et al. (2022), LLM.int8(), section 3.
    """
    if kind not in get_args(Quantization):
        raise ConfigError(f"`quantization` is {kind!r}, but must be one of {', '.join(get_args(Quantization))}.")
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=kind == "4bit-double",
        bnb_4bit_compute_dtype=compute_dtype,
    )


def prepare_bitsandbytes() -> None:
    """Check that quantized models can be loaded, and quiet what says so of every 8-bit multiplication.

    Raises:
        ConfigError: bitsandbytes is missing.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            "A quantized policy needs bitsandbytes, which is not installed. `pip install bitsandbytes`, or set "
            "`load_in_4bit` and `load_in_8bit` to false."
        )
    # It warns of the cast to float16 that its algorithm consists of
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def keep_weights_in_place(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights, as it does on CPUs with AVX512-BF16 in evaluation mode.

    After its repacking, which is in place and for good, adapters get no gradients while the loss looks normal, and
    saved weights are corrupt.
    """
    from bitsandbytes.nn.modules import Linear4bit  # takes a second

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def check_expansion(model: nn.Module) -> None:
    """Check that bitsandbytes expands 4-bit weights to what they stand for, one layer of each input size.

    On CPU, version 0.50 does not where a row is no whole number of blocks: it gives part of them the scale of a
    neighbouring block, which is an error as large as rounding to two bits would make.

    Raises:
        ConfigError: It does not.
    """
    from bitsandbytes import functional
    from bitsandbytes.nn.modules import Linear4bit

    weights: dict[int, Any] = {
        module.in_features: module.weight for module in model.modules() if isinstance(module, Linear4bit)
    }
    for size, weight in weights.items():
        packed, state = weight.data, weight.quant_state
        scales = state.absmax
        if state.nested:
            scales = functional.dequantize_blockwise(scales, state.state2) + state.offset
        halves = packed.view(torch.uint8).flatten()
        codes = torch.stack([halves >> 4, halves & 15], dim=1).flatten()[: state.shape.numel()].long()
        blocks = torch.arange(len(codes), device=codes.device) // state.blocksize
        meant = state.code.to(codes.device)[codes] * scales.float()[blocks]
        error = functional.dequantize_4bit(packed, state).float().flatten() - meant
        if error.abs().max() > 0.01 * scales.max():  # more than rounding
            raise ConfigError(
                f"4-bit weights cannot be used here: bitsandbytes on {packed.device.type} computes wrong weights for "
                f"layers with {size} inputs. It is known to for sizes that are no multiple of {state.blocksize}. Use "
                "`load_in_8bit`, an accelerator, or a model of another width."
            )


def is_quantized(model: PreTrainedModel | PeftModel) -> bool:
    """Whether linear layers of a model are stored in 4 or 8 bits."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return getattr(base, "quantization_method", None) is not None


def weight_bytes(model: nn.Module) -> int:
    """Return how many bytes a model's weights take in memory, scales and tables of quantized ones included."""
    tensors: list[Tensor] = []
    for parameter in model.parameters():
        tensors.append(parameter)
        if (state := getattr(parameter, "quant_state", None)) is not None:
            tensors += [state.absmax, state.code]
            if state.nested:
                tensors += [state.offset, state.state2.absmax, state.state2.code]
        if (scales := getattr(parameter, "SCB", None)) is not None:
            tensors.append(scales)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def merge_dequantized(model: PeftModel, dtype: torch.dtype) -> PreTrainedModel:
    """Turn a quantized model with LoRA into a plain one: expanded weights plus adapters; changes `model`.

    PEFT's own merge rounds the sum to 4 or 8 bits again. Here it is kept: the result computes what was trained.

    Args:
        model: LoRA on a model quantized with bitsandbytes.
        dtype: Of the result.

    Raises:
        ConfigError: The adapter is no plain LoRA.
    """
    layers = {name: layer for name, layer in model.get_base_model().named_modules() if isinstance(layer, LoraLayer)}
    if any(layer.lora_variant or any(layer.lora_bias.values()) for layer in layers.values()):
        raise ConfigError(
            "Only plain LoRA can be merged into quantized weights, but this adapter has DoRA or biases. To merge it, "
            "load the policy without quantization."
        )
    base: PreTrainedModel = model.unload()
    plain: PreTrainedModel = base.dequantize(dtype=torch.float32)
    with torch.no_grad():
        for name, layer in layers.items():
            for adapter in layer.active_adapters:
                plain.get_submodule(name).weight += cast(Any, layer).get_delta_weight(adapter).float()
    return nn.Module.to(plain, dtype)
