import json
import logging

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.distributed.checkpoint.stateful import Stateful

from arcgym.errors import CheckpointError
from arcgym.training.checkpoints import (
    MANIFEST,
    CheckpointManager,
    collect_parts,
    find_problems,
    newest_valid,
    resolve_resume,
    rotate,
    seal,
    unseal,
)


class Counter:
    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value, "tensor": torch.full((2,), float(self.value))}

    def load_state_dict(self, state):
        self.value = state["value"]


@pytest.fixture
def make_checkpoint(tmp_path):
    def make(step, is_sealed=True):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "nested").mkdir(parents=True)
        (folder / "model.bin").write_bytes(bytes(range(256)) * 4)
        (folder / "nested" / "state.json").write_text('{"step": 1}')
        if is_sealed:
            seal(folder)
        return folder

    return make


def test_parts_come_back(tmp_path):
    CheckpointManager().save(tmp_path, {"a": Counter(3), "b": Counter(4)})
    a, b = Counter(), Counter()
    CheckpointManager().load(tmp_path, {"a": a, "b": b})
    assert (a.value, b.value) == (3, 4)


def test_each_process_gets_its_own_state(tmp_path):
    for rank in range(2):
        CheckpointManager(rank, 2).save(tmp_path, {"a": Counter(rank + 10)})
    parts = [{"a": Counter()}, {"a": Counter()}]
    for rank in range(2):
        CheckpointManager(rank, 2).load(tmp_path, parts[rank])
    assert [part["a"].value for part in parts] == [10, 11]


def test_another_number_of_processes_is_warned_of(tmp_path, caplog):
    CheckpointManager(0, 1).save(tmp_path, {"a": Counter(5)})
    part = Counter()
    CheckpointManager(1, 2).load(tmp_path, {"a": part})
    assert part.value == 5
    assert "saved by 1 processes, this run has 2" in caplog.text


def test_parts_that_only_one_side_has_are_named(tmp_path, caplog):
    CheckpointManager().save(tmp_path, {"a": Counter(3), "old": Counter(4)})
    fresh = Counter(7)
    CheckpointManager().load(tmp_path, {"a": Counter(), "new": fresh})
    assert fresh.value == 7
    assert "has no state of new" in caplog.text
    assert "holds old" in caplog.text


def test_a_checkpoint_of_another_trainer_is_said_to_be_one(tmp_path, caplog):
    CheckpointManager().load(tmp_path, {"a": Counter()})
    assert "was not written by PPOTrainer" in caplog.text


def test_a_damaged_state_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "arcgym_state_0.pt").write_bytes(b"PK not a file")
    with pytest.raises(CheckpointError, match=r"arcgym_state_0\.pt"):
        CheckpointManager().load(tmp_path, {"a": Counter()})


def test_only_what_has_a_state_is_collected():
    parts = collect_parts(replay=None, one=Counter(), many=[print, Counter(), Counter()])
    assert list(parts) == ["one", "many/Counter", "many/Counter'"]
    assert all(isinstance(part, Stateful) for part in parts.values())


def test_a_sealed_checkpoint_has_no_problems(make_checkpoint):
    assert find_problems(make_checkpoint(3)) == []


def test_an_unsealed_one_was_never_completed(make_checkpoint):
    folder = make_checkpoint(3)
    unseal(folder)
    assert find_problems(folder) == ["it was never completed"]


@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_any_file_is_found(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("checkpoint")
    contents = data.draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=3))
    for number, content in enumerate(contents):
        (folder / f"file{number}").write_bytes(content)
    seal(folder)
    damaged = data.draw(st.integers(0, len(contents) - 1))
    content = contents[damaged]
    kind = data.draw(st.sampled_from(["gone", "cut", "grown", "changed"]))
    path = folder / f"file{damaged}"
    at = data.draw(st.integers(0, len(content) - 1))
    match kind:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(content[:at])
        case "grown":
            path.write_bytes(content + b"!")
        case "changed":
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    (problem,) = find_problems(folder)
    assert problem.startswith(f"file{damaged} ")


def test_a_manifest_that_cannot_be_read_is_a_problem(make_checkpoint):
    folder = make_checkpoint(3)
    (folder / MANIFEST).write_text("{")
    (problem,) = find_problems(folder)
    assert MANIFEST in problem


def test_the_newest_whole_checkpoint_is_found_and_torn_ones_are_named(make_checkpoint, tmp_path, caplog):
    make_checkpoint(2)
    good = make_checkpoint(9)
    make_checkpoint(10, is_sealed=False)
    (make_checkpoint(11) / "model.bin").write_bytes(b"")
    assert newest_valid(tmp_path) == good
    assert "checkpoint-10 is skipped: it was never completed" in caplog.text
    assert "checkpoint-11 is skipped: model.bin has 0 bytes" in caplog.text
    assert newest_valid(tmp_path, before_step=9).name == "checkpoint-2"
    assert newest_valid(tmp_path / "nothing") is None


def test_auto_takes_the_newest_or_starts_anew(make_checkpoint, tmp_path, caplog):
    assert resolve_resume("auto", tmp_path) is None
    assert resolve_resume(None, tmp_path) is None
    folder = make_checkpoint(4)
    assert resolve_resume("auto", tmp_path) == folder
    assert resolve_resume(str(folder), tmp_path) == folder
    assert resolve_resume(None, tmp_path) is None


def test_a_named_checkpoint_has_to_be_there_and_whole(make_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="is no folder"):
        resolve_resume(str(tmp_path / "checkpoint-5"), tmp_path)
    torn = make_checkpoint(6, is_sealed=False)
    with pytest.raises(CheckpointError, match="never completed"):
        resolve_resume(str(torn), tmp_path)


def test_rotation_keeps_the_last_ones_and_the_best(make_checkpoint, tmp_path):
    for step in (1, 2, 3, 4, 5):
        make_checkpoint(step)
    make_checkpoint(6, is_sealed=False)
    rotate(tmp_path, 2, str(tmp_path / "checkpoint-2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-4", "checkpoint-5"]


def test_rotation_without_a_limit_deletes_nothing(make_checkpoint, tmp_path):
    make_checkpoint(1)
    make_checkpoint(2, is_sealed=False)
    rotate(tmp_path, None, None)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_manifest_lists_every_file(make_checkpoint):
    folder = make_checkpoint(3)
    assert sorted(json.loads((folder / MANIFEST).read_text())["files"]) == ["model.bin", "nested/state.json"]


@pytest.fixture(autouse=True)
def heard(caplog):
    caplog.set_level(logging.WARNING)
