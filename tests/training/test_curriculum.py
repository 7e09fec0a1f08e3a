import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ppo_toy import toy_prompts

from arcgym.errors import ConfigError
from arcgym.training.curriculum import (
    CurriculumConfig,
    CurriculumSampler,
    CurriculumScheduler,
    divide,
    read_override,
)

DIFFICULTIES = [0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.8, 0.4]  # bands of two: 1 5, 3 7, 2 4, 6 0


@pytest.fixture
def make_scheduler():
    def make(difficulties=DIFFICULTIES, seed=0, **settings):
        defaults = {"curriculum": "bands", "curriculum_window": 4, "curriculum_threshold": 0.5}
        return CurriculumScheduler(difficulties, CurriculumConfig(**(defaults | settings)), seed)

    return make


def test_bands_divide_tasks_by_difficulty():
    assert divide(DIFFICULTIES, 4) == [[1, 5], [3, 7], [2, 4], [6, 0]]
    assert [len(band) for band in divide(DIFFICULTIES, 3)] == [3, 2, 3]


@pytest.mark.property(26)
@given(
    difficulties=st.lists(st.floats(0, 1), min_size=4, max_size=40),
    bands=st.integers(2, 4),
    count=st.integers(1, 10),
    seed=st.integers(0, 5),
)
def test_training_starts_in_the_easiest_band(difficulties, bands, count, seed):
    config = CurriculumConfig(curriculum="bands", curriculum_bands=bands)
    scheduler = CurriculumScheduler(difficulties, config, seed)
    chosen = scheduler.choose(count)
    assert len(set(chosen)) == min(count, len(difficulties))
    easiest = sorted(difficulties)[: len(scheduler.bands[0])]
    if count <= len(easiest):
        assert all(difficulties[task] <= easiest[-1] for task in chosen)
    else:  # a rollout of more tasks than the band has: all of it, then the next easiest band
        assert set(scheduler.bands[0]) <= set(chosen)


histories = st.lists(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=12), max_size=20)


@pytest.mark.property(27)
@given(
    history=histories,
    threshold=st.floats(0.01, 1),
    window=st.integers(1, 8),
    mode=st.sampled_from(["bands", "frontier"]),
)
def test_level_never_falls_unless_set_by_hand(history, threshold, window, mode):
    config = CurriculumConfig(curriculum=mode, curriculum_threshold=threshold, curriculum_window=window)
    scheduler = CurriculumScheduler(DIFFICULTIES, config)
    levels = [scheduler.level]
    for results in history:
        scheduler.choose(2)
        scheduler.record(results)
        levels.append(scheduler.level)
    assert levels == sorted(levels)
    scheduler.override(0)
    assert scheduler.level == 0
    scheduler.record(results for history_ in history for results in history_)
    assert scheduler.level == 0


def test_success_opens_the_next_band_and_each_band_has_to_earn_the_next(make_scheduler):
    scheduler = make_scheduler()
    scheduler.record([(1, True), (5, True), (1, False)])
    assert scheduler.level == 0, "the window is not full"
    scheduler.record([(5, False)])
    assert scheduler.level == 1
    assert scheduler.success_rate == 0.0
    scheduler.record([(1, True)] * 10)
    assert scheduler.level == 1, "success in an earlier band says nothing of this one"
    scheduler.record([(3, True)] * 4)
    assert scheduler.level == 2


def test_too_little_success_opens_nothing(make_scheduler):
    scheduler = make_scheduler()
    scheduler.record([(1, True), (1, False), (5, False), (5, False)] * 20)
    assert scheduler.level == 0


def test_a_share_of_each_rollout_reviews_earlier_bands(make_scheduler):
    scheduler = make_scheduler(difficulties=[task / 100 for task in range(100)], curriculum_review=0.25)
    scheduler.override(2)
    chosen = scheduler.choose(8)
    assert sum(task < 50 for task in chosen) == 2
    assert sum(50 <= task < 75 for task in chosen) == 6


def test_every_task_of_a_band_has_its_turn(make_scheduler):
    scheduler = make_scheduler(difficulties=[task / 40 for task in range(40)])
    assert sorted(task for _ in range(5) for task in scheduler.choose(2)) == list(range(10))


