"""Prompts: a task as text for a policy, within a budget of tokens, and the way back from text to grids.

Templates say what a prompt looks like. The plain one is what the default policy is trained on: headers, rows of digits
and nothing else. The chat one puts the same body below an instruction, for instruction-tuned models. A user's own
template takes the place of either. No template is given the output of a test pair.

A prompt that is longer than the budget is shortened in this order, one step at a time and no further than needed:

1. solved examples are left out, the last one first;
2. of the primitives their descriptions, then their parameters, then their names are left out;
3. with `encoding="auto"`, the next of `AUTO_ENCODINGS` is taken that makes this prompt shorter;
4. demonstrations are left out, the last one first, but one.

A grid is never cut. `FormattedPrompt.concessions` says what was done.

A reward needs pairs that the prompt does not show, since what it shows can be copied into a program: test pairs, or a
demonstration that is held out. `TaskFormatter.dataset` chooses them.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

import numpy as np

from arcgym.data.contamination import overlap
from arcgym.data.encodings import COLOUR_WORDS, ENCODINGS, with_size
from arcgym.data.prompt_parts import (
    TEMPLATES,
    TemplateFile,
    choose_examples,
    describe_primitives,
    gives_away,
)
from arcgym.data.tasks import Pair, Task
from arcgym.errors import ConfigError, TaskError
from arcgym.grids import Grid, as_grid

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

Prompt = str | list[dict[str, str]]

HiddenPairs: TypeAlias = Literal["test", "leave_one_out", "both"]
EncodingName: TypeAlias = Literal["digits", "spaced", "numpy", "ascii", "sparse", "words", "runs", "auto"]
PrimitivesLevel: TypeAlias = Literal["none", "names", "signatures", "docs"]

ENCODING_NAMES: tuple[str, ...] = get_args(EncodingName)
STYLES = ("plain", "chat")
HIDDEN_PAIRS: tuple[str, ...] = get_args(HiddenPairs)
PRIMITIVES_LEVELS: tuple[PrimitivesLevel, ...] = get_args(PrimitivesLevel)  # each says less than the next
# From the easiest to read for most tokenizers to the most compact for most grids. What is text in several of them is
# the same grid in all of these.
AUTO_ENCODINGS = ("spaced", "digits", "runs", "sparse")

_ROLES = ("system", "user", "assistant")
_SIZED_ENCODINGS = {name: with_size(encoding) for name, encoding in ENCODINGS.items()}


class Tokenizer(Protocol):
    """What the formatter needs of a Hugging Face tokenizer."""

    chat_template: Any

    def __call__(self, text: str) -> Any:
        """Return a mapping with `input_ids`."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return the token ids of a conversation."""


class Concession(NamedTuple):
    """What a prompt has less of than was wanted, to fit into the budget.

    Attributes:
        what: `few_shot`, `primitives`, `encoding` or `demonstrations`.
        wanted: What the prompt would have had: a number, a level or the name of an encoding.
        given: And what it has.
    """

    what: str
    wanted: int | str
    given: int | str


@dataclass(frozen=True)
class FormattedPrompt:
    """A task as a prompt.

    Args:
        prompt: the text (plain), or the messages (chat).
        num_tokens: length in tokens as the policy will see it; `None` without a tokenizer.
        shown: indices of the train pairs that the prompt shows, ascending.
        encoding: how grids are written in it; never `"auto"`.
        concessions: what the budget made the formatter leave out or change, in the order in which it was done.
    """

    prompt: Prompt
    num_tokens: int | None
    shown: tuple[int, ...]
    encoding: str
    concessions: tuple[Concession, ...] = ()


class DroppedTask(NamedTuple):
    """A task that did not fit into the budget, and why."""

    task_id: str
    reason: str


class PromptDataset(NamedTuple):
    """The prompts of many tasks, and the tasks that have none."""

    dataset: "datasets.Dataset"
    dropped: list[DroppedTask]


class TokenUse(NamedTuple):
    """How many tokens whole prompts take in one encoding.

    Attributes:
        encoding: Its name.
        tasks: Number of tasks.
        median: Tokens per prompt.
        p90: Tokens that nine of ten prompts do not exceed.
        fits: Share of the tasks whose prompt fits into the budget without any concession; `None` without a budget.
    """

    encoding: str
    tasks: int
    median: float
    p90: float
    fits: float | None


