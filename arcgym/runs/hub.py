"""Publishing a finished run on the Hugging Face Hub: the policy, and a model card of facts from the run directory.

What goes up is chosen by name: the policy's files, the card, and the records (`config.yaml`, `env.json`,
`summary.json`, `metrics.jsonl`, `eval/`). The critic and the last checkpoint go along when asked for. Sampled
completions, TensorBoard files and `training_args.bin`, a pickle that may hold a token, stay. Nothing in the run
directory is changed, so a push that failed or broke off is repeated by the same command.

Uploads are `huggingface_hub`'s, with its retries. Here is what it lacks: the card, and one message that says what went
wrong and which command pushes the run later.
"""

import json
import logging
import math
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # of httpx or its fork
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not re-exported by name
from rich.console import Console
from transformers import TrainingArguments
from transformers.trainer_utils import SaveStrategy

from arcgym.errors import ArcGymError, ConfigError
from arcgym.evaluation.scoring import wilson_interval
from arcgym.models.tiny import TINY_NAME
from arcgym.models.value import VALUE_HEAD_FILE
from arcgym.training.checkpoints import newest_valid
from arcgym.training.ppo_config import PPOConfig

logger = logging.getLogger(__name__)

CARD_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
TRAINER_STATE = "last-checkpoint"  # as Trainer's `hub_strategy: checkpoint` calls it
_ADAPTER = "adapter_config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
_RECORDS = ("config.yaml", "env.json", "summary.json")
# Weights, shards and their index, configuration, any tokenizer, chat template, the code of a custom model, records
_PUBLISHED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "*.jsonl", "*.yaml")
_TOKEN = re.compile(rb"hf_[A-Za-z0-9]{20,}")
# Shown in the card, where the run has them; config.yaml has all
_SETTINGS = (
    *("learning_rate", "max_steps", "num_ppo_epochs", "num_iterations", "num_mini_batches", "num_generations"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "generation_batch_size", "temperature"),
    *("advantage", "gamma", "lam", "cliprange", "vf_coef", "kl_coef", "beta", "loss_type", "max_completion_length"),
    *("load_in_4bit", "load_in_8bit", "dtype", "seed"),
)
_SCORES = {"solved": "Solved", "arc_prize": "ARC Prize", "kaggle": "Kaggle"}
_STORAGE = "Free storage (https://huggingface.co/settings/billing), or push without the trainer state."
_REMEDIES = {
    401: "Log in with `hf auth login`, or set HF_TOKEN to a token that may write.",
    402: "The account has to pay for this first: https://huggingface.co/settings/billing.",
    403: "The token needs write permission for this repository (https://huggingface.co/settings/tokens), and the "
    "account storage to spare (https://huggingface.co/settings/billing).",
    404: "Check the name of the repository, and that the token may see it.",
    409: "Somebody else changes the repository at the same time. Try again.",
    413: _STORAGE,
    429: "The Hub limits how often it may be asked. Wait an hour.",
    507: _STORAGE,
}


class HubError(ArcGymError):
    """A run cannot be pushed to the Hub."""


@dataclass
class HubArguments:
    """What is pushed beside the policy, with `push_to_hub`; the other `hub_` settings are Trainer's."""

    hub_tag: str | None = field(
        default=None, metadata={"help": "Tag that the pushed commit gets, such as `v1`; it must be new."}
    )
    hub_include_critic: bool = field(
        default=False, metadata={"help": "Push the critic too, so that others can go on with the training."}
    )
    hub_include_trainer_state: bool = field(
        default=False,
        metadata={
            "help": f"Push the last checkpoint too, as `{TRAINER_STATE}/`: often three times the policy's size."
        },
    )


