"""Every distinct prompt of a batch goes through the model once, not once per completion.

All tokens of a batch (each distinct prompt, each completion, no padding) lie in one row of one ordinary forward. Only
attention looks past its own token, so only attention is replaced, through transformers' `AttentionInterface`: prompts
attend to themselves, and each completion to its prompt and itself. After the trunk, the states that TRL scores are put
back into rows. Log-probabilities, entropies, values and gradients are those of the padded batch, up to rounding.

It is one call of the model, so DDP, FSDP and PEFT notice nothing, and there is no cache, so gradient checkpointing
works. A model that looks past its token elsewhere (a state space, a convolution) is refused by `can_share`, with the
reason. Sequences come in TRL's form: prompts padded on the left, completions on the right.
"""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from peft import PeftModel
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicSlidingWindowLayer, get_layer_types_and_kwargs
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from arcgym.errors import ConfigError

# Attention implementations that are known to work, and the functions that make their masks where nothing is shared;
# ours have the same names with the prefix before them
_MASK_FUNCTIONS: dict[str, Callable] = {"eager": eager_mask, "sdpa": sdpa_mask}
_PREFIX = "shared_prompts_"

TokenIds = Int[Tensor, "batch time"]
Flags = Bool[Tensor, "batch time"]
TokenMask = Flags | Int[Tensor, "batch time"]
Mask = Bool[Tensor, "batch 1 query key"]
Slots = Int[Tensor, "batch time"]  # places in the one row
Row = Int[Tensor, "1 slot"]
Indices = Int[Tensor, "index"]
PackedStates = Float[Tensor, "1 heads slot size"]
PaddedStates = Float[Tensor, "batch heads time size"]


class Groups(NamedTuple):
    """Which rows of a batch have the same prompt."""

    rows: Indices  # the first row that has it, for each distinct prompt
    members: Indices  # the number of its prompt, for each row


def group_prompts(prompt_ids: TokenIds, prompt_mask: TokenMask) -> Groups:
    """Find the distinct prompts of a batch, in order of first appearance.

    Args:
        prompt_ids: Tokens, padded on the left. What padding holds makes no difference.
        prompt_mask: True (or 1) at real tokens.
    """
    is_real = prompt_mask.bool()
    keys = prompt_ids.masked_fill(~_from_first(is_real), -1) * 2 + is_real
    _, members = torch.unique(keys, dim=0, return_inverse=True)
    row = torch.arange(len(members), device=members.device)
    first = torch.full_like(row, len(members)).scatter_reduce(0, members, row, "amin")[members]
    rows = (first == row).nonzero().squeeze(1)
    return Groups(rows, torch.searchsorted(rows, first))


def shuffle_groups(rollout: dict[str, Any]) -> dict[str, Any]:
    """Shuffle the rows of a rollout, rows with the same prompt side by side.

    It stands in for TRL's `shuffle_sequence_dict`, which scatters the completions of a prompt over the batches that
    the rollout is then split into. Groups come in random order, and so do the rows of a group. Where the sizes of
    groups and batches do not divide each other, a batch cuts at most the group at its start and the one at its end.

    Args:
        rollout: Tensors and lists with one entry per row, `prompt_ids` and `prompt_mask` among them. Scalars and
            `None` stay as they are.
    """
    groups = group_prompts(rollout["prompt_ids"], rollout["prompt_mask"])
    rank = torch.randperm(len(groups.rows))
    order = torch.randperm(len(groups.members))
    order = order[rank[groups.members.cpu()[order]].argsort(stable=True)]

    def reorder(values: Any) -> Any:
        if values is None or (isinstance(values, Tensor) and values.ndim == 0):
            return values
        return values[order] if isinstance(values, Tensor) else [values[i] for i in order]

    return {name: reorder(values) for name, values in rollout.items()}


def can_share(model: PreTrainedModel | PeftModel) -> str:
    """Tell why a causal LM cannot share prompts; empty if it can.

    Decided by what the model consists of, above all by the cache that its config asks for. What is not known to be
    exact is refused.
    """
    if isinstance(model, PeftModel):
        if model.active_peft_config.is_prompt_learning:
            return f"the {model.active_peft_config.peft_type.value} adapter puts virtual tokens before each prompt"
        return can_share(cast(PreTrainedModel, model.get_base_model()))
    name = type(model).__name__
    if model.config.is_encoder_decoder:
        return f"{name} is an encoder-decoder"
    if model.config.get_text_config() is not model.config:
        return f"{name} is multimodal"
    if getattr(model.config, "output_router_logits", False):
        return "its load-balancing loss counts tokens. Set `output_router_logits` to false in the model's config"
    if any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules()) or any(
        vars(part).get("attention_dropout") for part in model.modules()
    ):
        return "it has dropout. Set `disable_dropout`, and `attention_dropout` to 0 in the model's config"
    if len({parameter.device for parameter in model.parameters()}) > 1:
        return "it is split over several devices"
    return _find_other_state(model) or _find_other_attention(model)


