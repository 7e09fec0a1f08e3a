"""What the training tests share: a policy of 10 000 weights, a tokenizer of eleven words, and a toy reward."""

from pathlib import Path

import pytest
import torch
from ppo_toy import WORDS, share_of_a, toy_prompts
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from arcgym.training import PPOConfig, PPOTrainer


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            # TRL 1.16 reads names that transformers 5.23 deprecates
            item.add_marker(
                pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
            )


@pytest.fixture(scope="session")
def tokenizer():
    words = models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>")
    backend = Tokenizer(words)
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )


@pytest.fixture
def make_model():
    """Build a new 2-layer Llama, the same every time."""

    def make(seed=0):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
        return LlamaForCausalLM(config)

    return make


@pytest.fixture
def policy_folder(tmp_path, make_model, tokenizer):
    make_model().save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    return str(tmp_path / "policy")


@pytest.fixture(scope="session")
def prompts():
    return toy_prompts()


@pytest.fixture
def make_config(tmp_path):
    def make(**settings):
        defaults = {
            "output_dir": str(tmp_path / "run"),
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 8,
            "num_ppo_epochs": 2,
            "max_completion_length": 8,
            "max_steps": 2,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "constant",
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "report_to": "none",
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
        }
        return PPOConfig(**(defaults | settings))

    return make


@pytest.fixture
def make_trainer(make_model, make_config, tokenizer, prompts):
    """Build a trainer of the toy task; keyword arguments of the constructor that are not given have toy values."""

    def make(settings=None, trainer_type=PPOTrainer, **arguments):
        defaults = {
            "model": None,
            "reward_funcs": share_of_a,
            "train_dataset": prompts,
            "processing_class": tokenizer,
        }
        arguments = defaults | arguments
        if arguments["model"] is None:
            arguments["model"] = make_model()
        return trainer_type(args=make_config(**(settings or {})), **arguments)

    return make