def test_frontier_prefers_tasks_that_are_solved_half_of_the_time():
    scheduler = CurriculumScheduler(DIFFICULTIES, CurriculumConfig(curriculum="frontier"))
    for task in range(8):
        rate = 0.5 if task in (2, 6) else float(task % 2)
        scheduler.record([(task, number < 200 * rate) for number in range(200)])
    assert sorted(scheduler.choose(2)) == [2, 6]


def test_frontier_with_a_low_target_prefers_tasks_that_are_solved_rarely():
    scheduler = CurriculumScheduler(DIFFICULTIES, CurriculumConfig(curriculum="frontier", curriculum_target=0.02))
    for task in range(8):
        solved = 10 if task in (1, 5) else 250
        scheduler.record([(task, number < solved) for number in range(500)])
    assert sorted(scheduler.choose(2)) == [1, 5]


def test_frontier_leaves_tasks_that_the_policy_has_learned_meanwhile():
    scheduler = CurriculumScheduler(DIFFICULTIES, CurriculumConfig(curriculum="frontier"))
    for task in range(8):
        scheduler.record([(task, False)] * 200)
    for _ in range(6):  # as often right as wrong in all, but right each time by now
        scheduler.record([(0, True)] * 32)
        scheduler.record([(3, number < 14) for number in range(32)])
    assert scheduler.choose(1) == [3]


def test_a_level_set_by_hand_stays_until_it_is_taken_back(make_scheduler):
    scheduler = make_scheduler(curriculum_level=1)
    assert scheduler.level == 1
    scheduler.record([(3, True)] * 50)
    assert scheduler.level == 1
    scheduler.override(None)
    scheduler.record([(3, True)] * 4)
    assert scheduler.level == 2


def test_the_file_of_the_run_directory_is_read(tmp_path):
    file = tmp_path / "curriculum_level"
    assert read_override(file, 3) is None
    file.write_text("2\n")
    assert read_override(file, 3) == 2
    for wrong in ("two", "3", "-1", ""):
        file.write_text(wrong)
        with pytest.raises(ConfigError, match="a level, 0 to 2"):
            read_override(file, 3)


@settings(deadline=None)
@given(seed=st.integers(0, 3), stop=st.integers(0, 12), mode=st.sampled_from(["bands", "frontier"]))
def test_a_restored_scheduler_goes_on_as_the_one_that_was_saved(seed, stop, mode):
    config = CurriculumConfig(curriculum=mode, curriculum_window=3)

    def run(scheduler, epochs, results, save_at=None):
        seen, saved = [], None
        for epoch in epochs:
            for number, tasks in enumerate(scheduler.batches(2, epoch)):
                if save_at == (epoch, number):
                    saved = scheduler.state_dict()
                seen.append(tasks)
                scheduler.record((task, results.random() < 0.5) for task in tasks)
        return seen, saved

    epoch, number = divmod(stop, 4)
    first = CurriculumScheduler(DIFFICULTIES, config, seed)
    unbroken, saved = run(first, range(4), random.Random(1), (epoch, number))
    resumed = CurriculumScheduler(DIFFICULTIES, config, seed)
    resumed.load_state_dict(saved)
    # The loader passes over what was trained on; its results are in the state
    passed = [tasks for _, tasks in zip(range(number + 1), resumed.batches(2, epoch), strict=False)]
    assert passed == unbroken[4 * epoch : 4 * epoch + number + 1]
    assert resumed.state_dict() == saved


def test_a_scheduler_of_other_tasks_is_not_restored(make_scheduler):
    with pytest.raises(ValueError, match="of 8 tasks, and is of 9 now"):
        make_scheduler(difficulties=[*DIFFICULTIES, 0.6]).load_state_dict(make_scheduler().state_dict())


