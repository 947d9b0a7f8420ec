"""The command line of labkit.

``python -m labkit doctor`` checks the machine, ``lessons`` runs the lessons, ``student`` writes
them without their solutions, ``slides`` as slides.
"""

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
    student = commands.add_parser("student", help="write lessons without their solutions")
    slides = commands.add_parser("slides", help="write lessons as slides that need no network")
    for command in (student, slides):
        command.add_argument("names", nargs="*", help="names of lessons; all when left out")
        command.add_argument("--out", default=f"build/{command.prog.split()[-1]}", metavar="FOLDER",
                             help="where to write them (%(default)s)")
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
    if args.command == "student":
        from labkit import student

        student.write_students(args.names, build=args.out)
        return 0
    if args.command == "slides":
        from labkit import slides

        slides.write_slides(args.names, build=args.out)
        return 0
    from labkit import lessons

    return lessons.run_lessons(args.names, store=args.store)


if __name__ == "__main__":
    sys.exit(main())
