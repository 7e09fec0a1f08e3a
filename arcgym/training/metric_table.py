"""Every metric of a training run, declared once: name, unit, meaning, when it is logged, and when it has to be there.

`MetricsTracker` checks what is logged against these declarations, and a command makes the table of `docs/metrics.md`
from them:

    python -m arcgym.training.metric_table docs/metrics.md

Names of TRL and transformers are declared as they are; ours are `group/name`. A name in braces stands for any text.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.rloo_config import RLOOConfig

from arcgym.rewards import Shortcut
from arcgym.sandbox import Status
from arcgym.training.ppo_config import PPOConfig

When: TypeAlias = Literal["step", "update", "rollout", "evaluation", "end"]

_WHEN_TEXT: dict[When, str] = {
    "step": "logged step",
    "update": "update",
    "rollout": "rollout",
    "evaluation": "evaluation",
    "end": "end of training",
}
_TABLE_BEGIN = "<!-- table: python -m arcgym.training.metric_table docs/metrics.md -->"
_TABLE_END = "<!-- end of table -->"


@dataclass(frozen=True)
class Run:
    """What decides which metrics a run has.

    Attributes:
        args: The trainer's config.
        reward_names: Names of the reward functions, as the trainer logs them.
        scores_programs: Whether one of them is a `RewardCalculator`.
        is_sharded: Whether no process holds whole gradients (FSDP, DeepSpeed).
    """

    args: GRPOConfig | RLOOConfig
    reward_names: tuple[str, ...]
    scores_programs: bool
    is_sharded: bool = False


class Condition(NamedTuple):
    """When a metric is there: in words, and as a test that is true only where it has to be."""

    text: str
    holds: Callable[[Run], bool]


def _sometimes(text: str) -> Condition:
    """A condition that cannot be told from the settings, so that the metric is never missed."""
    return Condition(text, lambda run: False)


def _has_groups(run: Run) -> bool:
    args = run.args
    return min(args.num_generations or 1, args.num_generations_eval or args.num_generations or 1) > 1


def _has_kl(run: Run) -> bool:
    return bool(run.args.beta) or (isinstance(run.args, PPOConfig) and run.args.kl_coef > 0)


def _has_loss(name: str) -> Condition:
    return Condition(
        f"with `loss_type: {name}`", lambda run: isinstance(run.args, GRPOConfig) and run.args.loss_type == name
    )


def _clips(run: Run) -> bool:
    return isinstance(run.args, RLOOConfig) or run.args.loss_type in ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")


def _has_entropy_bonus(run: Run) -> bool:
    return isinstance(run.args, GRPOConfig) and bool(run.args.entropy_coef or run.args.use_adaptive_entropy)


ALWAYS = Condition("always", lambda run: True)
_WHOLE_GRADIENTS = Condition("unless sharded (FSDP, DeepSpeed)", lambda run: not run.is_sharded)
_PROGRAMS = Condition("with `RewardCalculator`", lambda run: run.scores_programs)
_CRITIC = Condition("with a critic", lambda run: isinstance(run.args, PPOConfig) and run.args.advantage == "gae")
_GROUPS = Condition("with two or more programs per task", _has_groups)
_KL = Condition("with `beta` or `kl_coef`", _has_kl)
_KL_IN_REWARD = Condition("with `kl_coef`", lambda run: isinstance(run.args, PPOConfig) and run.args.kl_coef > 0)
_KL_TARGET = Condition(
    "with `kl_target`", lambda run: isinstance(run.args, PPOConfig) and run.args.kl_target is not None
)
_REPLAY = Condition("with `replay_share`", lambda run: isinstance(run.args, PPOConfig) and run.args.replay_share > 0)
_CLIPPED = Condition("with a clipped loss", _clips)
_ENTROPY_BONUS = Condition("with an entropy bonus", _has_entropy_bonus)
_CISPO, _VESPO = _has_loss("cispo"), _has_loss("vespo")
_VLLM = _sometimes("with vLLM")
_TOOLS = _sometimes("with tools")


@dataclass(frozen=True)
class Metric:
    """The declaration of one metric, or of all whose name fits a pattern.

    Attributes:
        name: As logged in training; `{…}` stands for any text.
        unit: `share` is from 0 to 1; `reward` is the unit of the reward function.
        when: What it is measured on. Those of an update or a rollout are logged in evaluations too, as `eval_<name>`.
        meaning: One sentence.
        needs: When it is there.
        in_evaluation: False for those of an update or a rollout that are logged in training only.
        follows_seed: Whether a run with the same seed and settings logs the same value; false for times and memory.
    """

    name: str
    unit: str
    when: When
    meaning: str
    needs: Condition = ALWAYS
    in_evaluation: bool = True
    follows_seed: bool = True

    def names(self, run: Run) -> list[str]:
        """Names that it has in a run; none for a pattern that the run does not fill."""
        if "{function}" in self.name:
            return [self.name.replace("{function}", function) for function in run.reward_names]
        return [] if "{" in self.name else [self.name]


_STATUS_MEANINGS = {
    Status.SYNTAX_ERROR: "that do not compile or define no `transform`",
    Status.RUNTIME_ERROR: "that raised an exception",
    Status.TIMEOUT: "that ran out of time",
    Status.MEMORY: "that ran out of memory",
    Status.OUTPUT_LIMIT: "that gave more output than allowed",
    Status.INVALID_OUTPUT: "that returned something that is not a grid",
    Status.SECURITY_VIOLATION: "that tried to leave the sandbox",
    Status.CRASHED: "that crashed the interpreter",
    Status.INFRASTRUCTURE: "lost to a failure of the sandbox itself; they have no reward",
}


_SHORTCUT_MEANINGS = {
    Shortcut.LOOKUP: "that look the answer up in a table of shown pairs",
    Shortcut.CONSTANT: "that answer every input with the same grid",
    Shortcut.IDENTITY: "that answer every input with itself",
}


def _of_programs(name: str, unit: str, meaning: str, needs: Condition = _PROGRAMS) -> Metric:
    return Metric(name, unit, "rollout", meaning, needs, follows_seed=not name.endswith("_s"))


_TRAINING = (
    Metric("loss", "1", "step", "What the optimizer descends: policy loss, plus `vf_coef` times the value loss."),
    Metric("grad_norm", "1", "step", "Norm of the gradient of all trained weights before clipping, at this update."),
    Metric(
        "grad_norm_clipped",
        "1",
        "step",
        "The same after clipping to `max_grad_norm`, as the optimizer gets it.",
        _WHOLE_GRADIENTS,
    ),
    Metric("learning_rate", "1", "step", "Learning rate of the policy at this update."),
    Metric("epoch", "1", "step", "Passes over the training tasks so far."),
    Metric("step_time", "s", "step", "Wall time of an update, and of its rollout if it had one.", follows_seed=False),
    Metric(
        "memory/peak_mb",
        "MiB",
        "step",
        "Most memory that the main process has held so far: on the GPU as CUDA's allocator counts it, else resident.",
        follows_seed=False,
    ),
    Metric(
        "num_input_tokens_seen",
        "tokens",
        "step",
        "As `num_tokens`, counted by transformers.",
        _sometimes("with `include_num_input_tokens_seen`"),
    ),
    Metric("entropy", "nat", "update", "Entropy of the policy's next-token distribution, mean over tokens."),
    Metric(
        "clip_ratio/low_mean",
        "share",
        "update",
        "Tokens (RLOO: completions) whose probability had fallen below the clip range although it should fall.",
        _CLIPPED,
    ),
    Metric("clip_ratio/low_min", "share", "update", "The same, of the completion with the least.", _CLIPPED),
    Metric(
        "clip_ratio/high_mean",
        "share",
        "update",
        "Tokens (RLOO: completions) whose probability had risen above the clip range although it should rise.",
        _CLIPPED,
    ),
    Metric("clip_ratio/high_max", "share", "update", "The same, of the completion with the most.", _CLIPPED),
    Metric("clip_ratio/region_mean", "share", "update", "Both: tokens that got no gradient.", _CLIPPED),
    Metric("cispo_clip_ratio", "share", "update", "Tokens whose weight was clipped.", _CISPO),
    Metric("vespo/phi_seq_mean", "1", "update", "Mean weight of a completion.", _VESPO),
    Metric("policy_loss", "1", "update", "Policy loss without the entropy bonus.", _ENTROPY_BONUS),
    Metric(
        "entropy_coef",
        "1",
        "update",
        "Weight of the entropy bonus; it may adapt.",
        _ENTROPY_BONUS,
        in_evaluation=False,
    ),
    Metric("aux_loss", "1", "update", "Load-balancing loss.", _sometimes("with a mixture of experts")),
    Metric("ppo/value_loss", "reward²", "update", "Clipped squared error of the critic, halved.", _CRITIC),
    Metric(
        "ppo/value_clip_frac",
        "share",
        "update",
        "Tokens whose value had left `cliprange_value`, and got no gradient.",
        _CRITIC,
    ),
)

_ROLLOUT = (
    Metric("num_tokens", "tokens", "rollout", "Tokens of prompts and completions of all training rollouts so far."),
    Metric(
        "speed/tokens_per_second",
        "1/s",
        "rollout",
        "These tokens over the wall time of training steps, since the last row that has this metric; evaluations and "
        "checkpoints do not count.",
        in_evaluation=False,
        follows_seed=False,
    ),
    Metric(
        "speed/programs_per_second",
        "1/s",
        "rollout",
        "Programs that all processes sampled, over the same time.",
        in_evaluation=False,
        follows_seed=False,
    ),
    Metric(
        "completions/generation_s",
        "s",
        "rollout",
        "Wall time of sampling a rollout.",
        Condition("with PPO", lambda run: isinstance(run.args, PPOConfig)),
        follows_seed=False,
    ),
    Metric("completions/mean_length", "tokens", "rollout", "Length of a completion."),
    Metric("completions/min_length", "tokens", "rollout", "Length of the shortest."),
    Metric("completions/max_length", "tokens", "rollout", "Length of the longest."),
    Metric("completions/clipped_ratio", "share", "rollout", "Completions cut off at `max_completion_length`."),
    Metric("completions/mean_terminated_length", "tokens", "rollout", "Length of those that ended by themselves."),
    Metric("completions/min_terminated_length", "tokens", "rollout", "Length of the shortest of these."),
    Metric("completions/max_terminated_length", "tokens", "rollout", "Length of the longest of these."),
    Metric("reward", "reward", "rollout", "Weighted sum of the reward functions, mean over completions."),
    Metric("reward_std", "reward", "rollout", "Its standard deviation over completions."),
    Metric(
        "frac_reward_zero_std",
        "share",
        "rollout",
        "Tasks whose programs all got the same reward, so that a comparison among them teaches nothing.",
        _GROUPS,
    ),
    Metric("rewards/{function}/mean", "reward", "rollout", "Mean of one reward function."),
    Metric("rewards/{function}/std", "reward", "rollout", "Its standard deviation over completions."),
    Metric("kl", "nat", "rollout", "KL to the initial policy, mean over tokens.", _KL),
    Metric("ppo/kl_penalty", "reward", "rollout", "What the KL takes from a completion's reward.", _KL_IN_REWARD),
    Metric("ppo/kl_coef", "1", "rollout", "Weight of that KL; it adapts.", _KL_TARGET, in_evaluation=False),
    Metric("ppo/return_mean", "reward", "rollout", "Return that the critic learns, mean over tokens.", _CRITIC),
    Metric("ppo/value_mean", "reward", "rollout", "The critic's estimate of it.", _CRITIC),
    Metric("ppo/advantage_std", "reward", "rollout", "Spread of the advantages before whitening.", _CRITIC),
    Metric(
        "ppo/explained_variance",
        "1",
        "rollout",
        "Share of the returns' variance that the critic explains: 1 is perfect, 0 no better than a constant.",
        _CRITIC,
    ),
    Metric("ppo/replay_frac", "share", "rollout", "Replayed completions of a rollout.", _REPLAY, in_evaluation=False),
    Metric(
        "ppo/replay_age",
        "rollouts",
        "rollout",
        "How long ago they were sampled.",
        _sometimes("with `replay_share`, once something is replayed"),
        in_evaluation=False,
    ),
    Metric(
        "ppo/replay_weight",
        "1",
        "rollout",
        "Importance weight of a replayed token.",
        _sometimes("with `replay_share`, once something is replayed"),
        in_evaluation=False,
    ),
    *(
        Metric(
            f"collapse/{name}",
            "1",
            "rollout",
            meaning,
            _sometimes("with `CollapseMonitor`"),
            in_evaluation=False,
        )
        for name, meaning in (
            ("alarm", "1 while the run is taken to collapse, else 0."),
            ("rollback", "1 where it goes back to a checkpoint, else 0."),
        )
    ),
    *(
        Metric(f"curriculum/{name}", "1", "rollout", meaning, _sometimes("with a curriculum"), in_evaluation=False)
        for name, meaning in (
            ("level", "Highest band of difficulty that is open, from 0."),
            ("success_rate", "Share of the last programs for the highest open band that solved their task."),
            ("expected_pass_rate", "Of the tasks chosen last: mean pass rate expected from all programs so far."),
            ("tasks_seen_frac", "Share of the training tasks that have been chosen at least once."),
        )
    ),
    Metric("sampling/sampling_logp_difference/{statistic}", "nat", "rollout", "Trainer against vLLM.", _VLLM),
    Metric("sampling/importance_sampling_ratio/{statistic}", "1", "rollout", "Trainer against vLLM.", _VLLM),
    Metric("tools/call_frequency", "1", "rollout", "Tool calls per completion.", _TOOLS),
    Metric("tools/failure_frequency", "share", "rollout", "Tool calls that failed.", _TOOLS),
)

_PROGRAM_METRICS = (
    _of_programs(
        "tasks/solved_frac", "share", "Tasks of which one program or more passed every pair, hidden ones too."
    ),
    _of_programs("programs/solved_frac", "share", "Programs that passed every pair."),
    _of_programs("programs/valid_frac", "share", "Programs that ran to the end and returned grids, right or wrong."),
    _of_programs("programs/no_program_frac", "share", "Completions that hold no program."),
    *(
        _of_programs(f"programs/{status.value}_frac", "share", f"Programs {_STATUS_MEANINGS[status]}.")
        for status in Status
        if status is not Status.OK
    ),
    _of_programs("programs/mutated_input_frac", "share", "Programs that changed the grid they were given."),
    _of_programs(
        "programs/nondeterministic_frac",
        "share",
        "Programs that answered differently when run again.",
        _sometimes("when checked for"),
    ),
    _of_programs(
        "programs/repetition", "share", "4-grams of a completion's words and signs that it had before, mean of all."
    ),
    _of_programs(
        "programs/distinct_frac",
        "share",
        "Distinct programs among those for one task, mean over tasks; with one for each task, among all.",
    ),
    _of_programs("programs/distinct_outputs_frac", "share", "The same for what the programs answer."),
    *(
        _of_programs(f"programs/{shortcut.value}_frac", "share", f"Programs {_SHORTCUT_MEANINGS[shortcut]}.")
        for shortcut in Shortcut
    ),
    _of_programs("programs/sandbox_s", "s", "Wall time of running and judging the programs of a rollout."),
    _of_programs("rewards/pass_rate", "share", "Pairs passed, hidden ones weighted by `hidden_weight`."),
    _of_programs(
        "rewards/unnormalized", "reward", "The reward before it is scaled by task; the sum of the parts below."
    ),
    _of_programs("rewards/correctness", "reward", "Part of the reward for passed pairs."),
    _of_programs("rewards/shape", "reward", "Part for wrong outputs of the right size."),
    _of_programs("rewards/cells", "reward", "Part for right cells of wrong outputs."),
    _of_programs("rewards/solved_bonus", "reward", "Part for passing every pair."),
    _of_programs("rewards/brevity", "reward", "Part for short solutions."),
    _of_programs("rewards/penalty", "reward", "Part for errors; 0 or below."),
    *(
        _of_programs(name, "share", meaning, _sometimes("where tasks have shown and hidden pairs"))
        for name, meaning in (
            ("rewards/shown_pass_rate", "Passed pairs among those that the prompt shows."),
            ("rewards/hidden_pass_rate", "Passed pairs among those that it does not show."),
            ("rewards/hidden_gap", "The first less the second: what programs hard-code."),
        )
    ),
)

_REST = (
    Metric("eval_loss", "1", "evaluation", "Loss on the evaluation's own rollout.", _sometimes("with one set")),
    *(
        Metric(f"eval_{name}", unit, "evaluation", meaning, _sometimes("with one set"), follows_seed=False)
        for name, unit, meaning in (
            ("runtime", "s", "Wall time of the evaluation."),
            ("samples_per_second", "1/s", "Completions over that time."),
            ("steps_per_second", "1/s", "Batches over that time."),
        )
    ),
    Metric("eval_{set}_loss", "1", "evaluation", "As `eval_loss`.", _sometimes("with several sets")),
    *(
        Metric(
            f"eval_{{set}}_{name}",
            unit,
            "evaluation",
            f"As `eval_{name}`.",
            _sometimes("with several sets"),
            follows_seed=False,
        )
        for name, unit in (("runtime", "s"), ("samples_per_second", "1/s"), ("steps_per_second", "1/s"))
    ),
    Metric(
        "eval_model_preparation_time",
        "s",
        "evaluation",
        "Wall time of wrapping the model.",
        _sometimes("before training"),
        follows_seed=False,
    ),
    Metric("train_runtime", "s", "end", "Wall time of training, with all that came between.", follows_seed=False),
    Metric("train_samples_per_second", "1/s", "end", "Prompts used in updates over that time.", follows_seed=False),
    Metric("train_steps_per_second", "1/s", "end", "Updates over that time.", follows_seed=False),
    Metric(
        "train_tokens_per_second",
        "1/s",
        "end",
        "Tokens over that time.",
        _sometimes("with `include_num_input_tokens_seen`"),
        follows_seed=False,
    ),
    Metric(
        "total_flos",
        "1",
        "end",
        "Floating-point operations, as far as transformers counts them (here 0).",
        _sometimes("unless transformers prints the row"),  # its printer takes it out for all
    ),
    Metric("train_loss", "1", "end", "Mean of `loss`."),
    Metric(
        "{stage}_mem_{what}",
        "bytes",
        "end",
        "Memory of a stage, as transformers measures it.",
        _sometimes("with `skip_memory_metrics: false`"),
        follows_seed=False,
    ),
)

METRICS: tuple[Metric, ...] = _TRAINING + _ROLLOUT + _PROGRAM_METRICS + _REST


def find(name: str, metrics: Sequence[Metric] = METRICS) -> Metric | None:
    """Return the declaration of a logged metric; None if there is none.

    Args:
        name: As in a row of the log, with or without `eval_`.
        metrics: Declarations.
    """
    own = next((metric for metric in metrics if _pattern(metric.name).fullmatch(name)), None)
    if own is None and name.startswith("eval_"):
        inner = find(name.removeprefix("eval_"), metrics)
        return inner if inner is not None and inner.when in ("update", "rollout") and inner.in_evaluation else None
    return own


@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(name)))


def required(run: Run, when: Iterable[When], metrics: Sequence[Metric] = METRICS) -> set[str]:
    """Return the names that have to be there in a row of a run's log.

    Args:
        run: The run.
        when: What the row reports. With `evaluation`, these are the names of an evaluation's row.
        metrics: Declarations.
    """
    kinds = set(when)
    is_evaluation = "evaluation" in kinds
    kinds |= {"update", "rollout"} if is_evaluation else set()
    return {
        f"eval_{name}" if is_evaluation and metric.when != "evaluation" else name
        for metric in metrics
        if metric.when in kinds and metric.needs.holds(run) and (metric.in_evaluation or not is_evaluation)
        for name in metric.names(run)
    }


def markdown_table(metrics: Sequence[Metric] = METRICS) -> str:
    """Return the declarations as a Markdown table."""
    rows = ["| metric | unit | of each | there | meaning |", "|---|---|---|---|---|"]
    for metric in metrics:
        when = _WHEN_TEXT[metric.when]
        if metric.when in ("update", "rollout") and not metric.in_evaluation:
            when += " in training"
        rows.append(f"| `{metric.name}` | {metric.unit} | {when} | {metric.needs.text} | {metric.meaning} |")
    return "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    """Return a page with the table in the place that it marks.

    Raises:
        ValueError: The page does not mark one place.
    """
    before, begin, rest = page.partition(_TABLE_BEGIN)
    _, end, after = rest.partition(_TABLE_END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {_TABLE_BEGIN!r} and {_TABLE_END!r} to put the table between")
    return f"{before}{begin}\n\n{markdown_table()}\n{end}{after}"


def main() -> None:
    """Bring the table of a Markdown page up to date."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("page", type=Path, help="Markdown file that marks where the table goes")
    page = parser.parse_args().page
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
