"""Going into the background, dying with the parent, and the name shown in ps."""

from __future__ import annotations

import os
from pathlib import Path

from tests.vxutils.process import script

DAEMON = """
    import os, sys, time
    from vxutils.process import daemonise
    daemonise(keep_streams=sys.argv[2] == "keep")
    facts = [os.getpid(), os.getppid(), os.getsid(0), os.getcwd(), os.readlink("/proc/self/fd/1")]
    with open(sys.argv[1] + ".tmp", "w") as file:
        print(*facts, sep="\\n", file=file)
    os.rename(sys.argv[1] + ".tmp", sys.argv[1])
    print("still here")
"""
PARENT_OF_ONE = """
    import os, sys, time
    from vxutils.process import die_with_parent
    me = os.getpid()
    if os.fork() == 0:
        die_with_parent(me)
        print(os.getpid())
        time.sleep(60)
    sys.stdin.read()
"""


def test_a_daemon_has_its_own_session_and_keeps_its_directory(tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    code, out = script.run(DAEMON, facts, "leave")
    assert (code, out) == (0, "")
    script.wait_until(facts.exists)
    pid, parent, session, directory, stdout = facts.read_text().split("\n")[:5]
    assert int(session) not in (int(pid), os.getsid(0))
    assert int(parent) != os.getpid()
    assert (directory, stdout) == (str(Path.cwd()), "/dev/null")


def test_a_daemon_may_keep_its_streams(tmp_path: Path) -> None:
    assert script.run(DAEMON, tmp_path / "facts", "keep") == (0, "still here\n")


def test_the_child_dies_when_the_parent_is_killed() -> None:
    parent = script.start(PARENT_OF_ONE)
    child = int(script.read_line(parent))
    assert script.is_alive(child)
    parent.kill()
    parent.wait(script.DEADLINE_S)
    script.wait_until(lambda: not script.is_alive(child))


def test_a_child_whose_parent_is_gone_already_goes_too() -> None:
    source = """
        import os
        from vxutils.process import die_with_parent
        pid = os.fork()
        if pid == 0:
            die_with_parent(1234567)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
    """
    assert script.run(source) == (0, "9\n")


def test_the_title_is_what_ps_shows() -> None:
    source = """
        from vxutils.process import set_title
        set_title("vx title of a test")
        print(open("/proc/self/cmdline").read().rstrip(chr(0)))
    """
    assert script.run(source) == (0, "vx title of a test\n")