def _find_other_state(model: PreTrainedModel) -> str:
    """Find, in the cache that the config asks for, what passes between tokens beside keys and values."""
    name = type(model).__name__
    try:
        layer_types, _ = get_layer_types_and_kwargs(model.config)
        layers = DynamicCache(config=model.config).layers
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        return f"transformers has no cache for {name} ({type(exc).__name__}: {exc})"
    others = {type(layer).__name__ for layer in layers} - {"DynamicLayer", "DynamicSlidingWindowLayer"}
    if others or model._is_stateful:
        return f"{name} has a state that is not attention's ({', '.join(sorted(others)) or 'of its own'})"
    if "chunked_attention" in layer_types:
        return f"{name} attends within chunks"
    if "sliding_attention" in layer_types and _beside(type(model), "create_sliding_window_causal_mask") is None:
        return f"{name} has a sliding window, but no mask for it"
    attending = {part.layer_idx for part in model.modules() if "layer_idx" in vars(part)} - {None}
    if attending != set(range(len(layers))):
        return f"the layers of {name} do not attend once each"
    return ""


def _find_other_attention(model: PreTrainedModel) -> str:
    """Find out why attention cannot be replaced, or positions cannot be given."""
    name = type(model).__name__
    if not model.is_backend_compatible():
        return f"the attention of {name} cannot be replaced through transformers' AttentionInterface"
    implementation = model.config._attn_implementation.removeprefix(_PREFIX)
    if implementation not in _MASK_FUNCTIONS:
        return f"its attention is `{implementation}`. Set `attn_implementation` to `sdpa` or `eager`"
    if implementation == "eager" and _beside(type(model), "eager_attention_forward") is None:
        return f"the eager attention of {name} is not where transformers keeps it"
    if not getattr(model.config, "is_causal", True):
        return f"the attention of {name} is not causal"
    # Some count real tokens instead. A heuristic of the kind that transformers uses for attention
    trunk = inspect.unwrap(type(model.base_model).forward)
    if "position_ids" not in inspect.signature(trunk).parameters or "torch.arange(" not in inspect.getsource(trunk):
        return f"the positions of {name} are not known to be column numbers"
    return ""


def share_prompts(model: PreTrainedModel) -> None:
    """Give the fused forward of a causal LM the keyword `shared_prompt_length`, which makes it share prompts.

    With `shared_prompt_length=P`, where the first P columns of `input_ids` are prompts, the outputs cover completions
    only: `log_probs` and `entropy` start at column P, `value_estimates` at column P − 1. Where the label is -100 they
    mean nothing. Other calls, generation among them, are unchanged.

    Call it after `add_fused_lm_head` and `return_values`. The attention implementation gets another name, for good:
    gradient checkpointing looks it up again in the backward pass.

    Raises:
        ConfigError: The model cannot share prompts.
    """
    reason = can_share(model)
    if reason:
        raise ConfigError(f"Prompts cannot be shared: {reason}. Set `share_prompts` to false.")
    layers = DynamicCache(config=model.config).layers
    windows = [layer.sliding_window if isinstance(layer, DynamicSlidingWindowLayer) else None for layer in layers]
    for name, mask_function in _MASK_FUNCTIONS.items():
        AttentionInterface.register(f"{_PREFIX}{name}", functools.partial(_attend, name))
        AttentionMaskInterface.register(f"{_PREFIX}{name}", mask_function)
    model.set_attn_implementation(_PREFIX + model.config._attn_implementation.removeprefix(_PREFIX))
    fused_forward = model.forward

    # The class's signature, because `generate` validates its model arguments against it
    @functools.wraps(type(model).forward)
    def forward(self: PreTrainedModel, *args: Any, shared_prompt_length: int | None = None, **kwargs: Any) -> Any:
        if shared_prompt_length is None:
            return fused_forward(*args, **kwargs)
        plan = _plan(kwargs.pop("input_ids"), kwargs.pop("attention_mask"), shared_prompt_length, windows)
        labels = kwargs.pop("labels")[:, shared_prompt_length - 1 :]
        # The trunk, and that of a critic which has one of its own
        trunks = [part for part in self.modules() if isinstance(part, type(self.base_model))]
        hooks = [trunk.register_forward_hook(plan.unpack) for trunk in trunks]
        try:
            return fused_forward(
                input_ids=plan.tokens,
                position_ids=plan.positions,
                # A mask of four dimensions is passed on as it is; ours are in the plan
                attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=plan.tokens.device),
                labels=labels,
                shared_prompts=plan,
                **kwargs,
            )
        finally:
            for hook in hooks:
                hook.remove()

    model.forward = types.MethodType(forward, model)


