"""Shared-prompt sampling against `generate`: the same tokens when greedy, the same distribution when not."""

import contextlib
import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import (
    AttentionInterface,
    BloomConfig,
    BloomForCausalLM,
    CLIPVisionConfig,
    DiffLlamaConfig,
    DiffLlamaForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LogitsProcessorList,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    TemperatureLogitsWarper,
)

from arcgym.errors import GenerationError
from arcgym.models import decoding, shared_cache
from arcgym.models.decoding import GumbelNoise, sample_tokens, why_not

VOCABULARY = 50
PAD, ENDS = 0, [2, 5, 7]
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,  # texts that vary, and an argmax that rounding does not change
}
POLICIES = {
    "llama": lambda **changes: LlamaForCausalLM(LlamaConfig(**SMALL, **changes)),
    "qwen2": lambda **changes: Qwen2ForCausalLM(Qwen2Config(**SMALL, num_key_value_heads=2, **changes)),
    "gpt2": lambda **changes: GPT2LMHeadModel(GPT2Config(**SMALL, n_positions=128, **changes)),
}


def build(name, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return POLICIES[name](**changes).eval()


@pytest.fixture(scope="module")
def llama():
    return build("llama")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_prompts(*lengths):
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(12, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


PROMPTS = random_prompts(5, 17, 9, 9, 1, 12)


def settings_of(**changes):
    return GenerationConfig(
        **{"max_new_tokens": 20, "do_sample": False, "eos_token_id": ENDS, "pad_token_id": PAD} | changes
    )


def padded(prompts):
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return {"input_ids": ids, "attention_mask": mask}


def generate(model, prompts, config, num_samples=1):
    """What `generate` gives for copies of the prompts, cut after the first end token."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    inputs = padded([prompt for prompt in prompts for _ in range(num_samples)])
    rows = model.generate(**inputs, generation_config=config)[:, inputs["input_ids"].shape[1] :].tolist()
    cuts = [next((place + 1 for place, token in enumerate(row) if token in ends), len(row)) for row in rows]
    return [row[:cut] for row, cut in zip(rows, cuts, strict=True)]


@contextlib.contextmanager
def watched(model):
    """Yield a list that fills with the shapes of what goes through the model."""
    shapes = []
    hook = model.register_forward_pre_hook(
        lambda _module, _args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    yield shapes
    hook.remove()


# --- Greedy: token for token what `generate` gives ---


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", POLICIES)
def test_greedy_is_generate(name, attention):
    model = build(name, attn_implementation=attention)
    assert why_not(model, settings_of()) == ""
    expected = generate(model, PROMPTS, settings_of(), num_samples=2)
    lengths = {len(completion) for completion in expected}
    assert len(lengths) > 2  # rows leave at various times
    assert sample_tokens(model, PROMPTS, settings_of(), num_samples=2) == expected
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize(("batch_size", "most"), [(1, 1), (2, 2), (3, 3), (5, 3), (8, 6), (None, 18)])
def test_batches_change_nothing_and_hold_no_more_rows(llama, batch_size, most):
    expected = generate(llama, PROMPTS, settings_of(), num_samples=3)
    with watched(llama) as shapes:
        assert sample_tokens(llama, PROMPTS, settings_of(), num_samples=3, batch_size=batch_size) == expected
    assert max(rows for rows, _ in shapes) == most
    widths = [width for _, width in shapes if width > 1]
    assert widths == sorted(widths, reverse=True)


def test_each_distinct_prompt_is_computed_once(llama):
    prompts = [PROMPTS[1], PROMPTS[0], PROMPTS[1], PROMPTS[1]]  # copies, as TRL passes them
    with watched(llama) as shapes:
        completions = sample_tokens(llama, prompts, settings_of(), num_samples=2)
    assert shapes[0] == (2, 17)
    assert shapes[1] == (8, 1)
    assert completions == generate(llama, prompts, settings_of(), num_samples=2)


def test_rows_that_have_ended_leave(llama):
    config = settings_of(max_new_tokens=100)
    expected = generate(llama, PROMPTS, config, num_samples=2)
    with watched(llama) as shapes:
        assert sample_tokens(llama, PROMPTS, config, num_samples=2) == expected
    rows = [rows for rows, width in shapes[1:]]
    assert rows == sorted(rows, reverse=True) and rows[-1] < rows[0]
    for step, count in enumerate(rows):
        running = sum(len(completion) > step + 1 for completion in expected)
        assert running <= count < running / (1 - decoding._ENDED_SHARE) + 1e-9


def test_all_rows_ending_at_once_ends_the_loop(llama):
    first = generate(llama, PROMPTS[:1], settings_of(eos_token_id=60))[0][0]
    with watched(llama) as shapes:
        assert sample_tokens(llama, PROMPTS[:1], settings_of(eos_token_id=first), num_samples=3) == [[first]] * 3
    assert len(shapes) == 1


def test_without_an_end_token_all_rows_have_full_length(llama):
    config = settings_of(eos_token_id=None, pad_token_id=None)
    model = copy.deepcopy(llama)
    model.generation_config.eos_token_id = None
    completions = sample_tokens(model, PROMPTS, config)
    assert [len(completion) for completion in completions] == [20] * len(PROMPTS)
    assert completions == [generate(model, [prompt], config)[0] for prompt in PROMPTS]


def test_one_token_and_many(llama):
    for limit in (1, 2, 150):  # 150 is more than the cache holds at first
        config = settings_of(max_new_tokens=limit, eos_token_id=60)
        assert sample_tokens(llama, PROMPTS, config) == generate(llama, PROMPTS, config)


def test_no_prompts_give_no_completions(llama):
    assert sample_tokens(llama, [], settings_of()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"encoder_repetition_penalty": 1.5},
        {"encoder_no_repeat_ngram_size": 1},
        {"min_new_tokens": 12},
        {"min_new_tokens": 12, "min_length": 60},
        {"bad_words_ids": [[20], [21, 22], [33]]},
        {"sequence_bias": [[[30], 4.0], [[40, 41], -8.0]]},
        {"suppress_tokens": list(range(20, 30))},
        {"begin_suppress_tokens": list(range(12, 45))},
        {"forced_bos_token_id": 13},
        {"forced_eos_token_id": 5},
        {"exponential_decay_length_penalty": (3, 1.3)},
        {"remove_invalid_values": True, "renormalize_logits": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_processors_of_the_config_apply(llama, changes):
    config = settings_of(**changes)
    completions = sample_tokens(llama, PROMPTS, config, num_samples=2)
    assert completions == generate(llama, PROMPTS, config, num_samples=2)
    if "remove_invalid_values" not in changes and "forced_bos_token_id" not in changes:
        assert completions != generate(llama, PROMPTS, settings_of(), num_samples=2)


def test_padding_is_not_penalised_as_a_repetition(llama):
    padded_first = generate(llama, PROMPTS[:1], settings_of())[0][0]
    config = settings_of(repetition_penalty=3.0, pad_token_id=padded_first)
    completions = sample_tokens(llama, PROMPTS[:2], config)
    assert completions == generate(llama, PROMPTS[:2], config)
    assert completions[0][0] == padded_first


def test_what_the_config_leaves_open_comes_from_the_model():
    model = build("llama")
    model.generation_config.repetition_penalty = 1.5
    own = model.generation_config.to_dict()
    completions = sample_tokens(model, PROMPTS, settings_of())
    assert completions == generate(model, PROMPTS, settings_of())
    assert completions != sample_tokens(model, PROMPTS, settings_of(repetition_penalty=1.0))
    assert model.generation_config.to_dict() == own


def test_other_processors_come_before_the_temperature(llama):
    def double(ids, scores):
        return scores + torch.nn.functional.one_hot(ids[:, -1] % VOCABULARY, VOCABULARY) * 100

    processors = LogitsProcessorList([double])
    inputs = padded(PROMPTS)
    expected = llama.generate(**inputs, generation_config=settings_of(), logits_processor=processors)
    completions = sample_tokens(llama, PROMPTS, settings_of(), logits_processor=processors)
    assert completions == expected[:, inputs["input_ids"].shape[1] :].tolist()
    assert {len(set(completion)) for completion in completions} == {1}


@pytest.mark.parametrize("name", POLICIES)
def test_bfloat16_chooses_about_the_best_token(name):
    model = build(name).to(torch.bfloat16)
    completions = sample_tokens(model, PROMPTS, settings_of(), num_samples=2)
    for prompt, completion in zip([p for p in PROMPTS for _ in range(2)], completions, strict=True):
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1].float()
        chosen = logits.gather(1, torch.tensor(completion).unsqueeze(1)).squeeze(1)
        # eight bits of mantissa, through two layers
        assert (logits.amax(dim=1) - chosen <= 0.03 * logits.abs().amax(dim=1)).all()


# --- Sampling: the distribution of `generate` ---


def next_distribution(model, ids, config):
    """The probabilities from which `generate` draws the token after these."""
    config = copy.deepcopy(config)
    config.update(max_new_tokens=1, output_scores=True, return_dict_in_generate=True)
    outputs = model.generate(**padded([ids]), generation_config=config)
    return outputs.scores[0][0].double().softmax(dim=0)


def p_value(counts, expected):
    """Of the chi-square test; cells that expect fewer than five draws count as one."""
    few = expected < 5
    cells = [(counts[~few], expected[~few])]
    if few.any():
        cells.append((counts[few].sum().view(1), expected[few].sum().view(1)))
    counts, expected = (torch.cat(parts) for parts in zip(*cells, strict=True))
    statistic = ((counts - expected).square() / expected.clamp(min=1e-9)).sum()
    return float(torch.special.gammaincc(torch.tensor((len(counts) - 1) / 2).double(), statistic / 2))


SAMPLED = [
    {},
    {"temperature": 0.6},
    {"top_k": 6},
    {"top_p": 0.7},
    {"min_p": 0.1},
    {"repetition_penalty": 1.4},
    {"temperature": 1.3, "top_p": 0.9, "top_k": 20, "min_p": 0.02, "repetition_penalty": 1.2},
]


@pytest.mark.parametrize("changes", SAMPLED, ids=lambda changes: "-".join(changes) or "plain")
def test_samples_have_the_distribution_of_generate(llama, changes):
    draws = 4000
    # As TRL sets it; two prompts, so that one is padded
    config = settings_of(
        **{"max_new_tokens": 2, "do_sample": True, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
        | changes
    )
    prompts = [PROMPTS[0], PROMPTS[2]]
    completions = sample_tokens(
        llama, prompts, config, num_samples=draws, generator=torch.Generator().manual_seed(1), batch_size=draws
    )
    for number, prompt in enumerate(prompts):
        sampled = completions[number * draws : (number + 1) * draws]
        expected = torch.zeros(VOCABULARY, VOCABULARY, dtype=torch.float64)
        for token, probability in enumerate(next_distribution(llama, prompt, config)):
            if token in ENDS or probability == 0:
                expected[token, PAD] = probability
            else:
                expected[token] = probability * next_distribution(llama, [*prompt, token], config)
        counts = torch.zeros_like(expected)
        for completion in sampled:
            counts[completion[0], completion[1] if len(completion) == 2 else PAD] += 1
        assert counts[expected == 0].sum() == 0  # the nucleus is not left
        assert p_value(counts.flatten(), expected.flatten() * draws) > 1e-3


def test_the_generator_decides(llama):
    def sample(seed, **changes):
        return sample_tokens(
            llama,
            PROMPTS,
            settings_of(do_sample=True),
            num_samples=2,
            generator=torch.Generator().manual_seed(seed),
            **changes,
        )

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = sample(0)
    assert sample(0) == first
    assert sample(1) != first
    assert first[0] != first[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_by_default_torchs_own_generator_decides(llama):
    config = settings_of(do_sample=True)
    samples = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        samples.append(sample_tokens(llama, PROMPTS, config))
    assert samples[0] == samples[1] != samples[2]


def test_no_token_of_probability_zero_is_drawn():
    scores = torch.full((20_000, 6), -torch.inf)
    scores[:, 1], scores[:, 3] = 0.0, -4.0
    assert set(decoding._draw(scores, torch.Generator().manual_seed(0)).tolist()) == {1, 3}


def noisy(model, prompts, numbers, batch_size=None):
    """Samples of which each is decided by its number."""
    processors = LogitsProcessorList([TemperatureLogitsWarper(0.8), GumbelNoise(numbers, torch.device("cpu"))])
    return sample_tokens(
        model, prompts, settings_of(max_new_tokens=40), batch_size=batch_size, logits_processor=processors
    )


@settings(max_examples=15, deadline=None)
@given(chosen=st.lists(st.integers(0, 23), min_size=1, max_size=24, unique=True), batch_size=st.integers(1, 24))
def test_a_row_with_noise_of_its_own_is_the_same_in_any_batch(chosen, batch_size):
    model = _shared_llama()
    rows = list(itertools.product(PROMPTS, range(4)))
    everything = _noisy_reference()
    assert len({len(completion) for completion in everything}) > 5  # most have left before the last ends
    prompts = [rows[number][0] for number in chosen]
    assert noisy(model, prompts, chosen, batch_size) == [everything[number] for number in chosen]


def _shared_llama(kept={}):  # noqa: B006  # hypothesis does not go well with fixtures
    return kept.setdefault("model", build("llama"))


def _noisy_reference(kept={}):  # noqa: B006
    if not kept:
        rows = [prompt for prompt in PROMPTS for _ in range(4)]
        kept["all"] = noisy(_shared_llama(), rows, range(24))
    return kept["all"]


def test_noise_of_its_own_gives_what_generate_gives_with_it(llama):
    processors = LogitsProcessorList([GumbelNoise(range(6), torch.device("cpu"))])
    inputs = padded(PROMPTS)
    rows = llama.generate(**inputs, generation_config=settings_of(eos_token_id=60), logits_processor=processors)
    processors = LogitsProcessorList([GumbelNoise(range(6), torch.device("cpu"))])
    completions = sample_tokens(llama, PROMPTS, settings_of(eos_token_id=60), logits_processor=processors)
    assert completions == rows[:, inputs["input_ids"].shape[1] :].tolist()


# --- PEFT, modes, attention ---


def test_peft_adapters_take_part():
    plain = build("llama")
    expected = generate(plain, PROMPTS, settings_of())
    model = get_peft_model(plain, LoraConfig(task_type=TaskType.CAUSAL_LM, target_modules="all-linear", r=4))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
    assert why_not(model, settings_of()) == ""
    completions = sample_tokens(model, PROMPTS, settings_of(), num_samples=2)
    assert completions == generate(model, PROMPTS, settings_of(), num_samples=2)
    assert completions[::2] != expected


def test_modes_dropout_and_checkpointing_are_left_alone():
    model = build("llama", attention_dropout=0.5)
    expected = generate(model, PROMPTS, settings_of())
    model.gradient_checkpointing_enable()
    model.train()
    frozen = model.model.layers[0]
    frozen.eval()
    assert why_not(model, settings_of()) == ""
    assert sample_tokens(model, PROMPTS, settings_of()) == expected
    assert model.training and model.lm_head.training and model.is_gradient_checkpointing
    assert not frozen.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_after_an_error_all_is_as_before():
    model = build("llama").train()

    def fail(ids, scores):
        if ids.shape[1] > 20:
            raise ZeroDivisionError
        return scores

    with pytest.raises(ZeroDivisionError):
        sample_tokens(model, PROMPTS, settings_of(), logits_processor=LogitsProcessorList([fail]))
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    assert len(sample_tokens(model, PROMPTS, settings_of())) == len(PROMPTS)


def test_nothing_is_recorded_for_gradients_which_come_as_ever_afterwards():
    model = build("llama").train()
    modes = set()
    hook = model.register_forward_pre_hook(
        lambda *_: modes.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
    )
    sample_tokens(model, PROMPTS, settings_of())
    hook.remove()
    # Tensors of inference mode, once kept by a module, could not be trained on
    assert modes == {(False, False)}
    model(torch.tensor(PROMPTS[:1])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# --- Refusals ---


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_beams": 2}, "beam"),
        ({"penalty_alpha": 0.5, "top_k": 4}, "contrastive"),
        ({"prompt_lookup_num_tokens": 3}, "assisted"),
        ({"cache_implementation": "static"}, "static"),
        ({"cache_implementation": "offloaded"}, "offloaded"),
        ({"use_cache": False}, "use_cache"),
        ({"max_new_tokens": None, "max_length": 30}, "max_new_tokens"),
        ({"min_length": 3}, "min_length"),
        ({"num_return_sequences": 2, "do_sample": True}, "num_return_sequences"),
        ({"stop_strings": ["x"]}, "stop_strings"),
        ({"max_time": 1.0}, "max_time"),
        ({"guidance_scale": 1.5}, "guidance_scale"),
        ({"prefill_chunk_size": 4}, "prefill_chunk_size"),
        ({"return_dict_in_generate": True}, "return_dict_in_generate"),
        ({"token_healing": True}, "token_healing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_need_generate_are_refused(llama, changes, named):
    assert named in why_not(llama, settings_of(**changes))
    with pytest.raises(GenerationError, match=named):
        sample_tokens(llama, PROMPTS, settings_of(**changes))


def tiny(model_class, config_class, **changes):
    return lambda: model_class(config_class(**SMALL | changes))


T5 = {"d_model": 32, "d_ff": 32, "d_kv": 8, "num_layers": 1, "num_heads": 4, "vocab_size": VOCABULARY}


@pytest.mark.parametrize(
    ("build_model", "named"),
    [
        (lambda: T5ForConditionalGeneration(T5Config(**T5)), "decoder-only"),
        (
            tiny(MistralForCausalLM, MistralConfig, sliding_window=8, num_key_value_heads=2),
            "DynamicSlidingWindowLayer",
        ),
        (tiny(MambaForCausalLM, MambaConfig), "prepare_inputs_for_generation"),
        (tiny(Phi3ForCausalLM, Phi3Config, num_key_value_heads=2), "prepare_inputs_for_generation"),
        (tiny(RwkvForCausalLM, RwkvConfig), "cache of its own"),
        (tiny(BloomForCausalLM, BloomConfig, n_head=4), "AttentionInterface"),
        (tiny(DiffLlamaForCausalLM, DiffLlamaConfig, num_key_value_heads=4), "other keys"),
    ],
    ids=["t5", "mistral", "mamba", "phi3", "rwkv", "bloom", "diffllama"],
)
def test_models_that_need_generate_are_refused(build_model, named):
    model = build_model().eval()
    assert named in why_not(model, settings_of())


class Positionless(LlamaForCausalLM):
    """A model that counts positions itself."""

    def forward(self, input_ids=None, past_key_values=None, **inputs):
        return super().forward(input_ids=input_ids, past_key_values=past_key_values, **inputs)


def test_a_model_that_counts_positions_itself_is_refused():
    assert "position_ids" in why_not(tiny(Positionless, LlamaConfig)(), settings_of())


def test_a_model_of_images_is_refused():
    vision = CLIPVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=LlamaConfig(**SMALL)))
    assert "text alone" in why_not(model, settings_of())


def test_weights_in_several_places_are_refused(monkeypatch):
    model = build("llama")
    model.hf_device_map = {"model": "cpu", "lm_head": "disk"}
    assert "several devices" in why_not(model, settings_of())
    model.hf_device_map = {"": "cpu"}
    monkeypatch.setattr(decoding, "is_fsdp_managed_module", lambda module: module is model)
    assert why_not(model, settings_of()) == ""  # one process
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert "sharded" in why_not(model, settings_of())


def test_mistral_without_a_window_is_not_refused():
    model = tiny(MistralForCausalLM, MistralConfig, sliding_window=None, num_key_value_heads=2)().eval()
    assert why_not(model, settings_of()) == ""
    assert sample_tokens(model, PROMPTS, settings_of()) == generate(model, PROMPTS, settings_of())


def test_adapters_that_change_the_prompt_are_refused():
    tuned = get_peft_model(build("llama"), PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=2))
    assert "PROMPT_TUNING" in why_not(tuned, settings_of())
    activated = LoraConfig(task_type=TaskType.CAUSAL_LM, target_modules=["q_proj"], alora_invocation_tokens=[12])
    assert "invocation tokens" in why_not(get_peft_model(build("llama"), activated), settings_of())


@pytest.mark.parametrize("argument", ["sliding_window", "softcap", "s_aux", "position_bias"])
def test_attention_that_is_not_plain_is_refused(llama, argument):
    # Some classes pass these to their attention function; here the real one gets it on the way
    def changed(*args, **kwargs):
        return shared_cache.attend_shared(*args, **kwargs | {argument: 1.0})

    AttentionInterface.register(shared_cache.ATTENTION, changed)
    try:
        assert argument in why_not(llama, settings_of())
    finally:
        AttentionInterface.register(shared_cache.ATTENTION, shared_cache.attend_shared)
    assert why_not(llama, settings_of()) == ""


@pytest.mark.parametrize("place", [1, 2])
def test_keys_or_values_changed_after_the_cache_are_refused(llama, place):
    def changed(module, *states, **kwargs):
        states = [states[i] * 2 if i == place else states[i] for i in range(len(states))]
        return shared_cache.attend_shared(module, *states, **kwargs)

    AttentionInterface.register(shared_cache.ATTENTION, changed)
    try:
        assert "other keys" in why_not(llama, settings_of())
    finally:
        AttentionInterface.register(shared_cache.ATTENTION, shared_cache.attend_shared)


def test_a_model_whose_attention_is_not_ours_is_refused_not_sampled_wrongly():
    model = build("llama")
    model.config = copy.deepcopy(model.config)  # so that its layers do not see which attention is set
    assert "AttentionInterface" in why_not(model, settings_of())
    with pytest.raises(GenerationError, match="AttentionInterface"):
        sample_tokens(model, PROMPTS, settings_of())


def test_a_diverged_policy_is_an_error():
    model = build("llama")
    torch.nn.init.constant_(model.model.norm.weight, torch.nan)
    with pytest.raises(GenerationError, match="diverged"):
        sample_tokens(model, PROMPTS, settings_of(do_sample=True))


def test_arguments_out_of_range_are_refused(llama):
    with pytest.raises(ValueError, match="num_samples"):
        sample_tokens(llama, PROMPTS, settings_of(), num_samples=0)
    with pytest.raises(ValueError, match="batch_size"):
        sample_tokens(llama, PROMPTS, settings_of(), batch_size=0)
    with pytest.raises(ValueError, match="empty"):
        sample_tokens(llama, [[1], []], settings_of())
