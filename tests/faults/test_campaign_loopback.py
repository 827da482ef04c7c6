"""A short campaign at the loopback venue, and proof that it can fail. The long one: ``nox -s faults -- --kills 1000 --venue loopback``."""

from pathlib import Path

import pytest

from tests.faults.test_faults_short import campaign

pytest.importorskip("ccxt")


def test_kills_at_a_venue_that_loses_answers_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    arguments = ["--kills", "5", "--chats", "16", "--seed", "11", "--venue", "loopback", "--linger-s", "3"]
    code, report, progress = campaign(tmp_path, *arguments)
    assert (report["kills"], report["lost"], report["duplicated"], report["unknown_left"], report["violations"]) == (5, 0, 0, 0, []), report
    assert code == 0, progress
    assert report["venue_accounts"] == 8
    assert report["venue_trades"] > 0
    assert report["faults_injected"]["lost-answer"] > 0


def test_an_order_sent_again_instead_of_asked_about_is_caught(tmp_path: Path) -> None:
    """Further plants for a venue: ``silence-is-refusal``, ``not-found-is-gone``, ``book-every-fill-told``."""
    arguments = ["--kills", "1", "--chats", "16", "--seed", "3", "--step", "venue.submitted", "--quiet-s", "3", "--linger-s", "5"]
    code, report, _ = campaign(tmp_path, *arguments, "--venue", "loopback", "--plant", "send-again-after-silence")
    assert code == 1
    assert report["duplicated"], report
    assert any("the venue has 2 orders under" in example for example in report["duplicated_examples"]), report
