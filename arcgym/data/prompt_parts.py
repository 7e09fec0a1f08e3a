"""What a prompt is made of beside the grids of its task: the template, solved examples, and a list of primitives.

Templates are Jinja files. `TEMPLATES` holds arcgym's own, which a user's may include, extend or import from as
`arcgym/plain.jinja`, `arcgym/chat.jinja` and `arcgym/grids.jinja`.
"""

import inspect
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from arcgym import primitives
from arcgym.data.synthetic.generator import generate_tasks
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).with_name("templates")
MAX_FEW_SHOT = 16

_EXAMPLES_SEED = 4_000_038  # neither that of a split of the synthetic set, nor one of those that people choose
_EXAMPLES_SIDE = 6
_EXAMPLES_DRAWN = 96  # of more than 50 families


class TemplateFile(NamedTuple):
    """A Jinja file as it was when the formatter was made; it is compiled once for all formatters of a process."""

    path: Path
    changed_ns: int

    @classmethod
    def at(cls, path: Path) -> "TemplateFile":
        """Look at a file.

        Raises:
            ConfigError: It cannot be read.
        """
        if path.is_dir():
            raise ConfigError(f"`template` is {str(path)!r}, which is a folder. Name a Jinja file in it.")
        try:
            return cls(path.resolve(strict=True), path.stat().st_mtime_ns)
        except OSError as exc:
            raise ConfigError(
                f"`template` is {str(path)!r}, which cannot be read: {exc.strerror}. Name a Jinja file; arcgym's own "
                f"are in {TEMPLATES}."
            ) from exc

    def render(self, variables: dict[str, Any]) -> str:
        """Write the text.

        Raises:
            ConfigError: It is not a template, needs what there is not, or fails.
        """
        import jinja2

        try:
            return _compile(self).render(variables)
        except jinja2.TemplateSyntaxError as exc:
            raise ConfigError(
                f"The template {exc.filename or self.path}, line {exc.lineno}: {str(exc.message).rstrip('.')}."
            ) from exc
        except jinja2.TemplateNotFound as exc:
            raise ConfigError(
                f"The template {self.path} needs {exc.name}, which is neither beside it nor arcgym's own, such as "
                "arcgym/grids.jinja."
            ) from exc
        except (jinja2.TemplateError, OSError, TypeError, ValueError, RecursionError) as exc:
            raise ConfigError(f"The template {self.path} fails: {str(exc).rstrip('.')}.") from exc


@lru_cache
def _compile(file: TemplateFile) -> "jinja2.Template":
    import jinja2

    ours = jinja2.PrefixLoader({"arcgym": jinja2.FileSystemLoader(TEMPLATES)})
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([ours, jinja2.FileSystemLoader(file.path.parent)]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    return environment.get_template(file.path.name)


@lru_cache
def describe_primitives(level: str) -> str:
    """What a prompt says of the primitives, without the last line feed."""
    if level == "none":
        return ""
    if level == "names":
        return ", ".join(primitives.__all__)
    lines = []
    for name in primitives.__all__:
        function = getattr(primitives, name)
        signature = inspect.signature(function)
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
        line = f"{name}{signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"
        description = (inspect.getdoc(function) or "").partition("\n")[0]
        lines.append(f"{line}: {description}" if level == "docs" else line)
    return "\n".join(lines)


@lru_cache
def synthetic_examples() -> tuple[Task, ...]:
    """Return the solved tasks that a number for `few_shot` takes the first of: small, each of another family."""
    drawn = generate_tasks(_EXAMPLES_DRAWN, seed=_EXAMPLES_SEED, composed_share=0.0, max_side=4, pairs=(2, 2))
    first: dict[str, Task] = {}
    for task in drawn:
        # some scenes need more room than was asked for
        if max(max(pair.input.shape) for pair in (*task.train, *task.test)) <= _EXAMPLES_SIDE:
            first.setdefault(task.family, task)
    return tuple(first.values())


def choose_examples(few_shot: int | Sequence[Task]) -> tuple[Sequence[Task], int]:
    """Return the solved tasks to choose from, and how many are wanted."""
    if isinstance(few_shot, Sequence) and not isinstance(few_shot, str):
        unsolved = [task.task_id for task in few_shot if not task.program]
        if unsolved:
            raise ConfigError(
                f"`few_shot` has tasks without a program: {', '.join(unsolved)}. Solved tasks have `Task.program`."
            )
        return tuple(few_shot), len(few_shot)
    if isinstance(few_shot, bool) or not isinstance(few_shot, int) or not 0 <= few_shot <= MAX_FEW_SHOT:
        raise ConfigError(
            f"`few_shot` is {few_shot!r}, but it is a number of tasks from 0 to {MAX_FEW_SHOT}, or a list of tasks."
        )
    return synthetic_examples() if few_shot else (), few_shot


def gives_away(example: Task, task: Task) -> bool:
    """Whether an example may give a task's answer away: by an input that both have, a family or the program."""
    inputs = {(pair.input.shape, pair.input.tobytes()) for pair in (*task.train, *task.test)}
    families = {*filter(None, task.family.split("+"))}
    return (
        any((pair.input.shape, pair.input.tobytes()) in inputs for pair in (*example.train, *example.test))
        or not families.isdisjoint(example.family.split("+"))
        or example.program == task.program
    )
