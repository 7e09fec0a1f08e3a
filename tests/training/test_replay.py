"""The replay buffer: what it keeps, what it gives, and that rollouts come back from it as they went in."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arcgym.training.replay import (
    ReplayBuffer,
    ReplayGroup,
    as_groups,
    as_rollout,
    join_rollouts,
    rarity,
    truncated_weights,
)

PAD = 9


def group(priority=1.0, born=0, scores=(1.0, 0.0)):
    return ReplayGroup([1, 2], [[3], [4, 5]], [[-0.1], [-0.2, -0.3]], None, list(scores), priority, born)


def test_rare_successes_count_most():
    one, half, all_of_them, none = ([1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0])
    assert rarity(one, 0) == 0.75 and rarity(half, 0) == 0.5 and rarity(all_of_them, 0) == rarity(none, 0) == 0
    assert rarity([1.0], usual=0.25) == 0.75 and rarity([0.0], usual=0.25) < 0  # groups of one


def test_it_keeps_the_rarest_and_drops_the_old():
    buffer = ReplayBuffer(capacity=2, max_age=1)
    buffer.begin_rollout()
    buffer.add([group(0.2, born=1), group(0.9, born=1), group(0.5, born=1), group(0.0, born=1)])
    assert [g.priority for g in buffer.take(2)] == [0.9, 0.5]
    buffer.begin_rollout()
    buffer.add([group(0.5, born=2)])
    assert [(g.priority, g.born) for g in buffer.take(2)] == [(0.5, 2), (0.9, 1)]  # unused before used
    buffer.begin_rollout()
    assert len(buffer) == 1  # those of rollout 1 are too old
    with pytest.raises(ValueError, match="holds 1"):
        buffer.take(2)


@given(st.lists(st.floats(-1, 1), max_size=12), st.integers(1, 5))
def test_every_group_gets_its_turn(priorities, capacity):
    buffer = ReplayBuffer(capacity, max_age=9)
    buffer.add([group(priority) for priority in priorities])
    kept = sorted((p for p in priorities if p > 0), reverse=True)[:capacity]
    assert [buffer.take(1)[0].priority for _ in kept] == kept
    assert [buffer.take(1)[0].priority for _ in kept] == kept


def test_a_restored_buffer_goes_on_as_the_old_one():
    old = ReplayBuffer(3, 5)
    old.begin_rollout()
    old.add([group(0.3, born=1), group(0.8, born=1)])
    old.take(1)
    new = ReplayBuffer(3, 5)
    new.load_state_dict(json.loads(json.dumps(old.state_dict())))
    assert new.rollout == 1 and new.take(2) == old.take(2)


def test_weights_are_truncated_importance_ratios():
    logps, behaviour = torch.tensor([[-1.0, -1.0, -1.0]]), torch.tensor([[-1.0, -3.0, -0.5]])
    weights = truncated_weights(logps, behaviour, torch.tensor([[1, 1, 1]]), truncation=2.0)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 2.0, math.exp(-0.5)]]))
    assert truncated_weights(logps, behaviour, torch.tensor([[1, 0, 0]]), 2.0)[0, 1:].tolist() == [0, 0]


def a_rollout():
    return {
        "prompt_ids": torch.tensor([[PAD, 1], [PAD, 1], [2, 3], [2, 3]]),
        "prompt_mask": torch.tensor([[0, 1], [0, 1], [1, 1], [1, 1]]),
        "completion_ids": torch.tensor([[4, 5, 6], [4, PAD, PAD], [7, PAD, PAD], [8, 9, PAD]]),
        "completion_mask": torch.tensor([[1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 1, 0]]),
        "old_per_token_logps": -torch.arange(12.0).view(4, 3),
        "num_items_in_batch": torch.tensor(7),
    }


def test_a_rollout_comes_back_as_it_went_in():
    rollout, scores = a_rollout(), torch.tensor([1.0, 0.0, 0.5, 0.0])
    groups = as_groups(rollout, scores, num_generations=2, born=3, usual=0.4)
    assert [(g.priority, g.born) for g in groups] == [(0.5, 3), (0.25, 3)]
    back = as_rollout(groups, PAD, torch.device("cpu"))
    for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"):
        assert torch.equal(back[name], rollout[name]), name
    torch.testing.assert_close(back["behaviour_logps"], rollout["old_per_token_logps"] * rollout["completion_mask"])
    assert back["scores"].tolist() == scores.tolist() and "ref_per_token_logps" not in back


def test_groups_without_a_score_or_a_token_are_left_out():
    rollout = a_rollout()
    rollout["completion_mask"][3] = 0
    assert as_groups(rollout, torch.tensor([1.0, float("nan"), 1.0, 0.0]), 2, born=0, usual=0.0) == []


def test_joined_rollouts_have_one_width_and_keep_their_rows():
    wide, narrow = a_rollout(), as_rollout([group()], PAD, torch.device("cpu"))
    narrow["old_per_token_logps"] = narrow.pop("behaviour_logps")
    wide["ref_per_token_logps"] = torch.zeros(4, 3)  # which the other lacks
    wide["prompt_ids"] = torch.nn.functional.pad(wide["prompt_ids"], (1, 0), value=PAD)
    wide["prompt_mask"] = torch.nn.functional.pad(wide["prompt_mask"], (1, 0))
    joined = join_rollouts(wide, narrow, PAD)
    assert "ref_per_token_logps" not in joined and joined["num_items_in_batch"] == 7
    assert joined["prompt_ids"][:4].equal(wide["prompt_ids"]) and joined["prompt_ids"][4].tolist() == [PAD, 1, 2]
    assert joined["prompt_mask"][5].tolist() == [0, 1, 1]
    assert joined["completion_ids"][4:].tolist() == [[3, PAD, PAD], [4, 5, PAD]]
    assert joined["completion_mask"][4:].tolist() == [[1, 0, 0], [1, 1, 0]]
    assert {tensor.size(0) for name, tensor in joined.items() if name != "num_items_in_batch"} == {6}
