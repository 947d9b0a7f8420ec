"""``python -m labkit doctor`` checks the machine, ``python -m labkit lessons`` runs the lessons."""

from __future__ import annotations

import argparse
import sys

from labkit.errors import LabkitError


def main(argv=None):
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m labkit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="check this machine: OK or what to do, a line each")
    lessons = commands.add_parser("lessons", help="run lessons headless, HTML under build/lessons")
    lessons.add_argument("names", nargs="*", help="names of lessons; all when left out")
    lessons.add_argument("--store", action="store_true", help="keep outputs in the notebooks too")
    args = parser.parse_args(argv)
    try:
        return run(args)
    except LabkitError as error:
        print(error, file=sys.stderr)
        return 2


def run(args):
    # Imported here so that the doctor still answers where a package is missing.
    if args.command == "doctor":
        from labkit import doctor

        return doctor.report(doctor.examine())
    from labkit import lessons

    return lessons.run_lessons(args.names, store=args.store)


if __name__ == "__main__":
    sys.exit(main())
