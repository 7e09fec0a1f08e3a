"""The critic: a float32 linear value head on the policy's own trunk, or on a copy of the trunk.

Either is a sub-module of the causal LM, because accelerate, FSDP and DeepSpeed drive one module with one optimizer,
and runs in the very forward that gives the log-probabilities. Values leave the model as a field of its output; a side
channel would hide them from DDP. On disk the critic lies beside the policy, so that the policy's folder stays a plain
causal LM.
"""

import copy
import functools
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import safetensors.torch
import torch
from jaxtyping import Float, Int, Shaped
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from arcgym.errors import CheckpointError, ConfigError
from arcgym.models.quantization import is_quantized

VALUE_HEAD_FILE = "value_head.safetensors"
_ATTRIBUTE = "value_head"
# What the fused forward is given for the trunk; the last two where prompts are shared
_TRUNK_INPUTS = ("input_ids", "attention_mask", "position_ids", "shared_prompts")

TokenIds = Int[Tensor, "batch position"]
TokenMask = Shaped[Tensor, "batch position"]  # of 0 and 1 in any type
HiddenStates = Float[Tensor, "batch position hidden"]
PerPosition = Float[Tensor, "batch position"]


class ValueHead(nn.Module):
    """Linear map from a hidden state to the value of that state, in float32, zero at first.

    Not an `nn.Linear`, which LoRA on all linear layers and quantization would take for a part of the policy.

    Attributes:
        is_detached: Whether the trunk gets no gradient from the values; for a critic that learns alone.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.is_detached = False
        self.weight = nn.Parameter(torch.zeros(1, hidden_size, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(1, dtype=torch.float32))

    def estimate(self, hidden_states: HiddenStates, *args: Any, **kwargs: Any) -> PerPosition:
        """Estimate values from the policy's hidden states; what the policy was given is not read."""
        values: Tensor = self(hidden_states.detach() if self.is_detached else hidden_states)
        return values

    def forward(self, hidden_states: HiddenStates) -> PerPosition:
        """Estimate the value of each position."""
        with torch.autocast(hidden_states.device.type, enabled=False):
            values = nn.functional.linear(hidden_states.to(self.weight.dtype), self.weight, self.bias)
        return values.squeeze(-1)


