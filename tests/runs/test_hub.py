"""Pushing a run with the real client to a Hub on loopback, loading it from there, and every way in which that fails.

The client reads its environment when it is imported, so what is loaded back is loaded by a process of its own, with
`HF_ENDPOINT`, as a user does. Pushes happen here: `HfApi` takes an endpoint, and three constants are set by `client`.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types

import huggingface_hub.constants
import huggingface_hub.utils._http
import pytest
import torch
import yaml
from hub_server import HANG_UP, TOKEN, HubServer
from huggingface_hub import HfApi, ModelCard
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, ModelConfig, RLOOConfig

from arcgym.cli import main
from arcgym.data import TaskLoader
from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport
from arcgym.models import resolve_policy
from arcgym.models.value import ValueHead, save_critic
from arcgym.rewards import RewardConfig
from arcgym.runs.arguments import EvaluationArguments, SandboxArguments, TaskArguments
from arcgym.runs.directory import RunDirectory, summarise
from arcgym.runs.hub import HubArguments, HubError, RunPush, model_card, push_run
from arcgym.training import PPOConfig
from arcgym.training.checkpoints import find_problems, seal

# huggingface_hub 2.4 uploads large files by an argument that its HTTP library deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

POLICY_FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
RECORDS = {
    "README.md",
    "config.yaml",
    "env.json",
    "metrics.jsonl",
    "summary.json",
    "eval/after-synthetic-evaluation.json",
}


def training_config(kind, folder, **settings):
    return kind(str(folder), per_device_train_batch_size=8, use_cpu=True, bf16=False, report_to=[], **settings)


def report(solved, kaggle, arc_prize):
    aggregates = {"solved": solved, "tasks": 40, "kaggle": kaggle, "arc_prize": arc_prize, "dataset_hash": "d" * 64}
    return EvaluationReport("synthetic/evaluation", aggregates, {}, ())


def make_run(folder, base="arcgym-tiny", lora=False, kind=PPOConfig, **settings):
    """Leave in `folder` what a finished run leaves, without training: the policy is arcgym-tiny, slightly changed."""
    directory = RunDirectory(folder)
    training = training_config(kind, folder, **settings)
    model_args = ModelConfig(model_name_or_path=str(base), use_peft=lora)
    directory.write_config(
        TaskArguments(), EvaluationArguments(), SandboxArguments(), RewardConfig(), model_args, training
    )
    directory.write_environment(["seccomp", "wall clock"])
    history = [{"reward": 0.25}, {"reward": 0.5}]
    before, after = report(4, 0.125, 0.1125), report(10, 0.25, 0.2625)
    sets = ({"synthetic/evaluation": before}, {"synthetic/evaluation": after})
    directory.write_json("summary.json", summarise(*sets, history, 64, directory, seconds=12.0))
    after.save(folder / "eval" / "after-synthetic-evaluation.json")
    (folder / "metrics.jsonl").write_text('{"step": 1}\n')
    (folder / "completions").mkdir()
    (folder / "completions" / "completions_00001.parquet").write_bytes(b"prompts and programs")
    torch.save(training, folder / "training_args.bin")

    model = AutoModelForCausalLM.from_pretrained(resolve_policy(str(base)), dtype=torch.float32)  # as recipes do
    tokenizer = AutoTokenizer.from_pretrained(resolve_policy(str(base)))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        if lora:
            model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
        else:
            torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_critic(ValueHead(8), folder)
    checkpoint = folder / "checkpoint-4"
    checkpoint.mkdir()
    for name in ("training_args.bin", "metrics.jsonl"):
        shutil.copy(folder / name, checkpoint / name)
    seal(checkpoint)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("finished") / "first")


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "runs" / "first")


@pytest.fixture
def server():
    with HubServer() as server:
        yield server


@pytest.fixture
def client(server, monkeypatch, tmp_path):
    """Put the client of this process on line, with the loopback server as its Hub, and without pauses."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.utils._http, "time", types.SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return HfApi(endpoint=server.url, token=TOKEN)


