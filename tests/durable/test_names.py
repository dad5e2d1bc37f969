"""The ids of runs."""

import pytest

from stackful.durable.names import checked_name, new_id


@pytest.mark.parametrize(
    "script, start",
    [
        ("crossref", "crossref-"),
        ("My Script_2", "my-script-2-"),
        ("ünï", "n-"),
        ("...", "run-"),
        ("x" * 50, "x" * 20 + "-"),
    ],
)
def test_an_id_begins_with_the_scripts_name(script, start):
    """Whatever the script is called, its run's id is a valid name that begins like it."""
    run_id = new_id(script, taken=())
    assert run_id[:-4] == start
    assert checked_name(run_id) == run_id


def test_ids_that_are_taken_are_not_given_again():
    """A new id is tried until it is free."""

    class TakenTwice:
        tries = 0

        def __contains__(self, run_id):
            self.tries += 1
            return self.tries < 3

    taken = TakenTwice()
    new_id("x", taken)
    assert taken.tries == 3
