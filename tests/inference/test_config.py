"""Schedules: how they are written, and how they divide the samples of a task."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.errors import ConfigError
from arcgym.inference import SamplingConfig, SearchConfig, Stage
from arcgym.inference.config import Draw, plan


def test_stages_are_read():
    assert Stage.parse("greedy") == Stage("greedy")
    assert Stage.parse("beam:0.25") == Stage("beam", share=0.25)
    assert Stage.parse("sample:2, temperature=0.7, top_k=5, top_p=0.9, min_p=0.1") == Stage(
        "sample", 2.0, temperature=0.7, top_k=5, top_p=0.9, min_p=0.1
    )
    assert Stage.parse("diverse_beam,groups=3,penalty=1") == Stage("diverse_beam", groups=3, penalty=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampel", "names no strategy"),
        ("greedy:0.5", "Leave the share out"),
        ("greedy,temperature=1", "not a setting of `greedy`"),
        ("sample,penalty=1", "not a setting of `sample`"),
        ("sample,temperature=warm", "no number"),
        ("sample,top_k=2.5", "no number"),
        ("sample,temperature=0", "use the strategy `greedy`"),
        ("sample,top_p=2", "top_p"),
        ("sample:0", "share"),
        ("sample:nan", "share"),
        ("diverse_beam,groups=1", "groups"),
        ("diverse_beam,penalty=0", "penalty"),
    ],
)
def test_malformed_stages_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Stage.parse(text)
    with pytest.raises(ConfigError, match=message):
        SearchConfig(schedule=[text])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 0}, "views"),
        ({"repair_size": 0}, "repair_size"),
        ({"round_size": -1}, "round_size"),
        ({"time_budget": float("nan")}, "time_budget"),
        ({"stop_agreeing": 2}, "round_size"),
        ({"view_colours": "some"}, "view_colours"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SearchConfig(**settings)


def test_without_a_schedule_the_sampling_settings_are_the_schedule():
    assert SearchConfig().stages(SamplingConfig(temperature=0.5, top_k=3)) == (
        Stage("sample", temperature=0.5, top_k=3),
    )
    assert SearchConfig().stages(SamplingConfig(num_samples=1, temperature=0)) == (Stage("greedy"),)


def test_a_plan_by_hand():
    stages = [Stage("greedy"), Stage("beam", share=1), Stage("sample", share=1)]
    assert plan(stages, 2, 10, 7) == [
        [
            Draw(0, 0, 0, 1, is_whole=True),
            Draw(0, 1, 0, 1, is_whole=True),
            Draw(1, 0, 0, 2, is_whole=True),
            Draw(1, 1, 0, 2, is_whole=True),
            Draw(2, 0, 0, 1),
        ],
        [Draw(2, 0, 1, 1), Draw(2, 1, 0, 2)],
    ]


def test_fewer_samples_than_greedy_programs_are_refused():
    with pytest.raises(ConfigError, match="one per view"):
        plan([Stage("greedy")], 3, 2, 0)


kinds = st.sampled_from(["sample", "beam", "diverse_beam"])
stage_lists = st.lists(st.builds(Stage, kinds, st.floats(0.1, 3)), min_size=1, max_size=3)


@given(stage_lists, st.integers(1, 4), st.integers(4, 30), st.integers(0, 9), st.booleans())
def test_a_plan_gives_every_sample_once_and_divides_fairly(stages, views, num_samples, round_size, has_greedy):
    stages = [Stage("greedy"), *stages] if has_greedy else stages
    rounds = plan(stages, views, num_samples, round_size)
    numbers = defaultdict(list)
    per_view = Counter()
    for draws in rounds:
        assert len({(draw.stage, draw.view) for draw in draws}) == len(draws)
        for draw in draws:
            numbers[draw.stage, draw.view] += range(draw.first, draw.first + draw.num)
            per_view[draw.view] += draw.num
    assert all(found == list(range(len(found))) for found in numbers.values())
    without_greedy = num_samples - views * has_greedy
    expected = num_samples if without_greedy >= 0 else None
    assert sum(map(len, numbers.values())) == expected
    assert max(per_view.values()) - min(per_view[view] for view in range(views)) <= len(stages)
    for draws in rounds[1:]:
        assert not round_size or sum(draw.num for draw in draws) <= round_size
        assert not any(draw.is_whole for draw in draws)
    if not round_size:
        assert len(rounds) == 1
