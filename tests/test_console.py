"""The console in a real browser: by keyboard, on a phone, and with nothing from other hosts."""

import pyarrow as pa
import pytest

import mcfast
from browser import page
from service_problems import process
from serving_problems import N_ITEMS, made

BIG = 9_007_199_254_740_993  # JavaScript would make another id of it


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("console") / "serving"
    items = [BIG, *range(1, N_ITEMS)]
    kinds = ["drama" if i % 3 else "comedy" for i in range(N_ITEMS)]
    titles = pa.table({"id": items, "title": [f"Film <b>{i}</b>" for i in range(N_ITEMS)], "kind": kinds})
    people = pa.table({"id": [100], "age": [33]})
    for seed in range(2):
        mcfast.publish(made(seed, items=items), path, items=titles, users=people)
    return path


@pytest.fixture(scope="module")
def running(root, tmp_path_factory):
    with process(root, tmp_path_factory.mktemp("log") / "log") as started:
        yield started


@pytest.fixture(params=[1280, 360], ids=["wide", "phone"], scope="module")
def chromium(request, tmp_path_factory):
    with page(tmp_path_factory.mktemp("profile"), width=request.param) as opened:
        yield opened


@pytest.fixture
def browser(chromium, running):
    chromium.events.clear()
    chromium.expected = None
    chromium.open(f"http://127.0.0.1:{running.port}/")
    chromium.wait("document.querySelectorAll('#legend li').length == 2")
    yield chromium
    assert chromium.complaints() == []
    hosts = {url.split("/")[2] for url in chromium.asked() if url.startswith("http")}
    assert hosts <= {f"127.0.0.1:{running.port}"}
    assert chromium.run("document.scrollingElement.scrollWidth <= window.innerWidth")


def titles(browser, place):
    return browser.run(f"[...document.querySelectorAll('{place} li span:first-child')].map(e => e.textContent)")


def test_everything_by_keyboard(browser, root):
    model = made(1, items=[BIG, *range(1, N_ITEMS)])
    row_of = {id: row for row, id in enumerate(model.items.values.tolist())}
    with mcfast.open(root) as recaller:
        expected = [f"Film <b>{row_of[id]}</b>" for id in recaller.recall(100, 10).ids.tolist()]
    assert browser.run("document.querySelector('#token-form').offsetParent === null")

    # From the start of the page, without a mouse: the first stop is the user.
    browser.press("Tab")
    assert browser.run("document.activeElement.id") == "user"
    browser.type("100")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#user-lists h3').length == 2")
    assert titles(browser, "#user-lists > div:nth-child(2)") == expected
    about = browser.run("document.querySelector('#user-about').textContent")
    assert "index and exact agree on 10 of 10" in about
    assert "age 33" in about
    assert f"{len(model.seen.of_user(0))} items seen" in about

    # Two versions side by side; what only one of them has is marked.
    browser.run("document.querySelector('#beside').value = '1'; document.querySelector('#user').focus()")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#user-lists h3').length == 3")
    with mcfast.open(root, version=1) as other:
        others = [f"Film <b>{row_of[id]}</b>" for id in other.recall(100, 10).ids.tolist()]
    assert titles(browser, "#user-lists > div:nth-child(3)") == others
    marked = browser.run("document.querySelectorAll('#user-lists > div:nth-child(3) .only').length")
    assert marked == len(set(others) - set(expected))

    # A new user, out of an item whose id is no JavaScript number.
    browser.run("document.querySelector('#find').focus()")
    browser.type("film <B>0<")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#found button').length == 1")
    browser.run("document.querySelector('#found button').focus()")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#new-lists li').length == 10")
    with mcfast.open(root) as recaller:
        new = [f"Film <b>{row_of[id]}</b>" for id in recaller.recall_items([BIG], 10).ids.tolist()]
    assert titles(browser, "#new-lists") == new
    browser.run("document.querySelector('#chosen button').focus()")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#new-lists li').length == 0")

    # The map, by arrows; Enter shows what is similar.
    browser.run("document.querySelector('#map').focus()")
    browser.press("ArrowRight")
    first = browser.wait("document.querySelector('#map-about').textContent")
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        browser.press(key)
    assert browser.run("document.querySelector('#map-about').textContent") != first
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#similar-lists li').length == 10")
    browser.screenshot(root.parent / f"console-{browser.run('innerWidth')}.png")


def test_health_is_shown_and_errors_are_told(browser):
    browser.wait("document.querySelector('#h-rate').textContent != '\\u2013'")
    assert browser.run("document.querySelector('#h-version').textContent") == "2"
    assert browser.run("document.querySelector('#h-workers').textContent") == "1"
    browser.run("document.querySelector('#user').focus()")
    browser.type("abc")
    browser.press("Enter")
    told = browser.wait("!document.querySelector('#problem').hidden && document.querySelector('#problem').textContent")
    assert "user: got 'abc', expected an integer" in told
    browser.expected = "status of 422"  # the browser notes it itself, at a time of its own


def test_a_token_is_asked_for_and_used(root, tmp_path):
    options = ("--token-env", "MCFAST_TEST_TOKEN")
    secret = {"MCFAST_TEST_TOKEN": "secret"}
    with process(root, tmp_path / "log", *options, environment=secret) as running, page(tmp_path / "profile") as opened:
        opened.open(f"http://127.0.0.1:{running.port}/")
        opened.wait("document.querySelector('#token-form')?.hidden === false")
        opened.run("document.querySelector('#token').focus()")
        opened.type("secret")
        opened.press("Enter")
        opened.wait("document.querySelectorAll('#legend li').length == 2")
        assert opened.run("document.querySelector('#token-form').offsetParent === null")


def test_every_button_and_field_has_a_name(browser):
    unnamed = browser.run(
        "[...document.querySelectorAll('input, select, button, canvas')].filter("
        "e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.id)"
    )
    assert unnamed == []
