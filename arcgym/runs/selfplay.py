"""Self-play: rounds of sample, verify, store, relabel, choose, fine-tune, evaluate.

    rounds/settings.json         what the run is of: a run with other settings does not go on here
    rounds/0/sampling/*.json     a file per chunk of tasks    rounds/0/policy/      trained in this round
    rounds/0/sampled.json        a file per finished stage    rounds/0/samples.json what it was trained on
    rounds.jsonl                 a line of figures per round  solutions.sqlite      every program that ran

Every file is renamed into place when it is whole, and what a stage does follows from the database, the files of the
stages before it and the seed. So the same command goes on behind the last finished stage or chunk, and a run that was
killed ends as one that was not, but for what it says of time. The newest policy is kept, and those before it are
removed as soon as it is there.
"""

import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from arcgym.data.contamination import refuse_overlap
from arcgym.data.tasks import Pair, Task
from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport, dataset_hash
from arcgym.models import CodeLLM
from arcgym.models.sampling import SamplingConfig
from arcgym.runs.finetuning import FinetuningJob
from arcgym.runs.selfplay_choice import (
    ChoiceArguments,
    RelabelArguments,
    relabel_round,
    relabelled_samples,
    solved_samples,
    synthetic_samples,
)
from arcgym.runs.selfplay_sampling import Origin, Prompted, RoundSampler, Tally, join_diversity
from arcgym.sandbox import CodeSandbox
from arcgym.selfplay import DiversityTracker
from arcgym.solutions import SolutionDatabase
from arcgym.training.sft import Sample, encode_prompt

logger = logging.getLogger(__name__)

_GENERATOR_SEED = 400_009  # added to the run's: none of those that the default policy was trained with

_TABLE_WIDTH = 160

# Settings that a run may go on with other values of
_FREE = ("num_rounds", "output_dir", "logging_dir", "run_name", "report_to", "disable_tqdm", "solutions", "chunk_size")


@dataclass
class SelfPlayArguments:
    """The rounds, and how programs are sampled in them."""

    num_rounds: int = field(default=3, metadata={"help": "Rounds; a finished run goes on when it is raised."})
    samples_per_task: int = field(default=64, metadata={"help": "Programs sampled for each task and round."})
    temperature: float = field(default=1.0, metadata={"help": "Of the sampling, above 0."})
    top_p: float = field(
        default=1.0, metadata={"help": "Sample from the smallest set of tokens with this probability; in (0, 1]."}
    )
    sampling_batch_size: int = field(default=128, metadata={"help": "Programs generated at once."})
    chunk_size: int = field(
        default=16, metadata={"help": "Tasks between two saves: what is lost at most when a run is killed."}
    )
    solutions: str | None = field(
        default=None,
        metadata={
            "help": "Database of programs: an SQLite file or postgresql://…; what it holds of these tasks already is "
            "learned too. Unset for `solutions.sqlite` in the run's folder."
        },
    )
    learn: bool = field(
        default=True,
        metadata={"help": "Fine-tune after each round; false samples the same number of programs without learning."},
    )
    sft_from: Literal["base", "previous"] = field(
        default="previous",
        metadata={"help": "Each round trains the policy of the round before, or the one that the run began with."},
    )
    diversity_floor: float = field(
        default=0.2,
        metadata={
            "help": "Stop when the entropy of a round's programs is below this share of its largest value, in [0, 1]; "
            "0 for never."
        },
    )
    diversity_patience: int = field(default=1, metadata={"help": "After how many such rounds in succession."})

    def __post_init__(self) -> None:
        for name in ("num_rounds", "chunk_size", "diversity_patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but must be 1 or more.")
        if not 0 <= self.diversity_floor <= 1:
            raise ConfigError(f"`diversity_floor` is {self.diversity_floor}, but must be in [0, 1].")


class SelfPlaySettings(NamedTuple):
    """The settings that only self-play has."""

    rounds: SelfPlayArguments
    choice: ChoiceArguments
    relabelling: RelabelArguments


