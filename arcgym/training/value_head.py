"""The critic: a float32 linear value head on the policy's own trunk.

It is a sub-module of the causal LM, because accelerate, FSDP and DeepSpeed drive one module with one optimizer, and it
reads the last hidden states of the very forward that gives the log-probabilities. Values leave the model as a field of
its output; a side channel would hide them from DDP. On disk the critic lies beside the policy, so that the policy's
folder stays a plain causal LM.
"""

import functools
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from arcgym.errors import CheckpointError

VALUE_HEAD_FILE = "value_head.safetensors"
_ATTRIBUTE = "value_head"

HiddenStates = Float[Tensor, "batch position hidden"]
PerPosition = Float[Tensor, "batch position"]


class ValueHead(nn.Module):
    """Linear map from a hidden state to the value of that state, in float32, zero at first.

    Not an `nn.Linear`, which LoRA on all linear layers and quantization would take for a part of the policy.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, hidden_size, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(1, dtype=torch.float32))

    def forward(self, hidden_states: HiddenStates) -> PerPosition:
        """Estimate the value of each position."""
        with torch.autocast(hidden_states.device.type, enabled=False):
            values = nn.functional.linear(hidden_states.to(self.weight.dtype), self.weight, self.bias)
        return values.squeeze(-1)


@dataclass
class CriticCausalLMOutput(FusedCausalLMOutput):
    """TRL's output of a fused forward, with the value of every input position.

    A declared field, since DDP finds only those tensors; not named `values`, which would hide the method of a mapping.
    """

    value_estimates: torch.Tensor | None = None


def attach_value_head(model: PreTrainedModel) -> ValueHead:
    """Give a causal LM a value head, or return the one it has.

    The head's weights are left out of `model.save_pretrained`.
    """
    head = getattr(model, _ATTRIBUTE, None)
    if isinstance(head, ValueHead):
        return head
    head = ValueHead(model.config.get_text_config().hidden_size)
    output_embeddings = model.get_output_embeddings()
    head.to(output_embeddings.weight.device)
    model.add_module(_ATTRIBUTE, head)
    names = {f"{_ATTRIBUTE}.{name}" for name in head.state_dict()}
    model._keys_to_ignore_on_save = {*(model._keys_to_ignore_on_save or ()), *names}
    return head


def return_values(model: PreTrainedModel) -> None:
    """Make the fused forward that TRL gave `model` return the values of its value head too.

    Other forwards, generation among them, are unchanged. Call it after TRL's `add_fused_lm_head`, whose forward hides
    the hidden states: a hook catches them on their way out of the trunk.
    """
    fused_forward = model.forward

    # The class's signature, because `generate` validates its model arguments against it
    @functools.wraps(type(model).forward)
    def forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return fused_forward(*args, **kwargs)
        caught: list[Tensor] = []
        hook = self.base_model.register_forward_hook(lambda _module, _args, out: caught.append(out.last_hidden_state))
        try:
            outputs = fused_forward(*args, fused_lm_head=True, **kwargs)
        finally:
            hook.remove()
        return CriticCausalLMOutput(**outputs, value_estimates=getattr(self, _ATTRIBUTE)(caught[0]))

    model.forward = types.MethodType(forward, model)


@contextmanager
def hidden_value_head(model: PreTrainedModel) -> Iterator[None]:
    """Take the value head out of the model's parameters for a while, as weights sent to an inference engine need."""
    head = model._modules.pop(_ATTRIBUTE)
    try:
        yield
    finally:
        model.add_module(_ATTRIBUTE, head)


def save_value_head(head: ValueHead, folder: str | Path, state_dict: dict[str, Tensor] | None = None) -> None:
    """Write the critic beside the policy in `folder`.

    Args:
        head: The critic.
        folder: Where the policy was saved.
        state_dict: Weights of the whole model, where its parameters are sharded and the head's own are not complete.
    """
    weights = head.state_dict()
    if state_dict is not None:
        gathered = {name: _find(state_dict, f"{_ATTRIBUTE}.{name}") for name in weights}
        weights = {name: tensor for name, tensor in gathered.items() if tensor is not None}
    weights = {name: tensor.detach().contiguous().cpu() for name, tensor in weights.items()}
    safetensors.torch.save_file(weights, Path(folder) / VALUE_HEAD_FILE)


def load_value_head(head: ValueHead, folder: str | Path) -> None:
    """Read the critic that lies in `folder` into `head`.

    Raises:
        CheckpointError: The file is missing, unreadable, or of another hidden size.
    """
    path = Path(folder) / VALUE_HEAD_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder} holds no {VALUE_HEAD_FILE}, so the critic cannot be restored. Resume from a checkpoint written "
            f"by PPOTrainer, or start a new run with `model` set to this folder."
        )
    try:
        head.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError) as exc:
        raise CheckpointError(f"{path} is not a critic for this model: {exc}") from exc


def _find(state_dict: dict[str, Tensor], name: str) -> Tensor | None:
    """Find a weight by the end of its name: PEFT and wrappers put prefixes before it."""
    return next((tensor for key, tensor in state_dict.items() if key == name or key.endswith(f".{name}")), None)
