"""The policy: sampling, and log-probabilities, entropies and values that are those of the trainer."""

import itertools

import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from arcgym.errors import ConfigError
from arcgym.models import PolicyNetwork, SamplingConfig
from arcgym.models.sampling import sampling_probabilities
from arcgym.models.value import attach_critic
from arcgym.training import PPOConfig, PPOTrainer

PROMPTS = ["Input:\n12\n", "a", "Input:\n123\n456\n"]
COMPLETIONS = ["def f(x):\n", "", "xyz"]
VOCABULARY = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory, save_policy):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(params=["plain", "lora"])
def policy(folder, request):
    adapter = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(0)
    return PolicyNetwork.load(folder, peft_config=adapter if request.param == "lora" else None)


@pytest.fixture(scope="module")
def worded():
    """A policy with one word per token, so that a text tells which tokens were sampled."""
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w1", pad_token="w0")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=1,
        initializer_range=0.5,
    )
    return PolicyNetwork(LlamaForCausalLM(config).eval(), tokenizer)


def next_scores(policy, prompt):
    with torch.no_grad():
        return policy.model(torch.tensor([prompt])).logits[:, -1].double()


def kept_by_hand(probabilities, top_k, top_p, min_p):
    """The tokens that may be sampled, cut in transformers' order: k, then nucleus, then share of the greatest."""
    order = probabilities.argsort(descending=True, stable=True).tolist()
    kept = order[: top_k or None]
    total, nucleus = sum(probabilities[token].item() for token in kept), []
    for token in kept:
        if top_p < 1 and nucleus and sum(probabilities[t].item() for t in nucleus) >= top_p * total:
            break
        nucleus.append(token)
    return {token for token in nucleus if probabilities[token] >= min_p * probabilities[order[0]]}


@pytest.mark.property(11)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    prompt=st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=8),
    temperatures=st.lists(st.floats(0.05, 5.0), min_size=2, max_size=5),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.05, 0.99) | st.just(1.0),
    min_p=st.sampled_from([0.0, 0.05, 0.3, 0.8]),
    seed=st.integers(0, 9),
)
def test_temperature_and_cuts_shape_what_is_sampled(worded, prompt, temperatures, top_k, top_p, min_p, seed):
    scores = next_scores(worded, prompt)

    def sample(**changes):
        config = SamplingConfig(**{"num_samples": 16, "max_new_tokens": 1, "seed": seed} | changes)
        return [int(text[1:]) if text else None for text in worded.sample([prompt], config)[0]]  # None: an end

    # Temperature to 0 is greedy: it has to be small beside the lead of the best token
    best = scores.argmax().item()
    lead = scores.topk(2).values.diff().abs().item()
    assume(lead > 1e-4)
    (greedy,) = sample(num_samples=1, temperature=0.0)
    assert greedy == (None if best < 2 else best)
    assert set(sample(temperature=lead / 100)) == {greedy}
    cold = sampling_probabilities(scores, SamplingConfig(temperature=lead / 100))
    assert torch.allclose(cold, sampling_probabilities(scores, SamplingConfig(num_samples=1, temperature=0.0)))

    # Entropy never falls as the temperature rises, in what is sampled from and in what the policy reports
    rising = sorted(temperatures)
    batch = worded.collate([prompt], [[best]])
    entropies = []
    for temperature in rising:
        probabilities = sampling_probabilities(scores, SamplingConfig(temperature=temperature))
        entropies.append(torch.special.entr(probabilities).sum().item())
        with torch.no_grad():
            assert worded.entropy(batch, temperature).item() == pytest.approx(entropies[-1], abs=1e-4)
    assert all(lower <= higher + 1e-5 for lower, higher in itertools.pairwise(entropies))

    # Only tokens within the cuts are sampled, and their probabilities are the uncut ones, scaled
    cuts = {"top_k": top_k, "top_p": top_p, "min_p": min_p}
    uncut = (scores / rising[-1]).softmax(dim=-1)[0]
    kept = kept_by_hand(uncut, **cuts)
    probabilities = sampling_probabilities(scores, SamplingConfig(temperature=rising[-1], **cuts))[0]
    assert set(probabilities.nonzero().flatten().tolist()) == kept
    assert set(sample(temperature=rising[-1], **cuts)) <= {None if token < 2 else token for token in kept}
    shares = uncut.where(probabilities > 0, 0)
    assert torch.allclose(probabilities, shares / shares.sum())


def test_prompts_may_be_texts_or_tokens_and_names_decide_the_draws(policy):
    config = SamplingConfig(num_samples=2, max_new_tokens=6)
    texts = policy.sample(PROMPTS, config)
    assert [len(samples) for samples in texts] == [2, 2, 2]
    assert policy.sample([policy.tokenizer(prompt)["input_ids"] for prompt in PROMPTS], config) == texts
    assert policy.sample(PROMPTS[::-1], config) == texts[::-1]
    assert policy.sample(PROMPTS, config, names=["x", "y", "z"]) != texts


