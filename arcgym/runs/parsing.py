"""Strict configuration for recipes: default < YAML < command line, everything checked before work starts.

`trl.TrlParser` sets YAML values as defaults, which argparse never validates: 2.5 passes for an integer. Here the YAML
file becomes command-line words first, so that one parser checks both, and a YAML `1e-4`, which YAML 1.1 reads as a
string, is the number that the user meant.
"""

import difflib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

import yaml
from transformers import HfArgumentParser
from transformers.hf_argparser import DataClassType

from arcgym.errors import ArcGymError, ConfigError
from arcgym.models.sampling import is_out_of_memory
from arcgym.runs.memory import explain_out_of_memory


class _StrictParser(HfArgumentParser):
    """An argument parser that raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. `--help` lists every setting with its meaning.")


def parse_config(
    types: Sequence[DataClassType], argv: Sequence[str] | None = None, *, description: str | None = None
) -> tuple[Any, ...]:
    """Fill dataclasses from defaults, the YAML file named by `--config`, and the command line, in rising precedence.

    Args:
        types: Dataclasses whose fields, all with different names, are the settings.
        argv: Command-line words; those of the process by default.
        description: First paragraph of `--help`.

    Returns:
        One instance of each type, in order.

    Raises:
        ConfigError: A file is missing or is not a YAML mapping, a key is unknown, a value has the wrong type or is not
            allowed, or a dataclass refuses the combination.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _StrictParser(types, description=description, allow_abbrev=False)
    parser.add_argument("--config", help="YAML file with any of the settings below; the command line overrides it.")
    known = {action.dest for action in parser._actions}
    path, words = _take_config(words)
    if path is not None:
        values = _values_of_yaml(path, known)
        lists = {action.dest for action in parser._actions if action.nargs in ("*", "+")}
        for key, value in values.items():
            if value == [] and key not in lists:  # as words it would be a bare flag, which is true for a switch
                raise ConfigError(f"{path} sets `{key}` to an empty list, but it takes one value. Give one.")
        parser.set_defaults(**_wordless(path, values, types))
        words = _words_of(values) + words
    try:
        *instances, rest, leftover = parser.parse_args_into_dataclasses(words, return_remaining_strings=True)
    except (ValueError, TypeError, ImportError) as exc:
        raise ConfigError(str(exc)) from exc
    del rest  # holds `config`, which was taken out above
    if leftover:
        raise ConfigError(_unknown(leftover[0].lstrip("-").split("=")[0], known, "The command line"))
    return tuple(instances)


def _take_config(words: list[str]) -> tuple[Path | None, list[str]]:
    for index, word in enumerate(words):
        if word == "--config":
            if index + 1 == len(words):
                raise ConfigError("`--config` needs a path of a YAML file behind it.")
            return Path(words[index + 1]), words[:index] + words[index + 2 :]
        if word.startswith("--config="):
            return Path(word.removeprefix("--config=")), words[:index] + words[index + 1 :]
    return None, words


def _values_of_yaml(path: Path, known: set[str]) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"There is no config file {str(path)!r}. Recipes' examples are in recipes/configs/.")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path} is not valid YAML: {exc}") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings to values, not {type(values).__name__}.")
    for key in values:
        if key not in known:
            raise ConfigError(_unknown(str(key), known, str(path)))
    return values


def _wordless(path: Path, values: dict[str, Any], types: Sequence[DataClassType]) -> dict[str, Any]:
    """Collect the settings that no words of a command line can say: null, and the empty list."""
    nulls = [key for key, value in values.items() if value is None]
    for kind in types if nulls else ():
        hints = get_type_hints(kind)
        for setting in fields(kind):
            is_allowed = setting.default is None or type(None) in get_args(hints[setting.name])
            if setting.name in nulls and not is_allowed:
                raise ConfigError(
                    f"{path} sets `{setting.name}` to null, but it needs a value. Give one, or leave it out."
                )
    return {key: value for key, value in values.items() if value is None or value == []}


def _words_of(values: dict[str, Any]) -> list[str]:
    told = {key: value for key, value in values.items() if value is not None and value != []}
    return [word for key, value in told.items() for word in (f"--{key}", *_words(value))]


def _words(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    if isinstance(value, dict):
        return [json.dumps(value)]
    return [str(value)]


def _unknown(key: str, known: set[str], place: str) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else " `--help` lists every setting."
    return f"{place} sets `{key}`, which is not a setting of this recipe.{hint}"


def save_config(path: Path, *configs: object) -> None:
    """Write the resolved settings of dataclasses to one YAML file."""
    merged: dict[str, Any] = {}
    for config in configs:
        if not is_dataclass(config) or isinstance(config, type):
            raise TypeError(f"save_config takes dataclass instances, not {type(config).__name__}")
        as_dict = config.to_dict() if hasattr(config, "to_dict") else asdict(config)
        merged |= json.loads(json.dumps(as_dict, default=str))
    path.write_text(yaml.safe_dump(merged, sort_keys=True))


def run_recipe(main: Callable[[], None]) -> None:
    """Run a recipe's `main`; print an error that the user can fix as one message, without a traceback.

    Ends the process with exit status 2 in that case. Memory that has run out is such an error.
    """
    try:
        main()
    except ArcGymError as exc:
        _give_up(f"{type(exc).__name__}: {exc}")
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc):
            raise
        _give_up(explain_out_of_memory(exc))


def _give_up(message: str) -> NoReturn:
    print(f"\n{message}", file=sys.stderr)  # noqa: T201  # the one place that talks to the user
    raise SystemExit(2) from None
