import json
from types import SimpleNamespace

import pytest

from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport
from arcgym.runs.directory import RunDirectory, programs_sampled, summarise


def test_files_appear_whole_under_their_name(tmp_path):
    directory = RunDirectory(tmp_path / "new" / "run")
    directory.write_json("eval/x.json", {"a": [1, 2]})
    directory.write_environment(["seccomp"])
    assert json.loads((directory.path / "eval" / "x.json").read_text()) == {"a": [1, 2]}
    environment = json.loads((directory.path / "env.json").read_text())
    assert environment["sandbox_layers"] == ["seccomp"] and environment["libraries"]["arcgym"]
    assert sorted(path.name for path in directory.path.rglob("*")) == ["env.json", "eval", "x.json"]


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        RunDirectory(tmp_path / "file")


def test_a_temporary_directory_goes_away():
    directory = RunDirectory.temporary()
    path = directory.path
    assert path.is_dir()
    del directory
    assert not path.exists()


def report(solved):
    return EvaluationReport("set", {"solved": solved, "tasks": 4, "dataset_hash": "d"}, {}, ())


def test_the_summary_is_a_recount_of_the_log(tmp_path):
    directory = RunDirectory(tmp_path)
    (tmp_path / "config.yaml").write_text("a: 1\n")
    history = [{"reward": r} for r in [0.0] * 2 + [0.5] * 16 + [1.0] * 2] + [{"train_runtime": 4.0}]
    summary = summarise({"set": report(1)}, {"set": report(3)}, history, 640, directory, seconds=10.0)
    assert (summary["before"]["set"]["solved"], summary["after"]["set"]["solved"]) == (1, 3)
    assert (summary["reward_first"], summary["reward_last"]) == (0.0, 1.0)
    assert (summary["seconds"], summary["programs_per_second"]) == (10.0, 64.0)
    assert summary["dataset_hashes"] == {"set": "d"} and len(summary["config_hash"]) == 64


@pytest.mark.parametrize(("steps", "programs"), [(0, 0), (1, 32), (4, 32), (5, 64), (8, 64)])
def test_programs_are_counted_by_rollouts(steps, programs):
    training = SimpleNamespace(optimizer_steps_per_rollout=4, completions_per_rollout=32)
    assert programs_sampled(training, steps) == programs
