"""Which parameters of a causal LM learn: freezing by name, by depth, or all but the head, and a table of the outcome.

Freezing only ever takes a parameter out of training, so what PEFT has frozen stays frozen. Of parameters that two
modules share, as input embeddings and a tied head do, there is one: frozen in one place, it is frozen in both.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple, TypeAlias

from peft import PeftModel
from rich import box
from rich.table import Table
from torch import nn
from transformers import PreTrainedModel

from arcgym.errors import ConfigError

CausalLM: TypeAlias = PreTrainedModel | PeftModel


class Part(NamedTuple):
    """A row of the table: parameters that belong together.

    Attributes:
        name: Common part of their names; of parameters that are shared, all of them.
        total: Number of weights, those of quantized matrices included.
        trainable: How many of them learn.
        dtypes: How they are stored.
    """

    name: str
    total: int
    trainable: int
    dtypes: tuple[str, ...]


def freeze(model: CausalLM, *, pattern: Sequence[str] | str = (), layers: int = 0, all_but_head: bool = False) -> None:
    """Take parameters out of training; what several settings name is frozen once.

    Args:
        model: A causal LM, in PEFT's wrapper or not. Adapters count as part of the layer that they are in.
        pattern: Regular expressions; a parameter is frozen when one of them is found anywhere in its name.
        layers: Freeze the embeddings and so many layers from the input on; 0 for none.
        all_but_head: Freeze everything but the output embeddings. A head that is tied to the input embeddings goes on
            learning, and they with it.

    Raises:
        ConfigError: A pattern is not a regular expression or matches nothing, there are not so many layers, or nothing
            is left to train. The model is as before.
    """
    frozen = {
        id(parameter) for parameter in _named_by_pattern(model, [pattern] if isinstance(pattern, str) else pattern)
    }
    if layers:
        frozen |= {id(parameter) for parameter in _of_first_layers(model, layers)}
    if all_but_head:
        head = {id(parameter) for parameter in _causal_lm(model).get_output_embeddings().parameters()}
        frozen |= {id(parameter) for parameter in model.parameters()} - head
    if not any(parameter.requires_grad and id(parameter) not in frozen for parameter in model.parameters()):
        raise ConfigError(
            "With `freeze_pattern`, `freeze_layers` and `freeze_all_but_head` as set, no parameter is left to train. "
            "Freeze less; with PEFT only adapters learn, and they count as part of the layer that they are in."
        )
    for parameter in model.parameters():
        if id(parameter) in frozen:
            parameter.requires_grad_(False)


def parts(model: CausalLM) -> list[Part]:
    """Count parameters by embeddings, layers, head and whatever else there is; equal neighbouring layers together."""
    rows: dict[str, Part] = {}
    layers = _find_layers(_causal_lm(model))
    places: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(_part_of(name, layers[0] if layers else None))
    for parameter in model.parameters():
        place = " = ".join(places[id(parameter)])
        size = num_weights(parameter)
        row = rows.get(place, Part(place, 0, 0, ()))
        dtypes = (*row.dtypes, *({_dtype_name(parameter)} - set(row.dtypes)))
        rows[place] = Part(place, row.total + size, row.trainable + size * parameter.requires_grad, dtypes)
    return list(_joined(rows.values()))


def parameter_table(model: CausalLM) -> Table:
    """Draw what learns and what does not, for `rich` to print."""
    rows = parts(model)
    total, trainable = (sum(sizes) for sizes in zip(*((row.total, row.trainable) for row in rows), strict=True))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("part of the policy", "parameters", "trained", "stored as"):
        table.add_column(heading, justify="left" if heading in ("part of the policy", "stored as") else "right")
    for row in rows:
        table.add_row(row.name, f"{row.total:,}", f"{row.trainable:,}", ", ".join(row.dtypes))
    table.add_section()
    table.add_row("all", f"{total:,}", f"{trainable:,} ({trainable / total:.1%})", "")
    return table


def num_weights(parameter: nn.Parameter) -> int:
    """Count the weights that a parameter stands for: a quantized one keeps two or more in a byte."""
    state = getattr(parameter, "quant_state", None)
    # Parameters that DeepSpeed has taken apart are empty
    size: int = getattr(parameter, "ds_numel", parameter.numel()) if state is None else state.shape.numel()
    return size


def _causal_lm(model: CausalLM) -> PreTrainedModel:
    base: PreTrainedModel = model.get_base_model() if isinstance(model, PeftModel) else model  # type: ignore[assignment]
    return base


def _named_by_pattern(model: CausalLM, patterns: Sequence[str]) -> Iterator[nn.Parameter]:
    named = dict(model.named_parameters())
    for pattern in patterns:
        try:
            expression = re.compile(pattern)
        except re.error as exc:
            raise ConfigError(f"`freeze_pattern` {pattern!r} is not a regular expression: {exc}.") from exc
        found = [name for name in named if expression.search(name)]
        if not found:
            words = sorted({word for name in named for word in (name, *name.split("."))})
            close = get_close_matches(pattern, words, n=1) or [next(iter(named))]
            raise ConfigError(
                f"`freeze_pattern` {pattern!r} matches no parameter's name. Did you mean `{close[0]}`? A name is, for "
                f"example, `{next(iter(named))}`."
            )
        yield from (named[name] for name in found)


def _of_first_layers(model: CausalLM, num_layers: int) -> Iterator[nn.Parameter]:
    base = _causal_lm(model)
    found = _find_layers(base)
    if found is None:
        raise ConfigError(
            f"`freeze_layers` is {num_layers}, but the layers of {type(base).__name__} are not in one list. Use "
            "`freeze_pattern`."
        )
    _, layers = found
    if not 0 <= num_layers <= len(layers):
        raise ConfigError(f"`freeze_layers` is {num_layers}, but must be from 0 to {len(layers)}, the model's depth.")
    inside = {id(module) for layer in layers for module in layer.modules()}
    head = base.get_output_embeddings()
    for module in base.base_model.modules():
        # Positions may have embeddings of their own, and some models keep theirs behind a projection
        if isinstance(module, nn.Embedding) and id(module) not in inside and module is not head:
            yield from module.parameters()
    for layer in layers[:num_layers]:
        yield from layer.parameters()


def _find_layers(model: PreTrainedModel) -> tuple[str, nn.ModuleList] | None:
    """Find the list of the trunk's layers, and its name; the outermost list that is as long as the config says."""
    depth = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return name, module
    return None