def fingerprint(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def logits_of(model):
    with torch.no_grad():
        return model(torch.arange(5, 25)[None]).logits[0, -1]


def in_new_process(server, folder, code):
    """Run code as another user of the Hub: its own cache, no token."""
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(folder), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    environment.pop("HF_TOKEN", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- What is pushed ---


def test_a_push_is_one_commit_of_policy_card_and_records_and_changes_nothing_here(run, server, client):
    before = fingerprint(run)
    url = push_run(run, "acme/policy", api=client)
    repository = server.repositories["acme/policy"]
    assert url == f"{server.url}/acme/policy/commit/{repository.branches['main']}"
    assert repository.summaries == ["Run first of arcgym 0.1.0"] and not repository.private
    files = repository.files()
    assert files.keys() == POLICY_FILES | RECORDS
    for name in files.keys() - {"README.md"}:
        assert files[name] == (run / name).read_bytes()
    assert fingerprint(run) == before


def test_critic_and_last_checkpoint_go_along_when_asked_for(run, server, client, tmp_path):
    (run / "checkpoint-9").mkdir()  # torn: no manifest
    (run / "checkpoint-9" / "training_args.bin").touch()
    push_run(run, "acme/policy", private=True, include_critic=True, include_trainer_state=True, api=client)
    repository = server.repositories["acme/policy"]
    assert repository.private
    files = repository.files()
    state = {f"last-checkpoint/{path.name}" for path in (run / "checkpoint-4").iterdir()}
    assert files.keys() == POLICY_FILES | RECORDS | {"value_head.safetensors"} | state
    card = files["README.md"].decode()
    assert "is the critic" in card and "`last-checkpoint/` is the last whole checkpoint" in card
    for name in state:  # what comes back is a whole checkpoint
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(files[name])
    assert find_problems(tmp_path / "last-checkpoint") == []


def test_a_checkpoint_with_a_token_in_it_does_not_leave_the_machine(tmp_path, server, client):
    token = "hf_" + "aB3" * 10
    run = make_run(tmp_path / "run", hub_token=token)
    with pytest.raises(HubError, match=r"training_args\.bin holds an access token"):
        push_run(run, "acme/policy", include_trainer_state=True, api=client)
    push_run(run, "acme/policy", api=client)
    assert not any(token.encode() in data for data in server.repositories["acme/policy"].files().values())


def test_a_revision_is_made_and_a_tag_names_the_commit(run, server, client):
    push_run(run, "acme/policy", api=client)
    first = server.repositories["acme/policy"].branches["main"]
    (run / "metrics.jsonl").write_text('{"step": 2}\n')
    push_run(run, "acme/policy", revision="seed-2", tag="v2", api=client)
    repository = server.repositories["acme/policy"]
    assert repository.branches["main"] == first
    assert repository.tags == {"v2": repository.branches["seed-2"]} != {"v2": first}
    assert 'from_pretrained("acme/policy", revision="seed-2")' in repository.files("v2")["README.md"].decode()


def test_a_name_without_owner_belongs_to_the_tokens_user(run, server, client):
    push_run(run, "policy", api=client)
    assert 'from_pretrained("me/policy")' in server.repositories["me/policy"].files()["README.md"].decode()


# --- The card ---


def test_the_card_holds_the_facts_of_the_run_directory(run):
    card = model_card(run, "acme/policy")
    text = card.text
    for fact in (
        "It is `arcgym-tiny`, which arcgym ships, fine-tuned by PPO with arcgym 0.1.0",
        "| synthetic/evaluation | Solved | 4 of 40 = 10.0 % (4.0–23.1) | 10 of 40 = 25.0 % (14.2–40.2) |",
        "| synthetic/evaluation | ARC Prize | 11.2 % (4.0–26.1) | 26.2 % (14.2–42.8) |",
        "| synthetic/evaluation | Kaggle | 12.5 % (5.5–26.1) | 25.0 % (14.2–40.2) |",
        f"| synthetic/evaluation | 40 | `{'d' * 64}` |",
        "Trained on arc-agi-1/train, synthetic/train;",
        "50 % was kept",
        "64 programs in 12 s; mean reward of the first and last tenth of rollouts 0.250 → 0.500.",
        "sandbox: seccomp, wall clock.",
        "| `num_ppo_epochs` | 4 |",
        hashlib.sha256((run / "config.yaml").read_bytes()).hexdigest(),
    ):
        assert fact in text, fact
    assert "lora_r" not in text and "switched off" not in text and "critic" not in text
    assert "{{" not in text and "{%" not in text
    data = card.data
    assert data.tags == ["trl", "ppo", "arcgym", "arc-agi", "program-synthesis"]
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "text-generation", "apache-2.0")
    assert data.base_model is None  # arcgym-tiny is not on the Hub
    read_back = ModelCard(str(card)).data.eval_results
    assert {(result.metric_type, result.metric_value) for result in read_back} == {
        ("solved", 0.25),
        ("kaggle", 0.25),
        ("arc_prize", 0.2625),
    }
    assert {(result.dataset_name, result.dataset_split) for result in read_back} == {
        ("synthetic/evaluation", "evaluation")
    }


def test_sets_of_one_source_keep_their_own_results(run):
    summary = json.loads((run / "summary.json").read_text())
    for when in ("before", "after"):
        summary[when]["synthetic/train"] = summary[when]["synthetic/evaluation"] | {"solved": 1}
    (run / "summary.json").write_text(json.dumps(summary))
    solved = {
        (result.dataset_name, result.metric_value)
        for result in ModelCard(str(model_card(run, "acme/policy"))).data.eval_results
        if result.metric_type == "solved"
    }
    assert solved == {("synthetic/evaluation", 0.25), ("synthetic/train", 0.025)}


@pytest.mark.parametrize(("kind", "method"), [(GRPOConfig, "GRPO"), (RLOOConfig, "RLOO")])
def test_the_card_names_the_method(tmp_path, kind, method):
    card = model_card(make_run(tmp_path / "run", kind=kind), "acme/policy")
    assert f"fine-tuned by {method}" in card.text and method.lower() in card.data.tags


def test_the_card_admits_a_weak_sandbox_and_contamination(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"allow_contamination": True, "sandbox_allow_weak": True}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    text = model_card(run, "acme/policy").text
    assert "switched off (`allow_contamination`)" in text and "`sandbox_allow_weak`" in text
    assert "No evaluated task was trained on" not in text


def test_a_base_on_the_hub_is_linked_at_its_revision(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"model_name_or_path": "acme/base", "model_revision": "v3"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}')
    card = model_card(run, "acme/policy")
    assert card.data.base_model == "acme/base" and card.data.library_name == "peft" and card.data.license is None
    assert "[acme/base](https://huggingface.co/acme/base)" in card.text
    assert 'base = AutoModelForCausalLM.from_pretrained("acme/base", revision="v3")' in card.text


# --- Loaded again ---


@pytest.mark.slow
def test_what_was_pushed_is_loaded_as_the_card_says(run, server, client, tmp_path):
    on_tiny = make_run(tmp_path / "runs" / "on-tiny", lora=True)
    on_policy = make_run(tmp_path / "runs" / "on-policy", base=run, lora=True)
    # As if it had been started from the Hub, to which this process cannot go for a model
    for name, key in (("config.yaml", "model_name_or_path"), ("adapter_config.json", "base_model_name_or_path")):
        values = yaml.safe_load((on_policy / name).read_text()) | {key: "acme/policy"}
        (on_policy / name).write_text(json.dumps(values))  # which is YAML too
    push_run(run, "acme/policy", revision="v1", api=client)
    pushed = {"acme/policy": run, "acme/on-tiny": on_tiny, "acme/on-policy": on_policy}
    for repo_id, folder in pushed.items():
        push_run(folder, repo_id, api=client)

    files = {repo_id: server.repositories[repo_id].files() for repo_id in pushed}
    assert "adapter_model.safetensors" in files["acme/on-tiny"] and "model.safetensors" not in files["acme/on-tiny"]
    base = json.loads(files["acme/on-tiny"]["adapter_config.json"])["base_model_name_or_path"]
    assert base == "arcgym-tiny"  # not a folder of this machine
    cards = [server.repositories["acme/policy"].files("v1")["README.md"], *(of["README.md"] for of in files.values())]
    (_, (load, solve), *_) = blocks = [re.findall(r"```python\n(.*?)```", card.decode(), re.DOTALL) for card in cards]
    show = "\nimport torch\nprint('logits', model(torch.arange(5, 25)[None]).logits[0, -1].tolist())\n"
    code = "".join(block[0] + show for block in blocks)
    code += "model = AutoModelForCausalLM.from_pretrained('acme/on-policy')" + show
    code += load + solve.replace("[:8]", "[:1]")
    printed = in_new_process(server, tmp_path / "home", code).splitlines()

    logits = [json.loads(line.removeprefix("logits ")) for line in printed if line.startswith("logits")]
    trained = logits_of(AutoModelForCausalLM.from_pretrained(run))
    adapted = []
    for base, folder in ((resolve_policy("arcgym-tiny"), on_tiny), (run, on_policy)):
        model = AutoModelForCausalLM.from_pretrained(base)
        plain = logits_of(model)
        model.load_adapter(str(folder))
        adapted.append(logits_of(model))
        assert not torch.allclose(plain, adapted[-1]), "the adapter does nothing"
    for got, wanted in zip(logits, [trained, trained, *adapted, adapted[1]], strict=True):
        # arcgym-tiny is stored in bfloat16, and PEFT keeps an adapter on it in float32 where Transformers does not
        tolerance = 0.1 if wanted.dtype == torch.bfloat16 else 1e-6
        torch.testing.assert_close(torch.tensor(got), wanted.float(), rtol=0, atol=tolerance)
    assert printed[len(logits)].startswith(TaskLoader().load("arc-agi-1", "evaluation")[0].task_id)


# --- From the command line ---


def test_a_dry_run_prints_files_and_card_and_asks_no_hub(run, server, client, capsys):
    assert main(["push", str(run), "acme/policy", "--revision", "v1", "--include_critic", "--dry_run"]) == 0
    listed, card = capsys.readouterr().out.split("\n\n", 1)
    sizes = {name: int(size.replace(",", "")) for size, name in map(str.split, listed.splitlines())}
    assert sizes.keys() == POLICY_FILES | RECORDS | {"value_head.safetensors"}
    assert sizes["model.safetensors"] == (run / "model.safetensors").stat().st_size
    assert card.startswith("---\n") and 'from_pretrained("acme/policy", revision="v1")' in card
    assert server.requests == []


def test_every_option_reaches_the_hub(run, server, client, capsys):
    options = ["--revision", "b", "--tag", "t", "--private", "--include_critic", "--include_trainer_state"]
    assert main(["push", str(run), "acme/policy", *options]) == 0
    assert capsys.readouterr().out.startswith(f"Pushed to {server.url}/acme/policy/commit/")
    repository = server.repositories["acme/policy"]
    assert repository.private and repository.files("main") == {} and repository.tags["t"] == repository.branches["b"]
    assert {"value_head.safetensors", "last-checkpoint/training_args.bin"} <= repository.files("b").keys()


def test_a_failure_is_one_message_and_status_2(run, server, client, capsys):
    server.failures["PUT /lfs"] = (403, "no")
    assert main(["push", str(run), "acme/policy"]) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"arcgym push {run} acme/policy")


