"""Comparing reports: what is refused, and figures of cases made by hand."""

from dataclasses import replace

import pytest

from arcgym.errors import ConfigError, TaskError
from arcgym.evaluation import EvaluationReport, TaskRecord, aggregate
from arcgym.evaluation.comparison import compare_reports, load_run
from arcgym.evaluation.statistics import mcnemar_p

PROVENANCE = {
    "dataset_hash": "d" * 64,
    "config": {"solver": "by hand"},
    "seeds": {"sampling": 0},
    "code_version": {"arcgym": "1", "source": "s" * 64},
    "sandbox_layers": ["uid", "seccomp"],
}


def report(solved, name="set", **changes):
    """Two test inputs per task: both right where it is solved, one where it is not."""
    records = tuple(
        TaskRecord(
            f"task-{index}", is_right, ((True,), (is_right,)), 4, 0, 4, 4, 2 * is_right, 1, {"ok": 4}, "p", "",
            (True, is_right),
        )
        for index, is_right in enumerate(solved)
    )  # fmt: skip
    return EvaluationReport(name, aggregate(records, 4), {"num_samples": 4}, records, PROVENANCE | changes)


FIRST = [True] * 4 + [False] * 16
SECOND = [False] + [True] * 11 + [False] * 8


def test_a_comparison_is_task_by_task():
    (found,) = compare_reports({"a": {"set": report(FIRST)}, "b": {"set": report(SECOND)}})
    assert (found.set_name, found.first, found.second) == ("set", "a", "b")
    assert (found.gained, found.lost) == (8, 1)
    assert found.p_value == found.adjusted_p == pytest.approx(mcnemar_p(FIRST, SECOND))
    assert found.differences["solved_frac"].value == pytest.approx(7 / 20)
    assert found.differences["arc_prize"].value == pytest.approx(7 / 20 / 2)
    assert found.differences["kaggle"].value == pytest.approx(7 / 40)
    assert found.differences["pass@1"].value == pytest.approx(7 / 20 / 2)
    for difference in found.differences.values():
        assert 0 < difference.low < difference.value < difference.high
    assert found.remarks == ()


def test_the_order_of_records_does_not_matter():
    turned = report(SECOND)
    turned = replace(turned, records=turned.records[::-1])
    straight = compare_reports({"a": {"set": report(FIRST)}, "b": {"set": report(SECOND)}})
    assert compare_reports({"a": {"set": report(FIRST)}, "b": {"set": turned}}) == straight


def test_p_values_are_corrected_for_all_runs_and_sets():
    runs = {
        "a": {"x": report(FIRST, "x"), "y": report(FIRST, "y")},
        "b": {"x": report(SECOND, "x"), "y": report(FIRST, "y"), "z": report(FIRST, "z")},
        "c": {"y": report(SECOND, "y"), "x": report(FIRST, "x")},
    }
    found = compare_reports(runs)
    assert [(entry.set_name, entry.second) for entry in found] == [("x", "b"), ("x", "c"), ("y", "b"), ("y", "c")]
    assert found[0].adjusted_p == pytest.approx(4 * found[0].p_value)
    assert found[1].adjusted_p == 1


@pytest.mark.parametrize("name", list(PROVENANCE))
def test_a_result_that_does_not_say_what_it_is_of_is_refused(name):
    provenance = {key: value for key, value in PROVENANCE.items() if key != name}
    nameless = replace(report(SECOND), provenance=provenance)
    with pytest.raises(ConfigError, match=rf"the result 'b' on set does not say its {name}"):
        compare_reports({"a": {"set": report(FIRST)}, "b": {"set": nameless}})


def test_results_on_other_tasks_are_refused():
    with pytest.raises(ConfigError, match="different tasks of set"):
        compare_reports({"a": {"set": report(FIRST)}, "b": {"set": report(SECOND, dataset_hash="e" * 64)}})
    with pytest.raises(ConfigError, match="no common set of tasks"):
        compare_reports({"a": {"set": report(FIRST)}, "b": {"other": report(SECOND, "other")}})
    with pytest.raises(ConfigError, match="records of 'a' and 'b' on set are of different tasks"):
        compare_reports({"a": {"set": report(FIRST)}, "b": {"set": report(SECOND[:-1])}})
    with pytest.raises(ConfigError, match="1 run cannot be compared"):
        compare_reports({"a": {"set": report(FIRST)}})


def test_figures_that_do_not_follow_from_the_records_are_refused():
    honest = report(FIRST)
    better = replace(honest, aggregates=honest.aggregates | {"solved": 5})
    with pytest.raises(ConfigError, match="says 5 of 20 tasks solved, but its records say 4 of 20"):
        compare_reports({"a": {"set": honest}, "b": {"set": better}})
    touched = (replace(honest.records[-1], is_solved=True), *honest.records[:-1])
    with pytest.raises(ConfigError, match="says 5 of 20 tasks solved, but its records say 4 of 20"):
        compare_reports({"a": {"set": honest}, "b": {"set": replace(better, records=touched)}})


def test_what_makes_a_comparison_unfair_is_remarked():
    other = report(SECOND, sandbox_layers=["uid"], code_version={"arcgym": "2", "source": "t" * 64})
    other = replace(other, sampling={"num_samples": 8})
    (found,) = compare_reports({"a": {"set": report(FIRST)}, "b": {"set": other}})
    assert found.remarks == (
        "sandbox layers differ: uid, seccomp and uid",
        "programs per task differ: 4 and 8",
        "code versions differ: 1 (ssssssssssss) and 2 (tttttttttttt)",
    )


def test_a_run_directory_counts_by_its_reports_after_training(tmp_path):
    report(FIRST).save(tmp_path / "eval" / "before-set.json")
    assert load_run(tmp_path)["set"].aggregates["solved"] == 4
    report(SECOND).save(tmp_path / "eval" / "after-set.json")
    assert load_run(tmp_path)["set"].aggregates["solved"] == 11
    assert load_run(tmp_path / "eval" / "before-set.json")["set"].aggregates["solved"] == 4
    with pytest.raises(ConfigError, match="neither a report"):
        load_run(tmp_path / "none")
    (tmp_path / "eval" / "after-bad.json").write_text("{}")
    with pytest.raises(TaskError, match="is not a report"):
        load_run(tmp_path)
