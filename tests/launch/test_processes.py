"""The supervisor on its own, in a process of its own: it waits for every child of the process it runs in."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.launch.launching import ROOT, environment, eventually

HEAD = """
import os, signal, sys
from pathlib import Path
from portal.launch.console import LaunchError
from portal.launch.processes import Program, Stopped, Supervisor, descendants
log = Path(sys.argv[1])
def program(name, script, **more):
    return Program(name, ["/bin/sh", "-c", script], dict(os.environ), log, **more)
"""


def supervise(log: Path, body: str) -> subprocess.CompletedProcess[str]:
    script = HEAD + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", script, str(log)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_service_that_cannot_live_ends_the_launch_with_its_log(tmp_path):
    done = supervise(
        tmp_path / "log",
        """
        import portal.launch.processes as processes
        processes.FIRST_PAUSE_S = processes.LONGEST_PAUSE_S = 0.05
        try:
            with Supervisor(Path("/")) as supervisor:
                supervisor.start(program("broken", "echo I cannot; exit 7"))
                supervisor.run_forever()
        except LaunchError as error:
            print(error, error.log)
        """,
    )
    assert done.stdout.splitlines()[-1].endswith(str(tmp_path / "log"))
    assert "6 times within a minute" in done.stdout
    assert (tmp_path / "log").read_text() == "I cannot\n" * 6


def test_a_failed_step_ends_the_wait(tmp_path):
    done = supervise(
        tmp_path / "log",
        """
        try:
            with Supervisor(Path("/")) as supervisor:
                supervisor.start(program("service", "exec sleep 60"))
                supervisor.finish(supervisor.start(program("step", "exit 3", service=False)), seconds=30)
        except LaunchError as error:
            print(error, descendants(os.getpid()))
        """,
    )
    assert "step" in done.stdout
    assert "status 3" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_what_children_leave_behind_goes_too_even_from_other_sessions(tmp_path):
    done = supervise(
        tmp_path / "log",
        """
        with Supervisor(Path("/")) as supervisor:
            child = supervisor.start(program("parent", "setsid sleep 61 & sleep 62 & exec sleep 63"))
            supervisor.wait(lambda: len(descendants(os.getpid())) == 3, what="three", seconds=10)
            os.kill(child.process.pid, signal.SIGKILL)
            supervisor.wait(lambda: len(child.starts) == 2, what="restart", seconds=10)
            supervisor.wait(lambda: len(descendants(os.getpid())) == 4, what="four", seconds=10)
            print("its own group was swept, the other session lives on until the end")
        print(descendants(os.getpid()))
        """,
    )
    assert done.stdout.splitlines()[-2:] == ["its own group was swept, the other session lives on until the end", "[]"]


def test_a_signal_before_the_first_child_is_not_lost(tmp_path):
    done = supervise(
        tmp_path / "log",
        """
        try:
            with Supervisor(Path("/")) as supervisor:
                os.kill(os.getpid(), signal.SIGTERM)
                supervisor.start(program("service", "exec sleep 60"))
                supervisor.run_forever()
        except Stopped as stopped:
            print(stopped, descendants(os.getpid()))
        """,
    )
    assert done.stdout == "SIGTERM []\n"


def test_children_die_with_a_killed_launcher(tmp_path):
    done = supervise(
        tmp_path / "log",
        """
        with Supervisor(Path("/")) as supervisor:
            child = supervisor.start(program("service", "exec sleep 60"))
            print(child.process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    pid = int(done.stdout)
    assert eventually(lambda: not alive(pid), 5)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" and os.getpid() != pid
    except OSError:
        return False
