"""The rows of a decision: however they are put together, the same are written."""

from msgspec.structs import replace

from tradekit.domain.changes import NOTHING, TABLES, Changes, state_changes, together, with_state
from tradekit.testing.factories import a_session, an_audit_entry, an_order


def test_together_keeps_every_row_of_every_table_in_order() -> None:
    first, second, third = (an_audit_entry(detail=detail) for detail in ("a", "b", "c"))
    order = an_order("test/1")
    parts = (Changes(audit=(first,)), NOTHING, Changes(orders=(order,), audit=(second, third)))
    assert together(*parts) == Changes(orders=(order,), audit=(first, second, third))
    assert together() == NOTHING
    assert together(parts[0], NOTHING) is parts[0]


def test_a_decision_writes_its_history_and_the_state_that_changed() -> None:
    old = a_session()
    new = replace(old, session=replace(old.session, day_ends_ms=1))
    history = Changes(audit=(an_audit_entry(),), inbox_done=(1,))
    written = with_state(history, old, new, inbox_done=(2,))
    assert written == together(state_changes(old, new), Changes(inbox_done=(2,)), history)
    assert written.sessions == ((new.user_id, new.partition, "paper", new.session),)
    assert with_state(history, old, old) is history


def test_an_unchanged_state_writes_nothing() -> None:
    state = a_session()
    assert state_changes(state, state) is NOTHING
    assert not any(getattr(NOTHING, name) for name in TABLES)
