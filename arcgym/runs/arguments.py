"""Settings that all training recipes share: which tasks, how they are evaluated, and how programs are run.

Beside them a recipe takes `RewardConfig`, TRL's `ModelConfig` and the trainer's own config.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal

from transformers import PreTrainedTokenizerBase

from arcgym.data.formatting import TaskFormatter
from arcgym.data.mixture import Mixture, load_mixture
from arcgym.errors import ConfigError
from arcgym.sandbox import CodeSandbox


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
    task_seed: int = field(default=0, metadata={"help": "Seed of the division and the choice of tasks."})
    max_prompt_tokens: int = field(
        default=768,
        metadata={
            "help": "Longest prompt, in tokens; at most the model's context less max_completion_length. A longer task "
            "loses its last demonstrations; it is left out when fewer than `min_pairs` fit."
        },
    )
    min_pairs: int = field(default=2, metadata={"help": "Fewest demonstrations that a prompt must show."})
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
        return TaskFormatter(style=style, tokenizer=tokenizer, budget=self.max_prompt_tokens)

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
        )


@dataclass
class EvaluationArguments:
    """How solved tasks are counted before and after training."""

    eval_samples: int = field(default=8, metadata={"help": "Programs sampled per task; two attempts are chosen."})
    eval_temperature: float = field(default=0.7, metadata={"help": "Sampling temperature, above 0."})
    eval_batch_size: int = field(default=128, metadata={"help": "Programs generated at once."})
    eval_seed: int = field(default=0, metadata={"help": "Seed of the sampling, the same before and after."})


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
