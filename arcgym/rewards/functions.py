"""Other reward functions beside ours, by name: TRL's, a user's, or what a factory makes of arguments.

Whatever has TRL's signature, `(prompts, completions, **columns) -> list[float | None]`, is a reward function in every
trainer here. Its weight is its place in TRL's `reward_weights`, in which `RewardCalculator` comes first.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import Any, TypeAlias

from arcgym.errors import ConfigError

RewardFunction: TypeAlias = Callable[..., list[float | None]]

# What TRL passes to a reward function, the columns of `TaskFormatter.dataset` included.
_PASSED = (
    *("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"),
    *("task_id", "source", "family", "train", "test", "shown"),
)


def load_reward_functions(paths: Sequence[str]) -> list[RewardFunction]:
    """Import reward functions.

    Args:
        paths: Each is a dotted path, `package.module.function`, or a call of a factory with literal arguments, such as
            `trl.rewards.get_repetition_penalty_reward(ngram_size=4)`.

    Returns:
        The functions, in order.

    Raises:
        ConfigError: A path is malformed or leads nowhere, its module fails to import, the factory refuses its
            arguments, what is found is not a function or does not take what TRL passes, or two have the same name.
    """
    functions = [_load(path) for path in paths]
    seen: dict[str, str] = {}
    for path, function in zip(paths, functions, strict=True):
        name = getattr(function, "__name__", type(function).__name__)
        if name in seen or name == "program_reward":
            other = repr(seen[name]) if name in seen else "the reward for programs"
            raise ConfigError(
                f"Reward function {path!r} is logged as {name!r}, and so is {other}. Name each function once, and "
                "give it a `__name__` of its own."
            )
        seen[name] = path
    return functions


def _load(path: str) -> RewardFunction:
    dotted, arguments = _parse(path)
    found = _find(dotted)
    if arguments is not None:
        if not callable(found):
            raise ConfigError(f"{dotted!r} is a {type(found).__name__}, which cannot be called with arguments.")
        try:
            found = found(*arguments[0], **arguments[1])
        except Exception as exc:  # a factory of anybody's may raise anything; the message carries it
            raise ConfigError(f"Reward {path!r} cannot be made: {type(exc).__name__}: {exc}") from exc
    return _check(path, found)


def _parse(path: str) -> tuple[str, tuple[list[Any], dict[str, Any]] | None]:
    """Divide `a.b.c(1, x=2)` into `a.b.c` and the arguments; those of a bare path are `None`."""
    try:
        node = ast.parse(path.strip(), mode="eval").body
        target, arguments = node, None
        if isinstance(node, ast.Call):
            if any(keyword.arg is None for keyword in node.keywords):
                raise ValueError("`**` in a call")
            values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            target, arguments = node.func, ([ast.literal_eval(argument) for argument in node.args], values)
    except (SyntaxError, ValueError) as exc:
        raise ConfigError(_malformed(path)) from exc
    names = ast.unparse(target).split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):
        raise ConfigError(_malformed(path))
    return ".".join(names), arguments


def _malformed(path: str) -> str:
    return (
        f"{path!r} does not name a reward function. Write `package.module.function`, such as "
        "`trl.rewards.think_format_reward`, or a call with literal arguments of a function that makes one."
    )


def _find(dotted: str) -> object:
    """Import the longest part of the path that is a module, and follow the rest by attributes."""
    names = dotted.split(".")
    module: ModuleType | None = None
    for count in range(1, len(names)):
        try:
            module = importlib.import_module(".".join(names[:count]))
        except ModuleNotFoundError as exc:
            if exc.name != ".".join(names[:count]):
                raise ConfigError(_broken(dotted, exc)) from exc
            break
        except Exception as exc:  # a module of anybody's may raise anything when it is imported
            raise ConfigError(_broken(dotted, exc)) from exc
        found, rest = module, names[count:]
    if module is None:
        known = [info.name for info in pkgutil.iter_modules()]
        raise ConfigError(
            f"There is no package {names[0]!r} for the reward {dotted!r}.{_did_you_mean(names[0], known)} "
            "Install it, or add its folder to PYTHONPATH."
        )
    return _follow(found, rest, dotted)


def _follow(found: object, names: Sequence[str], dotted: str) -> object:
    place = dotted.removesuffix("." + ".".join(names))
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError as exc:
            known = [public for public in dir(found) if not public.startswith("_")]
            if isinstance(found, ModuleType):
                known += [info.name for info in pkgutil.iter_modules(getattr(found, "__path__", []))]
            hint = _did_you_mean(name, known)
            raise ConfigError(f"{place!r} has no {name!r} for the reward {dotted!r}.{hint}") from exc
        except ImportError as exc:  # lazy modules import on first use
            raise ConfigError(_broken(dotted, exc)) from exc
        place += "." + name
    return found


def _broken(dotted: str, exc: Exception) -> str:
    return f"The module of the reward {dotted!r} cannot be imported: {type(exc).__name__}: {exc}"


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _check(path: str, found: object) -> RewardFunction:
    if not callable(found):
        raise ConfigError(f"Reward {path!r} is a {type(found).__name__}, not a function. Name a function.")
    if inspect.isclass(found):
        raise ConfigError(f"Reward {path!r} is a class. Write `{path}()`, with arguments if it needs some.")
    try:
        inspect.signature(found).bind(**dict.fromkeys(_PASSED))
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"Reward {path!r} does not take what TRL passes to a reward function ({exc}). It needs the signature "
            "`(prompts, completions, **columns)`; if it makes a reward function, write the call with its arguments."
        ) from exc
    return found