class RunPush:
    """A run's push to the Hub as its settings ask for it: looked into before the work, done after it.

    What a user can mend, such as a missing token, ends the run before it begins. Whatever goes wrong later ends
    nothing: the trained run is worth more than its copy.

    Args:
        training: The trainer's settings. Its `hub_token` becomes the environment's, because Trainer pickles its
            settings into the run; its `push_to_hub` is unset while the Hub is out of reach, since Trainer would fail.
        arguments: What to push beside the policy.

    Raises:
        ConfigError: `hub_model_id` is no name, there is no token, or the Hub does not accept it.
    """

    def __init__(self, training: TrainingArguments, arguments: HubArguments) -> None:
        self.is_wanted = training.push_to_hub
        self.arguments = arguments
        self.revision, self.private = training.hub_revision, training.hub_private_repo
        self.repo_id = training.hub_model_id or Path(str(training.output_dir)).absolute().name
        if not self.is_wanted:
            return
        if training.hub_token is not None:
            os.environ["HF_TOKEN"] = training.hub_token
            training.hub_token = None
        if training.process_index > 0:
            return
        _check_contents(training, arguments)
        api = HfApi()
        try:
            self.repo_id = _open_repository(api, self.repo_id, self.private, self.revision, arguments.hub_tag)
        except Exception as exc:  # the client documents no list of what it raises
            what, is_permanent = _explain(exc, api.endpoint)
            if is_permanent:
                raise ConfigError(
                    f"`push_to_hub` is set, but {what} Or unset it, and `arcgym push` the run later."
                ) from exc
            training.push_to_hub = False
            logger.warning("Nothing is pushed for now: %s Training begins all the same; its result is pushed.", what)

    def finish(self, directory: str | Path) -> None:
        """Push the finished run if it is to be, and print where it is, or why it is not there.

        Call it in the main process.
        """
        if not self.is_wanted:
            return
        try:
            url = push_run(
                directory,
                self.repo_id,
                revision=self.revision,
                tag=self.arguments.hub_tag,
                private=self.private,
                include_critic=self.arguments.hub_include_critic,
                include_trainer_state=self.arguments.hub_include_trainer_state,
            )
        except HubError as exc:
            # On a line of its own, below a progress bar that broke off; without markup, since it holds paths
            Console(stderr=True).print(f"\nHubError: {exc}", highlight=False, markup=False, soft_wrap=True)
        else:
            Console().print(f"Pushed to {url}", highlight=False, markup=False, soft_wrap=True)


def push_run(
    directory: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    tag: str | None = None,
    private: bool | None = None,
    include_critic: bool = False,
    include_trainer_state: bool = False,
    api: HfApi | None = None,
) -> str:
    """Push a finished run: policy or adapter, tokenizer, card and records, in one commit.

    Args:
        directory: The run directory. Nothing in it is changed.
        repo_id: `user/name`, or `name` for the token's user; made if missing.
        revision: Branch to commit to, made if missing; `main` by default.
        tag: Tag for the commit; it must be new.
        private: Whether a repository that is made now is private; the account's default if left out.
        include_critic: Push the critic too.
        include_trainer_state: Push the newest whole checkpoint too, as `last-checkpoint/`.
        api: Client, for another endpoint or token than the environment's.

    Returns:
        Address of the commit.

    Raises:
        HubError: The directory holds no finished run or lacks what was asked for, or the Hub did not take it. The
            message has the command to push it later.
    """
    directory = Path(directory)
    api = api or HfApi(library_name="arcgym", library_version=metadata.version("arcgym"))
    options = {"revision": revision, "tag": tag, "private": private}
    options |= {"include_critic": include_critic, "include_trainer_state": include_trainer_state}
    with tempfile.TemporaryDirectory(prefix="arcgym-push-") as name:
        folder = Path(name)
        # Before the Hub is asked for anything, so that a wrong directory makes no repository
        stage_run(directory, folder, repo_id, revision, include_critic, include_trainer_state)
        with _explained(directory, repo_id, options, api.endpoint):
            full_id = _open_repository(api, repo_id, private, revision, tag)
        (folder / "README.md").write_text(str(model_card(directory, full_id, revision, os.listdir(folder))))
        with _explained(directory, repo_id, options, api.endpoint):
            commit = api.upload_folder(
                repo_id=full_id,
                folder_path=folder,
                revision=revision,
                commit_message=f"Run {directory.absolute().name} of arcgym {metadata.version('arcgym')}",
            )
            if tag is not None:
                api.create_tag(full_id, tag=tag, revision=commit.oid)
    return str(commit.commit_url)