@dataclass(eq=False)
class _Block:
    """A padded batch of queries and of the keys that they may attend to, as places in the one row.

    What stands in the padding of queries is arbitrary.
    """

    query_slots: Slots
    key_slots: Slots
    is_visible: Flags  # of the keys
    cells: Indices  # where the tokens are among the queries, flattened, in the order of their slots
    positions: Slots  # of all slots: their columns
    owners: Slots  # of all slots: the row that a completion's token belongs to, -1 for prompts
    is_causal: bool = False  # nothing but causality restricts attention, in the order of the slots
    _masks: dict[int | None, Mask] = field(default_factory=dict)

    def mask(self, window: int | None) -> Mask:
        """Tell which keys each query attends to; with a `window`, no more than so many."""
        if window not in self._masks:
            distance = self.positions[self.query_slots].unsqueeze(2) - self.positions[self.key_slots].unsqueeze(1)
            owner = self.owners[self.key_slots].unsqueeze(1)
            is_visible = self.is_visible.unsqueeze(1) & (distance >= 0)
            is_visible &= (owner < 0) | (owner == self.owners[self.query_slots].unsqueeze(2))
            if window is not None:
                is_visible &= distance < window
            self._masks[window] = is_visible.unsqueeze(1)
        return self._masks[window]


@dataclass(eq=False)
class _Plan:
    """How the tokens of a batch lie in one row, and how they come back."""

    tokens: Row
    positions: Row
    prompts: _Block
    completions: _Block
    state_slots: Slots  # of each completion, from the last token of its prompt on
    windows: list[int | None]  # how far each layer looks back
    layers_seen: set[int] = field(default_factory=set)

    def unpack(self, _module: nn.Module, _args: tuple, outputs: Any) -> Any:
        """Give the trunk's states the shape of a batch, from the last token of the prompts on."""
        missing = set(range(len(self.windows))) - self.layers_seen
        if missing:
            raise RuntimeError(f"Prompts were not shared in layers {sorted(missing)}. Set `share_prompts` to false.")
        states = outputs.last_hidden_state.squeeze(0).index_select(0, self.state_slots.flatten())
        outputs.last_hidden_state = states.unflatten(0, self.state_slots.shape)
        return outputs


def _plan(input_ids: TokenIds, attention_mask: TokenMask, prompt_length: int, windows: list[int | None]) -> _Plan:
    """Plan for a batch whose first `prompt_length` columns are prompts."""
    is_real = attention_mask.bool()
    if not is_real[:, prompt_length - 1].all():
        raise ValueError(f"Column {prompt_length - 1}, the last of the prompts, has padding. Pad prompts on the left.")
    rows, members = group_prompts(input_ids[:, :prompt_length], is_real[:, :prompt_length])
    in_prompt = _from_first(is_real[rows, :prompt_length])
    in_completion = _from_first(is_real[:, prompt_length:].flip(1)).flip(1)

    def pack(values: TokenIds | Flags) -> Tensor:
        return torch.cat([values[rows, :prompt_length][in_prompt], values[:, prompt_length:][in_completion]])

    column = torch.arange(input_ids.size(1), device=input_ids.device)
    row = torch.arange(input_ids.size(0), device=input_ids.device).unsqueeze(1)
    is_visible = pack(is_real)
    # As without sharing, padding before a prompt counts
    positions = pack(column.expand_as(input_ids))
    owners = pack(torch.where(column < prompt_length, -1, row))
    lengths, own_lengths = in_prompt.sum(1), in_completion.sum(1)
    ends = lengths.cumsum(0)
    # Columns that are padding in every prompt are left out
    width = int(lengths.max())
    prompt_slots, in_slots = _lay_out(lengths, width)
    prompts = _Block(
        prompt_slots,
        prompt_slots,
        is_visible[prompt_slots] & in_slots,
        in_slots.flatten().nonzero().squeeze(1),
        positions,
        owners,
        # On the right, causality hides the padding
        is_causal=bool(is_visible[prompt_slots].all()),
    )
    completion_slots = _lay_out(own_lengths, in_completion.size(1))[0] + ends[-1]
    return _Plan(
        tokens=pack(input_ids).unsqueeze(0),
        positions=positions.unsqueeze(0),
        prompts=prompts,
        completions=_bundle(prompts, own_lengths, members, is_visible),
        state_slots=torch.cat([ends[members].unsqueeze(1) - 1, completion_slots], dim=1),
        windows=windows,
    )