class _Content(NamedTuple):
    """What goes into a prompt beside the task's questions; its fields in the order in which they are given up."""

    few_shot: int
    primitives: str
    encoding: str
    demonstrations: int


class TaskFormatter:
    """Turn tasks into prompts.

    Args:
        encoding: how a grid is written; one of `arcgym.data.encodings.ENCODINGS`, or `"auto"`: the first of
            `AUTO_ENCODINGS`, or one further down where the budget asks for it.
        style: `"plain"` for a completion model, `"chat"` for an instruction-tuned one.
        tokenizer: the policy's tokenizer, to count tokens with.
        budget: longest allowed prompt in tokens; needs a tokenizer. `None`: any length.
        size_headers: put a line with the size above each grid, such as `3x4`.
        template: a Jinja file to write prompts with instead of arcgym's for this style; `docs/tasks.md` says what it
            is given.
        few_shot: solved tasks, with their programs, that the prompt shows before the task: so many small synthetic
            ones, at most 16, always the same; or these. One that might give the answer away is passed
            over: one that shares an input grid, a family or the program with the task, or is a copy or part of it
            as `arcgym.data.contamination` sees it.
        show_primitives: what the prompt says of `arcgym.primitives`: nothing, `"names"`, `"signatures"`, or `"docs"`,
            which are signatures with a line of description.

    Raises:
        ConfigError: an argument is unknown or out of range, or contradicts another; or the template is not one, or
            leaves out what it is to show.
    """

    def __init__(
        self,
        encoding: str = "digits",
        style: str = "plain",
        tokenizer: Tokenizer | None = None,
        budget: int | None = None,
        *,
        size_headers: bool = False,
        template: str | Path | None = None,
        few_shot: int | Sequence[Task] = 0,
        show_primitives: str = "none",
    ):
        _check_choice("encoding", encoding, ENCODING_NAMES)
        _check_choice("style", style, STYLES)
        _check_choice("show_primitives", show_primitives, PRIMITIVES_LEVELS)
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
            raise ConfigError(f"`budget` is {budget!r}, but it counts tokens. Use an integer of 1 or more, or None.")
        if budget is not None and tokenizer is None:
            raise ConfigError("`budget` counts tokens, but there is no `tokenizer`. Pass the policy's tokenizer.")
        if style == "chat" and tokenizer is not None and not tokenizer.chat_template:
            raise ConfigError(
                "`style` is 'chat', but the tokenizer has no chat template. Use `style='plain'`, or the tokenizer of "
                "an instruction-tuned model, or set `tokenizer.chat_template`."
            )
        if encoding == "auto" and budget is None:
            raise ConfigError(
                f"`encoding` is 'auto', which is chosen by `budget`, but there is none. Set one, or use "
                f"{AUTO_ENCODINGS[0]!r}."
            )
        self.encoding = encoding
        self.style = style
        self.tokenizer = tokenizer
        self.budget = budget
        self.size_headers = size_headers
        self.show_primitives = show_primitives
        self._examples, self._num_examples = choose_examples(few_shot)
        self._template = TemplateFile.at(TEMPLATES / f"{style}.jinja" if template is None else Path(template))
        if template is not None:
            self._check_template()

    def format(self, task: Task, held_out: int | None = None) -> FormattedPrompt:
        """Write the prompt of a task, with as few concessions to the budget as possible.

        Args:
            task: Any task.
            held_out: Index of a demonstration to leave out, so that programs can be tried on it; `None`: none.

        Raises:
            TaskError: not even one demonstration fits into the budget.
            ConfigError: the template fails on this task.
            ValueError: there is no demonstration `held_out`, or no other.
        """
        indices = [index for index in range(len(task.train)) if index != held_out]
        if not indices or (held_out is not None and len(indices) == len(task.train)):
            raise ValueError(
                f"demonstration {held_out} of task {task.task_id!r} cannot be held out: it has {len(task.train)}, "
                "counted from 0, and one must be left to show"
            )
        for draft in self._drafts(task, indices):
            if self.budget is None or (draft.num_tokens or 0) <= self.budget:
                return draft
        raise TaskError(
            f"task {task.task_id!r} takes {draft.num_tokens} tokens with a single demonstration, but the budget is "
            f"{self.budget}. Raise the budget or leave the task out."
        )

    def format_grid(self, grid: Grid) -> str:
        """Write a grid; the text ends with a line feed. With `encoding="auto"`: as where the budget is no matter."""
        return self._write(grid, self._preferred)

    def parse_grid(self, text: str) -> Grid:
        """Read a grid back; the inverse of `format_grid`. The last line feed may be missing.

        With `encoding="auto"` a grid may be written in any of `AUTO_ENCODINGS`.

        Raises:
            TaskError: the text is not exactly one grid; the message says where.
        """
        encodings = _SIZED_ENCODINGS if self.size_headers else ENCODINGS
        if self.encoding != "auto":
            return encodings[self.encoding].parse(text)
        problems = []
        for name in AUTO_ENCODINGS:
            try:
                return encodings[name].parse(text)
            except TaskError as exc:
                problems.append(f"as {name}: {str(exc).removeprefix('not a grid: ')}")
        raise TaskError("not a grid: " + " ".join(problems))

    def token_use(self, tasks: Sequence[Task], encodings: Iterable[str] = tuple(ENCODINGS)) -> list[TokenUse]:
        """Count the tokens of whole prompts, without concessions, in several encodings.

        Args:
            tasks: At least one.
            encodings: Names of `arcgym.data.encodings.ENCODINGS`.

        Returns:
            For each encoding, in order, what this formatter's prompts would take in it.

        Raises:
            ConfigError: There is no tokenizer to count with, no such encoding, or no task.
        """
        if self.tokenizer is None:
            raise ConfigError("Tokens cannot be counted without a `tokenizer`. Pass the policy's tokenizer.")
        if not tasks:
            raise ConfigError("There is no task whose tokens could be counted. Name a set that holds some.")
        uses = []
        for name in encodings:
            _check_choice("encodings", name, tuple(ENCODINGS))
            counts = [
                draft.num_tokens or 0
                for task in tasks
                for draft in (next(self._drafts(task, range(len(task.train)), name)),)
            ]
            median, p90 = np.percentile(counts, (50, 90))
            fits = None if self.budget is None else sum(count <= self.budget for count in counts) / len(counts)
            uses.append(TokenUse(name, len(tasks), float(median), float(p90), fits))
        return uses

    def dataset(self, tasks: Iterable[Task], *, hidden_pairs: HiddenPairs = "test", seed: int = 0) -> PromptDataset:
        """Format many tasks into a dataset that a TRL trainer takes as it is.

        Columns: `prompt`, `task_id`, `source`, `family`, `train`, `test` (lists of `{"input": rows, "output": rows}`,
        the output null where it is not known or not to be used) and `shown` (indices of the train pairs in the
        prompt). What is not shown is what rewards count as hidden: test pairs, a demonstration that is held out, and
        those that the budget leaves out.

        Args:
            tasks: Any number.
            hidden_pairs: `"test"`: the test pairs. `"leave_one_out"`: one demonstration, and the test outputs are not
                used. `"both"`: one demonstration and the test pairs. A task without known test outputs has a
                demonstration held out in any case, and one with a single demonstration keeps its test pairs. Where
                the budget leaves a demonstration out, no other is held out.
            seed: Which demonstration it is depends on this and on the task alone.

        Returns:
            The dataset in the order of the tasks, and the tasks that do not fit into the budget, which it leaves out.

        Raises:
            ConfigError: There is no such choice of hidden pairs.
        """
        _check_choice("hidden_pairs", hidden_pairs, HIDDEN_PAIRS)
        import datasets

        from arcgym.data.builder import PAIRS_FEATURE, task_row

        message = {"role": datasets.Value("string"), "content": datasets.Value("string")}
        features = datasets.Features(
            {
                "prompt": datasets.List(message) if self.style == "chat" else datasets.Value("string"),
                "task_id": datasets.Value("string"),
                "source": datasets.Value("string"),
                "family": datasets.Value("string"),
                "train": PAIRS_FEATURE,
                "test": PAIRS_FEATURE,
                "shown": datasets.List(datasets.Value("int32")),
            }
        )
        columns: dict[str, list[Any]] = {name: [] for name in features}
        dropped: list[DroppedTask] = []
        without_hidden: list[str] = []
        concessions: Counter[str] = Counter()
        for task in tasks:
            try:
                formatted = self._format_for_rewards(task, hidden_pairs, seed)
            except TaskError as exc:
                dropped.append(DroppedTask(task.task_id, str(exc)))
                continue
            concessions.update(concession.what for concession in formatted.concessions)
            row = {"prompt": formatted.prompt, "shown": list(formatted.shown), **task_row(task)}
            holds_out = len(formatted.shown) < len(task.train)
            if holds_out and hidden_pairs == "leave_one_out":
                row["test"] = [{**pair, "output": None} for pair in row["test"]]
            elif not holds_out and not _has_answers(task):
                without_hidden.append(task.task_id)
            for name, values in columns.items():
                values.append(row[name])
        if without_hidden:
            logger.warning(
                "Tasks without a known test output or a second demonstration: %d. Programs can hard-code all that "
                "they are rewarded for: %s.",
                len(without_hidden),
                ", ".join(without_hidden[:10]),
            )
        dataset = datasets.Dataset.from_dict(columns, features=features)
        if dropped:
            logger.info("%d of %d tasks do not fit into the budget", len(dropped), len(dropped) + len(dataset))
        if concessions:
            listed = ", ".join(f"{what} in {count}" for what, count in concessions.items())
            logger.info("Conceded to the budget, of %d prompts: %s", len(dataset), listed)
        return PromptDataset(dataset, dropped)

    def _format_for_rewards(self, task: Task, hidden_pairs: HiddenPairs, seed: int) -> FormattedPrompt:
        """Write the prompt with a demonstration held out where that is wanted or the task has no other hidden pair."""
        formatted = self.format(task)
        is_wanted = hidden_pairs != "test" or not _has_answers(task)
        if not is_wanted or len(formatted.shown) < len(task.train) or len(task.train) == 1:
            return formatted
        digest = hashlib.sha256(f"{seed}:{task.content_hash}".encode()).digest()
        return self.format(task, int.from_bytes(digest[:8]) % len(task.train))

    def _drafts(self, task: Task, indices: Sequence[int], encoding: str | None = None) -> Iterator[FormattedPrompt]:
        """Write the prompt as it is wanted, then with ever more concessions, in the order that the module states."""
        examples = self._examples_for(task)
        wanted = _Content(len(examples), self.show_primitives, encoding or self._preferred, len(indices))

        def draft(content: _Content) -> FormattedPrompt:
            shown = indices[: content.demonstrations]
            prompt = self._render(task, shown, examples[: content.few_shot], content)
            num_tokens = None if self.tokenizer is None else self._count_tokens(prompt, self.tokenizer)
            given = content._asdict()
            concessions = tuple(
                Concession(what, value, given[what])
                for what, value in wanted._asdict().items()
                if value != given[what]
            )
            return FormattedPrompt(prompt, num_tokens, tuple(shown), content.encoding, concessions)

        content = wanted
        shortest = draft(content)
        yield shortest
        for few_shot in reversed(range(len(examples))):
            content = content._replace(few_shot=few_shot)
            yield (shortest := draft(content))
        for level in reversed(PRIMITIVES_LEVELS[: PRIMITIVES_LEVELS.index(self.show_primitives)]):
            content = content._replace(primitives=level)
            yield (shortest := draft(content))
        for name in AUTO_ENCODINGS[1:] if self.encoding == "auto" else ():
            other = draft(content._replace(encoding=name))
            if (other.num_tokens or 0) < (shortest.num_tokens or 0):
                yield (shortest := other)
        content = content._replace(encoding=shortest.encoding)
        for count in reversed(range(1, len(indices))):
            yield draft(content._replace(demonstrations=count))

    def _examples_for(self, task: Task) -> list[Task]:
        """The first solved tasks that give nothing of this task away; its test outputs are not looked at."""
        if not self._examples:
            return []
        asked = Task("task", task.train, tuple(Pair(pair.input, None) for pair in task.test))
        chosen: list[Task] = []
        for example in self._examples:
            if len(chosen) == self._num_examples:
                break
            if not gives_away(example, task) and not overlap([example], [asked]):
                chosen.append(example)
        return chosen

    @property
    def _preferred(self) -> str:
        return AUTO_ENCODINGS[0] if self.encoding == "auto" else self.encoding

    def _write(self, grid: Grid, encoding: str) -> str:
        return (_SIZED_ENCODINGS if self.size_headers else ENCODINGS)[encoding].write(grid)

    def _render(self, task: Task, shown: Sequence[int], examples: Sequence[Task], content: _Content) -> Prompt:
        def write(grid: Grid) -> str:
            return self._write(grid, content.encoding).removesuffix("\n")

        def grids_of(some: Task, indices: Iterable[int]) -> dict[str, Any]:
            demonstrations = []
            for pair in (some.train[index] for index in indices):
                assert pair.output is not None  # a Task guarantees it
                demonstrations.append({"input": write(pair.input), "output": write(pair.output)})
            return {"train": demonstrations, "test": [write(pair.input) for pair in some.test]}

        solved = [
            {**grids_of(example, range(len(example.train))), "program": example.program.removesuffix("\n")}
            for example in examples
        ]
        messages: list[dict[str, str]] = []

        def message(role: str, caller: Callable[[], str]) -> str:
            if role not in _ROLES:
                raise ValueError(f"a message has one of the roles {', '.join(_ROLES)}, not {role!r}")
            messages.append({"role": role, "content": caller()})
            return ""

        variables = {
            "task": grids_of(task, shown),
            "examples": solved,
            "primitives": describe_primitives(content.primitives),
            "encoding": content.encoding,
            "size_headers": self.size_headers,
            "colour_words": COLOUR_WORDS,
            "message": message,
        }
        text = self._template.render(variables)
        if self.style == "plain" and messages:
            raise ConfigError(f"The template {self._template.path} writes messages. Use `style='chat'` with it.")
        if self.style == "chat" and text.strip():
            raise ConfigError(
                f"The template {self._template.path} has {text.strip()[:60]!r} outside of messages, where it would be "
                "lost. Write it between {% call message(\"user\") %} and {% endcall %}, or use `style='plain'`."
            )
        return messages if self.style == "chat" else text

    def _check_template(self) -> None:
        """Try the user's template on a task whose every grid is different, and look whether all of it is there."""
        grids = [as_grid([[*map(int, str(number))]]) for number in range(10_203, 70_000, 11_111)]
        train = (Pair(grids[0], grids[1]), Pair(grids[2], grids[3]))
        task = Task("probe", train, (Pair(grids[4], None), Pair(grids[5], None)))
        examples = self._examples_for(task)
        content = _Content(len(examples), self.show_primitives, self._preferred, len(train))
        prompt = self._render(task, range(len(train)), examples, content)
        if isinstance(prompt, str):
            text = prompt
        elif prompt and prompt[-1]["role"] == "user":
            text = "\n".join(message["content"] for message in prompt)
        else:
            raise ConfigError(
                f"The template {self._template.path} does not end with a message of the user, which `style='chat'` "
                'needs. Write it between {% call message("user") %} and {% endcall %}.'
            )
        parts: dict[str, Sequence[Grid | str]] = {
            "`pair.input` or `pair.output` of `task.train`": grids[:4],
            "`task.test`": grids[4:],
            "`examples`, which `few_shot` asks for": [example.program for example in examples],
            "`primitives`, which `show_primitives` asks for": [describe_primitives(self.show_primitives)],
        }
        for what, wanted in parts.items():
            written = [part if isinstance(part, str) else self._write(part, self._preferred) for part in wanted]
            if not all(line in text for part in written for line in part.splitlines()):
                raise ConfigError(
                    f"The template {self._template.path} leaves out {what}. Compare it with "
                    f"{TEMPLATES / self.style}.jinja."
                )

    def _count_tokens(self, prompt: Prompt, tokenizer: Tokenizer) -> int:
        """Count as the trainer and the solver do: with the special tokens, and the header of the assistant's turn."""
        if isinstance(prompt, str):
            return len(tokenizer(prompt)["input_ids"])
        encoded = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
        return len(encoded["input_ids"])


def _has_answers(task: Task) -> bool:
    return any(pair.output is not None for pair in task.test)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value in choices:
        return
    close = get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ConfigError(f"`{name}` is {value!r}, but it must be one of {', '.join(map(repr, choices))}.{hint}")
