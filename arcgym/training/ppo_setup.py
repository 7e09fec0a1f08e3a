"""What PPOTrainer sets up around TRL's own methods: checks, the reference model, the order of a rollout's rows."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets import Dataset
from peft import PeftConfig
from transformers import PreTrainedModel, ProcessorMixin
from trl.trainer import grpo_trainer
from trl.trainer.utils import create_model_from_path, shuffle_sequence_dict

from arcgym.errors import ConfigError
from arcgym.training.ppo_config import PPOConfig
from arcgym.training.resume import refuse_second_listener
from arcgym.training.shared_prompts import shuffle_groups


@contextmanager
def reference_for(args: PPOConfig, model: Any, peft_config: PeftConfig | None) -> Iterator[None]:
    """Make GRPOTrainer's constructor build the reference that PPO needs.

    It builds one if `beta` is not 0, which stands for `kl_coef` here. It would load it by the model's name, which a
    model in memory may not have, or may not be equal to any more; the reference of such a model is a copy.
    """
    beta = args.beta
    args.beta = args.beta or args.kl_coef
    is_copied = args.beta and isinstance(model, PreTrainedModel) and peft_config is None
    try:
        if is_copied:
            reference = copy.deepcopy(model)
            grpo_trainer.create_model_from_path = lambda *_, **__: reference  # type: ignore[attr-defined]
        yield
    finally:
        args.beta = beta
        grpo_trainer.create_model_from_path = create_model_from_path  # type: ignore[attr-defined]


@contextmanager
def shuffled_by_groups() -> Iterator[None]:
    """Have TRL shuffle groups, not rows, so that completions of one prompt come into the same batches."""
    grpo_trainer.shuffle_sequence_dict = shuffle_groups  # type: ignore[assignment,attr-defined]
    try:
        yield
    finally:
        grpo_trainer.shuffle_sequence_dict = shuffle_sequence_dict  # type: ignore[attr-defined]


def check_setup(
    args: PPOConfig,
    train_dataset: Any,
    eval_dataset: Any,
    processing_class: Any,
    optimizers: tuple[Any, Any],
    tools: Any,
) -> None:
    """Refuse what cannot be trained, before a model is loaded."""
    if not isinstance(args, PPOConfig):
        raise ConfigError(f"`args` is a {type(args).__name__}, but PPOTrainer needs an arcgym.training.PPOConfig.")
    if isinstance(processing_class, ProcessorMixin):
        raise ConfigError(
            "`processing_class` is a multimodal processor, but PPOTrainer trains on text. Pass its tokenizer."
        )
    if optimizers[0] is not None and optimizers[1] is not None:
        raise ConfigError(
            "`optimizers` holds a scheduler, made before the critic joined the optimizer. Pass "
            "`optimizers=(optimizer, None)` and set `lr_scheduler_type`."
        )
    if args.replay_share and tools:
        raise ConfigError(
            f"`replay_share` is {args.replay_share}, but what tools answered cannot be replayed. Set it to 0."
        )
    refuse_second_listener(args)
    if eval_dataset is not None:
        args.check_eval_batches()
    if isinstance(train_dataset, Dataset):
        _check_prompts(args, train_dataset)


def _check_prompts(args: PPOConfig, dataset: Dataset) -> None:
    """Refuse a dataset that cannot fill one rollout: TRL would drop the rest, and training would end at once."""
    if "prompt" not in dataset.column_names:
        raise ConfigError(f"`train_dataset` has no column `prompt`, only {dataset.column_names}.")
    if len(dataset) == 0:
        raise ConfigError("`train_dataset` is empty.")
    if len(dataset) < args.prompts_per_rollout:
        completions = args.completions_per_rollout
        generations = next(
            n for n in range(1, completions + 1) if completions % n == 0 and completions <= n * len(dataset)
        )
        raise ConfigError(
            f"`train_dataset` has {len(dataset)} prompts, but one rollout needs {args.prompts_per_rollout}: it has "
            f"{completions} completions, {args.num_generations} of each prompt. Add prompts, set `num_generations` to "
            f"{generations}, or lower `per_device_train_batch_size`."
        )
