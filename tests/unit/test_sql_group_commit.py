import threading
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tradekit.adapters.sql.group_commit import BULK_WAITS_MAX, GroupCommit
from tradekit.domain.changes import Changes
from tradekit.domain.errors import Busy, Duplicate, StorageFailed, TradekitError, Unavailable
from tradekit.testing.contracts.storage_support import Answers
from tradekit.testing.factories import an_audit_entry

pytestmark = pytest.mark.anyio


class RecordingWriter:
    """Remembers the groups; waits before writing while ``open_gate`` is not set, and fails as told."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.failing: BaseException | None = None
        self.guilty = ""

    def write(self, group: Sequence[Changes]) -> list[TradekitError | None]:
        self.began.set()
        assert self.gate.wait(30)
        self.threads.add(threading.get_ident())
        if self.failing is not None:
            raise self.failing
        names = [changes.audit[0].detail for changes in group]
        self.groups.append(names)
        return [Duplicate(kind="test", name=name) if name == self.guilty else None for name in names]


def rows(name: str, count: int = 1) -> Changes:
    return Changes(audit=(an_audit_entry(detail=name),) * count)


def group_commit(writer: RecordingWriter, **options: Any) -> GroupCommit:
    return GroupCommit(writer, limiter=anyio.CapacityLimiter(1), **options)


async def begun(writer: RecordingWriter) -> None:
    """Until the writer is inside a group."""
    await anyio.to_thread.run_sync(writer.began.wait, 30)


@pytest.mark.parametrize("inline", [False, True], ids=["thread", "inline"])
async def test_everything_queued_is_one_group_written_where_it_should_be(inline: bool) -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer, inline=inline)
    for name in "abc":
        commits.submit(rows(name), answers.of(name))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        await answers.wait(3)
        tasks.cancel_scope.cancel()
    assert writer.groups == [["a", "b", "c"]]
    assert (commits.groups, commits.commits, commits.queued) == (1, 3, 0)
    assert (threading.get_ident() in writer.threads) is inline


async def test_a_group_is_bounded_by_rows() -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer, rows_max=10)
    for name, count in (("a", 4), ("b", 4), ("c", 4), ("d", 30), ("e", 1)):
        commits.submit(rows(name, count), answers.of(name))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        await answers.wait(5)
        tasks.cancel_scope.cancel()
    assert writer.groups == [["a", "b", "c"], ["d"], ["e"]]


async def test_a_full_queue_refuses_and_accepts_again_once_written() -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer, queue_max=3)
    writer.gate.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        commits.submit(rows("a"), answers.of("a"))
        await begun(writer)
        commits.submit(rows("b"), answers.of("b"))
        commits.submit(rows("c"), answers.of("c"), bulk=True)
        with pytest.raises(Busy) as refused:
            commits.submit(rows("d"), answers.of("d"))
        assert refused.value.limit == 3
        writer.gate.set()
        await answers.wait(3)
        commits.submit(rows("e"), answers.of("e"))
        await answers.wait(4)
        tasks.cancel_scope.cancel()
    assert answers.order == ["a", "b", "c", "e"]


async def test_commands_pass_bulk_that_waits_but_never_for_ever() -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer, rows_max=2)
    commits.submit(rows("bulk", 5), answers.of("bulk"), bulk=True)
    commands = [str(number) for number in range(4 * BULK_WAITS_MAX)]
    for name in commands:
        commits.submit(rows(name), answers.of(name))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        await answers.wait(len(commands) + 1)
        tasks.cancel_scope.cancel()
    assert [name for name in answers.order if name != "bulk"] == commands
    assert writer.groups[BULK_WAITS_MAX] == [*commands[2 * BULK_WAITS_MAX : 2 * BULK_WAITS_MAX + 2], "bulk"]


async def test_cancelling_writes_what_has_queued_first() -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer, rows_max=2)
    writer.gate.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        for name in "abcdef":
            commits.submit(rows(name), answers.of(name))
        await begun(writer)
        tasks.cancel_scope.cancel()
        writer.gate.set()
    assert writer.groups == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert answers.errors == dict.fromkeys("abcdef")
    with pytest.raises(Unavailable):
        commits.submit(rows("late"), answers.of("late"))


async def test_a_group_taken_from_the_queue_is_written_even_when_cancelled_before_its_turn() -> None:
    writer, answers, turns = RecordingWriter(), Answers(), anyio.CapacityLimiter(1)
    commits = GroupCommit(writer, limiter=turns)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        async with turns:
            commits.submit(rows("a"), answers.of("a"))
            while not turns.statistics().tasks_waiting:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert writer.groups == [["a"]]
    assert answers.errors == {"a": None}


async def test_what_cannot_be_written_before_the_deadline_hears_so() -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer, rows_max=1, drain_s=0)
    writer.gate.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        for name in "abc":
            commits.submit(rows(name), answers.of(name))
        await begun(writer)
        tasks.cancel_scope.cancel()
        writer.gate.set()
    assert writer.groups == [["a"]]
    assert answers.errors["a"] is None
    assert isinstance(answers.errors["b"], StorageFailed)
    assert isinstance(answers.errors["c"], StorageFailed)
    assert commits.queued == 0


async def test_a_writer_that_breaks_fails_its_group_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer)
    writer.failing = RuntimeError("broken")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        with pytest.raises(StorageFailed, match="broken"):
            await commits.commit(rows("a"))
        writer.failing = None
        await commits.commit(rows("b"))
        commits.submit(rows("c"), answers.of("c"))
        await answers.wait(1)
        tasks.cancel_scope.cancel()
    assert writer.groups == [["b"], ["c"]]
    assert "writing 1 commits failed" in caplog.text


async def test_a_broken_completion_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(error: Exception | None) -> None:
        raise RuntimeError("a completion of the test")

    writer, answers = RecordingWriter(), Answers()
    commits = group_commit(writer)
    commits.submit(rows("a"), broken)
    commits.submit(rows("b"), answers.of("b"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        await answers.wait(1)
        tasks.cancel_scope.cancel()
    assert "a completion failed; its commit is durable" in caplog.text
    assert "a completion of the test" in caplog.text


async def test_commit_raises_what_the_writer_answered() -> None:
    writer = RecordingWriter()
    writer.guilty = "known"
    commits = group_commit(writer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        with pytest.raises(Duplicate, match="known"):
            await commits.commit(rows("known"))
        await commits.commit(rows("new"))
        tasks.cancel_scope.cancel()


async def test_a_disk_that_fails_is_trouble_until_something_is_written() -> None:
    writer = RecordingWriter()
    commits = group_commit(writer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commits.run)
        assert commits.trouble == ""
        writer.failing = OSError("no space left")
        with pytest.raises(StorageFailed):
            await commits.commit(rows("lost"))
        assert "no space left" in commits.trouble
        writer.failing, writer.guilty = None, "refused"
        with pytest.raises(Duplicate):
            await commits.commit(rows("refused"))
        assert commits.trouble == ""
        tasks.cancel_scope.cancel()