class ValueNetwork(nn.Module):
    """A critic with weights of its own: a copy of the policy's trunk under a value head.

    Nothing that it learns moves the policy, at the cost of a second forward and backward and of the trunk's memory.
    """

    def __init__(self, trunk: nn.Module, hidden_size: int) -> None:
        super().__init__()
        self.trunk = copy.deepcopy(trunk)
        # What the policy keeps frozen is frozen in the copy too, which is to learn all the same
        self.trunk.requires_grad_(True)
        self.head = ValueHead(hidden_size)

    def values(self, input_ids: TokenIds, attention_mask: TokenMask) -> PerPosition:
        """Estimate the value of each position; see `estimate_values`."""
        values: Tensor = self(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        return values

    def estimate(self, hidden_states: HiddenStates, *args: Any, **kwargs: Any) -> PerPosition:
        """Estimate values from what the policy was given; its hidden states are not read."""
        values: Tensor = self(*args, **kwargs)
        return values

    def forward(self, *args: Any, **kwargs: Any) -> PerPosition:
        """Run the trunk on the policy's inputs and estimate the value of each position."""
        values: Tensor = self.head(self.trunk(*args, **kwargs).last_hidden_state)
        return values


Critic: TypeAlias = ValueHead | ValueNetwork


@dataclass
class CriticCausalLMOutput(FusedCausalLMOutput):
    """TRL's output of a fused forward, with the value of every input position.

    A declared field, since DDP finds only those tensors; not named `values`, which would hide the method of a mapping.
    """

    value_estimates: torch.Tensor | None = None


def attach_critic(model: PreTrainedModel, kind: Literal["head", "network"] = "head") -> Critic:
    """Give a causal LM a critic, or return the one it has.

    The critic's weights are left out of `model.save_pretrained`. Attach it before the trunk's forward is changed.

    Raises:
        ConfigError: The model has a critic of the other kind, or is quantized and so cannot be copied to be trained.
    """
    critic = critic_of(model)
    if critic is not None:
        if isinstance(critic, ValueHead) != (kind == "head"):
            raise ConfigError(f"the model has a critic of another kind than `{kind}` already. Load the model anew.")
        return critic
    if kind == "network" and is_quantized(model):
        raise ConfigError("`critic` is `network`, but a copy of quantized weights cannot learn. Use `head`.")
    hidden_size = model.config.get_text_config().hidden_size
    critic = ValueHead(hidden_size) if kind == "head" else ValueNetwork(model.base_model, hidden_size)
    head = critic if isinstance(critic, ValueHead) else critic.head
    output_embeddings = model.get_output_embeddings()
    head.to(output_embeddings.weight.device)
    model.add_module(_ATTRIBUTE, critic)
    names = {f"{_ATTRIBUTE}.{name}" for name in critic.state_dict()}
    model._keys_to_ignore_on_save = {*(model._keys_to_ignore_on_save or ()), *names}
    return critic


def critic_of(model: PreTrainedModel) -> Critic | None:
    """Return the critic that is attached to a causal LM, if there is one."""
    critic = getattr(model, _ATTRIBUTE, None)
    return critic if isinstance(critic, ValueHead | ValueNetwork) else None


def estimate_values(model: PreTrainedModel, input_ids: TokenIds, attention_mask: TokenMask) -> PerPosition:
    """Estimate with a causal LM's critic what PPOTrainer does: at each position the value of the tokens so far.

    The value of the state before token t of a completion is that of the position before it.

    Args:
        model: A causal LM with a critic.
        input_ids: Padded on either side.
        attention_mask: 1 on tokens and 0 on padding, where the values mean nothing.

    Raises:
        ConfigError: The model has no critic.
    """
    critic = critic_of(model)
    if critic is None:
        raise ConfigError("The policy has no critic to estimate values with. Call `add_critic` first.")
    if isinstance(critic, ValueNetwork):
        return critic.values(input_ids, attention_mask)
    states = model.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
    return critic.estimate(states)


def return_values(model: PreTrainedModel) -> None:
    """Make the fused forward that TRL gave `model` return the values of its critic too.

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
        inputs = {name: value for name, value in kwargs.items() if name in _TRUNK_INPUTS}
        values = getattr(self, _ATTRIBUTE).estimate(caught[0], **inputs)
        return CriticCausalLMOutput(**outputs, value_estimates=values)

    model.forward = types.MethodType(forward, model)


@contextmanager
def hidden_critic(model: PreTrainedModel) -> Iterator[None]:
    """Take the critic out of the model's parameters for a while, as weights sent to an inference engine need."""
    head = model._modules.pop(_ATTRIBUTE)
    try:
        yield
    finally:
        model.add_module(_ATTRIBUTE, head)


def save_critic(critic: Critic, folder: str | Path, state_dict: dict[str, Tensor] | None = None) -> None:
    """Write the critic beside the policy in `folder`.

    Args:
        critic: The critic.
        folder: Where the policy was saved.
        state_dict: Weights of the whole model, where its parameters are sharded and the critic's own not complete.
    """
    weights = critic.state_dict()
    if state_dict is not None:
        gathered = {name: _find(state_dict, f"{_ATTRIBUTE}.{name}") for name in weights}
        weights = {name: tensor for name, tensor in gathered.items() if tensor is not None}
    weights = {name: tensor.detach().contiguous().cpu() for name, tensor in weights.items()}
    safetensors.torch.save_file(weights, Path(folder) / VALUE_HEAD_FILE)


def load_critic(critic: Critic, folder: str | Path) -> None:
    """Read the critic that lies in `folder` into `critic`.

    Raises:
        CheckpointError: The file is missing, unreadable, or of another kind or size.
    """
    path = Path(folder) / VALUE_HEAD_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder} holds no {VALUE_HEAD_FILE}, so the critic cannot be restored. Resume from a checkpoint written "
            f"by PPOTrainer, or start a new run with `model` set to this folder."
        )
    try:
        critic.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError) as exc:
        raise CheckpointError(f"{path} is not a critic for this model: {exc}") from exc


def _find(state_dict: dict[str, Tensor], name: str) -> Tensor | None:
    """Find a weight by the end of its name: PEFT and wrappers put prefixes before it."""
    return next((tensor for key, tensor in state_dict.items() if key == name or key.endswith(f".{name}")), None)
