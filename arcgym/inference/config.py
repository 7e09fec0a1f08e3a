"""Settings of a search: with which strategies programs are sampled, in which rounds, and when it is enough.

A schedule is a list of stages, each a strategy with its settings and its share of the samples. `plan` turns it into
what is drawn for one task, round by round, before anything is drawn: so the same settings give the same programs,
whatever happens to be generated together.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, get_args

from arcgym.data.augmentation import ColourChange
from arcgym.errors import ConfigError
from arcgym.models.sampling import SamplingConfig

Strategy = Literal["greedy", "sample", "beam", "diverse_beam"]
BackendName = Literal["rollout", "continuous", "server"]

_SAMPLED = ("temperature", "top_p", "top_k", "min_p")
_SETTINGS: dict[str, tuple[str, ...]] = {
    "greedy": (),
    "sample": _SAMPLED,
    "beam": (),
    "diverse_beam": ("groups", "penalty"),
}


@dataclass(frozen=True)
class Stage:
    """One strategy of a schedule.

    Args:
        strategy: `greedy`, the most probable token each time; `sample`, tokens drawn at random; `beam`, the most
            probable completions that beam search finds; `diverse_beam`, the same in groups that avoid each other's
            tokens.
        share: Weight in the division of the samples, above 0. Greedy stages have none: they give one program per view.
        temperature: Of `sample`: divides the logits, above 0.
        top_p: Of `sample`: probability of the smallest set of tokens to draw from, in (0, 1].
        top_k: Of `sample`: how many tokens to draw from; 0 for all.
        min_p: Of `sample`: least probability of a token relative to the most probable one, in [0, 1].
        groups: Of `diverse_beam`: number of groups, 2 or more.
        penalty: Of `diverse_beam`: what a token loses per beam of an earlier group that has chosen it at the same
            place, in nats; above 0.

    Raises:
        ConfigError: A setting is out of range.

    Reference:
        Vijayakumar et al. (2018), Diverse Beam Search, section 3.
    """

    strategy: Strategy = "sample"
    share: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    groups: int = 2
    penalty: float = 0.5

    def __post_init__(self) -> None:
        if self.strategy not in _SETTINGS:
            raise ConfigError(f"There is no strategy {self.strategy!r}. Use one of {', '.join(_SETTINGS)}.")
        problems = []
        if not (math.isfinite(self.share) and self.share > 0):
            problems.append(f"`share` is {self.share}, but must be above 0")
        if self.groups < 2:
            problems.append(f"`groups` is {self.groups}, but must be 2 or more")
        if not (math.isfinite(self.penalty) and self.penalty > 0):
            problems.append(f"`penalty` is {self.penalty}, but must be above 0")
        if self.strategy == "sample" and self.temperature == 0:
            problems.append("`temperature` is 0; use the strategy `greedy`")
        if problems:
            raise ConfigError("; ".join(problems) + f", in the stage `{self.strategy}`.")
        self.sampling(SamplingConfig())  # whose own checks are those of the other settings

    @classmethod
    def parse(cls, text: str) -> "Stage":
        """Read a stage such as `greedy`, `beam:0.25` or `sample:0.75,temperature=0.7,top_p=0.95`.

        Args:
            text: Strategy, share behind a colon, settings behind commas.

        Raises:
            ConfigError: It has another form, or a setting that the strategy does not have.
        """
        first, *rest = text.replace(" ", "").split(",")
        strategy, colon, share = first.partition(":")
        if strategy not in _SETTINGS:
            raise ConfigError(f"{text!r} names no strategy. Begin with one of {', '.join(_SETTINGS)}.")
        words = {"share": share} if colon else {}
        for word in rest:
            name, _, value = word.partition("=")
            if name not in _SETTINGS[strategy]:
                known = ", ".join(_SETTINGS[strategy]) or "none"
                raise ConfigError(f"{name!r} in {text!r} is not a setting of `{strategy}`, which has {known}.")
            words[name] = value
        if strategy == "greedy" and colon:
            raise ConfigError(f"{text!r} has a share, but `greedy` gives one program per view. Leave the share out.")
        types = {entry.name: entry.type for entry in fields(cls)}
        try:
            values: dict[str, Any] = {
                name: int(value) if types[name] is int else float(value) for name, value in words.items()
            }
        except ValueError as exc:
            raise ConfigError(f"{text!r} has a setting that is no number: {exc}.") from exc
        return cls(strategy, **values)  # type: ignore[arg-type]  # checked above

    def sampling(self, base: SamplingConfig) -> SamplingConfig:
        """Return how this stage samples.

        Args:
            base: Seed, length and batch size are taken from it.

        Raises:
            ConfigError: A setting is out of range.
        """
        return SamplingConfig(
            1,
            0.0 if self.strategy == "greedy" else self.temperature,
            self.top_p,
            base.max_new_tokens,
            base.batch_size,
            base.seed,
            self.top_k,
            self.min_p,
        )


@dataclass(frozen=True)
class SearchConfig:
    """How a task is searched for programs, beyond independent samples."""

    schedule: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Stages that share `num_samples`, such as `greedy` `beam:0.25` "
            "`sample:0.75,temperature=0.7,top_p=0.95`; `diverse_beam` has groups and penalty. Unset for samples with "
            "`temperature`, `top_p`, `top_k`, `min_p`, which a schedule's stages do not use."
        },
    )
    round_size: int = field(
        default=0,
        metadata={"help": "Programs of each task between two looks at what was found; 0 for all at once."},
    )
    stop_agreeing: int = field(
        default=0,
        metadata={
            "help": "A task is finished when so many distinct programs fit all its demonstrations and agree on all "
            "its test outputs; needs `round_size`. 0 for never."
        },
    )
    views: int = field(
        default=1,
        metadata={"help": "Views of each task that share its samples: itself, turned, mirrored and recoloured ones."},
    )
    view_colours: ColourChange = field(
        default="keep_zero", metadata={"help": "Colours that views permute: `all`, all but 0, or `none`."}
    )
    view_pair_order: bool = field(
        default=False, metadata={"help": "Views also show their demonstrations in another order."}
    )
    repair_rounds: int = field(
        default=0,
        metadata={
            "help": "Rounds in which programs that fail go back to the policy with what they did, where none fits all "
            "demonstrations. For models that can follow instructions; they come on top of `num_samples`."
        },
    )
    repair_size: int = field(default=4, metadata={"help": "Programs of each task that a round of repair asks for."})
    repair_greed: float = field(
        default=20.0,
        metadata={"help": "How firmly repair prefers programs that pass many demonstrations; 0 for not at all."},
    )
    task_tokens: int = field(
        default=0, metadata={"help": "Most tokens generated for a task, never exceeded; 0 for no limit."}
    )
    task_seconds: float = field(
        default=0.0,
        metadata={
            "help": "Seconds after which a task gets no further round, its share of what tasks take together; 0 for "
            "no limit. With a limit in seconds the answers depend on the machine."
        },
    )
    time_budget: float = field(
        default=0.0,
        metadata={"help": "Seconds after which nothing more is begun, for all tasks together; 0 for no limit."},
    )

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` is {getattr(self, name)}, but must be {least} or more"
            for names, least in ((_COUNTS, 0), (("views", "repair_size"), 1))
            for name in names
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= least)
        ]
        if self.view_colours not in get_args(ColourChange):
            problems.append(f"`view_colours` is {self.view_colours!r}, but must be `none`, `keep_zero` or `all`")
        if self.stop_agreeing and not self.round_size:
            problems.append("`stop_agreeing` needs rounds to stop between; set `round_size`")
        if problems:
            raise ConfigError("; ".join(problems) + ".")
        self.stages(SamplingConfig())

    def stages(self, sampling: SamplingConfig) -> tuple[Stage, ...]:
        """Return the schedule's stages; without one, the one that `sampling` describes.

        Raises:
            ConfigError: A stage is malformed.
        """
        if self.schedule:
            return tuple(map(Stage.parse, self.schedule))
        if sampling.temperature == 0:
            return (Stage("greedy"),)
        return (Stage("sample", **{name: getattr(sampling, name) for name in _SAMPLED}),)


_COUNTS = (
    *("round_size", "stop_agreeing", "repair_rounds", "repair_greed", "task_tokens", "task_seconds", "time_budget"),
)


class Draw(NamedTuple):
    """Completions of one prompt that one stage generates.

    Args:
        stage: Index of the stage; `REPAIR` for repairs.
        view: Index of the view.
        first: Number of the first of them, among those of this stage and view.
        num: How many.
        parent: Source of the program that is repaired; empty for none.
        is_whole: Whether they come together or not at all, as beams do.
    """

    stage: int
    view: int
    first: int
    num: int
    parent: str = ""
    is_whole: bool = False


REPAIR = -1


def plan(stages: Sequence[Stage], num_views: int, num_samples: int, round_size: int) -> list[list[Draw]]:
    """Divide the samples of a task over stages, views and rounds.

    Greedy stages give one program per view. The others divide the rest by their shares, and each its part evenly over
    the views. Greedy programs and beams, which are not divided, come in the first round; samples follow, the stages
    in turns.

    Args:
        stages: At least one.
        num_views: 1 or more.
        num_samples: Of all stages together, 1 or more.
        round_size: Most samples in a round, as far as beams allow it; 0 for all in one.

    Returns:
        Per round what is drawn.

    Raises:
        ConfigError: There are fewer samples than the greedy stages take.
    """
    num_greedy = num_views * sum(stage.strategy == "greedy" for stage in stages)
    if num_greedy > num_samples:
        raise ConfigError(
            f"`num_samples` is {num_samples}, but the greedy stages of the schedule take {num_greedy}, one per view. "
            "Raise it, or lower `views`."
        )
    counts = _divide(num_samples - num_greedy, [0 if s.strategy == "greedy" else s.share for s in stages])
    whole: list[Draw] = []
    turns: list[tuple[float, int, int]] = []  # when in the sequence, stage, view
    for index, (stage, count) in enumerate(zip(stages, counts, strict=True)):
        if stage.strategy == "sample":
            turns += [((place + 0.5) / count, index, place % num_views) for place in range(count)]
            continue
        widths = [1] * num_views if stage.strategy == "greedy" else _divide(count, [1.0] * num_views)
        whole += [Draw(index, view, 0, width, is_whole=True) for view, width in enumerate(widths) if width]
    size = round_size or num_samples
    room = max(0, size - sum(draw.num for draw in whole))
    rest = [(index, view) for _, index, view in sorted(turns)]
    parts = [rest[:room], *(rest[start : start + size] for start in range(room, len(rest), size))]
    begun: Counter[tuple[int, int]] = Counter()
    rounds = []
    for number, part in enumerate(parts):
        wanted = Counter(part)
        draws = [Draw(*place, begun[place], count) for place, count in sorted(wanted.items())]
        begun += wanted
        rounds.append(whole + draws if number == 0 else draws)
    return [draws for draws in rounds if draws]


def _divide(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a number into whole parts in proportion to weights; the largest remainders get one more."""
    if not sum(weights):
        return [0] * len(weights)
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