# --- What goes wrong ---


FAILURES = [
    ("POST /api/repos/create", (401, "Invalid username or password."), "hf auth login"),
    ("POST /api/repos/create", (403, "You don't have the rights"), "write permission"),
    ("POST /api/models/acme/policy/preupload", (429, "Too many requests"), "Wait an hour"),
    ("POST /acme/policy.git/info/lfs", (403, "Private repository storage limit reached"), "settings/billing"),
    ("PUT /lfs", (413, "Payload too large"), "Free storage"),
    ("PUT /lfs", (507, "Insufficient storage"), "Free storage"),
    ("PUT /lfs", (503, "Service unavailable"), "status.huggingface.co"),
    ("PUT /lfs", HANG_UP, "Check the network"),
    ("POST /api/models/acme/policy/commit", HANG_UP, "Check the network"),
    ("POST /api/models/acme/policy/commit", (500, "Internal error"), "status.huggingface.co"),
]


@pytest.mark.parametrize(("request_line", "failure", "remedy"), FAILURES)
def test_a_failed_push_leaves_all_as_it_was_and_names_the_command_that_succeeds_later(
    run, server, client, capsys, request_line, failure, remedy
):
    before = fingerprint(run)
    server.failures[request_line] = failure
    with pytest.raises(HubError) as caught:
        push_run(run, "acme/policy", include_critic=True, api=client)
    message = str(caught.value)
    assert remedy in message and "Traceback" not in message
    if failure != HANG_UP:
        assert f"({failure[0]}: {failure[1]})" in message
    assert all(repository.files() == {} for repository in server.repositories.values())
    assert fingerprint(run) == before

    server.failures.clear()
    command = shlex.split(message.splitlines()[-1])
    assert command == ["arcgym", "push", str(run), "acme/policy", "--include_critic"]
    assert main(command[1:]) == 0
    assert f"Pushed to {server.url}/acme/policy/commit/" in capsys.readouterr().out
    assert server.repositories["acme/policy"].files().keys() == POLICY_FILES | RECORDS | {"value_head.safetensors"}


