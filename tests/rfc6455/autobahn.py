"""The Autobahn fuzzing client against our echo endpoint: RFC 6455 as somebody else reads it.

    python -m tests.rfc6455.autobahn --python2 PYTHON --directory DIRECTORY [--cases '1.*' '9.*' ...]

Needs an interpreter of Python 2.7 with pip, a compiler for it (gcc) and, for the first run, PyPI: the package
`autobahntestsuite` runs on nothing newer. Debian has no such interpreter any more; `pyenv install 2.7.18`
makes one.

Installs the package below the directory (the interpreter itself stays as it is), starts the endpoint, runs
the cases, prints those that did not simply pass, and leaves the HTML report there. Exit code 1 when a case
failed.
All 517 cases take ten minutes, those without 9, 12 and 13 (mass and compression) one.
Not part of the test suite, which must run without Python 2.7.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")
RUN = "import sys; from autobahntestsuite.wstest import run; sys.exit(run())"
IDENTIFY = "import sys; sys.stdout.write('%d.%d\\n' % sys.version_info[:2]); sys.stdout.flush(); import pip"
AGENT = "vx"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python2", required=True, help="an interpreter of Python 2.7")
    parser.add_argument("--directory", required=True, type=Path, help="where to install and report")
    parser.add_argument("--cases", nargs="+", default=["*"])
    arguments = parser.parse_args()
    directory: Path = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONUSERBASE": str(directory / "packages")}
    check(arguments.python2)
    install(arguments.python2, environment)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.rfc6455.echo"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as endpoint:
        assert endpoint.stdout is not None
        port = int(endpoint.stdout.readline())
        try:
            fuzz(arguments.python2, environment, directory, port, arguments.cases)
            assert endpoint.poll() is None, "the endpoint has died"
        finally:
            endpoint.terminate()
    return tell(directory)


def check(python2: str) -> None:
    """Ends with a sentence unless it is an interpreter that can be used."""
    try:
        asked = subprocess.run([python2, "-c", IDENTIFY], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"--python2 {python2}: {error.strerror}; an interpreter of Python 2.7 with pip is needed")
    version = asked.stdout.strip() or "not a Python at all"
    if version != "2.7":
        sys.exit(f"--python2 {python2} is {version}: the fuzzing client runs on Python 2.7 and nothing newer")
    if asked.returncode:
        sys.exit(f"--python2 {python2} has no pip: `{python2} -m ensurepip --user` may give it one")


def install(python2: str, environment: dict[str, str]) -> None:
    """Once; later runs find it."""
    present = subprocess.run(
        [python2, "-c", "import autobahntestsuite"], env=environment, capture_output=True
    )
    if present.returncode:
        command = [python2, "-m", "pip", "install", "--quiet", "--user", "autobahntestsuite"]
        subprocess.run(command, env=environment, check=True)


def fuzz(python2: str, environment: dict[str, str], directory: Path, port: int, cases: list[str]) -> None:
    specification = {
        "outdir": str(directory / "report"),
        "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}"}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    file = directory / "fuzzingclient.json"
    file.write_text(json.dumps(specification))
    command = [python2, "-c", RUN, "-m", "fuzzingclient", "-s", str(file)]
    subprocess.run(command, env=environment, cwd=directory, check=True, stdout=subprocess.DEVNULL)


def tell(directory: Path) -> int:
    """Print the outcome; 1 when a case failed."""
    results = json.loads((directory / "report" / "index.json").read_text())[AGENT]
    counts = Counter((result["behavior"], result["behaviorClose"]) for result in results.values())
    failed = 0
    for case, result in results.items():
        outcome = (result["behavior"], result["behaviorClose"])
        if outcome != ("OK", "OK"):
            print(case, *outcome)
        failed += not all(part in GOOD for part in outcome)
    for outcome, count in counts.most_common():
        print(f"{count:4}", *outcome)
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
