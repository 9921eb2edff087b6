"""The programs beside Python that tests talk to the server with: found, or installed where that is possible."""

import os
import shutil
import subprocess
import sys

# Program and Debian's package, the same name.
PROGRAMS = ("curl", "haproxy", "nginx", "openssl")
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


def missing() -> list[str]:
    return [program for program in PROGRAMS if not shutil.which(program, path=SYSTEM_PATH)]


def main() -> int:
    wanted = missing()
    if not wanted:
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"missing: {', '.join(wanted)}; install them, or some tests fail", file=sys.stderr)
        return 0
    print(f"installing {', '.join(wanted)} ...", file=sys.stderr)
    # nginx's package would start a server of its own.
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted]
    if subprocess.run(install, env=environ, capture_output=True).returncode:
        subprocess.run(["apt-get", "update", "-q"], env=environ, capture_output=True)
        subprocess.run(install, env=environ, capture_output=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
