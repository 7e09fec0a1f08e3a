"""Solving tasks: sample programs, run each distinct one once, rank them, and vote on two attempts per test input.

What is drawn for a task is decided by its `TaskSearch`, round by round; the solver generates and runs the rounds of
all tasks together. Neither the answers of a task nor its programs depend on the other tasks, unless a limit in seconds
does. A task that cannot be tried is reported as unsolved with the reason, never left out. Expected test outputs are
not read here: a solution is the same with and without them.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from arcgym.data.formatting import Prompt, TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError
from arcgym.inference.backends import Backend, RolloutBackend
from arcgym.inference.config import REPAIR, Draw, SearchConfig, Stage, plan
from arcgym.inference.journal import Known, ProgramJournal, Row
from arcgym.inference.repair import repair_prompt
from arcgym.inference.search import TaskSearch, TaskSolution, make_views, without_outputs
from arcgym.models.sampling import Completion, Request, SamplingConfig
from arcgym.programs import extract_program
from arcgym.rewards import run_programs
from arcgym.sandbox import CodeSandbox, ExecutionResult

_CHUNK_BATCHES = 4  # generated between two looks at the clock, and lost when the process is killed
_NOTHING = Known({}, "")


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
        tasks: Tasks in all.
        finished: Tasks whose search has ended, or that cannot be tried.
        fitting: Tasks with a program that fits every demonstration.
        programs: Completions so far.
        seconds: Since the start of this process's part of the run.
    """

    tasks: int
    finished: int
    fitting: int
    programs: int
    seconds: float


class _Job(NamedTuple):
    """A draw of a task, ready to be generated."""

    search: TaskSearch
    draw: Draw
    request: Request


