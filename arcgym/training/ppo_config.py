"""Settings of PPO: TRL's `GRPOConfig` with a critic's settings, under the names of the `PPOConfig` that TRL removed.

A rollout is the unit of PPO: `per_device_train_batch_size × gradient_accumulation_steps × num_mini_batches`
completions per process, each used `num_ppo_epochs` times. TRL's own names for the same things (`num_iterations`,
`epsilon`, `steps_per_generation`, `generation_batch_size`) are filled in from these, and contradictions are refused
here, before any model is loaded.
"""

from dataclasses import dataclass, field
from typing import Literal

from trl.trainer.grpo_config import GRPOConfig

from arcgym.errors import ConfigError

# The losses of TRL whose per-token term is PPO's clipped surrogate; they differ in how tokens are averaged
_CLIPPED_LOSSES = ("bnpo", "dapo", "dr_grpo", "grpo")


@dataclass
class PPOConfig(GRPOConfig):
    """Settings of `PPOTrainer`. Everything of `trl.GRPOConfig` and `transformers.TrainingArguments` applies too."""

    num_ppo_epochs: int = field(
        default=4,
        metadata={
            "help": "Number of passes over each rollout, at least 1. More passes use samples better and move the "
            "policy further from the one that sampled them. TRL's `num_iterations` is set to it."
        },
    )
    num_mini_batches: int = field(
        default=1,
        metadata={
            "help": "Number of optimizer steps per pass over a rollout, at least 1. A rollout has "
            "per_device_train_batch_size * gradient_accumulation_steps * num_mini_batches completions per process. "
            "TRL's `steps_per_generation` and `generation_batch_size` follow from it."
        },
    )
    cliprange: float = field(
        default=0.2,
        metadata={
            "help": "Range of the probability ratio outside which the policy gets no further gradient, above 0. TRL's "
            "`epsilon` is set to it; `epsilon_high` widens the upper side alone."
        },
    )
    cliprange_value: float = field(
        default=0.2,
        metadata={
            "help": "How far a value may move from that of the rollout before it gets no further gradient, above 0, "
            "in units of reward. Raise it when returns are much larger than 1."
        },
    )
    advantage: Literal["gae", "group", "rloo", "reinforce"] = field(
        default="gae",
        metadata={
            "help": "What a completion is compared with. `gae`: a critic, per token. `group`: the mean of its group, "
            "as in GRPO; `rloo`: the mean of the others of its group; both need `num_generations` of 2 or more. "
            "`reinforce`: a running mean of all scores. Only `gae` has a critic."
        },
    )
    baseline_decay: float = field(
        default=0.9,
        metadata={"help": "Weight of the past in the running mean of `advantage: reinforce`, in [0, 1)."},
    )
    critic: Literal["head", "network"] = field(
        default="head",
        metadata={
            "help": "Where values come from. `head`: a linear head on the policy's trunk. `network`: a copy of the "
            "trunk of its own with such a head, which costs another forward and backward and its memory."
        },
    )
    vf_coef: float = field(
        default=0.1,
        metadata={"help": "Weight of the value loss in the total loss, at least 0. Without a critic there is none."},
    )
    value_warmup_steps: int = field(
        default=0,
        metadata={
            "help": "Number of optimizer steps at the start in which the critic learns alone and the policy stands "
            "still, at least 0; a shared trunk stands still too."
        },
    )
    value_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of the value head, above 0; by default that of the policy. The head starts at zero "
            "and is linear: it stands, and in short runs needs, 10 to 100 times the policy's rate. The schedule is "
            "the same for both. Without a critic it is not used."
        },
    )
    gamma: float = field(
        default=1.0,
        metadata={"help": "Discount per token, in [0, 1]. 1 suits completions that are scored once, at their end."},
    )
    lam: float = field(
        default=0.95,
        metadata={
            "help": "Lambda of generalised advantage estimation, in [0, 1]. 1 trusts the scores alone (unbiased, more "
            "spread); lower values trust the critic more."
        },
    )
    whiten_rewards: bool = field(
        default=False,
        metadata={"help": "Whether token rewards are scaled to unit variance over the rollout, their mean kept."},
    )
    whiten_advantages: bool | None = field(
        default=None,
        metadata={
            "help": "Whether advantages are scaled to mean 0 and unit variance over the rollout; by default for "
            "`gae` and `reinforce`, not for `group` and `rloo`."
        },
    )
    kl_coef: float = field(
        default=0.0,
        metadata={
            "help": "Weight of the KL to the initial policy, subtracted from each token's reward, at least 0; 0 needs "
            "no reference model. It is summed over a completion, so for scores up to 1 start near 0.001. For the KL "
            "in the loss instead, use `beta`."
        },
    )
    kl_estimator: Literal["k1", "k3"] = field(
        default="k1",
        metadata={
            "help": "Estimator of the KL in the reward. `k1` is the plain log ratio; `k3` is never negative and has "
            "less spread."
        },
    )
    kl_target: float | None = field(
        default=None,
        metadata={
            "help": "Mean KL per completion, above 0, to which `kl_coef` is adapted after each rollout; left out, "
            "`kl_coef` stays as it is."
        },
    )
    kl_horizon: int = field(
        default=10_000,
        metadata={"help": "Completions over which an adapted `kl_coef` can grow or shrink by a fifth, at least 1."},
    )
    share_prompts: bool = field(
        default=True,
        metadata={
            "help": "Whether each distinct prompt goes through the model once for all its completions, in rollouts "
            "and updates: the same numbers in less time. Where the model does not allow it, a warning says why."
        },
    )
    replay_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of each rollout's completions that are replayed from earlier ones instead of sampled, in "
            "[0, 1); rounded down to whole groups. Rare successes are replayed first. 0 is plain PPO."
        },
    )
    replay_capacity: int = field(
        default=256, metadata={"help": "Most groups that each process keeps for replay, at least 1."}
    )
    replay_max_age: int = field(
        default=8, metadata={"help": "Rollouts after which a group is no longer replayed, at least 1."}
    )
    replay_truncation: float = field(
        default=2.0,
        metadata={"help": "Largest importance weight of a replayed token, at least 1."},
    )

    # Defaults of GRPOConfig that PPO changes
    num_generations: int = field(
        default=1,
        metadata={
            "help": "Number of completions sampled for each prompt, at least 1: the critic is the baseline, so groups "
            "are not needed. It has to divide the rollout."
        },
    )
    loss_type: str = field(
        default="bnpo",
        metadata={
            "help": "How the clipped token losses are averaged. `bnpo` is the mean over the tokens of a micro-batch, "
            "as in the original PPO; `dapo` that over all tokens of an optimizer step; `dr_grpo` divides by "
            "max_completion_length; `grpo` averages within each completion first. The value loss is always the mean "
            "over the tokens of a micro-batch."
        },
    )
    scale_rewards: str = field(
        default="auto",
        metadata={
            "help": "Whether `advantage: group` divides by the standard deviation of the group (`group`) or not "
            "(`none`). `auto` is `group` there, and `none` with any other advantage, where nothing else is allowed."
        },
    )
    disable_dropout: bool = field(
        default=True,
        metadata={
            "help": "Whether dropout is switched off in the policy and the reference. With it, probability ratios "
            "differ from 1 before any update."
        },
    )

    def __post_init__(self) -> None:
        if self.whiten_advantages is None:
            self.whiten_advantages = self.advantage in ("gae", "reinforce")
        if self.scale_rewards == "auto":
            self.scale_rewards = "group" if self.advantage == "group" else "none"
        # TRL switches checkpointing on by a name that transformers deprecates; passed on by the new one, it is silent
        if self.activation_checkpointing is None:
            self.activation_checkpointing = self.gradient_checkpointing
        if self.activation_checkpointing_kwargs is None:
            self.activation_checkpointing_kwargs = self.gradient_checkpointing_kwargs
        self._check_values()
        self._adopt("num_iterations", "num_ppo_epochs")
        self._adopt("epsilon", "cliprange")
        self._run_parent_checks()
        self._set_rollout_size()
        if self.eval_strategy != "no":
            self.check_eval_batches()

    @property
    def completions_per_step(self) -> int:
        """Completions that all processes together push through the model in one forward and backward pass."""
        return self.per_device_train_batch_size * self.world_size

    @property
    def completions_per_rollout(self) -> int:
        """Completions that all processes together sample before they learn from them."""
        return self.completions_per_step * self.gradient_accumulation_steps * self.num_mini_batches

    @property
    def prompts_per_rollout(self) -> int:
        """Distinct prompts of one rollout."""
        return self.completions_per_rollout // self.num_generations

    @property
    def optimizer_steps_per_rollout(self) -> int:
        """Optimizer steps between two rollouts."""
        return self.num_ppo_epochs * self.num_mini_batches

    @property
    def replayed_per_process(self) -> int:
        """Completions of a rollout that each process replays once its buffer is full enough; whole groups."""
        share = int(self.replay_share * self.completions_per_rollout / self.world_size)
        return share - share % self.num_generations

    def check_eval_batches(self) -> None:
        """Check that an evaluation batch holds whole groups of completions.

        Raises:
            ConfigError: It does not.
        """
        generations = self.num_generations_eval or self.num_generations
        batch = self.per_device_eval_batch_size * self.world_size
        if batch % generations:
            raise ConfigError(
                f"An evaluation batch has {batch} completions (`per_device_eval_batch_size` "
                f"{self.per_device_eval_batch_size} × {self.world_size} processes), which "
                f"{generations} generations per prompt do not divide. Set `num_generations_eval` to "
                f"{_nearest_divisors(batch, generations)}, or `per_device_eval_batch_size` to a multiple of "
                f"{generations}."
            )

    def _check_values(self) -> None:
        for name in ("num_ppo_epochs", "num_mini_batches", "num_generations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but has to be at least 1.")
        for name in ("cliprange", "cliprange_value"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but has to be above 0.")
        if self.value_learning_rate is not None and not self.value_learning_rate > 0:
            raise ConfigError(
                f"`value_learning_rate` is {self.value_learning_rate}, but has to be above 0. Leave it out for the "
                "policy's rate."
            )
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but has to be in [0, 1].")
        for name in ("vf_coef", "kl_coef", "beta"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but has to be at least 0.")
        if self.kl_coef > 0 and self.beta > 0:
            raise ConfigError(
                f"`kl_coef` is {self.kl_coef} (KL in the reward) and `beta` is {self.beta} (KL in the loss). Set one "
                f"of them to 0."
            )
        self._check_choice("kl_estimator", ("k1", "k3"))
        self._check_choice("advantage", ("gae", "group", "rloo", "reinforce"))
        self._check_choice("critic", ("head", "network"))
        self._check_ranges()
        self._check_advantage()
        self._check_choice("loss_type", _CLIPPED_LOSSES, "trl.GRPOTrainer has losses without PPO clipping.")
        self._check_choice("importance_sampling_level", ("token",), "The critic gives one advantage per token.")
        scalings = ("group", "none", True, False) if self.advantage == "group" else ("none", False)
        self._check_choice("scale_rewards", scalings, "To scale, set `whiten_rewards` or `whiten_advantages`.")
        self._check_choice("multi_objective_aggregation", ("sum_then_normalize",), "The critic fits the weighted sum.")

    def _check_ranges(self) -> None:
        for name in ("kl_horizon", "replay_capacity", "replay_max_age", "replay_truncation"):
            if not getattr(self, name) >= 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but has to be at least 1.")
        for name in ("baseline_decay", "replay_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but has to be in [0, 1).")
        if self.value_warmup_steps < 0:
            raise ConfigError(f"`value_warmup_steps` is {self.value_warmup_steps}, but has to be at least 0.")
        if self.kl_target is not None:
            if not self.kl_target > 0:
                raise ConfigError(f"`kl_target` is {self.kl_target}, but has to be above 0; leave it out for none.")
            if not self.kl_coef > 0:
                raise ConfigError(
                    f"`kl_target` is {self.kl_target}, but `kl_coef`, which it adapts, is {self.kl_coef}. Set "
                    "`kl_coef` to where it is to start."
                )

    def _check_advantage(self) -> None:
        """Refuse settings that the chosen advantage does not use."""
        if self.advantage == "gae":
            return
        if self.advantage in ("group", "rloo") and self.num_generations < 2:
            raise ConfigError(
                f"`num_generations` is {self.num_generations}, but `advantage: {self.advantage}` compares the "
                "completions of a prompt. Set it to 2 or more, or use `advantage: gae`."
            )
        # Weight and rate of the value loss may stand in a shared YAML; what would change the advantages may not
        for name in ("critic", "value_warmup_steps", "whiten_rewards", "gamma", "lam"):
            if getattr(self, name) != getattr(PPOConfig, name):
                raise ConfigError(
                    f"`{name}` is {getattr(self, name)}, but `advantage: {self.advantage}` has no critic, which it is "
                    f"for. Leave `{name}` out, or use `advantage: gae`."
                )

    def _check_choice(self, name: str, allowed: tuple[object, ...], why: str = "") -> None:
        if getattr(self, name) not in allowed:
            choices = " or ".join(f"`{choice}`" for choice in allowed if choice is not False)
            raise ConfigError(f"`{name}` is `{getattr(self, name)}`, but has to be {choices}. {why}".rstrip())

    def _adopt(self, trl_name: str, name: str) -> None:
        """Give TRL's field the value of ours; refuse a TRL value that was set to something else."""
        given, ours = getattr(self, trl_name), getattr(self, name)
        if given not in (getattr(GRPOConfig, trl_name), ours):
            raise ConfigError(
                f"`{trl_name}` is {given} and `{name}` is {ours}, but they are the same thing. Set `{name}` alone."
            )
        setattr(self, trl_name, ours)

    def _run_parent_checks(self) -> None:
        """Run the checks of `GRPOConfig`, all but those of group sizes.

        GRPO needs two completions per prompt and refuses one. It is shown a group size that passes for any batch; the
        arithmetic is ours.
        """
        ours = {
            name: getattr(self, name)
            for name in ("num_generations", "num_generations_eval", "steps_per_generation", "generation_batch_size")
        }
        self.num_generations, self.num_generations_eval = 2, 1
        self.steps_per_generation, self.generation_batch_size = 2, None
        try:
            super().__post_init__()
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc
        finally:
            for name, value in ours.items():
                setattr(self, name, value)

    def _set_rollout_size(self) -> None:
        steps = self.gradient_accumulation_steps * self.num_mini_batches
        rollout = self.completions_per_rollout
        arithmetic = (
            f"`per_device_train_batch_size` {self.per_device_train_batch_size} × `gradient_accumulation_steps` "
            f"{self.gradient_accumulation_steps} × `num_mini_batches` {self.num_mini_batches} × {self.world_size} "
            f"processes"
        )
        if self.steps_per_generation not in (None, steps):
            raise ConfigError(
                f"`steps_per_generation` is {self.steps_per_generation}, but `gradient_accumulation_steps` × "
                f"`num_mini_batches` is {steps}. Leave `steps_per_generation` out and set `num_mini_batches` to "
                f"{_nearest_quotients(self.steps_per_generation, self.gradient_accumulation_steps)}."
            )
        if self.generation_batch_size not in (None, rollout):
            per_mini_batch = self.completions_per_step * self.gradient_accumulation_steps
            raise ConfigError(
                f"`generation_batch_size` is {self.generation_batch_size}, but a rollout has {rollout} completions "
                f"({arithmetic}). Leave `generation_batch_size` out and set `num_mini_batches` to "
                f"{_nearest_quotients(self.generation_batch_size, per_mini_batch)}, which makes mini-batches of "
                f"{per_mini_batch}."
            )
        self.steps_per_generation, self.generation_batch_size = steps, rollout
        if self.replay_share and (rollout // self.world_size) % self.num_generations:
            raise ConfigError(
                f"`replay_share` is {self.replay_share}, but the {rollout // self.world_size} completions of each "
                f"process are not whole groups of {self.num_generations}. Change `per_device_train_batch_size`."
            )
        if rollout % self.num_generations:
            raise ConfigError(
                f"A rollout has {rollout} completions ({arithmetic}), which `num_generations` "
                f"{self.num_generations} does not divide. Set `num_generations` to "
                f"{_nearest_divisors(rollout, self.num_generations)}, or `per_device_train_batch_size` to "
                f"{self.num_generations}."
            )


def _nearest_divisors(total: int, wanted: int) -> str:
    """Name the largest divisor of `total` up to `wanted`, and the smallest above it."""
    divisors = [n for n in range(1, total + 1) if total % n == 0]
    below = max(n for n in divisors if n <= max(wanted, 1))
    above = min((n for n in divisors if n > wanted), default=None)
    return f"{below}" if above is None else f"{below} or {above}"


def _nearest_quotients(total: int | None, part: int) -> str:
    """Name the numbers of whole parts nearest to `total`."""
    below, rest = divmod(total or 0, part)
    return f"{below}" if rest == 0 and below else f"{max(below, 1)} or {below + 1}" if below else "1"
