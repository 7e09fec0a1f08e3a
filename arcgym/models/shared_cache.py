"""What rows that share prompts attend to: a cache with each prompt once, and the attention that reads it.

A decoding step of `arcgym.models.decoding` runs the model's own forward on this cache. The attention function, which
transformers knows under a name of its own, computes the scores of all rows of a prompt with that prompt's keys in one
matrix product, beside those of each row with its own tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from arcgym.errors import GenerationError

ATTENTION = "arcgym_shared_prompts"
# Tokens of its own that a row has memory for at first; doubled when they are used up
_STEP = 64
# Arguments of attention functions that change what is computed
_OTHER_ATTENTION = ("position_bias", "s_aux", "sliding_window", "softcap")

PerRow = Int[Tensor, " row"]
States = Float[Tensor, "row head position size"]
Queries = Float[Tensor, "row head query size"]
Lines = Float[Tensor, "line entry size"]
Attended = Float[Tensor, "row 1 head size"]
Padding = Bool[Tensor, "prompt position"]


class _Grid(NamedTuple):
    """Rows arranged by prompt: row r is cell `cells[r]` of a table with a line per prompt, some cells empty.

    Attention to the prompts is computed on the table, everything else on the rows.
    """

    height: int
    width: int
    cells: PerRow | None  # None where row r is cell r

    @classmethod
    def of(cls, prompt_of: PerRow) -> "_Grid":
        """Arrange rows that are sorted by prompt."""
        sizes = torch.bincount(prompt_of)
        height, width = len(sizes), int(sizes.max())
        if height * width == len(prompt_of):
            return cls(height, width, None)
        place = torch.arange(len(prompt_of), device=prompt_of.device) - (sizes.cumsum(0) - sizes)[prompt_of]
        return cls(height, width, prompt_of * width + place)

    def spread(self, of_rows: Queries) -> Lines:
        """Lay rows out, a line per prompt and head, in it the queries of a cell side by side."""
        if self.cells is not None:
            table = of_rows.new_zeros(self.height * self.width, *of_rows.shape[1:])
            of_rows = table.index_copy_(0, self.cells, of_rows)
        _, heads, queries, size = of_rows.shape
        table = of_rows.view(self.height, self.width, heads, queries, size).transpose(1, 2)
        return table.reshape(self.height * heads, self.width * queries, size)

    def collect(self, lines: Lines) -> Queries:
        """Undo `spread`."""
        heads, queries, size = len(lines) // self.height, lines.shape[1] // self.width, lines.shape[2]
        table = lines.view(self.height, heads, self.width, queries, size).transpose(1, 2)
        of_rows = table.reshape(self.height * self.width, heads, queries, size)
        return of_rows if self.cells is None else of_rows.index_select(0, self.cells)


class _SharedLayer(DynamicLayer):
    """Keys and values of one layer: the prompts' once, and of each row those of its own tokens, allocated at once."""

    def __init__(self, prompts: DynamicLayer, num_rows: int, capacity: int) -> None:
        super().__init__()
        assert prompts.keys is not None and prompts.values is not None  # the prompts went through the model
        self.prompt_keys: States = prompts.keys
        self.prompt_values: States = prompts.values
        # Allocated in steps, so that no token copies those before it
        self._own_keys, self._own_values = (
            states.new_empty(num_rows, states.shape[1], min(capacity, _STEP), states.shape[3])
            for states in (prompts.keys, prompts.values)
        )
        self._capacity = capacity
        self._length = 0
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[States, States]:
        """Add a token to each row; return the keys and values of the rows' own tokens."""
        if self._length == self._own_keys.shape[2]:
            growth = (0, 0, 0, min(self._length, self._capacity - self._length))
            self._own_keys = nn.functional.pad(self._own_keys, growth)
            self._own_values = nn.functional.pad(self._own_values, growth)
        self._own_keys[:, :, self._length] = key_states[:, :, 0]
        self._own_values[:, :, self._length] = value_states[:, :, 0]
        self._length += 1
        return self._own_keys[:, :, : self._length], self._own_values[:, :, : self._length]

    def get_seq_length(self) -> int:
        """Return how many positions a row attends to, padding included."""
        return self.prompt_keys.shape[2] + self._length

    def keep(self, rows: PerRow, prompts: PerRow | None) -> None:
        """Drop all other rows, and all other prompts if any are given."""
        self._own_keys = self._own_keys.index_select(0, rows)
        self._own_values = self._own_values.index_select(0, rows)
        if prompts is not None:
            self.prompt_keys = self.prompt_keys.index_select(0, prompts)
            self.prompt_values = self.prompt_values.index_select(0, prompts)


