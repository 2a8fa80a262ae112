import subprocess
import sys

# More reports than a socket holds, while nobody reads; then somebody does.
REPORTS = """
import select
from disttorch_launcher.channel import channel_pair
from disttorch_launcher.zygote import _Zygote

ours, theirs = channel_pair()
zygote = _Zygote(theirs)
for number in range(3000):
    zygote._report({"number": number})
for number in range(3000):
    while not select.select([ours], [], [], 0)[0]:
        zygote._turn()
    assert ours.receive()[0]["number"] == number
print("all")
"""


def test_never_waits_until_the_launcher_reads():
    ended = subprocess.run(
        [sys.executable, "-c", REPORTS], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stdout == "all\n", ended.stderr
