"""PPO as a small subclass of `trl.GRPOTrainer`.

TRL does the rollouts (generation, reward functions, reference), the clipped policy loss, evaluation, PEFT, logging
and Hub push. This module adds what makes it PPO: values from a head on the policy's trunk, advantages per token by
GAE, the clipped value loss, the KL in the reward, and the critic's place in checkpoints. No method of TRL is copied;
those that are overridden call TRL's, and `docs/trl-seams.md` lists them with the tests that guard them.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
from peft import PeftConfig, PeftModel
from torch import Tensor
from transformers import (
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    TrainerCallback,
)
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer import grpo_trainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import create_model_from_path, get_config_model_id

from arcgym.errors import ConfigError
from arcgym.training.advantages import AdvantageEstimator, estimate_kl, masked_mean, masked_var
from arcgym.training.losses import explained_variance, value_loss
from arcgym.training.ppo_config import PPOConfig
from arcgym.training.value_head import (
    VALUE_HEAD_FILE,
    CriticCausalLMOutput,
    ValueHead,
    attach_value_head,
    hidden_value_head,
    load_value_head,
    return_values,
    save_value_head,
)

EvalDataset: TypeAlias = (
    Dataset | IterableDataset | DatasetDict | IterableDatasetDict | dict[str, Dataset | IterableDataset]
)
RewardFunc: TypeAlias = str | PreTrainedModel | Callable[..., list[float | None]]


class PPOTrainer(GRPOTrainer):
    """Trains a causal LM by proximal policy optimisation on the rewards of its own completions.

    The critic is a linear head on the policy's trunk. When the folder that `model` was loaded from holds a critic
    (`value_head.safetensors`, as every folder saved by this trainer does), training goes on with it; otherwise it
    starts at zero. `trainer.value_head` is the critic.

    Args:
        model: Name or path of a causal LM, or the model itself, PEFT or not.
        reward_funcs: As in `trl.GRPOTrainer`: functions of `prompts, completions, **columns` that return one float per
            completion, or `None` for a completion that cannot be scored, which is then left out of every loss.
        args: Settings.
        train_dataset: Dataset with a `prompt` column; the other columns go to the reward functions.
        eval_dataset: The same, for evaluation.
        processing_class: Tokenizer; loaded from the model's name if left out.
        reward_processing_classes: Tokenizers of reward models.
        callbacks: Callbacks, beside the default ones.
        optimizers: Optimizer and scheduler. A given optimizer gets the critic as one more parameter group.
        quantization_config: Quantization of a model given by name.
        peft_config: Adapter to train instead of all weights.
        tools: Functions that the policy may call; their output is no action of the policy and takes no part in GAE.
        rollout_func: Replaces generation, as in `trl.GRPOTrainer`.
        environment_factory: Environments, as in `trl.GRPOTrainer`.

    Beside TRL's metrics it logs, of each rollout, `ppo/return_mean`, `ppo/value_mean`, `ppo/advantage_std` (before
    whitening), `ppo/explained_variance` (of the returns, by the critic; 1 is perfect, 0 no better than a constant),
    and with the KL in the reward `kl` (mean per token) and `ppo/kl_penalty` (mean deduction per completion); of each
    update, `ppo/value_loss` and `ppo/value_clip_frac` (share of tokens whose value had left the clip range).

    Raises:
        ConfigError: Settings, data and model do not go together; before a model is loaded wherever that can be known.

    Reference:
        Schulman et al., "Proximal Policy Optimization Algorithms", 2017.
    """

    _tag_names: list[str] = ["trl", "ppo", "arcgym"]  # noqa: RUF012 (declared so by TRL)
    _name = "PPO"
    _paper: dict[str, str] = {  # noqa: RUF012
        "title": "Proximal Policy Optimization Algorithms",
        "id": "1707.06347",
        # docstyle-ignore
        "citation": """\
            @article{schulman2017proximal,
                title        = {{Proximal Policy Optimization Algorithms}},
                author       = {John Schulman and Filip Wolski and Prafulla Dhariwal and Alec Radford and Oleg Klimov},
                year         = 2017,
                eprint       = {arXiv:1707.06347},
            }""",
    }

    args: PPOConfig
    model: PreTrainedModel  # or PEFT's wrapper of one
    _logs: dict[str, Any]

    def __init__(
        self,
        model: str | PreTrainedModel | PeftModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: PPOConfig | None = None,
        train_dataset: Dataset | IterableDataset | None = None,
        eval_dataset: EvalDataset | None = None,
        processing_class: PreTrainedTokenizerBase | ProcessorMixin | None = None,
        reward_processing_classes: PreTrainedTokenizerBase | list[PreTrainedTokenizerBase] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        quantization_config: BitsAndBytesConfig | None = None,
        peft_config: PeftConfig | None = None,
        tools: list[Callable] | None = None,
        rollout_func: Callable[..., dict[str, Any]] | None = None,
        environment_factory: Any = None,
    ) -> None:
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = PPOConfig(f"{name.split('/')[-1]}-PPO")
        _check_setup(args, train_dataset, eval_dataset, processing_class, optimizers)

        # Where `_compute_loss` and the rollout find the values of the forward that TRL just made, newest last
        self._forward_values: list[Tensor] = []
        self._scores: Tensor | None = None
        self.advantage_estimator = AdvantageEstimator(
            gamma=args.gamma,
            lam=args.lam,
            whiten_rewards=args.whiten_rewards,
            whiten_advantages=args.whiten_advantages,
        )
        with _reference_for(args, model, peft_config):
            super().__init__(
                model=model,
                reward_funcs=reward_funcs,
                args=args,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                processing_class=processing_class,
                reward_processing_classes=reward_processing_classes,
                callbacks=callbacks,
                optimizers=optimizers,
                quantization_config=quantization_config,
                peft_config=peft_config,
                tools=tools,
                rollout_func=rollout_func,
                environment_factory=environment_factory,
            )
        # With the KL in the reward, TRL is to compute the reference during rollouts only
        self.beta = args.beta
        self.value_head = self._add_critic()

    def _add_critic(self) -> ValueHead:
        """Put the critic on the policy, after PEFT and TRL have changed the model, and into a given optimizer."""
        policy = self._causal_lm
        head = attach_value_head(policy)
        return_values(policy)
        source = Path(get_config_model_id(policy.config))
        if (source / VALUE_HEAD_FILE).is_file():
            load_value_head(head, source)
        if self.optimizer is not None:
            known = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
            if not any(id(p) in known for p in head.parameters()):
                self.optimizer.add_param_group({"params": list(head.parameters())})
        return head

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Create the optimizer; with `value_learning_rate`, the critic is a parameter group of its own."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        rate = self.args.value_learning_rate
        if is_new and rate is not None:
            critic = {id(parameter): parameter for parameter in self.value_head.parameters()}
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in critic]
            optimizer.add_param_group({"params": list(critic.values()), "lr": rate, "weight_decay": 0.0})
        return optimizer

    @property
    def _causal_lm(self) -> PreTrainedModel:
        """The causal LM itself, inside PEFT's wrapper if there is one."""
        model = self.model
        return cast(PreTrainedModel, model.get_base_model()) if isinstance(model, PeftModel) else model

    # --- Rollout: values and rewards become advantages and returns ---

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list, completions: list, completion_ids_list: list[list[int]]
    ) -> Tensor:
        rewards_per_func = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        scores = (rewards_per_func * self.reward_weights.to(rewards_per_func.device)).nansum(dim=1)
        scores[rewards_per_func.isnan().all(dim=1)] = torch.nan
        # The rewards are those of all processes, in order of rank
        self._scores = scores.view(self.accelerator.num_processes, len(prompts))[self.accelerator.process_index]
        return rewards_per_func

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._forward_values.clear()
        self.beta = self.args.beta or self.args.kl_coef
        try:
            rollout = super()._generate_and_score_completions(inputs)
        finally:
            self.beta = self.args.beta
        if "old_per_token_logps" in rollout:
            # TRL has made the policy's forward itself; a reference forward, if any, came after it
            values = self._forward_values[0]
        else:
            rollout["old_per_token_logps"], values = self._evaluate_policy(rollout)
        self._forward_values.clear()
        scores, self._scores = self._scores, None
        assert scores is not None  # TRL scores every rollout
        self._add_advantages(rollout, values, scores)
        return rollout

    def _add_advantages(self, rollout: dict[str, Any], values: Tensor, scores: Tensor) -> None:
        """Replace TRL's advantages by the critic's, `(batch, time)`, and add what the value loss needs."""
        is_scored = ~scores.isnan()
        # Completions without a score take no part in any statistic or loss, and get advantage 0
        mask = _policy_mask(rollout) * is_scored.unsqueeze(1)
        penalty = None
        if self.args.kl_coef:
            ref_logps = rollout.pop("ref_per_token_logps")
            kl = estimate_kl(rollout["old_per_token_logps"], ref_logps, self.args.kl_estimator)
            penalty = self.args.kl_coef * kl
            self._log_kl(kl, penalty, mask)
        estimate = self.advantage_estimator.estimate(
            scores.nan_to_num(0.0), values, mask, penalty, sum_across=self._sum_across_processes
        )
        rollout["advantages"] = estimate.advantages
        rollout["old_values"] = values
        rollout["returns"] = estimate.returns
        rollout["value_mask"] = mask
        self._log_advantages(estimate.advantages, estimate.returns, values, mask)

    def _evaluate_policy(self, rollout: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities and values of a rollout's tokens, as TRL does where it needs the former."""
        args = self.args
        batch_size = args.per_device_train_batch_size if self.model.training else args.per_device_eval_batch_size
        completion_ids = rollout["completion_ids"]
        checkpointing = cast(dict[str, Any] | None, args.gradient_checkpointing_kwargs)
        with torch.no_grad(), disable_gradient_checkpointing(self.model, checkpointing):
            logps, _, _ = self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([rollout["prompt_ids"], completion_ids], dim=1),
                torch.cat([rollout["prompt_mask"], rollout["completion_mask"]], dim=1),
                completion_ids.size(1),
                batch_size=batch_size,
            )
        return logps, self._forward_values[-1]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        estimates: list[Tensor] = []

        def watched(**model_inputs: Any) -> Any:
            outputs = model(**model_inputs)
            # The reference model has no critic
            if isinstance(outputs, CriticCausalLMOutput) and outputs.value_estimates is not None:
                # The value of a token's state is read before that token
                estimates.append(outputs.value_estimates[:, -logits_to_keep - 1 : -1])
            return outputs

        result = super()._get_per_token_logps_and_entropies(
            watched, input_ids, attention_mask, logits_to_keep, *args, **kwargs
        )
        if estimates:
            self._forward_values.append(torch.cat(estimates))
        return result

    def _generate(self, prompts: list) -> Any:
        if not self.use_vllm:
            return super()._generate(prompts)
        # It sends the weights to an inference engine that knows the policy's only
        with hidden_value_head(self._causal_lm):
            return super()._generate(prompts)

    # --- Update ---

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        self._forward_values.clear()
        policy_loss = super()._compute_loss(model, inputs)
        (values,) = self._forward_values
        self._forward_values.clear()
        mask = inputs["value_mask"]
        critic = value_loss(values, inputs["old_values"], inputs["returns"], mask, self.args.cliprange_value)
        is_training = self.model.training
        metrics = self._metrics["train" if is_training else "eval"]
        metrics["ppo/value_loss"].append(self.accelerator.gather(critic.loss.detach()).mean().item())
        clip_frac = masked_mean(critic.is_clipped, mask, self._sum_across_processes)
        metrics["ppo/value_clip_frac"].append(clip_frac.item())
        accumulation = self.current_gradient_accumulation_steps if is_training else 1
        return policy_loss + self.args.vf_coef * critic.loss / accumulation

    # --- Metrics ---

    def _sum_across_processes(self, statistics: Tensor) -> Tensor:
        return self.accelerator.reduce(statistics, reduction="sum")

    def _log_kl(self, kl: Tensor, penalty: Tensor, mask: Tensor) -> None:
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["kl"].append(masked_mean(kl, mask, self._sum_across_processes).item())
        penalties = self.accelerator.gather((penalty * mask).sum(dim=1))
        metrics["ppo/kl_penalty"].append(penalties.mean().item())

    def _log_advantages(self, advantages: Tensor, returns: Tensor, values: Tensor, mask: Tensor) -> None:
        metrics = self._metrics["train" if self.model.training else "eval"]
        sum_across = self._sum_across_processes
        unwhitened = returns - values
        metrics["ppo/return_mean"].append(masked_mean(returns, mask, sum_across).item())
        metrics["ppo/value_mean"].append(masked_mean(values, mask, sum_across).item())
        metrics["ppo/advantage_std"].append(masked_var(unwhitened, mask, sum_across).sqrt().item())
        # Constant returns leave nothing to explain; loggers want a number
        explained = explained_variance(values, returns, mask, sum_across).nan_to_num(0.0)
        metrics["ppo/explained_variance"].append(explained.item())
        if (self.num_generations if self.model.training else self.num_generations_eval) == 1:
            # A group of one always has spread 0
            metrics.pop("frac_reward_zero_std", None)
        # The table of completions shows one number for each: here the mean of its token advantages
        per_completion = advantages.sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        shown: list[float] = gather_object(per_completion.tolist())
        table = self._logs["advantages"]
        for _ in range(min(len(shown), len(table))):
            table.pop()
        table.extend(shown)

    # --- Checkpoints ---

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict=state_dict)
        folder = output_dir or self.args.output_dir
        if self.args.should_save and folder is not None:
            save_value_head(self.value_head, folder, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._restore_critic(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self.state.best_model_checkpoint is not None:
            self._restore_critic(self.state.best_model_checkpoint)

    def _restore_critic(self, checkpoint: str) -> None:
        # Sharded checkpoints hold the whole module, critic included, and are read above
        if not self.is_fsdp_enabled and not self.is_deepspeed_enabled:
            load_value_head(self.value_head, checkpoint)


def _policy_mask(rollout: dict[str, Any]) -> Tensor:
    """Mask of the tokens that the policy chose."""
    mask: Tensor = rollout["completion_mask"]
    return mask * rollout["tool_mask"] if "tool_mask" in rollout else mask


@contextmanager
def _reference_for(args: PPOConfig, model: Any, peft_config: PeftConfig | None) -> Iterator[None]:
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


def _check_setup(
    args: PPOConfig,
    train_dataset: Any,
    eval_dataset: Any,
    processing_class: Any,
    optimizers: tuple[Any, Any],
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
