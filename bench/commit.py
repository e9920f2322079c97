"""How long one commit to disk takes, for each way of writing it, on the disk of a given directory.

    python -m bench.commit DIRECTORY

Each variant writes frames of one page and waits until each is on disk, as the journal does once per turn.
The engine's way is the preallocated file; the others are what it was chosen against.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FRAME_BYTES = 4096  # a page: O_DIRECT demands whole blocks
ROUNDS = 1000  # about 0.1 s to 0.3 s per variant on a fast disk
SECONDS_MAX = 10.0  # per variant, for slow disks


class CommitResult(dict[str, float | int | str]):
    """One JSON line: variant, rounds, p50_us, p99_us; or variant and why it is `unsupported`."""


def measure(directory: Path, rounds: int = ROUNDS) -> list[CommitResult]:
    """Runs all variants in a file of their own in `directory`, removed afterwards. Raises: OSError."""
    variants: list[tuple[str, Callable[[Path, int], list[float]]]] = [
        ("growing file, fdatasync", _growing),
        ("preallocated and zeroed, fdatasync", _preallocated),
        ("preallocated and zeroed, O_DIRECT|O_DSYNC", _direct),
    ]
    results = []
    with tempfile.TemporaryDirectory(prefix="commit-", dir=directory) as place:
        for number, (name, run) in enumerate(variants):
            try:
                seconds = sorted(run(Path(place) / f"variant-{number}", rounds))
            except OSError as error:
                # a tmpfs refuses O_DIRECT: worth saying, no reason to stop
                results.append(CommitResult(variant=name, unsupported=str(error.strerror)))
                continue
            results.append(
                CommitResult(
                    variant=name,
                    rounds=len(seconds),
                    p50_us=round(seconds[len(seconds) // 2] * 1e6),
                    p99_us=round(seconds[len(seconds) * 99 // 100] * 1e6),
                )
            )
    return results


def _growing(path: Path, rounds: int) -> list[float]:
    return _timed(path, os.O_CREAT | os.O_WRONLY, rounds, sync=True)


def _preallocated(path: Path, rounds: int) -> list[float]:
    _write_zeros(path, rounds)
    return _timed(path, os.O_WRONLY, rounds, sync=True)


def _direct(path: Path, rounds: int) -> list[float]:
    _write_zeros(path, rounds)
    return _timed(path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC, rounds, sync=False)


def _write_zeros(path: Path, rounds: int) -> None:
    """Zero-written, not only allocated: else each first write converts an extent in the file system's log."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, rounds * FRAME_BYTES)
        for number in range(rounds):
            os.pwrite(descriptor, bytes(FRAME_BYTES), number * FRAME_BYTES)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _timed(path: Path, flags: int, rounds: int, sync: bool) -> list[float]:
    """Seconds of each write-and-sync; fewer than `rounds` when the disk is slow."""
    seconds: list[float] = []
    clock = time.perf_counter
    descriptor = os.open(path, flags, 0o600)
    with mmap.mmap(-1, FRAME_BYTES) as frame:  # page-aligned, as O_DIRECT demands
        frame[:] = os.urandom(FRAME_BYTES)
        try:
            deadline = clock() + SECONDS_MAX
            for number in range(rounds):
                begin = clock()
                os.pwrite(descriptor, frame, number * FRAME_BYTES)
                if sync:
                    os.fdatasync(descriptor)
                end = clock()
                seconds.append(end - begin)
                if end > deadline:
                    break
        finally:
            os.close(descriptor)
    return seconds


def main(arguments: list[str]) -> int:
    """Prints one JSON line per variant; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.commit", description="Commit time of a disk.")
    parser.add_argument("directory", type=Path, help="on the disk to be measured")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("--rounds must be above 0")
    for result in measure(given.directory, given.rounds):
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
