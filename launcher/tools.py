"""`disttorch`: tools around a job. At present `disttorch doctor` and `disttorch --version`."""

import argparse
from collections.abc import Sequence

from disttorch_launcher import doctor
from disttorch_launcher.options import installed_version


def main(argv: Sequence[str] | None = None) -> int:
    """Run one tool; returns the exit status (doctor: 1 if something must be mended)."""
    parser = argparse.ArgumentParser(prog="disttorch", description="Tools around a job.")
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("doctor", help="look at what this machine offers, and what to do about it")
    options = parser.parse_args(argv)
    if options.version:
        print(f"disttorch {installed_version()}")
        return 0
    if options.command == "doctor":
        findings = doctor.examine()
        print("\n".join(doctor.lines(findings)))
        return 1 if any(finding.verdict is doctor.Verdict.BROKEN for finding in findings) else 0
    parser.print_help()
    return 2
