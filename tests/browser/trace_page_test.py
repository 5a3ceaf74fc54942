#!/usr/bin/env python3
"""The trace page of a simulated run, in a real browser: it loads, zooms, shows what is clicked, and leads to a violation.

    tests/browser/trace_page_test.py SIMULATOR [--screenshots FOLDER]

SIMULATOR is build/release/quorate or quorate_sim. Exits 77 (ctest: skipped) without a chromium.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

from chromium import Page


def simulate(simulator, page, *flags):
    command = [simulator] + (["sim"] if pathlib.Path(simulator).name == "quorate" else []) + ["--trace", str(page), *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert page.exists(), f"{command}: no page; {done.stdout}{done.stderr}"
    text = page.read_text()
    assert "http://" not in text and "https://" not in text, "the page wants something from outside"
    return done.returncode


def middle(page, message):
    """Where an arrow's middle is on the screen."""
    script = f"(() => {{ const e = trace.ends({message}), r = document.getElementById('view').getBoundingClientRect();" \
             "return [r.left + (e.xa + e.xb) / 2, r.top + (e.ya + e.yb) / 2]; })()"
    return page.run(script)


def a_run_is_shown_and_what_is_clicked_is_told(simulator, folder, shots):
    path = folder / "good.html"
    assert simulate(simulator, path, "--protocol", "raft", "--seed", "3") == 0
    page = Page(path.as_uri())
    state = page.run("trace.state()")
    assert state["count"] > 1000 and len(state["members"]) >= 3 and state["violations"] == 0, state
    assert state["drawn"]["mode"] == "density", state
    if shots:
        page.screenshot(shots / "whole.png")
    # The first election, with its arrows.
    page.key("e")
    state = page.run("trace.state()")
    assert state["span"] <= 1e5 and state["drawn"]["mode"] == "arrows", state
    if shots:
        page.screenshot(shots / "election.png")
    page.run("trace.goTo(data.roles.find(r => r[2] === 'leader')[0], 60000)")
    page.settle()
    assert page.run("trace.state()")["drawn"]["mode"] == "arrows"
    if shots:
        page.screenshot(shots / "close.png")
    # A click on an arrow tells what it is.
    message = page.run("(() => { const s = trace.state(); for (let i = 0; i < s.count; i++) if (came[i] > 0 && sent[i] > s.begin"
                       " + s.span * 0.2 && came[i] < s.begin + s.span * 0.9 && /Vote/.test(texts[kind[i]])) return i; return -1; })()")
    assert message >= 0, "no vote near the first leader"
    page.run(f"trace.setWindow(sent[{message}] - 4 * (came[{message}] - sent[{message}]), 10 * (came[{message}] - sent[{message}]))")
    page.settle()
    page.click(*middle(page, message))
    details = page.run("document.getElementById('details').innerText")
    assert "Vote" in details and "from member" in details and "arrived at" in details and "term" in details, details
    if shots:
        page.screenshot(shots / "clicked.png")
    # The wheel zooms around the pointer; a kind can be hidden.
    before = page.run("trace.state()")
    page.wheel(600, 400, -300)
    after = page.run("trace.state()")
    assert after["span"] < before["span"], (before, after)
    page.key("0")
    everything = page.run("trace.state()")["drawn"]["messages"]
    page.run("document.getElementById('quiet').click()")
    page.settle()
    assert 0 < page.run("trace.state()")["drawn"]["messages"] < everything
    assert page.errors == [], page.errors
    page.close()


def a_failed_run_opens_at_its_violation(simulator, folder, shots):
    path = folder / "violated.html"
    assert simulate(simulator, path, "--protocol", "raft", "--seed", "3", "--canary") == 1
    page = Page(path.as_uri())
    state = page.run("trace.state()")
    details = page.run("document.getElementById('details').innerText")
    assert state["violations"] >= 1 and details.startswith("violated:"), details
    at = page.run("violations[0].at")
    assert state["begin"] <= at <= state["begin"] + state["span"], "the page does not begin at the violation"
    if shots:
        page.screenshot(shots / "violated.png")
    # The violation is found at the end; the answer that is wrong is from long before.
    assert "go to" in details, details
    page.run("document.querySelector('#details button').click()")
    page.settle()
    state = page.run("trace.state()")
    assert state["begin"] + state["span"] < at, state
    if shots:
        page.screenshot(shots / "wrong_answer.png")
    assert page.errors == [], page.errors
    page.close()


def main():
    if shutil.which("chromium") is None:
        print("skipped: there is no chromium (tools/install-packages browser)")
        return 77
    shots = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[2] == "--screenshots" else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        a_run_is_shown_and_what_is_clicked_is_told(sys.argv[1], pathlib.Path(folder), shots)
        a_failed_run_opens_at_its_violation(sys.argv[1], pathlib.Path(folder), shots)
    print("the trace page works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