def test_no_network_is_said_so(run, client, server):
    gone = HubServer()
    gone._server.server_close()
    with pytest.raises(HubError, match=rf"the connection to {gone.url} failed \(.*refused\)\. Check the network"):
        push_run(run, "acme/policy", api=HfApi(endpoint=gone.url, token=TOKEN))


def test_a_missing_token_is_said_before_the_hub_is_asked(run, client, server, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match=r"there is no token\. Log in with `hf auth login`, or set HF_TOKEN"):
        push_run(run, "acme/policy")
    assert server.requests == []


def test_offline_mode_is_said_so(run, client, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set"):
        push_run(run, "acme/policy", api=client)


def test_a_tag_that_exists_is_refused_and_the_old_one_stays(run, server, client):
    push_run(run, "acme/policy", tag="v1", api=client)
    tagged = dict(server.repositories["acme/policy"].tags)
    (run / "metrics.jsonl").write_text('{"step": 2}\n')
    with pytest.raises(HubError, match=r"acme/policy has a tag 'v1' already\. Choose another\."):
        push_run(run, "acme/policy", tag="v1", api=client)
    with pytest.raises(ConfigError, match="has a tag 'v1' already"):  # before a run begins
        RunPush(settings(run), HubArguments(hub_tag="v1"))
    repository = server.repositories["acme/policy"]
    assert repository.tags == tagged and len(repository.summaries) == 1


@pytest.mark.parametrize("name", ["a/b/c", "--", "acme/no good"])
def test_an_impossible_name_is_refused(run, client, name):
    with pytest.raises(HubError, match="HFValidationError"):
        push_run(run, name, api=client)


@pytest.mark.parametrize("missing", ["summary.json", "env.json", "config.yaml", "model.safetensors"])
def test_a_run_that_has_not_finished_is_refused_before_the_hub_is_asked(run, server, client, missing):
    (run / missing).unlink()
    with pytest.raises(HubError, match=f"not the directory of a finished run: it lacks .*{missing}"):
        push_run(run, "acme/policy", api=client)
    assert server.requests == []


@pytest.mark.parametrize(
    ("gone", "option", "message"),
    [
        ("value_head.safetensors", "include_critic", "holds no critic"),
        ("checkpoint-4/arcgym_manifest.json", "include_trainer_state", "holds no whole checkpoint"),
    ],
)
def test_what_was_asked_for_and_is_not_there_is_refused(run, server, client, gone, option, message):
    (run / gone).unlink()
    with pytest.raises(HubError, match=message):
        push_run(run, "acme/policy", api=client, **{option: True})
    assert server.requests == []


def test_an_adapter_on_a_local_folder_warns_that_others_lack_it(run, server, client, tmp_path, caplog):
    adapter = make_run(tmp_path / "runs" / "adapter", base=run, lora=True)
    push_run(adapter, "acme/adapter", api=client)
    assert "which others do not have: push it too" in caplog.text
    files = server.repositories["acme/adapter"].files()
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "first"
    assert str(tmp_path) not in files["README.md"].decode()


# --- As a recipe's settings ask for it ---


def settings(run, **more):
    return training_config(PPOConfig, run, push_to_hub=True, hub_model_id="acme/policy", **more)


def test_a_run_pushes_as_its_settings_say(run, server, client, capsys):
    training = settings(run, hub_private_repo=True, hub_revision="seed-0")
    push = RunPush(training, HubArguments(hub_tag="v1", hub_include_critic=True))
    assert server.repositories.keys() == {"acme/policy"} and training.push_to_hub
    push.finish(run)
    repository = server.repositories["acme/policy"]
    assert f"Pushed to {server.url}/acme/policy/commit/{repository.tags['v1']}" in capsys.readouterr().out
    assert repository.private and repository.tags["v1"] == repository.branches["seed-0"]
    assert "value_head.safetensors" in repository.files("v1")


def test_the_name_of_the_folder_is_the_name_of_the_repository(run, server, client):
    RunPush(training_config(PPOConfig, run, push_to_hub=True), HubArguments()).finish(run)
    assert server.repositories.keys() == {"me/first"}


def test_a_run_that_is_not_to_be_pushed_asks_nothing(run, server, client, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    RunPush(training_config(PPOConfig, run), HubArguments()).finish(run)
    assert server.requests == []


def test_a_token_in_the_settings_is_used_and_is_in_no_file_that_trainer_writes(run, server, client, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    training = settings(run, hub_token=TOKEN)
    push = RunPush(training, HubArguments())
    torch.save(training, run / "training_args.bin")
    assert TOKEN.encode() not in (run / "training_args.bin").read_bytes()
    push.finish(run)
    assert server.repositories["acme/policy"].files()


@pytest.mark.parametrize(
    ("more", "arguments", "message"),
    [
        ({"advantage": "reinforce"}, HubArguments(hub_include_critic=True), "`hub_include_critic`"),
        ({"save_strategy": "no"}, HubArguments(hub_include_trainer_state=True), "`hub_include_trainer_state`"),
    ],
)
def test_asking_for_what_a_run_will_not_have_is_refused_before_it_begins(run, client, more, arguments, message):
    with pytest.raises(ConfigError, match=message):
        RunPush(settings(run, **more), arguments)
    RunPush(settings(run), arguments)


def test_a_missing_token_ends_a_run_before_it_begins(run, client, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        ConfigError, match=r"`push_to_hub` is set, but there is no token\..* `arcgym push` the run later"
    ):
        RunPush(settings(run), HubArguments())


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not_write_ends_a_run_before_it_begins(run, server, client, status):
    server.failures["POST /api/repos/create"] = (status, "no")
    with pytest.raises(ConfigError, match=rf"`push_to_hub` is set, but the Hub refused it \({status}: no\)"):
        RunPush(settings(run), HubArguments())


def test_a_hub_out_of_reach_keeps_no_run_from_training_and_is_tried_again(run, server, client, caplog):
    server.failures["POST /api/repos/create"] = HANG_UP
    training = settings(run)
    push = RunPush(training, HubArguments())
    assert "Training begins all the same" in caplog.text
    assert not training.push_to_hub, "Trainer would ask the Hub again and fail"
    server.failures.clear()
    push.finish(run)
    assert server.repositories["acme/policy"].files()


def test_a_push_that_fails_ends_no_run(run, server, client, capsys):
    push = RunPush(settings(run), HubArguments(hub_tag="v1"))
    server.failures["PUT /lfs"] = (507, "Insufficient storage")
    push.finish(run)
    message = capsys.readouterr().err
    assert (
        f"\nHubError: {run} was not pushed to acme/policy: the Hub refused it (507: Insufficient storage)." in message
    )
    assert f"push it later with\n    arcgym push {run} acme/policy --tag v1\n" in message