def test_sampler_repeats_rollouts_as_trl_does(make_scheduler):
    sampler = CurriculumSampler(make_scheduler(), batch_size=2, mini_repeat_count=2, repeat_count=3)
    indices = list(sampler)
    assert len(indices) == len(sampler) == 8 // 2 * 2 * 2 * 3
    first = indices[:12]
    assert first[:4] * 3 == first
    assert first[0] == first[1] and first[2] == first[3] and {first[0], first[2]} == {1, 5}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"curriculum_bands": 1}, "at least 2"),
        ({"curriculum_threshold": 0}, r"\(0, 1\]"),
        ({"curriculum_window": 0}, "at least 1"),
        ({"curriculum_review": 1.0}, r"\[0, 1\)"),
        ({"curriculum": "bands", "curriculum_level": 4}, "bands 0 to 3"),
        ({"curriculum_level": 1}, "only `curriculum: bands`"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        CurriculumConfig(**wrong)


def test_fewer_tasks_than_bands_are_refused(make_scheduler):
    with pytest.raises(ConfigError, match="There are 2 tasks"):
        make_scheduler(difficulties=[0.1, 0.2])


# --- In the trainer ---


def prompts():
    data = toy_prompts().select(range(24))
    return data.add_column("index", list(range(24)))


def make_reward(seen, solves):
    def reward(completions, index, log_extra, **_):
        seen.append(list(index))
        log_extra("is_solved", [solves(task) for task in index])
        return [float(completion.count("a")) for completion in completions]

    return reward


@pytest.fixture
def train(make_trainer, tmp_path):
    folders = iter(range(100))

    def run(solves, resume=None, folder=None, **settings):
        seen = []
        folder = folder or tmp_path / f"run{next(folders)}"
        common = {
            "output_dir": str(folder),
            "num_generations": 2,
            "num_mini_batches": 1,
            "max_steps": 8,
            "save_strategy": "steps",
            "save_steps": 1,
        }
        config = CurriculumConfig(
            curriculum="bands",
            curriculum_bands=3,
            curriculum_window=8,
            curriculum_threshold=0.5,
            curriculum_review=0.25,
        )
        trainer = make_trainer(common | settings, train_dataset=prompts(), reward_funcs=make_reward(seen, solves))
        trainer.curriculum = CurriculumScheduler([task / 24 for task in range(24)], config)
        trainer.train(resume_from_checkpoint=resume)
        return trainer, seen, folder

    return run


def test_prompts_come_in_groups_from_the_easiest_band_on(train):
    trainer, seen, _ = train(solves=lambda task: True)
    assert all(rollout[::2] == rollout[1::2] and len(set(rollout)) == 4 for rollout in seen), "groups stay together"
    assert set(seen[0]) <= set(range(8))
    levels = [row["curriculum/level"] for row in trainer.state.log_history if "curriculum/level" in row]
    assert levels == sorted(levels) and levels[0] == 1.0 and levels[-1] == 2.0
    # The loader fetches one rollout ahead of the results
    assert all(sum(task >= 8 for task in set(rollout)) >= 3 for rollout in seen[2:])


def test_without_success_training_stays_in_the_easiest_band(train):
    _, seen, _ = train(solves=lambda task: False)
    assert {task for rollout in seen for task in rollout} == set(range(8))


@pytest.mark.parametrize("stop", [1, 2, 5])
def test_a_resumed_run_sees_the_tasks_that_an_unbroken_one_would(train, stop):
    def solves(task):
        return task % 3 > 0

    unbroken, seen, folder = train(solves)
    resumed, seen_again, _ = train(solves, resume=str(folder / f"checkpoint-{stop}"))
    assert seen_again == seen[len(seen) - len(seen_again) :]
    assert resumed.curriculum.state_dict() == unbroken.curriculum.state_dict()


def test_a_file_sets_the_level_of_a_run_under_way(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "curriculum_level").write_text("2")
    trainer, seen, _ = train(solves=lambda task: False, folder=tmp_path / "run")
    assert trainer.curriculum.level == 2
    assert all(sum(task >= 16 for task in set(rollout)) == 3 for rollout in seen[2:])


def test_a_wrong_file_is_warned_of_and_ignored(train, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "curriculum_level").write_text("7")
    with caplog.at_level(logging.WARNING):
        trainer, _, _ = train(solves=lambda task: False, folder=tmp_path / "run", max_steps=2)
    assert trainer.curriculum.level == 0
    assert "should hold a level, 0 to 2" in caplog.text


def test_a_reward_that_does_not_tell_what_was_solved_is_refused(make_trainer):
    trainer = make_trainer(train_dataset=prompts())
    trainer.curriculum = CurriculumScheduler([task / 24 for task in range(24)], CurriculumConfig(curriculum="bands"))
    with pytest.raises(ConfigError, match="is_solved"):
        trainer.train()