class SelfPlay:
    """All rounds of a run.

    Args:
        job: Tasks, prompts, folder, training and evaluation.
        settings: Of the rounds.
        sandbox: Runs the programs.
        database: Keeps them.

    Attributes:
        figures: Of each finished round what `rounds.jsonl` holds.

    Raises:
        ConfigError: The folder holds a run with other settings, a training task is evaluated on, or there are several
            processes.
    """

    def __init__(
        self, job: FinetuningJob, settings: SelfPlaySettings, sandbox: CodeSandbox, database: SolutionDatabase
    ) -> None:
        if job.training.world_size > 1:
            raise ConfigError(
                f"There are {job.training.world_size} processes, but self-play takes its turns in one. Launch it with "
                "`--num_processes 1`."
            )
        if job.training.resume_from_checkpoint is not None:
            raise ConfigError(
                "`resume_from_checkpoint` is set, but self-play goes on by itself with the same command. Leave it out."
            )
        self.job, self.sandbox, self.database = job, sandbox, database
        self.rounds, self.choice, self.relabelling = settings
        self.folder = job.directory.path / "rounds"
        self.secret = [task for tasks in job.tasks.evaluation.values() for task in tasks]
        # Once more, whatever was allowed when the tasks were loaded: their outputs are about to be learned
        refuse_overlap(job.tasks.train, self.secret)
        self.tasks = self._prepare()
        self.tracker = DiversityTracker(self.rounds.diversity_floor, self.rounds.diversity_patience)
        self.figures: list[dict[str, Any]] = []
        self._loaded: tuple[Path | None, CodeLLM] | None = None
        self._check_identity(settings)

    @property
    def sampling(self) -> SamplingConfig:
        """How a round is sampled."""
        args, evaluation = self.rounds, self.job.settings.evaluation
        return SamplingConfig(
            args.samples_per_task,
            args.temperature,
            args.top_p,
            evaluation.max_completion_length,
            args.sampling_batch_size,
            self.job.training.seed,
        )

    def run(self) -> tuple[dict[str, EvaluationReport], dict[str, EvaluationReport]]:
        """Go through the rounds, or on with them, and save the last policy in the run's folder.

        Returns:
            The evaluations before the first round and after the last.
        """
        before = after = self.job.evaluate(self._policy(0), self.sandbox, "before")
        for number in range(1 if self.job.settings.tasks.dry_run else self.rounds.num_rounds):
            sampled = self._stage(number, "sampled", self._sample)
            relabelled = self._stage(number, "relabelled", self._relabel)
            trained, earlier = {}, after
            if self.rounds.learn:
                trained = self._stage(number, "trained", self._train)
                shutil.rmtree(self.folder / str(number - 1) / "policy", ignore_errors=True)
                self._stage(number, "evaluated", self._evaluate)
                after = self.job.read_reports(f"round-{number}")
            self._note(number, sampled, relabelled, trained, earlier, after)
            if self.tracker.is_below_floor:
                self.job.console.print(f"Round {number}: stopping, since programs differ too little.")
                break
        if self.rounds.learn:
            self._policy(len(self.figures)).save(self.job.directory.path)
        return before, after

    @property
    def stopped_by(self) -> str:
        """Why the run ended: `rounds` or `diversity`."""
        return "diversity" if self.tracker.is_below_floor else "rounds"

    def programs(self) -> int:
        """Programs that were sampled in all rounds."""
        return sum(row["sampled"] for row in self.figures)

    def seconds(self) -> float:
        """Seconds of sampling and training in all rounds."""
        return sum(row["seconds"] for row in self.figures)

    # --- Stages ---

    def _stage(self, number: int, name: str, work: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """Do a stage of a round, or read what it came to."""
        file = self.folder / str(number) / f"{name}.json"
        if not file.is_file():
            begun = time.perf_counter()
            result = work(number)
            result.setdefault("seconds", time.perf_counter() - begun)
            self._write(file, result)
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def _sample(self, number: int) -> dict[str, Any]:
        self.job.console.print(
            f"Round {number}: sampling {self.rounds.samples_per_task} programs for each of {len(self.tasks)} tasks ..."
        )
        origin = Origin(self.job.model_name, f"round {number}", number)
        sampler = RoundSampler(
            self._policy(number),
            self.sandbox,
            self.database,
            self.sampling,
            origin,
            number * self.rounds.samples_per_task,
        )
        tallies, seconds = sampler.sample(self.tasks, self.folder / str(number) / "sampling", self.rounds.chunk_size)
        return {"seconds": seconds, "tallies": [asdict(tally) for tally in tallies]}

    def _relabel(self, number: int) -> dict[str, Any]:
        training = [entry.task for entry in self.tasks]
        count = relabel_round(
            self.database,
            training,
            self.secret,
            self.relabelling,
            generation=number,
            seed=self.job.training.seed + number,
        )
        return {"relabelled": count}

    def _train(self, number: int) -> dict[str, Any]:
        samples = self._samples(number)
        kinds = Counter(sample.kind for sample in samples)
        folder = self.folder / str(number) / "policy"
        self.job.console.print(f"Round {number}: training on {len(samples)} programs: {_counted(kinds)} ...")
        self._write(self.folder / str(number) / "samples.json", [sample._asdict() for sample in samples])
        if not samples:
            raise ConfigError(
                f"Round {number} has nothing to learn from: no program was right, and none relabelled. Raise "
                "`samples_per_task` or `temperature`, add easier tasks, or set `synthetic_samples`."
            )
        for path in (folder, folder.with_name(f".{folder.name}.tmp")):
            shutil.rmtree(path, ignore_errors=True)  # of a training that was killed before its stage was finished
        start = self._folder_of(number) if self.rounds.sft_from == "previous" else None
        self._loaded = None  # before another one is loaded: memory may hold one only
        seed = self.job.training.seed + number
        trained = self.job.train(self.job.load_policy(start), samples, folder=folder, seed=seed)
        return {
            "seconds": trained.seconds,
            "samples": trained.samples,
            "too_long": trained.too_long,
            "loss": trained.loss,
            "steps": trained.steps,
            "weights": trained.hashes,
            "kinds": kinds,
        }

    def _evaluate(self, number: int) -> dict[str, Any]:
        reports = self.job.evaluate(self._policy(number + 1), self.sandbox, f"round-{number}")
        return {"solved": {name: report.aggregates["solved"] for name, report in reports.items()}}

    def _samples(self, number: int) -> list[Sample]:
        """Choose what a round is trained on."""
        prompts = {entry.task.content_hash: Sample(entry.task.task_id, entry.prompt, "") for entry in self.tasks}
        solved = solved_samples(self.database, prompts, self.choice, self._rates(number))
        samples = list(solved)
        if self.relabelling.relabel != "none":
            share = self.relabelling.relabel_share
            # Where nothing is solved yet, all is relabelled: there is no share to keep to
            limit = int(len(solved) * share / (1 - share)) if solved else len(self.tasks)
            samples += relabelled_samples(
                self.database, [entry.task for entry in self.tasks], self.job.formatter, limit
            )
        # Something to take a step on, whatever the two longest tasks gave
        least = 8 if self.job.settings.tasks.dry_run else 0
        return samples + synthetic_samples(
            max(least, self.relabelling.synthetic_samples),
            self.secret,
            self.job.formatter,
            seed=_GENERATOR_SEED + self.job.training.seed,
            number=number,
        )

    def _rates(self, number: int) -> dict[str, float]:
        """Share of right programs of each task over all rounds so far, as a posterior mean, so never 0."""
        right, sampled = Counter[str](), Counter[str]()
        for earlier in range(number + 1):
            for tally in self._tallies(earlier):
                right[tally.task_hash] += tally.right
                sampled[tally.task_hash] += tally.sampled
        return {task: (right[task] + 1) / (sampled[task] + 2) for task in sampled}

    # --- Figures ---

    def _note(
        self,
        number: int,
        sampled: Mapping[str, Any],
        relabelled: Mapping[str, Any],
        trained: Mapping[str, Any],
        before: Mapping[str, EvaluationReport],
        after: Mapping[str, EvaluationReport],
    ) -> None:
        """Add a round's figures to the table."""
        tallies = [Tally.read(plain) for plain in sampled["tallies"]]
        diversity = join_diversity(tally.diversity for tally in tallies)
        self.tracker.rounds.append(diversity)
        ever = {tally.task_hash for earlier in range(number + 1) for tally in self._tallies(earlier) if tally.right}
        self.figures.append(
            {
                "round": number,
                "tasks": len(tallies),
                "sampled": sum(tally.sampled for tally in tallies),
                "valid": sum(tally.valid for tally in tallies),
                "fits": sum(tally.fits for tally in tallies),
                "right": sum(tally.right for tally in tallies),
                "tokens": sum(tally.tokens for tally in tallies),
                "tasks_solved": sum(tally.right > 0 for tally in tallies),
                "tasks_solved_so_far": len(ever),
                "distinct_right": sum(tally.distinct_right for tally in tallies),
                "distinct_programs": diversity.distinct_programs,
                "distinct_outputs": diversity.distinct_signatures,
                "entropy": diversity.entropy,
                "relative_entropy": diversity.relative_entropy,
                "relabelled": relabelled["relabelled"],
                "train_samples": trained.get("samples", 0),
                "train_kinds": trained.get("kinds", {}),
                "loss": trained.get("loss"),
                "evaluation": {
                    name: {
                        "tasks": after[name].aggregates["tasks"],
                        "solved_before": before[name].aggregates["solved"],
                        "solved_after": after[name].aggregates["solved"],
                        "pass@1_before": before[name].aggregates["pass@1"],
                        "pass@1_after": after[name].aggregates["pass@1"],
                    }
                    for name in after
                },
                "seconds_sampling": sampled["seconds"],
                "seconds_training": trained.get("seconds", 0.0),
                "seconds": sampled["seconds"] + relabelled["seconds"] + trained.get("seconds", 0.0),
            }
        )
        lines = "".join(json.dumps(row) + "\n" for row in self.figures)
        temporary = self.job.directory.path / ".rounds.jsonl.tmp"
        temporary.write_text(lines)
        temporary.rename(self.job.directory.path / "rounds.jsonl")
        # As wide as it is, even where that is wider than the terminal: half of a number says nothing
        console = Console(quiet=self.job.console.quiet, highlight=False, width=_TABLE_WIDTH)
        console.print(rounds_table(self.figures))

    # --- Files ---

    def _prepare(self) -> list[Prompted]:
        """Write the prompts, the longest first, so that memory fails early and neighbours are as long."""
        args = self.job.settings.tasks
        training = {task.content_hash: task for task in self.job.tasks.train}
        rows = self.job.formatter.dataset(training.values(), hidden_pairs=args.hidden_pairs, seed=args.task_seed)
        by_id = {task.task_id: task for task in training.values()}
        prompted = []
        for row in rows.dataset:
            task = by_id[row["task_id"]]
            known = [pair["output"] is not None for pair in row["test"]]
            pairs = zip(task.test, known, strict=True)
            judged = tuple(pair if is_known else Pair(pair.input, None) for pair, is_known in pairs)
            ids = encode_prompt(self.job.tokenizer, row["prompt"])
            prompted.append(Prompted(_with_test(task, judged), row["prompt"], ids))
        prompted.sort(key=lambda entry: (-len(entry.ids), entry.task.content_hash))
        return prompted[:2] if args.dry_run else prompted

    def _folder_of(self, number: int) -> Path | None:
        """Where the policy is that samples in a round; None for the one that the run began with."""
        return self.folder / str(number - 1) / "policy" if number and self.rounds.learn else None

    def _policy(self, number: int) -> CodeLLM:
        """The policy that samples in a round."""
        place = self._folder_of(number)
        if self._loaded is None or self._loaded[0] != place:
            self._loaded = None
            self._loaded = place, self.job.load_policy(place)
        return self._loaded[1]

    def _tallies(self, number: int) -> list[Tally]:
        plain = json.loads((self.folder / str(number) / "sampled.json").read_text())
        return [Tally.read(tally) for tally in plain["tallies"]]

    def _write(self, file: Path, value: Any) -> None:
        self.job.directory.write_json(str(file.relative_to(self.job.directory.path)), value)

    def _check_identity(self, settings: SelfPlaySettings) -> None:
        """Refuse to go on with another run's rounds."""
        common = self.job.settings
        parts = (*settings, common.tasks, common.evaluation, common.model, common.freezing)
        plain = {name: value for part in parts for name, value in asdict(part).items()} | common.training.to_dict()
        plain = {name: value for name, value in plain.items() if name not in _FREE and not name.startswith("hub_")}
        plain["train_hash"], plain["evaluation_hash"] = dataset_hash(self.job.tasks.train), dataset_hash(self.secret)
        plain = json.loads(json.dumps(plain, default=str))
        file = self.folder / "settings.json"
        if file.is_file():
            known = json.loads(file.read_text())
            different = sorted(name for name in {*known, *plain} if known.get(name) != plain.get(name))
            if different:
                raise ConfigError(
                    f"{self.job.directory.path} holds a run with another value of {', '.join(different)}. Go on with "
                    "the settings in its config.yaml, or choose another `output_dir`."
                )
        else:
            self._write(file, plain)


def _with_test(task: Task, test: Sequence[Pair]) -> Task:
    return (
        task
        if tuple(test) == task.test
        else Task(task.task_id, task.train, tuple(test), task.source, task.family, task.program)
    )


def rounds_table(figures: Sequence[Mapping[str, Any]]) -> Table:
    """Lay the figures of rounds out, a line each.

    Args:
        figures: As in `rounds.jsonl`.
    """
    table = Table(title="Self-play", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    sets = list(figures[-1]["evaluation"])
    headings = ("round", "sampled", "valid", "fits", "right", "tasks", "so far", "distinct", "entropy", "relabelled")
    for heading in (*headings, "learned", "loss", *sets, "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in figures:
        shares = [f"{row[name] / row['sampled']:.1%}" for name in ("valid", "fits", "right")]
        solved = [row["evaluation"][name] for name in sets]
        table.add_row(
            *(str(row["round"]), str(row["sampled"]), *shares),
            f"{row['tasks_solved']}/{row['tasks']}",
            *(str(row["tasks_solved_so_far"]), str(row["distinct_right"])),
            "" if row["relative_entropy"] is None else f"{row['relative_entropy']:.3f}",
            *(str(row["relabelled"]), str(row["train_samples"])),
            "" if row["loss"] is None else f"{row['loss']:.3f}",
            *(f"{found['solved_before']} → {found['solved_after']} of {found['tasks']}" for found in solved),
            f"{row['seconds']:.0f}",
        )
    return table


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
