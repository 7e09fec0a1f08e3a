"""Reward functions by dotted path beside another, in real steps of the trainers that take them."""

import pytest
from datasets import Dataset
from ppo_toy import WORDS, share_of_a
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from arcgym.rewards import load_reward_functions
from arcgym.training import PPOTrainer


def last(trainer, name):
    return [row[name] for row in trainer.state.log_history if name in row][-1]


def test_ppo_trains_on_the_weighted_sum(make_trainer):
    (repeats,) = load_reward_functions(["trl.rewards.get_repetition_penalty_reward(ngram_size=1)"])
    trainer = make_trainer({"reward_weights": [1.0, 0.25]}, reward_funcs=[share_of_a, repeats])
    calculate, scores, columns = trainer._calculate_rewards, [], []

    def record(*arguments):
        columns.append(calculate(*arguments))
        scores.append(trainer._scores)
        return columns[-1]

    trainer._calculate_rewards = record
    trainer.train()
    # The score that advantages are made of
    assert scores[0].tolist() == pytest.approx((columns[0][:, 0] + 0.25 * columns[0][:, 1]).tolist())
    assert columns[0][:, 1].min() < 0
    assert last(trainer, "rewards/repetition_penalty_reward/mean") < 0
    weighted = last(trainer, "rewards/share_of_a/mean") + 0.25 * last(
        trainer, "rewards/repetition_penalty_reward/mean"
    )
    assert last(trainer, "reward") == pytest.approx(weighted, abs=1e-5)


@pytest.fixture
def chatty_tokenizer():
    """As many words as the toy has, the tags of TRL's format reward among them, and a chat template."""
    words = {word: i for i, word in enumerate([*WORDS[:3], "<think>", "</think>", *WORDS[3:9]])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        chat_template="{% for message in messages %}{{ message.content }} {% endfor %}",
    )


@pytest.mark.parametrize("trainer_type", [PPOTrainer, GRPOTrainer])
def test_a_format_reward_for_chats_is_paid(make_model, make_config, chatty_tokenizer, trainer_type):
    def nothing(completions, **columns):
        return [0.0 for _ in completions]

    args = make_config(reward_weights=[1.0, 0.5], max_steps=4, per_device_train_batch_size=32, num_ppo_epochs=1)
    if trainer_type is GRPOTrainer:
        shared = ("output_dir", "per_device_train_batch_size", "max_completion_length", "reward_weights", "max_steps")
        shared += ("use_cpu", "bf16", "gradient_checkpointing", "report_to", "save_strategy", "logging_steps")
        args = GRPOConfig(num_generations=2, **{name: getattr(args, name) for name in shared})
    trainer = trainer_type(
        model=make_model(),
        reward_funcs=[nothing, *load_reward_functions(["trl.rewards.think_format_reward"])],
        args=args,
        train_dataset=Dataset.from_dict({"prompt": [[{"role": "user", "content": "a b"}]] * 128}),
        processing_class=chatty_tokenizer,
    )
    trainer.train()
    paid, rewards = (
        [row[name] for row in trainer.state.log_history if name in row]
        for name in ("rewards/think_format_reward/mean", "reward")
    )
    assert max(paid) > 0
    assert rewards == pytest.approx([share / 2 for share in paid])