class SharedCache(Cache):
    """What rows attend to: their prompts, shared, and their own tokens.

    Args:
        prompts: Cache after the prompts, `(prompt, heads, time, size)`.
        prompt_of: Per row the number of its prompt; ascending.
        padding: Where the prompts are padded, or `None` where nowhere.
        capacity: Most tokens that a row will add.
    """

    def __init__(
        self,
        prompts: DynamicCache,
        prompt_of: PerRow,
        padding: Padding | None,
        capacity: int,
    ) -> None:
        super().__init__(
            layers=[_SharedLayer(cast(DynamicLayer, layer), len(prompt_of), capacity) for layer in prompts.layers]
        )
        self._prompt_of = prompt_of
        self._padding = padding
        self._grid = _Grid.of(prompt_of)
        self._updated: _SharedLayer | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[States, States]:
        """Add a token to each row, and expect this layer's attention next."""
        self.check_all_attended()
        self._updated = cast(_SharedLayer, self.layers[layer_idx])
        self._given = self._updated.update(key_states, value_states)
        return self._given

    def check_all_attended(self) -> None:
        """Make sure that no layer attended past this cache: it would not have seen the prompts.

        Raises:
            GenerationError: One did.
        """
        if self._updated is not None:
            raise GenerationError("it does not take all its attention from transformers' `AttentionInterface`")

    def keep(self, rows: PerRow) -> None:
        """Drop all other rows, and the prompts that have none left."""
        numbers, self._prompt_of = self._prompt_of[rows].unique(return_inverse=True)
        prompts = numbers if len(numbers) < self._grid.height else None
        for layer in self.layers:
            cast(_SharedLayer, layer).keep(rows, prompts)
        if prompts is not None and self._padding is not None:
            self._padding = self._padding[prompts]
        self._grid = _Grid.of(self._prompt_of)

    def attend(self, query: States, keys: States, values: States, scaling: float) -> Attended:
        """Compute softmax(scaling · q·[prompt keys, own keys]ᵀ) · [prompt values, own values] of one query per row.

        Args:
            query: `(rows, heads, 1, size)`.
            keys: Those of the rows' own tokens, as `update` returned them.
            values: The same.
            scaling: Factor of the scores.

        Reference:
            Juravsky et al. (2024), Hydragen: High-Throughput LLM Inference with Shared Prefixes, section 3.
        """
        layer, self._updated = self._updated, None
        if layer is None or not all(map(_is_same, (keys, values), self._given)):
            raise GenerationError("it attends to other keys than it caches")
        grid, (rows, heads) = self._grid, query.shape[:2]
        # With grouped queries, those of a group read the same keys, as rows of a prompt do
        grouped = (query * scaling).reshape(rows, keys.shape[1], heads // keys.shape[1], query.shape[3])
        own_scores = grid.spread(grouped @ keys.transpose(2, 3))
        prompt_scores = torch.bmm(grid.spread(grouped), layer.prompt_keys.flatten(0, 1).transpose(1, 2))
        if self._padding is not None:
            by_prompt = prompt_scores.view(grid.height, -1, prompt_scores.shape[-1])
            by_prompt[..., : self._padding.shape[1]].masked_fill_(
                self._padding.unsqueeze(1), torch.finfo(prompt_scores.dtype).min
            )
        scores = torch.cat([prompt_scores, own_scores], dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(values.dtype)
        length = prompt_scores.shape[-1]
        mixed = grid.collect(torch.bmm(weights[..., :length], layer.prompt_values.flatten(0, 1)))
        mixed = mixed + grid.collect(weights[..., length:]) @ values
        return mixed.reshape(rows, 1, heads, values.shape[3])


def _is_same(states: States, given: States) -> bool:
    """Whether these are those, not a copy changed on the way: the prompts' would lack the change."""
    return states.data_ptr() == given.data_ptr() and states.shape == given.shape


_decoding: ContextVar[SharedCache] = ContextVar("_decoding")


def attend_shared(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend as `transformers.AttentionInterface` prescribes, with the cache of the decoding under way.

    There is no mask, unless the model makes its own: transformers makes them for attention functions that it knows.
    """
    changed = [name for name in _OTHER_ATTENTION if kwargs.get(name) is not None]
    if changed or attention_mask is not None:
        raise GenerationError(f"its attention is changed by `{changed[0] if changed else 'attention_mask'}`")
    return _decoding.get().attend(query, key, value, query.shape[3] ** -0.5 if scaling is None else scaling), None


AttentionInterface.register(ATTENTION, attend_shared)


@contextmanager
def shared_attention(model: PreTrainedModel, cache: SharedCache) -> Iterator[None]:
    """Have a model attend to what `cache` holds, for a while."""
    own_attention = model.config._attn_implementation
    token = _decoding.set(cache)
    model.config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        model.config._attn_implementation = own_attention
        _decoding.reset(token)
