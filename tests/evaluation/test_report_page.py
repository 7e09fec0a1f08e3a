"""The report as a person meets it: in a browser, with a keyboard, in the dark, on a phone, on paper."""

import itertools
import shutil
from pathlib import Path

import pytest
from report_runs import AFTER, BEFORE, FLIP, HALF, SET, WRONG, evaluate, real_tasks, wide_report, write_run

from arcgym.data import TaskLoader
from arcgym.evaluation import aggregate, dataset_hash
from arcgym.evaluation.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.chromium, pytest.mark.skipif(BROWSER is None, reason="needs chromium")]
PROGRAM = (
    "def transform(grid):\n    total = NUMBER  # a comment\n" + "    grid = grid.copy()\n" * 30 + "    return grid\n"
)


@pytest.fixture(scope="module")
def small_page(sandbox, tmp_path_factory):
    tasks = real_tasks(FLIP, HALF, WRONG)
    folder = tmp_path_factory.mktemp("small")
    return write_report([write_run(folder / "run", evaluate(BEFORE, sandbox, tasks), evaluate(AFTER, sandbox, tasks))])


@pytest.fixture(scope="module")
def wide_page(sandbox, tmp_path_factory):
    """400 tasks with programs of a language model's length."""
    tasks = TaskLoader().load("arc-agi-1", "evaluation")
    report = wide_report(evaluate(AFTER, sandbox, real_tasks(FLIP)), tasks, PROGRAM)
    figures = report.aggregates | aggregate(report.records, 4) | {"dataset_hash": dataset_hash(tasks)}
    folder = tmp_path_factory.mktemp("wide")
    file = folder / "wide.json"
    type(report)("arc-agi-1/evaluation", figures, report.sampling, report.records, report.provenance).save(file)
    return write_report([file], folder / "report.html")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    # As root a browser cannot sandbox itself; it sees nothing but these pages
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open pages; nothing may be fetched, and the console has to stay empty."""
    said, asked, contexts = [], [], []

    def visit(file, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked)


def shown(page):
    return page.locator(".entry:visible h3").all_text_contents()


def entry(page, name):
    return page.locator(".entry").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_filters_choose_tasks(visit, small_page):
    page = visit(small_page)
    assert shown(page) == [FLIP, HALF, WRONG]
    for field, value, wanted in (
        ("Outcome", "solved", [FLIP]),
        ("Outcome", "lost", [WRONG]),
        ("Outcome", "differ", [FLIP, WRONG]),
        ("Search", "[::-1, ::-1]", [WRONG]),
        ("Search", HALF.upper(), [HALF]),
        ("Search", "no such thing", []),
    ):
        control = page.get_by_label(field, exact=True)
        (control.select_option if field == "Outcome" else control.fill)(value)
        assert shown(page) == wanted
        assert page.get_by_role("status").first.inner_text() == f"{len(wanted)} of 3 tasks"
        page.get_by_role("button", name="Reset").click()
        page.locator(".entry:visible").nth(2).wait_for()


def test_filters_combine_and_tasks_are_sorted(visit, wide_page):
    page = visit(wide_page)
    count = page.get_by_role("status").first
    assert count.inner_text() == "400 of 400 tasks, the first 20 shown"
    page.get_by_label("Difficulty", exact=True).select_option("2")
    assert count.inner_text() == "100 of 400 tasks, the first 20 shown"
    page.get_by_label("Sort by", exact=True).select_option("rate")
    rates = [float(card.get_attribute("data-rate")) for card in page.locator(".entry:visible").all()]
    assert rates == sorted(rates, reverse=True) and rates[0] == 0.5
    page.get_by_label("Sort by", exact=True).select_option("name")
    assert shown(page) == sorted(shown(page))
    page.get_by_role("button", name="Show more").click()
    assert len(shown(page)) == 40
    assert page.evaluate("document.activeElement === document.querySelectorAll('.entry:not([hidden])')[20]")
    page.get_by_role("button", name="Show all").click()
    assert len(shown(page)) == 100
    assert not page.get_by_role("button", name="Show more").is_visible()


def test_a_page_of_400_tasks_is_small_and_draws_what_is_seen(visit, wide_page):
    assert wide_page.stat().st_size < 5e6
    page = visit(wide_page)
    first = page.locator(".entry").first
    first.scroll_into_view_if_needed()
    first.locator(".pairs svg").first.wait_for()
    assert page.locator(".entry[data-drawn]").count() < 20


def test_differing_cells_are_crossed_out(visit, small_page):
    page = visit(small_page)
    (task,) = real_tasks(WRONG)
    wrong = int((task.test[0].input[::-1] != task.test[0].output).sum())
    assert wrong > 0
    after = entry(page, WRONG).locator(".result").nth(1)
    after.scroll_into_view_if_needed()
    attempt = after.get_by_role("img", name="attempt")
    attempt.wait_for()
    height, width = task.test[0].output.shape
    assert attempt.get_attribute("aria-label") == (
        f"attempt, {height} rows, {width} columns, {wrong} of {task.test[0].output.size} cells differ"
    )
    assert attempt.locator(".wrong").get_attribute("d").count("M") == wrong
    assert after.get_by_role("img", name="expected").locator(".wrong").count() == 0
    assert f"{wrong} of {task.test[0].output.size} cells differ" in after.inner_text()


def test_a_wrong_size_is_said(visit, small_page):
    page = visit(small_page)
    answer = entry(page, HALF).locator(".result").nth(1)
    answer.scroll_into_view_if_needed()
    answer.get_by_role("img", name="attempt").wait_for()
    assert answer.locator("svg.wrongsize").count() == 1
    assert "is right" in answer.inner_text()


def test_grids_have_the_official_colours(visit, small_page):
    page = visit(small_page)
    (task,) = real_tasks(FLIP)
    card = entry(page, FLIP)
    card.scroll_into_view_if_needed()
    picture = card.locator(".pairs svg").first
    picture.wait_for()
    drawn = picture.evaluate(
        """svg => Object.fromEntries([...svg.querySelectorAll('path[fill^="var"]')].map((path) => {
          const runs = [...path.getAttribute('d').matchAll(/h(\\d+)v/g)];
          return [path.getAttribute('fill'), runs.reduce((sum, run) => sum + Number(run[1]), 0)];
        }))"""
    )
    grid = task.train[0].input
    assert drawn == {f"var(--g{colour})": int((grid == colour).sum()) for colour in set(grid.flatten().tolist())}
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--g1')") == "#0074D9"


def test_digits_can_be_put_on_cells(visit, small_page):
    page = visit(small_page)
    (task,) = real_tasks(FLIP)
    card = entry(page, FLIP)
    card.scroll_into_view_if_needed()
    picture = card.locator(".pairs svg").first
    picture.wait_for()
    assert picture.locator("text").count() == 0
    page.get_by_label("Digits on cells", exact=True).check()
    digits = picture.locator("text").all_text_contents()
    assert digits == [str(cell) for cell in task.train[0].input.flatten()]


def test_grids_can_be_read_as_text(visit, small_page):
    page = visit(small_page)
    card = entry(page, FLIP)
    card.get_by_text("Grids as digits").click()
    text = card.locator(".text pre")
    (task,) = real_tasks(FLIP)
    expected = "\n".join("".join(map(str, row)) for row in task.test[0].output.tolist())
    text.filter(has_text="expected").wait_for()
    assert f"Test 1, expected\n{expected}" in text.inner_text().replace("expected", "Test 1, expected", 1)
    assert f"after training: solved; test 1, attempt 1\n{expected}" in text.inner_text()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_theme_is_the_system_s_or_the_reader_s(visit, small_page, scheme, dark):
    page = visit(small_page, color_scheme=scheme)

    def is_dark():
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0]) < 128

    assert is_dark() == dark
    for choice in ("dark", "light"):
        page.get_by_label("Theme", exact=True).select_option(choice)
        assert is_dark() == (choice == "dark")
    page.reload()
    assert not is_dark()  # the choice is remembered


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_stand_out(visit, small_page, scheme):
    """Contrast of WCAG 2: 4.5 for text, 3 for lines and marks."""
    page = visit(small_page, color_scheme=scheme)
    for name, surface, least in [
        *((name, surface, 4.5) for name in ("ink", "quiet", "accent", "good", "bad") for surface in ("sheet", "page")),
        *((f"c{i}", "sheet", 3) for i in range(6)),
    ]:
        ratio = page.evaluate(
            """([name, surface]) => {
              const light = (variable) => {
                const probe = document.createElement("i");
                probe.style.color = `var(--${variable})`;
                document.body.append(probe);
                const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
                probe.remove();
                const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                const [r, g, b] = parts.map((v) => linear(v / 255));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const [a, b] = [light(name), light(surface)];
              return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            }""",
            [name, surface],
        )
        assert ratio >= least, (name, surface, ratio)


def test_a_link_leads_to_its_task_even_where_that_is_hidden(visit, small_page):
    page = visit(small_page)
    page.get_by_label("Outcome", exact=True).select_option("unsolved")
    assert FLIP not in shown(page)
    page.locator("#tasks a").filter(has_text=FLIP).first.click()
    entry(page, FLIP).wait_for(state="visible")
    assert page.evaluate("document.activeElement.querySelector('h3').textContent") == FLIP
    assert page.get_by_label("Outcome", exact=True).input_value() == ""


def test_the_keyboard_reaches_everything(visit, small_page):
    page = visit(small_page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the gallery of tasks"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("solved")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
    assert {"outcome", "set", "sort", "BUTTON", "pairs", "SUMMARY", "PRE"} <= reached


def test_everything_has_a_name(visit, small_page):
    page = visit(small_page)
    page.locator(".entry").last.scroll_into_view_if_needed()
    page.locator(".entry[data-drawn]").last.wait_for()
    assert page.locator("svg:not([aria-hidden]):not([aria-label])").count() == 0
    levels = [
        int(name[1]) for name in page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => h.tagName)")
    ]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.get_by_role("table", name="Reward", exact=True).count() == 0  # in closed details
    page.locator("#figure-reward summary").click()
    assert page.get_by_role("table", name="Reward", exact=True).count() == 1


def test_a_phone_scrolls_in_one_direction_only(visit, small_page):
    page = visit(small_page, viewport={"width": 390, "height": 844})
    page.locator(".entry").last.scroll_into_view_if_needed()
    page.locator(".entry[data-drawn]").last.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_paper_gets_every_task_that_is_shown(visit, wide_page, tmp_path):
    page = visit(wide_page, color_scheme="dark")
    assert page.locator(".entry[data-drawn]").count() < 20
    page.pdf(path=tmp_path / "page.pdf")
    assert page.locator(".entry[data-drawn]").count() == 20
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_label("Theme", exact=True).is_visible()


def test_without_scripts_the_page_can_be_read(visit, small_page):
    page = visit(small_page, java_script_enabled=False)
    assert shown(page) == [FLIP, HALF, WRONG]
    assert entry(page, FLIP).locator("pre code").last.text_content().startswith("def transform(grid):")
    assert page.locator("#figure-reward svg").is_visible()


def test_the_set_s_name_is_there(visit, small_page):
    assert SET in visit(small_page).locator("#set").inner_text()
    assert Path(small_page).name == "report.html"
