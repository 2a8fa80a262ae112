import os

from disttorch_launcher.snapshot import snapshot


def test_process_without_pages_has_numbers_too(tmp_path):
    now = snapshot(tmp_path, 0, {3: os.getpid(), 4: 2**22 + 1}, lambda rank: {"steps": rank})
    own, gone = now["ranks"]
    assert own["rss"] > 1e6 and own["cpu_s"] > 0 and own["threads"] >= 1
    assert (own["steps"], own["calls"], own["doing"]) == (3, [], "")
    assert (gone["rank"], gone["rss"]) == (4, 0)