def stage_run(
    directory: str | Path,
    folder: Path,
    repo_id: str,
    revision: str | None = None,
    include_critic: bool = False,
    include_trainer_state: bool = False,
) -> None:
    """Fill a folder with what a push would upload: links to the run's files, and the card.

    Args:
        directory: The run directory.
        folder: An empty folder.
        repo_id: As in `push_run`; the card names it.
        revision: As in `push_run`; the card names it.
        include_critic: As in `push_run`.
        include_trainer_state: As in `push_run`.

    Raises:
        HubError: The directory holds no finished run, or lacks what was asked for.
    """
    directory = Path(directory).absolute()
    missing = [name for name in _RECORDS if not (directory / name).is_file()]
    if not any((directory / name).is_file() for name in _WEIGHTS):
        missing.append(" or ".join(_WEIGHTS))
    if missing:
        raise HubError(
            f"{directory} is not the directory of a finished run: it lacks {', '.join(missing)}. Name the "
            "`output_dir` of a run that has printed its final table, or resume the run."
        )
    chosen = {path.name: path for pattern in _PUBLISHED for path in directory.glob(pattern) if path.is_file()}
    critic = chosen.pop(VALUE_HEAD_FILE, None)
    if include_critic:
        if critic is None:
            raise HubError(f"{directory} holds no critic ({VALUE_HEAD_FILE}). Push it without.")
        chosen[VALUE_HEAD_FILE] = critic
    chosen |= {f"eval/{path.name}": path for path in (directory / "eval").glob("*.json")}
    if include_trainer_state:
        checkpoint = newest_valid(directory)
        if checkpoint is None:
            raise HubError(
                f"{directory} holds no whole checkpoint. Push it without the trainer state; `save_strategy: steps` "
                "makes a run save checkpoints."
            )
        for path in filter(Path.is_file, checkpoint.rglob("*")):
            chosen[f"{TRAINER_STATE}/{path.relative_to(checkpoint).as_posix()}"] = path
        if _TOKEN.search((checkpoint / "training_args.bin").read_bytes()):
            raise HubError(
                f"{checkpoint / 'training_args.bin'} holds an access token: the run was given one in its settings. "
                "Push it without the trainer state, and set HF_TOKEN instead of `hub_token` from now on."
            )
    for name, path in chosen.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path)
    if _ADAPTER in chosen:
        _name_base_in(folder / _ADAPTER, _Facts.read(directory))
    (folder / "README.md").write_text(str(model_card(directory, repo_id, revision, os.listdir(folder))))


def model_card(
    directory: str | Path, repo_id: str, revision: str | None = None, contents: list[str] | None = None
) -> ModelCard:
    """Write the card of a run from its `config.yaml`, `env.json` and `summary.json`.

    Args:
        directory: The run directory.
        repo_id: Where it will be.
        revision: The branch.
        contents: Names of the files and folders that are pushed; critic and trainer state are described if in it.

    Returns:
        Card with metadata: the results are also in its `model-index`.
    """
    directory = Path(directory)
    facts = _Facts.read(directory)
    contents = contents or []
    config, environment, summary = facts.config, facts.environment, facts.summary
    style = repr(config["prompt_style"])
    if config["prompt_style"] == "auto":
        style = '"chat" if tokenizer.chat_template else "plain"'
    revision_argument = f", revision={json.dumps(revision)}" if revision is not None else ""
    data = ModelCardData(
        base_model=facts.base_id,
        library_name="peft" if facts.is_adapter else "transformers",
        license="apache-2.0" if facts.base_name == TINY_NAME else None,
        pipeline_tag="text-generation",
        tags=["trl", facts.method.lower(), "arcgym", "arc-agi", "program-synthesis"],
        model_name=repo_id.split("/")[-1],
        eval_results=_results(summary["after"]),
    )
    return ModelCard.from_template(
        data,
        template_path=str(CARD_TEMPLATE),
        name=repo_id.split("/")[-1],
        base=facts.base_link,
        base_argument=facts.base_argument,
        base_is_tiny=facts.base_name == TINY_NAME,
        is_adapter=facts.is_adapter,
        method=facts.method,
        repo_argument=json.dumps(repo_id) + revision_argument,
        scores=_score_rows(summary["before"], summary["after"]),
        train_sets=", ".join(config["train_tasks"]),
        hardware=", ".join(environment["gpus"]) or f"{environment['cpus']} CPU cores",
        layers=", ".join(environment["sandbox_layers"]),
        settings={name: config[name] for name in _SETTINGS if _is_telling(config.get(name))}
        | ({"lora_r": config["lora_r"]} if facts.is_adapter else {}),
        versions=environment["libraries"],
        style=style,
        config=config,
        summary=summary,
        has_critic=VALUE_HEAD_FILE in contents,
        trainer_state=TRAINER_STATE if TRAINER_STATE in contents else None,
    )


