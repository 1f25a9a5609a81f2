"""The research guild at work, watched in a browser from the request to its end."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import started, until
from tests.console.watched import Watched
from tests.servers import embedded_binary

REQUEST = '{"name": "watched", "dataset": "digits", "budget": {"seconds": 60, "trials": 14}}'


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_study_is_watched_live_until_it_has_ended(tmp_path: Path, watched: Watched) -> None:
    embedded_binary()
    guild = started("run", "research", "--http", "0", cwd=tmp_path)
    try:
        url = until(guild.stderr, "console: ")[-1].rpartition("console: ")[2].strip()
        page = watched.page
        page.set_default_timeout(120_000)
        watched.open(f"{url}#/publish/research.study")
        page.get_by_role("button", name="JSON", exact=True).click()
        page.get_by_role("textbox", name="Message").fill(REQUEST)
        page.get_by_role("button", name="Ask").click()
        page.get_by_role("region", name="What came of it").locator("figure svg").first.wait_for()
        assert watched.axe() == []

        page.get_by_role("link", name="Experiments").click()
        page.get_by_role("link", name="watched").click()
        page.get_by_role("treeitem").first.wait_for()
        page.evaluate(FOLLOW_WHAT_RUNS)
        # On a quick machine it may have ended before its page is there; test_experiments holds one.
        page.locator("figure svg").first.wait_for()
        assert watched.axe() == []

        page.get_by_role("link", name=re.compile("^Study watched")).click()
        page.locator("dl.figures").get_by_text("ended").wait_for()
        page.get_by_role("link", name="Ranking").click()
        page.get_by_role("table", name="Ranking").get_by_text("baseline").first.wait_for()
        assert watched.axe() == []
    finally:
        guild.terminate()
        _, err = guild.communicate()
    assert "Traceback" not in err
    assert guild.returncode == 0


FOLLOW_WHAT_RUNS = """() => new Promise((resolve) => {
    // A trial takes seconds, so that its link is followed at once when it is there.
    const follow = () => {
        const row = [...document.querySelectorAll("[role=treeitem]")]
            .find((each) => each.querySelector(".state.runs"));
        if (row) {
            row.querySelector("a").click();
            resolve();
        } else requestAnimationFrame(follow);
    };
    follow();
})"""