def _bundle(prompts: _Block, lengths: Indices, members: Indices, is_visible: Flags) -> _Block:
    """Put completions of a prompt side by side, so that they read its keys together.

    A bundle is about a quarter as long as the longest prompt: what its completions do not see of each other is then
    little beside what they see, and the prompt's keys are copied once per bundle, not once per completion.

    Args:
        prompts: The block of the prompts, whose slots are the first ones.
        lengths: Tokens of each completion.
        members: The number of the prompt of each completion.
        is_visible: Of all slots.
    """
    width = prompts.key_slots.size(1)
    first = len(prompts.cells)
    starts = lengths.cumsum(0) - lengths
    # Rows by prompt; `offset` counts the tokens before a row among those of its prompt
    order = members.argsort(stable=True)
    sizes, members = lengths[order], members[order]
    before = sizes.cumsum(0) - sizes
    totals = torch.zeros_like(lengths).index_add_(0, members, sizes)
    offset = before - (totals.cumsum(0) - totals)[members]
    row_of = torch.arange(len(order), device=order.device).repeat_interleave(sizes)
    slots = first + (starts[order] - before)[row_of] + torch.arange(len(row_of), device=order.device)
    keys = torch.stack([members, offset // max(1, width // 4, int(lengths.max()))], dim=1)[row_of]
    bundles, counts = torch.unique_consecutive(keys, dim=0, return_counts=True)
    longest = int(counts.max()) if len(counts) else 0
    places, in_bundle = _lay_out(counts, longest)
    query_slots = slots[places]
    flat = in_bundle.flatten().nonzero().squeeze(1)
    cells = torch.empty_like(flat)
    cells[query_slots.flatten()[flat] - first] = flat
    past = bundles[:, 0]
    return _Block(
        query_slots,
        torch.cat([prompts.key_slots[past], query_slots], dim=1),
        torch.cat([prompts.is_visible[past], is_visible[query_slots] & in_bundle], dim=1),
        cells,
        prompts.positions,
        prompts.owners,
    )


def _lay_out(lengths: Indices, width: int) -> tuple[Slots, Flags]:
    """Pad sequences on the right that lie in one row one after the other.

    Returns:
        Their places in that row, `(sequence, width)`, the last one repeated in the padding, and what is not padding.
    """
    ends = lengths.cumsum(0).unsqueeze(1)
    places = ends - lengths.unsqueeze(1) + torch.arange(width, device=lengths.device)
    return torch.minimum(places, ends - 1), places < ends


def _attend(
    implementation: str,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    shared_prompts: _Plan | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as `implementation` does; with a plan, in each of its blocks."""
    attend = sdpa_attention_forward if implementation == "sdpa" else _beside(type(module), "eager_attention_forward")
    if shared_prompts is None:
        return attend(module, query, key, value, attention_mask, **kwargs)
    if kwargs.get("dropout"):
        raise RuntimeError("Prompts cannot be shared with dropout in attention. Set `share_prompts` to false.")
    layer = cast(int, module.layer_idx)
    shared_prompts.layers_seen.add(layer)
    window = shared_prompts.windows[layer]
    outputs = []
    for block in (shared_prompts.prompts, shared_prompts.completions):
        if not len(block.cells):  # every completion is masked
            continue
        mask: Tensor | None = None
        if implementation == "eager":
            zero = torch.zeros((), dtype=query.dtype, device=query.device)
            mask = torch.where(block.mask(window), zero, torch.finfo(query.dtype).min)
        elif not block.is_causal or (window is not None and window < block.key_slots.size(1)):
            mask = block.mask(window)
        states = _gather(query, block.query_slots), _gather(key, block.key_slots), _gather(value, block.key_slots)
        output, _ = attend(module, *states, mask, **kwargs)
        outputs.append(output.flatten(0, 1).index_select(0, block.cells))
    return torch.cat(outputs).unsqueeze(0), None


def _gather(states: PackedStates, slots: Slots) -> PaddedStates:
    """Take the states at `slots` out of the one row."""
    return states.squeeze(0).index_select(1, slots.flatten()).unflatten(1, slots.shape).transpose(0, 1)


def _beside(cls: type, name: str) -> Any:
    """Find what stands under a name in the module of a class or of one of its bases; `None` if nothing does."""
    homes = (vars(sys.modules[base.__module__]) for base in cls.__mro__)
    return next((home[name] for home in homes if name in home), None)


def _from_first(is_real: Flags) -> Flags:
    """Tell what does not stand before the first real token of its row."""
    return is_real.int().cummax(1).values.bool()
