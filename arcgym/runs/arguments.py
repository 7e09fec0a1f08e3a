"""Settings that all training recipes share: tasks, evaluation, how programs are run, and what of the policy learns.

Beside them a recipe takes `RewardConfig`, TRL's `ModelConfig` and the trainer's own config.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase, TrainingArguments
from trl.trainer.model_config import ModelConfig

from arcgym.data.formatting import EncodingName, HiddenPairs, PrimitivesLevel, TaskFormatter
from arcgym.data.mixture import Mixture, load_mixture
from arcgym.errors import ConfigError
from arcgym.models import CodeLLM
from arcgym.models.loading import adapter_base
from arcgym.rewards import load_reward_functions
from arcgym.sandbox import CodeSandbox

SOLVED = "tasks/solved_frac"


@dataclass
class TaskArguments:
    """Which tasks a run trains and is evaluated on, and how they are written as prompts."""

    train_tasks: list[str] = field(
        default_factory=lambda: ["arc-agi-1/train", "synthetic/train"],
        metadata={
            "help": "Sets to train on, as `source/split` or `source/split:n` for n tasks of it. Sources: arc-agi-1, "
            "arc-agi-2, synthetic, or a folder of task JSON files. Splits: train, evaluation."
        },
    )
    eval_tasks: list[str] = field(
        default_factory=lambda: ["synthetic/evaluation", "arc-agi-1/evaluation"],
        metadata={
            "help": "Sets to evaluate on before and after, in the same form. None of their tasks is trained on."
        },
    )
    holdout_share: float = field(
        default=0.5,
        metadata={"help": "Share of a set named in both lists that is kept out of training, in [0, 1]."},
    )
    allow_contamination: bool = field(
        default=False, metadata={"help": "Go on when an evaluation task is also in the training sets."}
    )
    drop_contaminated: bool = field(
        default=False,
        metadata={"help": "Leave tasks that are also evaluated on out of training, instead of refusing them."},
    )
    task_seed: int = field(default=0, metadata={"help": "Seed of the division and the choice of tasks."})
    max_prompt_tokens: int = field(
        default=768,
        metadata={
            "help": "Longest prompt, in tokens; at most the model's context less max_completion_length. A longer "
            "prompt loses examples, primitives, then its last demonstrations; the task is left out when fewer than "
            "`min_pairs` fit."
        },
    )
    min_pairs: int = field(default=2, metadata={"help": "Fewest demonstrations that a prompt must show."})
    hidden_pairs: HiddenPairs = field(
        default="test",
        metadata={
            "help": "Pairs that prompts do not show and rewards count as hidden: `test` pairs, `leave_one_out` (one "
            "demonstration; test outputs are not used), or `both`. A task without known test outputs holds a "
            "demonstration out in any case."
        },
    )
    prompt_encoding: EncodingName = field(
        default="digits",
        metadata={
            "help": "How grids are written; `auto` lets max_prompt_tokens choose. arcgym-tiny knows `digits` alone."
        },
    )
    prompt_size_headers: bool = field(default=False, metadata={"help": "Put a line with its size above each grid."})
    prompt_template: str | None = field(
        default=None,
        metadata={"help": "Jinja file to write prompts with; see docs/tasks.md. Unset for arcgym's own."},
    )
    prompt_few_shot: int = field(
        default=0, metadata={"help": "Solved synthetic tasks shown before each task, 0 to 16."}
    )
    prompt_primitives: PrimitivesLevel = field(
        default="none", metadata={"help": "What prompts list of arcgym.primitives."}
    )
    prompt_style: Literal["auto", "plain", "chat"] = field(
        default="auto",
        metadata={"help": "`plain` text, `chat` messages with an instruction, or `auto`: chat if the tokenizer can."},
    )
    dry_run: bool = field(
        default=False,
        metadata={"help": "Check everything, show one prompt and one program, take one step, keep nothing."},
    )

    def formatter(self, tokenizer: PreTrainedTokenizerBase) -> TaskFormatter:
        """Make the formatter for a policy's tokenizer.

        Raises:
            ConfigError: The style or the budget does not suit it.
        """
        style = self.prompt_style
        if style == "auto":
            style = "chat" if tokenizer.chat_template else "plain"
        if self.max_prompt_tokens > tokenizer.model_max_length:
            raise ConfigError(
                f"`max_prompt_tokens` is {self.max_prompt_tokens}, but the model's context has "
                f"{tokenizer.model_max_length} tokens. Lower it, and leave room for the program."
            )
        return TaskFormatter(
            self.prompt_encoding,
            style,
            tokenizer,
            self.max_prompt_tokens,
            size_headers=self.prompt_size_headers,
            template=self.prompt_template,
            few_shot=self.prompt_few_shot,
            show_primitives=self.prompt_primitives,
        )

    def load(self, formatter: TaskFormatter) -> Mixture:
        """Load the tasks; see `load_mixture` for what it refuses."""
        return load_mixture(
            self.train_tasks,
            self.eval_tasks,
            formatter,
            min_pairs=self.min_pairs,
            holdout_share=self.holdout_share,
            seed=self.task_seed,
            allow_contamination=self.allow_contamination,
            drop_contaminated=self.drop_contaminated,
        )


@dataclass
class EvaluationArguments:
    """How solved tasks are counted before and after training, and during it if `eval_strategy` says so."""

    eval_samples: int = field(default=8, metadata={"help": "Programs sampled per task; two attempts are chosen."})
    eval_temperature: float = field(default=0.7, metadata={"help": "Sampling temperature, above 0."})
    eval_batch_size: int = field(default=128, metadata={"help": "Programs generated at once."})
    eval_seed: int = field(default=0, metadata={"help": "Seed of the sampling, the same before and after."})
    validation_tasks: int = field(
        default=64,
        metadata={
            "help": "Training tasks kept apart for the evaluations during training (`eval_strategy`), by which the "
            "best model is chosen and training stopped early. The tasks of `eval_tasks` take no part in that."
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after this many evaluations during training without a better `metric_for_best_model`; "
            "unset for never."
        },
    )
    early_stopping_threshold: float = field(
        default=0.0, metadata={"help": "How much better it has to be to count, in units of the metric."}
    )

    def check(self, training: TrainingArguments) -> None:
        """Check that what is to be chosen by can be known, and fill in the metric: solved tasks.

        Args:
            training: The trainer's settings.

        Raises:
            ConfigError: It cannot.
        """
        is_choosing = self.early_stopping_patience is not None or training.load_best_model_at_end
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ConfigError(
                f"`early_stopping_patience` is {self.early_stopping_patience}, but has to be at least 1; leave it out "
                "for never."
            )
        if training.eval_strategy == "no":
            if is_choosing:
                raise ConfigError(
                    "`early_stopping_patience` needs evaluations during training. Set `eval_strategy: steps` and "
                    "`eval_steps`."
                )
            return
        if self.validation_tasks < 1:
            raise ConfigError(
                f"`validation_tasks` is {self.validation_tasks}, but `eval_strategy` is "
                f"`{training.eval_strategy}`, which needs at least 1 to evaluate on."
            )
        if training.metric_for_best_model in (None, "loss"):
            training.metric_for_best_model = SOLVED
            training.greater_is_better = True


@dataclass
class RewardArguments:
    """Reward functions beside ours."""

    extra_rewards: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Other reward functions: dotted paths such as trl.rewards.think_format_reward, or calls of a "
            "factory with literal arguments. Their weights follow that of programs in `reward_weights`."
        },
    )

    def load(self, training: Any) -> list[Callable[..., Any]]:
        """Import the functions.

        Args:
            training: The trainer's settings, whose `reward_weights` are checked.

        Raises:
            ConfigError: There is no such function, it cannot be called as a reward, or the weights are not one each.
        """
        functions = load_reward_functions(self.extra_rewards)
        weights, wanted = training.reward_weights, 1 + len(functions)
        if weights is not None and len(weights) != wanted:
            raise ConfigError(
                f"`reward_weights` has {len(weights)} values, but there are {wanted} rewards: programs, then "
                "`extra_rewards`. Give one each."
            )
        return functions


@dataclass
class SandboxArguments:
    """How programs are run."""

    sandbox_timeout_s: float = field(default=2.0, metadata={"help": "Seconds that a program may take for all grids."})
    sandbox_memory_mb: int = field(default=512, metadata={"help": "Memory that a program may use, in MiB."})
    sandbox_workers: int = field(default=2, metadata={"help": "Programs that run at the same time."})
    sandbox_allow_weak: bool = field(
        default=False,
        metadata={"help": "Train even where this machine cannot give every guarantee; see `arcgym env`."},
    )
    sandbox_input_timeout_s: float | None = field(
        default=None, metadata={"help": "Seconds that a program may take for one grid; unset for no limit of its own."}
    )
    sandbox_check_determinism: bool = field(
        default=False,
        metadata={"help": "Run every program twice and log the share whose two runs differ. Doubles sandbox time."},
    )

    def open(self) -> CodeSandbox:
        """Start the sandbox.

        Raises:
            SandboxError: This machine cannot give the guarantees.
        """
        return CodeSandbox(**{name.removeprefix("sandbox_"): value for name, value in asdict(self).items()})


@dataclass
class ModelArguments:
    """Which parts of the policy learn, beside TRL's settings of how it is loaded and adapted."""

    freeze_pattern: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Regular expressions; a parameter does not learn when one of them is found anywhere in its name."
        },
    )
    freeze_layers: int = field(
        default=0,
        metadata={"help": "Number of layers, from the input on, that do not learn, nor the embeddings; 0 for none."},
    )
    freeze_all_but_head: bool = field(
        default=False,
        metadata={"help": "Only the output head learns; and the input embeddings, where they are the same matrix."},
    )

    def check(self, model_args: ModelConfig) -> None:
        """Check, before a model is loaded, that something will learn, and in a type that can.

        Raises:
            ConfigError: The settings contradict each other.
        """
        is_freezing = bool(self.freeze_pattern or self.freeze_layers or self.freeze_all_but_head)
        if is_freezing and model_args.use_peft:
            raise ConfigError(
                "`use_peft` is true, which freezes all of the policy's own weights, and so there is nothing left for "
                "`freeze_pattern`, `freeze_layers` or `freeze_all_but_head`. Leave these out, and choose what gets an "
                "adapter with `lora_target_modules`."
            )
        if model_args.load_in_4bit and model_args.dtype in (None, "auto"):
            raise ConfigError(
                f"`dtype` is {model_args.dtype or 'unset'}, but 4-bit weights have to be expanded to a certain type. "
                "Set it to `bfloat16` or `float32`."
            )
        bits = "load_in_4bit" if model_args.load_in_4bit else "load_in_8bit" if model_args.load_in_8bit else None
        name = model_args.model_name_or_path or ""
        if (
            bits is not None
            and not model_args.use_peft
            and adapter_base(name, revision=model_args.model_revision) is None
        ):
            raise ConfigError(f"`{bits}` is true, but quantized weights cannot learn. Set `use_peft` to true.")

    def freeze(self, policy: CodeLLM) -> None:
        """Freeze what is not to learn.

        Raises:
            ConfigError: A setting does not suit the policy, or leaves nothing to train.
        """
        policy.freeze(pattern=self.freeze_pattern, layers=self.freeze_layers, all_but_head=self.freeze_all_but_head)
