"""Solving tasks: sample programs, run each distinct one once, rank them, and vote on two attempts per test input.

First version: independent samples, no repair, no augmented views. A task that cannot be tried is reported as unsolved
with the reason, never left out. Expected test outputs are not read here: a solution is the same with and without them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Pair, Task
from arcgym.errors import TaskError
from arcgym.grids import Grid, grids_equal
from arcgym.inference.voting import Candidate, choose_attempts, rank_candidates
from arcgym.models.sampling import SamplingConfig, sample_texts
from arcgym.programs import extract_program
from arcgym.rewards import run_programs
from arcgym.sandbox import CodeSandbox, ExecutionResult


@dataclass(frozen=True, eq=False)
class TaskSolution:
    """What the solver has to say about one task.

    Args:
        task_id: The task's name.
        candidates: The distinct programs, best first.
        attempts: Per test input at most two distinct grids, best first.
        num_samples: Completions drawn; 0 when the task could not be tried.
        num_without_program: How many of them held no program.
        reason: Why the task could not be tried; empty when it was.
    """

    task_id: str
    candidates: tuple[Candidate, ...]
    attempts: tuple[tuple[Grid, ...], ...]
    num_samples: int
    num_without_program: int
    reason: str = ""


class Solver:
    """Solve tasks with a policy.

    Args:
        model: A causal LM. Its weights, its training mode and the global random state are the same after solving.
        tokenizer: The model's.
        sandbox: Runs the programs. Stays the caller's: it is not closed here.
        formatter: Writes the prompts, within its budget.
        num_samples: Completions per task.
        temperature: Divides the logits; 0 means greedy and needs `num_samples=1`.
        top_p: Nucleus probability, in (0, 1].
        max_new_tokens: Longest completion, in tokens.
        batch_size: Completions generated at once.
        seed: The same seed gives the same completions, whatever the batch size and the other tasks.
        top_k: Sample from this many most likely tokens; 0 for all.
        min_p: Sample from tokens at least this likely, relative to the most likely one; 0 for all.

    Raises:
        ConfigError: A setting is out of range.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sandbox: CodeSandbox,
        formatter: TaskFormatter,
        *,
        num_samples: int = 8,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_new_tokens: int = 64,
        batch_size: int = 64,
        seed: int = 0,
        top_k: int = 0,
        min_p: float = 0.0,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.sandbox = sandbox
        self.formatter = formatter
        self.sampling = SamplingConfig(num_samples, temperature, top_p, max_new_tokens, batch_size, seed, top_k, min_p)

    def solve(self, tasks: Sequence[Task]) -> list[TaskSolution]:
        """Solve tasks in one batch.

        Args:
            tasks: Any number; test outputs may be missing and are not read.

        Returns:
            One solution per task, in order.

        Raises:
            GenerationError: The tokenizer cannot end or pad a completion.
        """
        prompts: dict[int, list[int]] = {}
        reasons: dict[int, str] = {}
        for index, task in enumerate(tasks):
            try:
                prompts[index] = self._encode(task)
            except TaskError as exc:
                reasons[index] = str(exc)
        texts = sample_texts(
            self.model,
            self.tokenizer,
            list(prompts.values()),
            [_sampling_name(tasks[index]) for index in prompts],
            self.sampling,
        )
        sampled = dict(zip(prompts, texts, strict=True))
        programs = {
            index: Counter(program for text in completions if (program := extract_program(text)) is not None)
            for index, completions in sampled.items()
        }
        candidates = self._run(tasks, programs)
        return [
            self._solution(task, candidates.get(index, []), reasons.get(index, "")) for index, task in enumerate(tasks)
        ]

    def _encode(self, task: Task) -> list[int]:
        """Tokenise the task's prompt as TRL does in training.

        Raises:
            TaskError: The prompt fits neither the formatter's budget nor the model's context.
        """
        prompt = self.formatter.format(task).prompt
        encoded: Any = (
            self.tokenizer(prompt)
            if isinstance(prompt, str)
            else self.tokenizer.apply_chat_template(
                prompt, add_generation_prompt=True, tokenize=True, return_dict=True
            )
        )
        ids: list[int] = encoded["input_ids"]
        # Models without a fixed context, such as recurrent ones, do not state one.
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and len(ids) + self.sampling.max_new_tokens > context:
            raise TaskError(
                f"task {task.task_id!r} takes {len(ids)} tokens and {self.sampling.max_new_tokens} for the program, "
                f"but the model's context is {context}. Give the formatter a budget, or leave the task out."
            )
        return ids

    def _run(self, tasks: Sequence[Task], programs: dict[int, Counter[str]]) -> dict[int, list[Candidate]]:
        """Run each distinct program of each task once, on all its inputs."""
        jobs = [(index, program) for index, counts in programs.items() for program in counts]
        results = run_programs(
            self.sandbox,
            [program for _, program in jobs],
            [[pair.input for pair in (*tasks[index].train, *tasks[index].test)] for index, _ in jobs],
        )
        candidates: dict[int, list[Candidate]] = {index: [] for index in programs}
        for (index, program), result in zip(jobs, results, strict=True):
            candidates[index].append(_candidate(tasks[index], program, programs[index][program], result))
        return candidates

    def _solution(self, task: Task, candidates: list[Candidate], reason: str) -> TaskSolution:
        num_samples = 0 if reason else self.sampling.num_samples
        return TaskSolution(
            task_id=task.task_id,
            candidates=rank_candidates(candidates),
            attempts=choose_attempts(candidates, len(task.test)),
            num_samples=num_samples,
            num_without_program=num_samples - sum(candidate.count for candidate in candidates),
            reason=reason,
        )


def _sampling_name(task: Task) -> str:
    """Name the task for the random draws, without its test outputs: knowing them must change nothing."""
    return Task(task.task_id, task.train, tuple(Pair(pair.input, None) for pair in task.test)).content_hash


def _candidate(task: Task, program: str, count: int, result: ExecutionResult) -> Candidate:
    on_train, on_test = result.outputs[: len(task.train)], result.outputs[len(task.train) :]
    return Candidate(
        program=program,
        count=count,
        status=result.status,
        train_passed=sum(grids_equal(output, pair.output) for output, pair in zip(on_train, task.train, strict=True)),
        train_total=len(task.train),
        outputs=on_test,
    )
