"""PPO as a small subclass of `trl.GRPOTrainer`.

TRL does the rollouts (generation, reward functions, reference), the clipped policy loss, the entropy bonus,
evaluation, PEFT, logging and Hub push. This module adds what makes it PPO: values from a critic, advantages per token
by GAE or from a baseline, the clipped value loss, the KL in the reward, replay, and the critic's place in checkpoints.
No method of TRL is copied; those that are overridden call TRL's, and `docs/trl-seams.md` lists them with the tests
that guard them.
"""

import functools
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
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
from trl.models.utils import disable_gradient_checkpointing, unwrap_model_for_generation
from trl.trainer.utils import get_config_model_id

from arcgym.errors import ConfigError
from arcgym.models.decoding import sample_tokens, why_not
from arcgym.models.quantization import is_quantized, keep_weights_in_place
from arcgym.models.value import (
    VALUE_HEAD_FILE,
    Critic,
    CriticCausalLMOutput,
    ValueHead,
    attach_critic,
    critic_of,
    hidden_critic,
    load_critic,
    return_values,
    save_critic,
)
from arcgym.training.advantages import (
    AdvantageEstimator,
    RunningBaseline,
    adapt_kl_coef,
    estimate_kl,
    masked_mean,
    masked_var,
)
from arcgym.training.checkpoints import collect_parts
from arcgym.training.losses import explained_variance, value_loss
from arcgym.training.ppo_config import PPOConfig
from arcgym.training.ppo_setup import check_setup, reference_for, shuffled_by_groups
from arcgym.training.replay import (
    ReplayBuffer,
    ReplayGroup,
    as_groups,
    as_rollout,
    join_rollouts,
    truncated_weights,
)
from arcgym.training.resume import ResumableTrainer
from arcgym.training.shared_prompts import can_share, share_prompts

logger = logging.getLogger(__name__)

EvalDataset: TypeAlias = (
    Dataset | IterableDataset | DatasetDict | IterableDatasetDict | dict[str, Dataset | IterableDataset]
)
RewardFunc: TypeAlias = str | PreTrainedModel | Callable[..., list[float | None]]


