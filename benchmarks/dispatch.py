"""The way from submit to stored picture, in parts that each start servers of their own.

`--only NAME` runs one of them. Targets are in the parts; the exit code is 1 when one is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.chaos.servers import postgresql_folder
from tests.stack import ROOT

#: Name -> command line, what it is, whether it needs PostgreSQL.
PARTS = {
    "browser": (["_browser"], "a whole studio with the demo model, and Chromium", False),
    "sockets": (["_sockets"], "500 idle sockets, PostgreSQL and Redis", True),
    "rate": (["_rate"], "pictures per second, beside plain Celery", True),
    "claims-postgresql": (["_claims", "postgresql"], "claims from a deep queue", True),
    "claims-sqlite": (["_claims", "sqlite"], "claims from a deep queue", False),
    "idle": (["_idle"], "how long the engine waits between two pictures, demo model on the CPU", False),
}


def main() -> int:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    codes = []
    for name in parser.parse_args().only or PARTS:
        (module, *arguments), title, needs_postgresql = PARTS[name]
        print(f"-- {name}: {title}", flush=True)
        if needs_postgresql and postgresql_folder() is None:
            print("PostgreSQL is absent: not run.")
            continue
        codes.append(subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments], cwd=ROOT, check=False).returncode)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
