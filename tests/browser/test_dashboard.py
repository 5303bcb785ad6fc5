"""The dashboard in a real Chromium: what it shows, what can be clicked, and that hostile jobs can do nothing to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import pytest
from dramatiq import Message

from browser.webdriver import Browser
from jobyard.broker import JobyardBroker
from jobyard.web.server import WebServer
from jobyard.web.tokens import Scope, new_token
from jobyard_operator.redis.policy import hold
from support.waiting import eventually

pytestmark = pytest.mark.slow

HOSTILE: Final = "<img src=x onerror='window.hacked=1'><script>window.hacked=2</script>\"'&{{7*7}}\u202e"


def enqueue(broker: JobyardBroker, queue: str, job_id: str, *args: Any, **kwargs: Any) -> None:
    broker.enqueue(Message(queue, "nobody", args, kwargs, {}, job_id))


def test_the_overview_shows_the_numbers_and_follows_them(
    browser: Browser, dashboard: str, broker: JobyardBroker, bury: Callable[..., None]
) -> None:
    bury("reports", "r-1", "r-2")
    enqueue(broker, "emails", "e-1")
    browser.open(dashboard)

    browser.wait_for_text("#live", "Live")
    browser.wait_for_text("#total-failed", "2")
    browser.wait_for_text("#total-waiting", "1")
    browser.wait_for_text("#nav-dead", "2")
    assert browser.texts("tr[data-queue=emails] td")[:5] == ["emails", "1", "0", "0", "0"]

    enqueue(broker, "images", "i-1")

    browser.wait_for_text("#total-waiting", "2")
    browser.wait_for_text("tr[data-queue=images]", "images")


def test_a_dead_letter_is_retried_by_a_click(
    browser: Browser, dashboard: str, broker: JobyardBroker, bury: Callable[..., None]
) -> None:
    bury("reports", "lost-report")
    browser.open(f"{dashboard}/#/dead")
    browser.click("td a.id", "lost-report")
    browser.wait_for_text("h1", "Dead letter")
    browser.wait_for_text(".timeline", "PermanentError: no paper")
    browser.click("summary", "Traceback")
    browser.wait_for_text(".timeline pre", "raise jobyard.PermanentError")

    browser.click("button", "Retry")

    browser.wait_for_text("h1", "Waiting")
    assert broker.inspector.job("lost-report").state == "waiting"


def test_several_are_selected_and_discarded(
    browser: Browser, dashboard: str, broker: JobyardBroker, bury: Callable[..., None]
) -> None:
    bury("reports", "r-1", "r-2", "r-3")
    browser.open(f"{dashboard}/#/dead")
    browser.click("tbody input[type=checkbox]")
    browser.click("button", "Discard selected")
    browser.wait_for_text("dialog", "forgotten for good")
    browser.press("\ue00c")  # Escape: keep them after all
    eventually(lambda: browser.count("dialog") == 0)
    assert broker.inspector.stats("reports").dead == 3

    browser.click("button", "Discard selected")
    browser.click("dialog button", "Discard")

    eventually(lambda: browser.count("tbody tr") == 2, what="one is gone")
    assert broker.inspector.stats("reports").dead == 2


def test_a_search_finds_dead_letters_by_their_error(
    browser: Browser, dashboard: str, bury: Callable[..., None]
) -> None:
    bury("reports", "r-1", error="no paper")
    bury("emails", "e-1", error="no such domain")
    browser.open(f"{dashboard}/#/dead")
    eventually(lambda: browser.count("tbody tr") == 2)

    browser.type("input[name=error]", "domain\n")

    eventually(lambda: browser.count("tbody tr") == 1)
    browser.wait_for_text("tbody", "e-1")


def test_a_queue_is_paused_and_resumed(browser: Browser, dashboard: str, broker: JobyardBroker) -> None:
    enqueue(broker, "emails", "e-1")
    browser.open(dashboard)

    browser.click("tr[data-queue=emails] button", "Pause")
    browser.wait_for_text("tr[data-queue=emails]", "Paused")
    assert broker.inspector.stats("emails").policy.paused

    browser.click("tr[data-queue=emails] button", "Resume")
    browser.wait_for_text("tr[data-queue=emails] button", "Pause")


def test_a_queue_that_the_operator_holds_says_why(browser: Browser, dashboard: str, broker: JobyardBroker) -> None:
    enqueue(broker, "emails", "e-1")
    hold(broker, "emails", 1, "The image can't be pulled")
    browser.open(dashboard)
    browser.wait_for_text("tr[data-queue=emails]", "Held")
    browser.open(f"{dashboard}/#/queues/emails")
    browser.wait_for_text(".notice", "The image can't be pulled")


def test_a_long_list_is_leafed_through(browser: Browser, dashboard: str, broker: JobyardBroker) -> None:
    broker.enqueue_many(Message("emails", "nobody", (), {}, {}, f"job-{number:03}") for number in range(120))
    browser.open(f"{dashboard}/#/queues/emails")
    browser.wait_for_text("tbody", "job-000")
    browser.click("button", "Next")
    browser.wait_for_text("tbody", "job-050")
    browser.click("button", "Next")
    browser.wait_for_text("tbody", "job-100")
    assert browser.count("tbody tr") == 20
    browser.click("button", "Back")
    browser.wait_for_text("tbody", "job-050")


def test_a_job_is_cancelled_after_a_question(browser: Browser, dashboard: str, broker: JobyardBroker) -> None:
    enqueue(broker, "emails", "unwanted", "ada@example.org", big=2**60 + 1)
    browser.open(dashboard)
    browser.type("#find-id", "unwanted\n")
    browser.wait_for_text("pre", "1152921504606846977")

    browser.click(".head button", "Cancel")
    browser.click("dialog button", "Cancel the job")

    browser.wait_for_text("h1", "Cancelled")
    assert broker.inspector.job("unwanted").state == "cancelled"


def test_hostile_jobs_are_shown_as_text_and_run_nothing(
    browser: Browser, dashboard: str, broker: JobyardBroker, bury: Callable[..., None]
) -> None:
    bury("reports", HOSTILE, argument={HOSTILE: [HOSTILE]}, error=HOSTILE)
    broker.enqueue(Message("emails", HOSTILE, (HOSTILE,), {}, {HOSTILE: HOSTILE}, HOSTILE + "2"))
    place = quote(HOSTILE, safe="")
    for page in ("", "#/dead", "#/queues/emails", f"#/jobs/{place}", f"#/jobs/{place}2", f"#/queues/{place}"):
        browser.open("about:blank")
        browser.open(f"{dashboard}/{page}")
        browser.wait_for_text("#live", "Live")
        eventually(lambda: browser.count("main h1, main table") > 0)
        assert browser.run("return window.hacked") is None
        assert browser.count("main img, main script") == 0
    browser.open(f"{dashboard}/#/jobs/{place}")
    browser.wait_for_text(".error-text", "<img src=x onerror='window.hacked=1'><script>")
    # There is no queue of that name, which is said, and logged by the browser; nothing else may be.
    assert [line for line in browser.console() if "404" not in line] == []


def test_an_inline_script_would_not_run(browser: Browser, dashboard: str) -> None:
    """Should text ever become markup, the policy still holds."""
    browser.open(dashboard)
    browser.wait_for_text("#live", "Live")
    refused = browser.run(
        "try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hacked=1>'); return 'inserted' }"
        "catch (error) { return error.name }"
    )

    assert refused == "TypeError"
    assert browser.run("return window.hacked") is None
    assert all("Trusted" in line or "Content Security Policy" in line for line in browser.console())


def test_what_the_token_is_not_good_for_has_no_button(
    browser: Browser,
    start_dashboard: Callable[..., WebServer],
    broker: JobyardBroker,
    redis_url: str,
    bury: Callable[..., None],
) -> None:
    bury("reports", "lost-report")
    reader, operator = new_token(Scope.READ), new_token(Scope.OPERATE)
    server = start_dashboard(redis_url, web_tokens=f"{reader[1].line},{operator[1].line}")
    visible = "filter((one) => one.checkVisibility()).map((one) => one.textContent)"
    shown = f"return [...document.querySelectorAll('.head .buttons button')].{visible}"
    for (token, _), scope, buttons in ((reader, "read", []), (operator, "operate", ["Retry"])):
        browser.open(f"{server.url}/#/jobs/lost-report")
        browser.run("sessionStorage.clear()")
        browser.open("about:blank")
        browser.open(f"{server.url}/#/jobs/lost-report")
        browser.type("#token", token + "\n")
        browser.wait_for_text("h1", "Dead letter")
        eventually(lambda scope=scope: browser.run("return document.documentElement.dataset.scope") == scope)
        assert browser.run(shown) == buttons
    browser.console()  # The browser itself complains of the first 401.


def test_the_token_is_asked_for(
    browser: Browser, start_dashboard: Callable[..., WebServer], broker: JobyardBroker, redis_url: str
) -> None:
    enqueue(broker, "emails", "e-1")
    server = start_dashboard(redis_url, token="correct-horse-battery")
    browser.open(server.url)
    browser.wait_for_text("main", "Token needed")
    browser.type("#token", "wrong-token-wrong-token\n")
    browser.wait_for_text("main", "does not accept this token")
    browser.type("#token", "correct-horse-battery\n")

    browser.wait_for_text("#total-waiting", "1")
    # What the browser says of answers with 401 is no fault.
    assert [line for line in browser.console() if "401" not in line] == []


def test_it_connects_again_when_the_server_comes_back(
    browser: Browser, start_dashboard: Callable[..., WebServer], broker: JobyardBroker, redis_url: str
) -> None:
    server = start_dashboard(redis_url)
    browser.open(server.url)
    browser.wait_for_text("#live", "Live")

    server.stop()
    browser.wait_for_text("#live", "Reconnecting")
    browser.wait_for_text("#trouble", "No connection to the server")
    enqueue(broker, "emails", "e-1")
    start_dashboard(redis_url, port=server.port)

    browser.wait_for_text("#live", "Live", 30)
    browser.wait_for_text("#total-waiting", "1")
    assert browser.text("#trouble") == ""
    assert [line for line in browser.console() if "ERR_" not in line] == []


def test_it_rests_in_a_hidden_tab(browser: Browser, dashboard: str, broker: JobyardBroker) -> None:
    browser.open(dashboard)
    browser.wait_for_text("#live", "Live")

    hide(browser, True)
    browser.wait_for_text("#live", "Paused")
    enqueue(broker, "emails", "e-1")
    assert browser.text("#total-waiting") == "0"

    hide(browser, False)
    browser.wait_for_text("#live", "Live")
    browser.wait_for_text("#total-waiting", "1")


def hide(browser: Browser, hidden: bool) -> None:
    browser.run(
        "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))",
        hidden,
    )


@pytest.mark.parametrize("page", ["", "#/dead", "#/queues/reports?state=failed", "#/jobs/r-1", "#/workers"])
def test_it_fits_on_a_phone(browser: Browser, dashboard: str, bury: Callable[..., None], page: str) -> None:
    bury("reports", "r-1", argument="x" * 500, error="no paper " * 50)
    browser.resize(390, 844)
    try:
        browser.open(f"{dashboard}/{page}")
        browser.wait_for_text("#live", "Live")
        eventually(lambda: browser.count("main h1") == 1)
        assert browser.run("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.resize(None, None)


def test_everything_can_be_reached_by_keyboard(browser: Browser, dashboard: str, broker: JobyardBroker) -> None:
    enqueue(broker, "emails", "e-1")
    browser.open(dashboard)
    browser.wait_for_text("tr[data-queue=emails]", "emails")
    reached = set()
    for _ in range(20):
        browser.press("\ue004")  # Tab
        reached.add(browser.run("const e = document.activeElement; return e.id || e.textContent.trim() || e.tagName"))

    assert {"Overview", "Workers", "find-id", "theme", "emails", "Pause"} <= reached
    browser.run("document.querySelector('[data-queue=emails] [data-name=queue]').focus()")
    browser.press("\ue007")  # Enter
    browser.wait_for_text("h1", "emails")