def _part_of(name: str, layers: str | None) -> str:
    """Name the part of the model that a parameter is in: a layer with its number, or the module that holds it."""
    name = name.removeprefix("base_model.model.")
    if layers is not None and name.startswith(f"{layers}."):
        return ".".join(name.split(".")[: layers.count(".") + 2])
    # The critic may be a trunk of its own, whose parts are of no interest here
    return "value_head" if name.startswith("value_head.") else name.rpartition(".")[0] or name


def _joined(rows: Iterable[Part]) -> Iterator[Part]:
    """Put equal layers that follow each other into one row, as `layers.0-3`."""
    pending: list[Part] = []

    def flush() -> Iterator[Part]:
        if pending:
            last = "" if len(pending) == 1 else f"–{pending[-1].name.rpartition('.')[2]}"
            yield Part(
                f"{pending[0].name}{last}",
                sum(row.total for row in pending),
                sum(row.trainable for row in pending),
                pending[0].dtypes,
            )
        pending.clear()

    for row in rows:
        is_layer = row.name.rpartition(".")[2].isdigit()
        if not is_layer or (pending and row[1:] != pending[0][1:]):
            yield from flush()
        if is_layer:
            pending.append(row)
        else:
            yield row
    yield from flush()


def _dtype_name(parameter: nn.Parameter) -> str:
    if (state := getattr(parameter, "quant_state", None)) is not None:
        return str(state.quant_type)
    return str(parameter.dtype).removeprefix("torch.")
