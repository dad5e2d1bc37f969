"""The page in a real browser, as a person uses it: with the mouse, with the keyboard only, with thousands of runs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from durable.commands import SOURCES
from stackful.durable import connect
from stackful.durable.records import NewRun
from stackful.durable.store import Run, Status

webdriver = pytest.importorskip("selenium.webdriver", reason="the page needs stackful[page]")
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="the page was NOT tested in a browser: install Debian's chromium and chromium-driver",
)
WAIT = 30


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """The page of a server of its own."""

    def __init__(self, browser, store, *options):
        self.browser = browser
        environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        command = [sys.executable, "-m", "stackful", "serve", "--port", "0", "--store", store, *options]
        self.server = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.address = self.server.stdout.readline().split()[-1]
        browser.get("about:blank")  # a token that a page before was given is its own
        browser.get(self.address)

    def wait(self, condition):
        """Until it is true; what the page has just replaced is looked up again."""
        wait = WebDriverWait(self.browser, WAIT, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition())

    def click(self, selector, text=""):
        """What a person means by it."""
        self.wait(lambda: [each.click() or True for each in self.all(selector) if text in each.text][:1])

    def type(self, selector, *keys):
        self.wait(lambda: [each.send_keys(*keys) or True for each in self.all(selector)][:1])

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.wait(lambda: next(iter(self.all(selector)), None))

    def rows(self):
        return self.browser.execute_script(
            "return [...document.querySelectorAll('#runs tr')].map((row) => row.dataset.run)"
        )

    def text(self, selector):
        return self.browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def press(self, *keys):
        self.browser.switch_to.active_element.send_keys(*keys)

    def focused(self):
        return self.browser.execute_script(
            "return document.activeElement.closest('tr')?.dataset.run ?? document.activeElement.id"
        )

    def close(self):
        self.browser.get("about:blank")  # it asks no more
        self.browser.get_log("browser")
        self.server.send_signal(signal.SIGINT)
        _, errors = self.server.communicate(timeout=WAIT)
        assert "Traceback" not in errors, errors


@pytest.fixture
def page(browser, store):
    """The page with actions."""
    page = Page(browser, store, "--actions")
    yield page
    problems = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    page.close()
    assert problems == []


def test_a_selected_run_shows_where_it_stands(page):
    """Click a run: its question, its stack with the current line marked, its variables; nothing that it holds became part of the page."""
    page.wait(lambda: "order-1" in page.rows())
    page.click("tr[data-run='order-1'] a")
    page.wait(lambda: "order" in page.text(".frame summary"))
    assert "answer = durable.ask(" in page.text("pre .current")
    assert "total = 600" in page.text(".frame .tree")
    assert page.text("form.question p") == "Ship <b>it</b>?"
    assert "onerror" in page.text(".frame .tree")
    assert page.all("#detail img, #detail b, #detail script") == []
    page.click("tr[data-run='fails-1'] a")
    page.wait(lambda: "<script>" in page.text("pre.error"))
    assert page.browser.title == "Stackful: runs"


def test_it_can_be_used_with_the_keyboard_alone(page):
    """/ finds, arrows move, Enter opens; a value unfolds; the back button goes back."""
    page.wait(lambda: len(page.rows()) >= 2)
    page.press("/")
    assert page.focused() == "text"
    page.press("order-1")
    page.wait(lambda: page.rows() == ["order-1"])
    page.press(Keys.ARROW_DOWN)
    assert page.focused() == "order-1"
    page.press(Keys.ENTER)
    page.wait(lambda: page.text("#detail h2").startswith("order-1"))
    page.type(".frame .tree summary", Keys.SPACE)
    page.wait(lambda: page.all(".frame .tree details[open]"))
    page.press("/")
    page.press(Keys.CONTROL + "a", Keys.DELETE)
    page.wait(lambda: "fails-1" in page.rows())
    page.type("tr[data-run='fails-1'] a", Keys.ENTER)
    page.wait(lambda: page.text("#detail h2").startswith("fails-1"))
    page.browser.back()
    page.wait(lambda: page.text("#detail h2").startswith("order-1"))


def test_statuses_filter(page):
    """A status lets only its runs through, and says how many there are."""
    page.click("[data-status='failed']")
    page.wait(lambda: page.rows() == ["fails-1"])
    assert page.text("[data-status='failed']") == "failed 1"


def test_a_run_is_forked_and_cancelled_by_its_buttons(page, store):
    """The fork is shown at once; the cancelled one has been asked for its end."""
    page.browser.get(re.sub("#.*", "?run=order-1", page.address))
    page.click(".actions button", "Fork")
    page.wait(lambda: "run=order-1" not in page.browser.current_url)
    forked = page.browser.current_url.rpartition("=")[2]
    page.wait(lambda: page.text("#detail h2").startswith(forked))
    page.click(".actions button.danger")
    page.click("dialog button.danger")
    with connect(store, work=False) as engine:
        page.wait(lambda: engine.store.run(forked).cancelled or engine.store.run(forked).status is Status.CANCELLED)


def test_what_a_run_asks_is_answered_by_its_form(page, store):
    """The form's fields become the answer that ask() returns."""
    page.click("tr[data-run='order-1'] a")
    page.type("form.question textarea", "Main Street 1")
    page.type("form.question select", "M")
    page.click("form.question input")
    page.click("form.question button")
    page.wait(lambda: not page.all("form.question"))
    with connect(store) as engine:
        assert engine.wait("order-1", WAIT).status is Status.FINISHED
    page.wait(lambda: page.text("#detail h2 .status") == "finished")  # told, not asked for
    assert "Main Street 1" in page.text("#detail")


def test_without_actions_there_are_no_buttons(browser, store):
    """A page that only shows has nothing to press but filters."""
    page = Page(browser, store)
    page.browser.execute_script("sessionStorage.clear()")
    page.click("tr[data-run='fails-1'] a")
    page.wait(lambda: page.text("#detail h2"))
    assert page.all("#detail button") == []
    page.close()


def test_ten_thousand_runs_are_shown_by_the_hundred(browser, tmp_path):
    """The list begins within its first page of answers, finds one among all, and shows more when asked."""
    path = str(tmp_path / "many.db")
    with connect(path, work=False) as engine:
        now = time.time()
        rows = [
            Run(
                f"run-{number}",
                "shop:order",
                (),
                "",
                None,
                "3",
                now + number,
                Status.SLEEPING,
                kind="function",
                wake=now + 1e6,
            )
            for number in range(10_000)
        ]
        engine.store.add_runs([NewRun(row) for row in rows])
    page = Page(browser, path)
    page.wait(lambda: len(page.rows()) == 100)
    assert page.rows()[0] == "run-9999"
    assert page.text("#more") == "Show more (100 of 10000)"
    page.click("#more")
    page.wait(lambda: len(page.rows()) == 200)
    page.type("#text", "run-4242")
    page.wait(lambda: page.rows() == ["run-4242"])
    page.close()