def test_sampling_leaves_generation_configs_alone_and_ignores_them(policy):
    config = SamplingConfig(num_samples=2, max_new_tokens=6)
    texts = policy.sample(PROMPTS, config)
    holders = [policy.model, policy.causal_lm]
    for holder in holders:
        holder.generation_config.repetition_penalty = 5.0
    before = [holder.generation_config for holder in holders]
    assert policy.sample(PROMPTS, config) == texts
    assert all(holder.generation_config is own for holder, own in zip(holders, before, strict=True))


def test_a_batch_is_padded_left_of_prompts_and_right_of_completions(policy):
    batch = policy.collate([[5, 6, 7], [8]], [[9], [10, 11]])
    pad = policy.tokenizer.pad_token_id
    assert batch.input_ids.tolist() == [[5, 6, 7, 9, pad], [pad, pad, 8, 10, 11]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    assert batch.completion_length == 2


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_scores_are_log_softmax_and_entropy_of_the_logits(policy, temperature):
    batch = policy.collate(PROMPTS, COMPLETIONS)
    policy.model.eval()
    scores = policy.score(batch, temperature)
    logits = policy.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits / temperature
    start = batch.input_ids.size(1) - batch.completion_length
    expected = logits[:, start - 1 : -1].log_softmax(dim=-1)
    tokens = batch.input_ids[:, start:].unsqueeze(-1)
    mask = batch.attention_mask[:, start:]
    assert torch.allclose(scores.log_probs, expected.gather(-1, tokens).squeeze(-1) * mask, atol=1e-5)
    assert torch.allclose(scores.entropy, -(expected.exp() * expected).sum(-1) * mask, atol=1e-5)
    scores.log_probs.sum().backward()
    trained = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    with pytest.raises(ValueError, match="above 0"):
        policy.log_probs(batch, temperature=0.0)


@pytest.mark.parametrize("critic", ["head", "network"])
def test_log_probabilities_entropies_and_values_are_the_trainers(folder, tmp_path, critic):
    policy = PolicyNetwork.load(folder)
    generator = torch.Generator().manual_seed(0)
    for parameter in policy.add_critic(critic).parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    batch = policy.collate(PROMPTS, COMPLETIONS)
    expected_scores, expected_values = policy.score(batch, 0.7), policy.values(*batch[:2])
    trainer = PPOTrainer(
        model=policy.model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=PPOConfig(
            str(tmp_path),
            per_device_train_batch_size=2,
            temperature=0.7,
            critic=critic,
            share_prompts=False,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
        processing_class=policy.tokenizer,
    )
    assert trainer.value_head is policy.critic
    forward = policy.causal_lm.forward
    log_probs, entropy, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, batch.input_ids, batch.attention_mask, batch.completion_length, compute_entropy=True
    )
    values = trainer._forward_values[-1]
    start = batch.input_ids.size(1) - batch.completion_length
    mask = batch.attention_mask[:, start:].bool()
    assert values.std() > 0
    # before the trainer changed the model's forward, and after; which it does not lose
    for scores, own_values in (
        (expected_scores, expected_values),
        (policy.score(batch, 0.7), policy.values(*batch[:2])),
    ):
        assert torch.equal(scores.log_probs, log_probs) and torch.equal(scores.entropy, entropy)
        assert torch.equal(own_values[:, start - 1 : -1][mask], values[mask])
    assert policy.causal_lm.forward == forward


def test_a_head_reads_the_policys_states_and_a_network_its_own(folder):
    ids, mask = torch.arange(10, 18).unsqueeze(0), torch.ones(1, 8, dtype=torch.long)
    moved = {}
    for kind in ("head", "network"):
        policy = PolicyNetwork.load(folder)
        critic = policy.add_critic(kind)
        head = critic if kind == "head" else critic.head
        head.weight.data.fill_(1.0)
        before = policy.values(ids, mask)
        policy.causal_lm.model.norm.weight.data *= 2
        moved[kind] = not torch.equal(policy.values(ids, mask), before)
        policy.values(ids, mask).sum().backward()
        learns = any(parameter.grad is not None for parameter in policy.causal_lm.model.parameters())
        assert learns == (kind == "head")
        assert all(parameter.grad is not None for parameter in critic.parameters())
    assert moved == {"head": True, "network": False}


def test_values_without_a_critic_are_refused(policy):
    assert policy.critic is None
    with pytest.raises(ConfigError, match="has no critic"):
        policy.values(torch.ones(1, 2, dtype=torch.long), torch.ones(1, 2))


def test_a_network_is_refused_where_there_are_no_full_weights(save_policy, tmp_path):
    folder = save_policy(tmp_path, hidden_size=64)
    with pytest.raises(ConfigError, match="with PEFT there are no full weights"):
        PolicyNetwork.load(folder, peft_config=LoraConfig(task_type="CAUSAL_LM")).add_critic("network")
    with pytest.raises(ConfigError, match="a copy of quantized weights cannot learn"):
        attach_critic(PolicyNetwork.load(folder, quantization="8bit").causal_lm, "network")
