"""Freezing by name, by depth, all but the head: what learns, and the table that says so."""

import copy
import io

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from rich.console import Console
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from arcgym.errors import ConfigError
from arcgym.models.freezing import freeze, parameter_table, parts
from arcgym.models.value import attach_critic

LAYERS = 3


def llama(tied=False):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config)


def frozen(model):
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def printed(model):
    console = Console(width=120, file=io.StringIO())
    console.print(parameter_table(model))
    return console.file.getvalue()


def expected_frozen(names, patterns, layers, all_but_head, tied):
    """The names, by hand; patterns are plain pieces of names here."""
    head = "model.embed_tokens.weight" if tied else "lm_head.weight"
    return {
        name
        for name in names
        if any(piece in name for piece in patterns)
        or (layers and "embed_tokens" in name)
        or any(f"layers.{layer}." in name for layer in range(layers))
        or (all_but_head and not name.endswith(head))
    }


@pytest.mark.property(8)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    patterns=st.lists(
        st.sampled_from(
            ["embed_tokens", "lm_head", "norm", "mlp", "self_attn.q", "layers.1.", "layers.2.mlp", "lora_A"]
        ),
        max_size=3,
    ),
    layers=st.integers(0, LAYERS),
    all_but_head=st.booleans(),
    tied=st.booleans(),
    has_adapter=st.booleans(),
    steps=st.integers(1, 3),
)
def test_frozen_weights_stay_bit_identical_and_the_others_move(
    patterns, layers, all_but_head, tied, has_adapter, steps
):
    model = llama(tied)
    if has_adapter:
        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    names = [name for name, _ in model.named_parameters()]
    by_peft = frozen(model)
    wanted = expected_frozen(names, patterns, layers, all_but_head, tied) | by_peft
    # A pattern that matches nothing is a mistake: there is no lm_head of its own where it is tied, and no adapter
    is_mistaken = any(not any(piece in name for name in names) for piece in patterns)
    pattern = [piece.replace(".", r"\.") for piece in patterns]
    if is_mistaken or wanted == set(names):
        with pytest.raises(ConfigError, match="matches no parameter" if is_mistaken else "no parameter is left"):
            freeze(model, pattern=pattern, layers=layers, all_but_head=all_but_head)
        assert frozen(model) == by_peft
        return
    freeze(model, pattern=pattern, layers=layers, all_but_head=all_but_head)
    assert frozen(model) == wanted

    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    # Weight decay moves what merely has no gradient, if it is left in; all parameters are handed over
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    ids = torch.arange(20).view(2, 10)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    unmoved = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
    assert unmoved == wanted


def test_depth_finds_positions_and_layers_of_other_architectures():
    config = GPT2Config(vocab_size=20, n_positions=16, n_embd=16, n_layer=3, n_head=2, tie_word_embeddings=False)
    model = GPT2LMHeadModel(config)
    freeze(model, layers=1)
    assert frozen(model) == {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("transformer.wte", "transformer.wpe", "transformer.h.0."))
    }


def test_a_critic_is_no_part_of_the_depth_and_its_copied_trunk_learns():
    model = llama()
    freeze(model, layers=2)
    critic = attach_critic(model, "network")
    assert all(parameter.requires_grad for parameter in critic.parameters())
    freeze(model, layers=2)
    assert all(parameter.requires_grad for parameter in critic.parameters())


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": "embed_token_"}, "Did you mean `embed_tokens`"),
        ({"layers": 4}, "must be from 0 to 3"),
        ({"layers": -1}, "must be from 0 to 3"),
        ({"pattern": "."}, "no parameter is left"),
    ],
)
def test_mistakes_are_refused_and_change_nothing(settings_, message):
    model = llama()
    with pytest.raises(ConfigError, match=message):
        freeze(model, **settings_)
    assert not frozen(model)


def test_a_model_whose_layers_are_not_in_a_list_is_refused():
    model = llama()
    model.config.num_hidden_layers = 5
    with pytest.raises(ConfigError, match="Use `freeze_pattern`"):
        freeze(model, layers=1)


def test_the_table_counts_every_weight_once_and_joins_equal_layers():
    model = llama()
    freeze(model, layers=2, pattern="lm_head")
    rows = {row.name: row for row in parts(model)}
    layer = sum(parameter.numel() for parameter in model.model.layers[0].parameters())
    assert list(rows) == ["model.embed_tokens", "model.layers.0–1", "model.layers.2", "model.norm", "lm_head"]
    assert rows["model.layers.0–1"][1:] == (2 * layer, 0, ("float32",))
    assert rows["model.layers.2"][1:] == (layer, layer, ("float32",))
    assert rows["lm_head"][1:] == (20 * 16, 0, ("float32",))
    assert sum(row.total for row in rows.values()) == model.num_parameters()
    trained = layer + 16  # depth takes the embeddings too
    assert f"{trained:,} ({trained / model.num_parameters():.1%})" in printed(model)


def test_the_table_shows_what_is_shared_and_what_peft_and_a_critic_add():
    model = llama(tied=True)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(r=2, target_modules=["q_proj"]))
    attach_critic(adapted.get_base_model())
    rows = {row.name: row for row in parts(adapted)}
    assert list(rows) == ["model.embed_tokens = lm_head", "model.layers.0–2", "model.norm", "value_head"]
    assert rows["model.embed_tokens = lm_head"].total == 20 * 16
    assert rows["model.layers.0–2"].trainable == LAYERS * 2 * (2 * 16)
    assert rows["value_head"][1:3] == (17, 17)
