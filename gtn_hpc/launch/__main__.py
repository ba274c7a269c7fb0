"""What batch scripts ask, and how they are made: `python -m gtn_hpc.launch after-step|run-directory|write-scripts`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gtn_hpc.config import load
from gtn_hpc.config.site import load_site
from gtn_hpc.core.environment import restarts
from gtn_hpc.core.errors import GtnError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch.scripts import write_all
from gtn_hpc.launch.verdict import after_step

NO_REQUEUE = 3

JUDGE = (
    "Decide after a step of a batch script whether its job is requeued, and note it in the run's slurm/jobs.jsonl. "
    f"Exit code 0: it is; {NO_REQUEUE}: it is not."
)


def main() -> int:
    """Exit code 0: the job is to be requeued (after-step), the path or the paths are on stdout (the others)."""
    asked = _parser().parse_args()
    try:
        if asked.question == "write-scripts":
            return _write(asked)
        config = load(asked.config, asked.overrides)
        run = config.run.directory
        return _judge(asked, run) if asked.question == "after-step" else _tell(run)
    except GtnError as error:
        sys.stderr.write(f"gtn: {error}\n")
        return error.exit_code


def _judge(asked: argparse.Namespace, run: RunDirectory) -> int:
    verdict = after_step(run, asked.stage, began=asked.began, code=asked.code, restarts=restarts(), most=asked.restarts)
    sys.stdout.write(f"{asked.stage}: {verdict.why}\n")
    return 0 if verdict.requeue else NO_REQUEUE


def _tell(run: RunDirectory) -> int:
    sys.stdout.write(f"{run.path}\n")
    return 0


def _write(asked: argparse.Namespace) -> int:
    for path in write_all(load_site(asked.site), asked.directory):
        sys.stdout.write(f"{path}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gtn_hpc.launch", description=__doc__)
    questions = parser.add_subparsers(dest="question", required=True, metavar="COMMAND")
    judge = _command(questions, "after-step", JUDGE)
    judge.add_argument("--stage", required=True, help="the stage that the step ran: train, search, final or report")
    judge.add_argument("--began", type=float, required=True, metavar="SECONDS", help="Unix time when the step began")
    judge.add_argument("--code", type=int, required=True, help="exit code that the step ended with")
    judge.add_argument("--restarts", type=int, required=True, metavar="MOST", help="restarts after which there is none")
    for asking_of_run in (judge, _command(questions, "run-directory", "Print the path of a run's directory.")):
        asking_of_run.add_argument("config", metavar="CONFIG", help="YAML file of the run, or its directory")
        asking_of_run.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings in place of the file's")
    write = _command(questions, "write-scripts", "Write the batch scripts for a site, and print their paths.")
    write.add_argument("directory", type=Path, metavar="DIRECTORY", help="where they go; those of before are replaced")
    write.add_argument("--site", metavar="NAME|FILE", help="profile of the site (default: generic)")
    return parser


def _command(questions: Any, name: str, about: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = questions.add_parser(name, help=about, description=about)
    return made


if __name__ == "__main__":
    sys.exit(main())
