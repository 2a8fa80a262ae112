from disttorch_launcher.failures import JobEnd, announcement, rank_ranges, report, restart_note
from disttorch_launcher.outcome import ErrorRecord, RankExit

BOOM = ErrorRecord(
    10, "ValueError", "boom\nsecond line", "Traceback ...\nValueError: boom\n", "train.py:3"
)
LOST = ErrorRecord(
    20, "disttorch.comm.errors.PeerLostError", "rank 1 is gone", "Traceback", "train.py:9",
    consequence=True, ranks=(1,),
)  # fmt: skip


def test_first_cause_comes_last_and_consequences_are_folded():
    exits = [
        RankExit(0, 1, 30, record=LOST),
        RankExit(1, 1, 25, record=BOOM),
        RankExit(2, 1, 31, record=LOST),
        RankExit(3, -15, 40, stopped=True),
        RankExit(4, 0, 50),
    ]
    assert report(JobEnd(exits, 1)).split("\n") == [
        "disttorch-launch: the job failed; exit status 1",
        "  ranks 0,2 raised disttorch.comm.errors.PeerLostError: rank 1 is gone (train.py:9)",
        "  rank 3 stopped by the launcher",
        "  rank 4 ended with exit status 0",
        "first cause: rank 1 raised ValueError (train.py:3)",
        "Traceback ...",
        "ValueError: boom",
    ]


def test_success_needs_no_report():
    assert report(JobEnd([RankExit(0, 0, 1)], 0)) == ""


def last_lines(exits, n, **more):
    return report(JobEnd(exits, 1, **more)).split("\n")[-n:]


def test_killed_rank_gets_a_hint():
    killed = last_lines([RankExit(1, -9, 1)], 2, tails={1: "loading\ndata\n"})
    assert killed[0] == "first cause: rank 1 was killed by SIGKILL"
    assert "dmesg" in killed[1]


def test_stderr_of_a_rank_that_left_no_traceback_is_repeated():
    assert last_lines([RankExit(1, 7, 1)], 3, tails={1: "a\nfatal: disk\n"}) == [
        "  a",
        "  fatal: disk",
        "first cause: rank 1 ended with exit status 7",
    ]


def test_sys_exit_names_its_line():
    record = ErrorRecord(1, "SystemExit", "3", "Traceback", "train.py:8")
    assert last_lines([RankExit(1, 3, 1, record=record)], 1) == [
        "first cause: rank 1 called sys.exit(3) (train.py:8)"
    ]


def test_rank_that_left_early_is_the_cause():
    exits = [RankExit(0, 1, 30, record=LOST), RankExit(1, 0, 5), RankExit(2, 1, 9, record=LOST)]
    cause, hint = last_lines(exits, 2)
    assert cause == "first cause: rank 1 ended with exit status 0 while ranks 0,2 still needed it"
    assert hint.startswith("Every rank must make the same collective calls")


def test_same_error_on_many_ranks_is_told_once():
    exits = [RankExit(rank, 1, 10 + rank, record=BOOM) for rank in range(8)]
    text = report(JobEnd(exits, 1))
    assert "  ranks 1-7 failed with the same error" in text
    assert text.count("Traceback") == 1


def test_names_who_needed_to_be_killed():
    exits = [RankExit(0, 1, 1, record=BOOM), RankExit(1, -9, 9, stopped=True)]
    end = JobEnd(exits, 1, killed=frozenset({1}), grace_s=2.5)
    assert "  rank 1 did not end within 2.5 s and needed SIGKILL" in report(end)


def test_stopped_job_blames_nobody():
    exits = [RankExit(rank, -2, 9, stopped=True) for rank in range(2)]
    assert report(JobEnd(exits, 130, stop_signal=2)).split("\n") == [
        "disttorch-launch: stopped by SIGINT; exit status 130",
        "  ranks 0-1 stopped by the launcher",
    ]


def test_says_why_it_did_not_restart():
    exits = [RankExit(0, 1, 1, joined=False, record=BOOM)]
    assert "not restarted: rank 0 failed before it joined" in report(
        JobEnd(exits, 1, restarts_left=2)
    )


def test_restart_note_has_the_traceback():
    note = restart_note([RankExit(0, 1, 1, record=BOOM)], 1, 3)
    assert note.startswith("disttorch-launch: restarting all ranks (restart 1 of 3)")
    assert note.endswith("ValueError: boom")


def test_announcement_is_one_line():
    text = announcement(RankExit(2, 1, 1, record=BOOM))
    assert text == (
        "disttorch-launch: rank 2 raised ValueError: boom (train.py:3); stopping the job"
    )


def test_rank_ranges():
    assert rank_ranges([3]) == "rank 3"
    assert rank_ranges([5, 0, 1, 2]) == "ranks 0-2,5"