class Solver:
    """Solve tasks with a policy.

    Args:
        model: A causal LM. Its weights, its training mode and the global random state are the same after solving.
            `None` with a backend that has its own.
        tokenizer: The model's.
        sandbox: Runs the programs. Stays the caller's: it is not closed here.
        formatter: Writes the prompts, within its budget.
        num_samples: Completions per task, repairs not counted.
        temperature: Divides the logits; 0 means greedy and needs `num_samples=1`.
        top_p: Nucleus probability, in (0, 1].
        max_new_tokens: Longest completion, in tokens.
        batch_size: Completions generated at once.
        seed: The same seed gives the same completions, whatever the batch size and the other tasks.
        top_k: Sample from this many most likely tokens; 0 for all.
        min_p: Sample from tokens at least this likely, relative to the most likely one; 0 for all.
        search: Schedule of strategies, rounds, views, repairs and limits; independent samples by default.
        backend: What generates; by default the model, by arcgym's rollout.

    Raises:
        ConfigError: A setting is out of range, or there is neither a model nor a backend.
    """

    def __init__(
        self,
        model: PreTrainedModel | None,
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
        search: SearchConfig | None = None,
        backend: Backend | None = None,
    ) -> None:
        self._model = model
        self.tokenizer = tokenizer
        self.sandbox = sandbox
        self.formatter = formatter
        self.sampling = SamplingConfig(num_samples, temperature, top_p, max_new_tokens, batch_size, seed, top_k, min_p)
        self.search = search or SearchConfig()
        self.stages = self.search.stages(self.sampling)
        plan(self.stages, self.search.views, num_samples, self.search.round_size)  # refuses what cannot be divided
        if backend is None and model is None:
            raise ConfigError("There is neither a `model` nor a `backend` to generate with. Pass one.")
        self.backend: Backend = backend or RolloutBackend(self.model, tokenizer, self.sampling)

    @property
    def model(self) -> PreTrainedModel:
        """The model.

        Raises:
            ConfigError: The backend has its own.
        """
        if self._model is None:
            raise ConfigError("This solver has no model of its own: its backend generates elsewhere.")
        return self._model

    def solve(
        self,
        tasks: Sequence[Task],
        *,
        journal: ProgramJournal | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> list[TaskSolution]:
        """Solve tasks together.

        Args:
            tasks: Any number; test outputs may be missing and are not read.
            journal: Where every program is kept. Programs that it has already are not generated again, and the
                solutions are those of a run that was never stopped.
            report: Called when something was generated.

        Returns:
            One solution per task, in order.

        Raises:
            GenerationError: The tokenizer cannot end or pad a completion, or the backend fails.
            ConfigError: The journal is of another run.
        """
        run = _Run(self, [self._begin(task) for task in tasks], journal, report)
        with journal if journal is not None else nullcontext():
            run.finish()
        return [search.solution() for search in run.searches]

    def encode(self, task: Task, prompt: Prompt) -> list[int]:
        """Tokenise a prompt as TRL does in training.

        Args:
            task: Whose prompt it is.
            prompt: Text or messages.

        Raises:
            TaskError: It does not fit into the backend's context.
        """
        encoded: Any = (
            self.tokenizer(prompt)
            if isinstance(prompt, str)
            else self.tokenizer.apply_chat_template(
                prompt, add_generation_prompt=True, tokenize=True, return_dict=True
            )
        )
        ids: list[int] = encoded["input_ids"]
        context = self.backend.context
        if context is not None and len(ids) + self.sampling.max_new_tokens > context:
            raise TaskError(
                f"task {task.task_id!r} takes {len(ids)} tokens and {self.sampling.max_new_tokens} for the program, "
                f"but the model's context is {context}. Give the formatter a budget, or leave the task out."
            )
        return ids

    def stage(self, draw: Draw) -> Stage:
        """Return how a draw is generated; repairs like the schedule's first stage that samples."""
        if draw.stage != REPAIR:
            return self.stages[draw.stage]
        return next((stage for stage in self.stages if stage.strategy == "sample"), Stage("sample"))

    def _begin(self, task: Task) -> TaskSearch:
        """Make a task's search; views that do not fit are left out, and their samples go to the others."""
        views, reason = [], ""
        for view in make_views(task, self.search, self.sampling.seed):
            try:
                ids = self.encode(view.task, self.formatter.format(view.task).prompt)
                views.append(view._replace(ids=ids))
            except TaskError as exc:
                reason = reason or str(exc)
                if not views:  # the task itself: its views are as long
                    break
        rounds = plan(self.stages, len(views), self.sampling.num_samples, self.search.round_size) if views else []
        return TaskSearch(
            task,
            views,
            rounds,
            self.search,
            self.sampling.seed,
            without_outputs(Task(task.task_id, task.train, task.test)).content_hash,
            self.sampling.max_new_tokens,
            "" if views else reason,
        )


class _Run:
    """One call of `Solver.solve`."""

    def __init__(
        self,
        solver: Solver,
        searches: list[TaskSearch],
        journal: ProgramJournal | None,
        report: Callable[[Progress], None] | None,
    ) -> None:
        self.solver = solver
        self.searches = searches
        self._journal = journal
        self._report = report
        self._started = time.monotonic()
        self._known: Mapping[str, Known] = {}
        if journal is not None:
            settings = {"sampling": asdict(solver.sampling), "search": asdict(solver.search)}
            del settings["sampling"]["batch_size"]  # which changes nothing
            del settings["search"]["time_budget"]  # of which a run that goes on has another one
            self._known = journal.open(settings)

    def finish(self) -> None:
        """Go through the rounds until every search has ended, or the time has."""
        active = self.searches
        while active:
            rounds = [(search, draws) for search in active if (draws := self._next_round(search))]
            began = time.monotonic()
            if not self._do(rounds):
                for search, _ in rounds:
                    search.ended = "time"
                return
            for search, _ in rounds:
                search.seconds += (time.monotonic() - began) / len(rounds)
            active = [search for search, _ in rounds]

    def _next_round(self, search: TaskSearch) -> list[Draw]:
        """Ask a search what to draw; write down its end."""
        known = self._known.get(_key(search), _NOTHING)
        if known.ended and search.num_samples >= len(known.rows):
            search.ended = known.ended  # which may have been by the clock
        draws = search.next_round()
        if search.ended and not known.ended and self._journal is not None:
            self._journal.end(_key(search), search.task.task_id, search.ended)
        return draws

    def _do(self, rounds: Sequence[tuple[TaskSearch, list[Draw]]]) -> bool:
        """Generate and run a round of several tasks; return whether there was time for it."""
        missing: dict[Stage, list[_Job]] = defaultdict(list)
        for search, draws in rounds:
            known = self._known.get(_key(search), _NOTHING)
            for draw in draws:
                rows = known.draw(draw)
                if None in rows:
                    if (job := self._job(search, draw)) is not None:
                        missing[self.solver.stage(draw)].append(job)
                else:
                    for row in rows:
                        if row is not None:
                            search.add(row, row.result or known.result(row))
        for stage, jobs in missing.items():
            for chunk in self._chunks(jobs):
                if self._is_late():
                    return False
                self._generate(stage, chunk)
        return True

    def _job(self, search: TaskSearch, draw: Draw) -> _Job | None:
        """Prepare a draw; nothing for a repair whose prompt has become too long."""
        view = search.views[draw.view]
        ids = view.ids
        if draw.parent:
            parent = search.tried[draw.view, draw.parent]
            try:
                prompt = repair_prompt(self.solver.formatter, view.task, parent.program, parent.result)
                ids = self.solver.encode(view.task, prompt)
            except TaskError:
                parent.repairs += 1  # or it would be chosen again and again
                return None
        return _Job(search, draw, Request(ids, _draw_name(search, draw), draw.first, draw.num))

    def _chunks(self, jobs: list[_Job]) -> Iterator[list[_Job]]:
        """Divide jobs; neighbours in length come together, the longest first, so that memory fails early."""
        size = _CHUNK_BATCHES * self.solver.sampling.batch_size
        chunk: list[_Job] = []
        for job in sorted(jobs, key=lambda job: -len(job.request.prompt)):
            if chunk and sum(other.draw.num for other in chunk) + job.draw.num > size:
                yield chunk
                chunk = []
            chunk.append(job)
        if chunk:
            yield chunk

    def _generate(self, stage: Stage, jobs: Sequence[_Job]) -> None:
        completions = self.solver.backend.generate([job.request for job in jobs], stage)
        rows = [list(self._rows(job, texts)) for job, texts in zip(jobs, completions, strict=True)]
        results = self._execute(jobs, rows)
        for job, drawn in zip(jobs, rows, strict=True):
            search, new = job.search, []
            kept = self._known.get(_key(search), _NOTHING).rows
            for row in drawn:
                is_first = row.program is not None and (row.view, row.program) not in search.tried
                full = row._replace(result=results[id(search), row.view, row.program]) if is_first else row
                search.add(full, full.result)
                if row.place not in kept:
                    new.append(full)
            if self._journal is not None:
                views = [view.name for view in search.views]
                self._journal.append(_key(search), search.task.task_id, new, views)
        self._tell()

    def _rows(self, job: _Job, completions: Sequence[Completion]) -> Iterator[Row]:
        """Turn completions into rows; those that the journal has stay what they were."""
        kept = self._known.get(_key(job.search), _NOTHING).draw(job.draw)
        for offset, (completion, row) in enumerate(zip(completions, kept, strict=True)):
            yield row or Row(
                job.draw.stage,
                job.draw.view,
                job.draw.first + offset,
                extract_program(completion.text),
                completion.num_tokens,
                completion.log_prob,
                job.draw.parent,
            )

    def _execute(
        self, jobs: Sequence[_Job], rows: Sequence[Sequence[Row]]
    ) -> dict[tuple[int, int, str | None], ExecutionResult]:
        """Run each program that is new to its task's view, once; return results by search, view and program."""
        wanted: dict[tuple[int, int, str], TaskSearch] = {}
        for job, drawn in zip(jobs, rows, strict=True):
            for row in drawn:
                if row.program is not None and (row.view, row.program) not in job.search.tried:
                    wanted.setdefault((id(job.search), row.view, row.program), job.search)
        results = run_programs(
            self.solver.sandbox,
            [program for _, _, program in wanted],
            [search.inputs(view) for (_, view, _), search in wanted.items()],
        )
        return dict(zip(wanted, results, strict=True))

    def _is_late(self) -> bool:
        budget = self.solver.search.time_budget
        return budget > 0 and time.monotonic() - self._started >= budget

    def _tell(self) -> None:
        if self._report is None:
            return
        self._report(
            Progress(
                len(self.searches),
                sum(bool(search.ended or search.reason) for search in self.searches),
                sum(search.is_solved() for search in self.searches),
                sum(search.num_samples for search in self.searches),
                time.monotonic() - self._started,
            )
        )


def _key(search: TaskSearch) -> str:
    return f"{search.task.task_id} {search.name}"


def _draw_name(search: TaskSearch, draw: Draw) -> str:
    """Name a draw for its random numbers; the first stage on the task itself has the task's own name."""
    parts = [search.name]
    if draw.view:
        parts.append(search.views[draw.view].name)
    if draw.stage:
        parts.append(f"stage {draw.stage}")
    return "\0".join([*parts, draw.parent] if draw.parent else parts)