@dataclass(frozen=True)
class _Facts:
    """What the run directory says of its run."""

    config: dict[str, Any]
    environment: dict[str, Any]
    summary: dict[str, Any]
    is_adapter: bool

    @classmethod
    def read(cls, directory: Path) -> "_Facts":
        config, environment, summary = (yaml.safe_load((directory / name).read_text()) for name in _RECORDS)
        return cls(config, environment, summary, (directory / _ADAPTER).is_file())

    @property
    def method(self) -> str:
        """The trainer's method, told by the settings that only its config has."""
        if "num_ppo_epochs" in self.config:
            return "PPO"
        return "GRPO" if "loss_type" in self.config else "RLOO"

    @property
    def base_name(self) -> str:
        """What the run was started from, without the folders of the machine that it ran on."""
        name = str(self.config["model_name_or_path"])
        return name if self.base_id is not None else Path(name).name

    @property
    def base_id(self) -> str | None:
        """Its name on the Hub; None for `arcgym-tiny` and for a local folder."""
        name = str(self.config["model_name_or_path"])
        if name == TINY_NAME or Path(name).is_dir():
            return None
        try:
            validate_repo_id(name)
        except HFValidationError:
            return None
        return name

    @property
    def base_link(self) -> str:
        if self.base_id is not None:
            return f"[{self.base_id}](https://huggingface.co/{self.base_id})"
        return f"`{self.base_name}`" + (", which arcgym ships" if self.base_name == TINY_NAME else "")

    @property
    def base_argument(self) -> str:
        """How Python code loads the base."""
        if self.base_name == TINY_NAME:
            return f'resolve_policy("{TINY_NAME}")'
        revision = self.config["model_revision"]
        is_main = self.base_id is None or revision in (None, "main")
        return json.dumps(self.base_name) + ("" if is_main else f", revision={json.dumps(revision)}")


def _name_base_in(path: Path, facts: _Facts) -> None:
    """Replace the link to an adapter's configuration by a copy that names its base without this machine's folders."""
    adapter = json.loads(path.read_text())
    if facts.base_id is None:
        adapter["base_model_name_or_path"] = facts.base_name
        if facts.base_name != TINY_NAME:
            logger.warning(
                "The base model of this adapter is a local folder, %s, which others do not have: push it too.",
                facts.config["model_name_or_path"],
            )
    path.unlink()
    path.write_text(json.dumps(adapter, indent=2, sort_keys=True))


def _is_telling(value: object) -> bool:
    return value is not None and value is not False


def _score_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "set": name,
            "score": label,
            "before": _score(before[name], score),
            "after": _score(figures, score),
        }
        for name, figures in after.items()
        for score, label in _SCORES.items()
    ]


def _score(figures: Mapping[str, Any], score: str) -> str:
    """Format a score as `7 of 64 = 10.9 % (5.4–20.9)`."""
    share, tasks = _share(figures, score), figures["tasks"]
    # Whole tasks for Wilson's interval: where a task may count in part, the interval is widened to the next ones
    low = wilson_interval(math.floor(share * tasks + 1e-9), tasks).low
    high = wilson_interval(math.ceil(share * tasks - 1e-9), tasks).high
    count = f"{figures['solved']} of {tasks} = " if score == "solved" else ""
    return f"{count}{100 * share:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def _share(figures: Mapping[str, Any], score: str) -> float:
    return float(figures["solved"] / figures["tasks"] if score == "solved" else figures[score])


