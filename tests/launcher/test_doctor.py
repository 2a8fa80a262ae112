from disttorch_launcher.doctor import Finding, Verdict, examine, lines


def test_advice_stands_below_its_line():
    text = lines([
        Finding("a", Verdict.FINE, "good"),
        Finding("bb", Verdict.BROKEN, "missing", "install it"),
    ])  # fmt: skip
    assert text == ["  ok  a   good", " BAD  bb  missing\n          -> install it"]


def test_whatever_is_not_fine_comes_with_advice():
    for finding in examine():
        assert finding.text
        assert bool(finding.advice) == (finding.verdict is not Verdict.FINE), finding