class PPOTrainer(ResumableTrainer):
    """Trains a causal LM by proximal policy optimisation on the rewards of its own completions.

    The critic is a linear head on the policy's trunk or, with `critic: network`, on a copy of the trunk. When the
    folder that `model` was loaded from holds a critic (`value_head.safetensors`, as every folder saved by this trainer
    does), training goes on with it; otherwise its head starts at zero. `trainer.value_head` is the critic, None with
    an `advantage` that needs none.

    With `share_prompts` each distinct prompt of a batch goes through the model once (see
    `arcgym.training.shared_prompts`); the numbers are the same.

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
    whitening), `ppo/explained_variance` (of the returns, by the critic; 1 is perfect, 0 no better than a constant);
    with the KL in the reward `kl` (mean per token), `ppo/kl_penalty` (mean deduction per completion) and, with a
    target, `ppo/kl_coef`; with replay `ppo/replay_frac`, `ppo/replay_age` (mean, in rollouts) and `ppo/replay_weight`
    (mean importance weight of a replayed token); of each update, `ppo/value_loss` and `ppo/value_clip_frac` (share of
    tokens whose value had left the clip range).

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
        check_setup(args, train_dataset, eval_dataset, processing_class, optimizers, tools)

        # Where `_compute_loss` and the rollout find the values of the forward that TRL just made, newest last
        self._forward_values: list[Tensor] = []
        self._scores: Tensor | None = None
        self.kl_coef = args.kl_coef
        self.replay = ReplayBuffer(args.replay_capacity, args.replay_max_age) if args.replay_share else None
        self.advantage_estimator = AdvantageEstimator(
            gamma=args.gamma,
            lam=args.lam,
            whiten_rewards=args.whiten_rewards,
            whiten_advantages=bool(args.whiten_advantages),
            kind=args.advantage,
            num_generations=args.num_generations,
            scale_groups=args.scale_rewards == "group",
            baseline=RunningBaseline(args.baseline_decay),
        )
        with reference_for(args, model, peft_config):
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
        if is_quantized(self.model):
            keep_weights_in_place(self.model)
        # With the KL in the reward, TRL is to compute the reference during rollouts only
        self.beta = args.beta
        self.value_head = self._add_critic() if args.advantage == "gae" else None
        self.shares_prompts = args.share_prompts and self._share_prompts()

    def _share_prompts(self) -> bool:
        """Have policy and reference compute each distinct prompt once; say so where that is not possible."""
        reason = can_share(self.model)
        if reason:
            self._warn(f"Prompts are not shared: {reason}")
            return False
        share_prompts(self._causal_lm)
        if self.ref_model is not None:
            share_prompts(self.accelerator.unwrap_model(self.ref_model))
        return True

    def _add_critic(self) -> Critic:
        """Put the critic on the policy, after PEFT and TRL have changed the model, and into a given optimizer."""
        if self.args.critic == "network" and isinstance(self.model, PeftModel):
            raise ConfigError("`critic` is `network`, but with PEFT there are no full weights to copy. Use `head`.")
        policy = self._causal_lm
        is_new = critic_of(policy) is None
        critic = attach_critic(policy, self.args.critic)
        return_values(policy)
        source = Path(get_config_model_id(policy.config))
        if is_new and (source / VALUE_HEAD_FILE).is_file():
            load_critic(critic, source)
        if self.optimizer is not None:
            known = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
            if not any(id(p) in known for p in critic.parameters()):
                self.optimizer.add_param_group({"params": list(critic.parameters())})
        return critic

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Create the optimizer; with `value_learning_rate`, the critic is a parameter group of its own."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        rate = self.args.value_learning_rate
        if is_new and rate is not None and self.value_head is not None:
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
        self._scores = scores  # of all processes, in order of rank
        return rewards_per_func

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        replayed = self._groups_to_replay() if self.model.training else []
        fresh = len(inputs) - len(replayed) * self.args.num_generations
        self._forward_values.clear()
        self.beta = self.args.beta or self.args.kl_coef
        try:
            rollout = super()._generate_and_score_completions(inputs[:fresh])
        finally:
            self.beta = self.args.beta
        if "old_per_token_logps" in rollout:
            # TRL has made the policy's forward itself; a reference forward, if any, came after it
            values = self._forward_values[0] if self.value_head is not None else None
        else:
            rollout["old_per_token_logps"], values = self._evaluate_policy(rollout)
        self._forward_values.clear()
        if values is not None:
            rollout["old_values"] = values
        scores, self._scores = self._scores, None
        assert scores is not None  # TRL scores every rollout
        if self.replay is not None and self.model.training:
            rollout, scores = self._add_replay(rollout, scores, replayed)
        self._add_advantages(rollout, scores, fresh)
        return rollout

    def _add_advantages(self, rollout: dict[str, Any], scores: Tensor, fresh: int) -> None:
        """Replace TRL's advantages by ours, `(batch, time)`, and add what the value loss needs.

        Args:
            rollout: Rows of this process, the `fresh` ones first, then those replayed.
            scores: Scores of the fresh rows of all processes, then of their replayed ones.
            fresh: Fresh rows of this process.
        """
        own = self._own_rows(scores, fresh, len(rollout["completion_ids"]) - fresh)
        # Completions without a score take no part in any statistic or loss, and get advantage 0
        mask = _policy_mask(rollout) * ~scores[own].isnan().unsqueeze(1)
        penalty = None
        if self.args.kl_coef:
            ref_logps = rollout.pop("ref_per_token_logps")
            kl = estimate_kl(rollout["old_per_token_logps"], ref_logps, self.args.kl_estimator)
            penalty = self.kl_coef * kl
            self._log_kl(kl, penalty, mask)
        estimator = self.advantage_estimator
        if "old_values" in rollout:
            values = rollout["old_values"]
            estimate = estimator.estimate(
                scores[own].nan_to_num(0.0), values, mask, penalty, sum_across=self._sum_across_processes
            )
            advantages = estimate.advantages
            rollout["returns"] = estimate.returns
            rollout["value_mask"] = mask
            self._log_values(estimate.returns, values, mask)
        else:
            if penalty is not None:
                scores = scores - self._of_all_rows((penalty * mask).sum(dim=1), fresh)
            advantages = estimator.spread(estimator.compare(scores)[own], mask, self._sum_across_processes)
        self._log_advantages(advantages[:fresh], mask[:fresh])
        weights = rollout.pop("replay_weights", None)
        rollout["advantages"] = advantages if weights is None else advantages * weights

    def _own_rows(self, scores: Tensor, fresh: int, replayed: int) -> Tensor:
        """Where, in the scores of all processes, those of this one are."""
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        rows = torch.arange(len(scores), device=scores.device)
        split = processes * fresh
        return torch.cat([rows[:split].view(processes, fresh)[rank], rows[split:].view(processes, replayed)[rank]])

    def _of_all_rows(self, per_row: Tensor, fresh: int) -> Tensor:
        """Gather a number per row of this process into the order of the scores of all processes."""
        gather = self.accelerator.gather
        return (
            torch.cat([gather(per_row[:fresh]), gather(per_row[fresh:])]) if fresh < len(per_row) else gather(per_row)
        )

    # --- Replay ---

    def _groups_to_replay(self) -> list[ReplayGroup]:
        """The groups that this rollout replays: none until every process has enough of them."""
        if self.replay is None:
            return []
        self.replay.begin_rollout()
        wanted = self.args.replayed_per_process // self.args.num_generations
        has_enough = torch.tensor(float(len(self.replay) >= wanted), device=self.accelerator.device)
        everywhere = self._sum_across_processes(has_enough).item() == self.accelerator.num_processes
        return self.replay.take(wanted) if wanted and everywhere else []

    def _add_replay(
        self, rollout: dict[str, Any], scores: Tensor, groups: list[ReplayGroup]
    ) -> tuple[dict[str, Any], Tensor]:
        """Keep what this rollout has to teach, and append the rows that are replayed in it, with their scores."""
        assert self.replay is not None
        fresh = len(rollout["completion_ids"])
        own = scores[self._own_rows(scores, fresh, 0)]
        usual = scores.nanmean().item()
        self.replay.add(as_groups(rollout, own, self.args.num_generations, self.replay.rollout, usual))
        metrics = self._metrics["train"]
        metrics["ppo/replay_frac"].append(
            len(groups) * self.args.num_generations / (fresh + len(groups) * self.args.num_generations)
        )
        if not groups:
            return rollout, scores
        replayed: dict[str, Any] = as_rollout(groups, self._tokenizer.pad_token_id, self.accelerator.device)
        replayed["old_per_token_logps"], values = self._evaluate_policy(replayed)
        if values is not None:
            replayed["old_values"] = values
        mask, behaviour = replayed["completion_mask"], replayed.pop("behaviour_logps")
        weights = truncated_weights(replayed["old_per_token_logps"], behaviour, mask, self.args.replay_truncation)
        metrics["ppo/replay_weight"].append(masked_mean(weights, mask, self._sum_across_processes).item())
        metrics["ppo/replay_age"].append(sum(self.replay.rollout - group.born for group in groups) / len(groups))
        replayed["replay_weights"] = weights
        rollout["replay_weights"] = torch.ones_like(rollout["old_per_token_logps"])
        if "importance_sampling_ratio" in rollout:  # of the inference engine, which had no part in these
            replayed["importance_sampling_ratio"] = torch.ones_like(weights)
            replayed["sampling_per_token_logps"] = replayed["old_per_token_logps"]
        scores = torch.cat([scores, self.accelerator.gather(replayed.pop("scores"))])
        joined = join_rollouts(rollout, replayed, self._tokenizer.pad_token_id)
        joined["num_items_in_batch"] = self._sum_across_processes(joined["completion_mask"].sum())
        return joined, scores

    def _evaluate_policy(self, rollout: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Compute log-probabilities and values of a rollout's tokens, as TRL does where it needs the former."""
        self._forward_values.clear()
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
        return logps, self._forward_values[-1] if self.value_head is not None else None

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
        sharing = {"shared_prompt_length": input_ids.size(1) - logits_to_keep} if self.shares_prompts else {}

        def watched(**model_inputs: Any) -> Any:
            outputs = model(**model_inputs, **sharing)
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

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if not self.shares_prompts:
            return super()._prepare_inputs(generation_batch)
        with shuffled_by_groups():
            return super()._prepare_inputs(generation_batch)

    def _generate(self, prompts: list) -> Any:
        start = time.perf_counter()
        # An inference engine is sent the weights, and knows the policy's only
        is_hidden = self.use_vllm and self.value_head is not None
        with hidden_critic(self._causal_lm) if is_hidden else nullcontext():
            result = super()._generate(prompts)
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["completions/generation_s"].append(time.perf_counter() - start)
        return result

    def _generate_single_turn(
        self,
        prompt_ids: list,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        has_tool_images: bool = False,
    ) -> Any:
        is_elsewhere = self.use_vllm or self.use_transformers_continuous_batching
        if is_elsewhere or not self.args.share_prompts or not self._can_decode_shared:
            return super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images=has_tool_images
            )
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=cast(dict[str, Any] | None, self.args.gradient_checkpointing_kwargs),
            ) as model,
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
        ):
            return sample_tokens(cast(Any, model), prompt_ids, self.generation_config), None

    @functools.cached_property
    def _can_decode_shared(self) -> bool:
        reason = why_not(self.model, self.generation_config)
        if reason:
            self._warn(f"Rollouts do not share prompts: {reason}")
        return not reason

    def _warn(self, what: str) -> None:
        if self.accelerator.is_main_process:
            logger.warning("%s. To silence this, set `share_prompts` to false.", what)

    # --- Update ---

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        is_warming_up = self.state.global_step < self.args.value_warmup_steps
        if isinstance(self.value_head, ValueHead):
            self.value_head.is_detached = is_warming_up
        self._forward_values.clear()
        policy_loss = super()._compute_loss(model, inputs)
        if self.value_head is None:
            return policy_loss
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
        # Times 0, not left out: DDP waits for a gradient of every parameter
        return policy_loss * (not is_warming_up) + self.args.vf_coef * critic.loss / accumulation

    # --- Metrics ---

    def _sum_across_processes(self, statistics: Tensor) -> Tensor:
        return self.accelerator.reduce(statistics, reduction="sum")

    def _log_kl(self, kl: Tensor, penalty: Tensor, mask: Tensor) -> None:
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["kl"].append(masked_mean(kl, mask, self._sum_across_processes).item())
        penalties = self.accelerator.gather((penalty * mask).sum(dim=1))
        metrics["ppo/kl_penalty"].append(penalties.mean().item())
        if self.args.kl_target is None or not self.model.training:
            return
        metrics["ppo/kl_coef"].append(self.kl_coef)
        per_completion = penalties.mean().item() / self.kl_coef
        self.kl_coef = adapt_kl_coef(
            self.kl_coef, per_completion, self.args.kl_target, len(penalties), self.args.kl_horizon
        )

    def _log_values(self, returns: Tensor, values: Tensor, mask: Tensor) -> None:
        metrics = self._metrics["train" if self.model.training else "eval"]
        sum_across = self._sum_across_processes
        metrics["ppo/return_mean"].append(masked_mean(returns, mask, sum_across).item())
        metrics["ppo/value_mean"].append(masked_mean(values, mask, sum_across).item())
        metrics["ppo/advantage_std"].append(masked_var(returns - values, mask, sum_across).sqrt().item())
        # Constant returns leave nothing to explain; loggers want a number
        explained = explained_variance(values, returns, mask, sum_across).nan_to_num(0.0)
        metrics["ppo/explained_variance"].append(explained.item())

    def _log_advantages(self, advantages: Tensor, mask: Tensor) -> None:
        if (self.num_generations if self.model.training else self.num_generations_eval) == 1:
            # A group of one always has spread 0
            self._metrics["train" if self.model.training else "eval"].pop("frac_reward_zero_std", None)
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
        if self.args.should_save and folder is not None and self.value_head is not None:
            save_critic(self.value_head, folder, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._restore_critic(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self.state.best_model_checkpoint is not None:
            self._restore_critic(self.state.best_model_checkpoint)

    def _restore_critic(self, checkpoint: str) -> None:
        # Sharded checkpoints hold the whole module, critic included, and are read above
        if self.value_head is not None and not self.is_fsdp_enabled and not self.is_deepspeed_enabled:
            load_critic(self.value_head, checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """Return what the updates have adapted, as plain data."""
        own = {"kl_coef": self.kl_coef, "baseline": self.advantage_estimator.baseline.value}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        super().load_state_dict(state)
        self.kl_coef = state["kl_coef"]
        self.advantage_estimator.baseline.value = state["baseline"]

    def _parts_with_state(self) -> dict[str, Any]:
        return super()._parts_with_state() | collect_parts(replay=self.replay)


def _policy_mask(rollout: dict[str, Any]) -> Tensor:
    """Mask of the tokens that the policy chose."""
    mask: Tensor = rollout["completion_mask"]
    return mask * rollout["tool_mask"] if "tool_mask" in rollout else mask