@dataclass
class SolveArguments:
    """What is solved, by which policy, and where the answers go."""

    tasks: str = field(
        metadata={
            "help": "Kaggle's `*_challenges.json`, any other file or folder of tasks, or a set as `source/split` or "
            "`source/split:n` for n tasks of it."
        }
    )
    output: str = field(default="submission.json", metadata={"help": "The submission to write."})
    run_dir: str = field(
        default="runs/solve",
        metadata={
            "help": "Folder for `programs.jsonl`, from which a run that was stopped goes on, and for `report.json`."
        },
    )
    model_name_or_path: str = field(
        default="arcgym-tiny", metadata={"help": "`arcgym-tiny`, the folder of a run or checkpoint, or a Hub name."}
    )
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(
        default="float32", metadata={"help": "Type of the weights; `auto` for that of the files."}
    )
    quantization: Literal["4bit", "4bit-double", "8bit"] | None = field(
        default=None, metadata={"help": "Load the weights quantized with bitsandbytes; unset for not."}
    )
    backend: BackendName = field(
        default="rollout",
        metadata={
            "help": "What generates: arcgym's `rollout`, transformers' `continuous` batching, or a vLLM `server`."
        },
    )
    server_url: str = field(
        default="http://localhost:8000", metadata={"help": "Address of the server, with `backend: server`."}
    )
    server_timeout_s: float = field(
        default=600.0, metadata={"help": "Seconds that one request to the server may take."}
    )
    max_prompt_tokens: int = field(default=768, metadata={"help": "Longest prompt, in tokens."})
    prompt_encoding: Literal["digits", "spaced", "numpy", "ascii", "sparse", "words", "runs", "auto"] = field(
        default="digits", metadata={"help": "How grids are written. arcgym-tiny knows `digits` alone."}
    )
    prompt_style: Literal["auto", "plain", "chat"] = field(
        default="auto", metadata={"help": "`plain` text, `chat` messages, or `auto`: chat if the tokenizer can."}
    )
    prompt_template: str | None = field(default=None, metadata={"help": "Jinja file to write prompts with."})
    dry_run: bool = field(
        default=False,
        metadata={"help": "Check everything, show the plan, one prompt and one program, and write nothing."},
    )