def _results(after: Mapping[str, Any]) -> list[EvalResult]:
    """The scores after training as the Hub's metadata has them."""
    return [
        EvalResult(
            task_type="text-generation",
            task_name="ARC-AGI tasks solved by programs",
            dataset_type=name.rsplit("/", 1)[0],
            dataset_name=name,
            dataset_split=name.rsplit("/", 1)[-1],  # results of the same type, config and split would be joined
            dataset_args={"tasks": figures["tasks"], "sha256": figures["dataset_hash"]},
            metric_type=score,
            metric_name=label,
            metric_value=round(_share(figures, score), 4),
        )
        for name, figures in after.items()
        for score, label in _SCORES.items()
    ]


def _check_contents(training: TrainingArguments, arguments: HubArguments) -> None:
    """Check that the run will have what is to be pushed."""
    has_critic = isinstance(training, PPOConfig) and training.advantage == "gae"
    if arguments.hub_include_critic and not has_critic:
        raise ConfigError(
            "`hub_include_critic` is set, but this run has no critic: only PPO with `advantage: gae` has."
        )
    if arguments.hub_include_trainer_state and training.save_strategy == SaveStrategy.NO:
        raise ConfigError(
            "`hub_include_trainer_state` is set, but `save_strategy` is `no`; set it to `steps`, to have a checkpoint."
        )


def _open_repository(api: HfApi, repo_id: str, private: bool | None, revision: str | None, tag: str | None) -> str:
    """Make the repository and its branch unless they exist, check that the tag is new, and return the full name.

    Raises:
        HubError: There is no token, or the tag exists.
    """
    if not (api.token or get_token()):
        raise HubError(f"there is no token. {_REMEDIES[401]}")
    full_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if revision is not None:
        api.create_branch(full_id, branch=revision, exist_ok=True)
    if tag is not None and tag in {ref.name for ref in api.list_repo_refs(full_id).tags}:
        raise HubError(f"{full_id} has a tag {tag!r} already. Choose another.")
    return full_id


@contextmanager
def _explained(directory: Path, repo_id: str, options: Mapping[str, Any], endpoint: str) -> Iterator[None]:
    """Turn whatever the client raises into one message with the command that pushes the run later."""
    try:
        yield
    except Exception as exc:  # the client documents no list of what it raises
        what, _ = _explain(exc, endpoint)
        raise HubError(
            f"{directory} was not pushed to {repo_id}: {what} The run is complete on disk; push it later with\n"
            f"    {push_command(directory, repo_id, options)}"
        ) from exc


def push_command(directory: str | Path, repo_id: str, options: Mapping[str, Any]) -> str:
    """Return the shell command that pushes a run.

    Args:
        directory: The run directory.
        repo_id: As in `push_run`.
        options: Options of `push_run`; those that are None or False are left out.
    """
    words = ["arcgym", "push", str(directory), repo_id]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _explain(exc: Exception, endpoint: str) -> tuple[str, bool]:
    """Say what went wrong with the Hub and what to do, and whether trying again later would not help."""
    if isinstance(exc, HubError):
        return str(exc), True
    chain: list[BaseException] = [exc]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    refusal = next((link for link in chain if isinstance(link, HfHubHTTPError)), None)
    if refusal is not None:
        status = int(refusal.response.status_code)
        said = refusal.server_message or refusal.response.reason_phrase
        if status >= 500 and status not in _REMEDIES:
            return f"the Hub has trouble of its own ({status}: {said}). See https://status.huggingface.co.", False
        remedy = _REMEDIES.get(status, "Its answer says why.")
        return f"the Hub refused it ({status}: {said}). {remedy}", status not in (408, 429)
    if any(isinstance(link, OfflineModeIsEnabled) for link in chain):
        return "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set. Unset it where the Hub can be reached.", True
    broken = next((link for link in chain if isinstance(link, TransportError)), None)
    if broken is not None:
        return (
            f"the connection to {endpoint} failed ({str(broken) or type(broken).__name__}). Check "
            "the network, and HF_ENDPOINT if it is set.",
            False,
        )
    reason = str(chain[-1]).strip().rstrip(".")
    return f"{type(chain[-1]).__name__}: {reason}.", isinstance(exc, HFValidationError)
