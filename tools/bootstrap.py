"""Make the virtual environment that the Makefile runs everything in.

Runs on any Python 3 with the standard library alone, finds a Python that ROS's wheels exist for,
and says what it does. A stamp file remembers what was installed: a second call costs nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / 'requirements.lock'
INPUTS = (LOCK, ROOT / 'setup.py', ROOT / 'tools/build_tf2_msgs.py', Path(__file__).resolve())
SUPPORTED = ('3.12', '3.11', '3.10', '3.13')  # ROS 2 Jazzy's wheels exist for these
BEGIN = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the start."""
    sys.stdout.write(f'[set-up {time.monotonic() - BEGIN:5.0f} s] {text}\n')
    sys.stdout.flush()


def version_of(python: str) -> str:
    """Return ``3.x`` of an interpreter, or nothing when it does not run."""
    code = 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])'
    done = subprocess.run([python, '-c', code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ''


def find_python(asked: str) -> str:
    """Return an interpreter of a supported version, or stop and say what was found."""
    candidates = [asked] if asked else ['python3', *(f'python{v}' for v in SUPPORTED)]
    found = {name: version_of(name) for name in candidates if shutil.which(name)}
    for name, version in found.items():
        if version in SUPPORTED:
            return name
    sys.exit(
        f'set-up: Python {", ".join(sorted(SUPPORTED))} with venv is needed; found '
        f'{found or "none of " + ", ".join(candidates)}. Set PYTHON=/path/to/python, '
        'or install one (Debian, Ubuntu: python3-venv).'
    )


def check_compiler() -> None:
    """Stop early when the C++ compiler that builds tf2_msgs is missing."""
    if not any(map(shutil.which, ('c++', 'g++', 'clang++'))):
        sys.exit('set-up: a C++ compiler is needed (Debian, Ubuntu: apt install g++)')


def fingerprint() -> str:
    """Return a hash of all that decides what is in the environment."""
    digest = hashlib.sha256()
    for path in INPUTS:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(*command: str, env: dict[str, str] | None = None) -> None:
    """Run a step; on failure show its output and stop."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f'{done.stdout}\nset-up: failed: {" ".join(command)}')


def make(venv: Path, python: str) -> None:
    """Create the environment from nothing."""
    python = find_python(python)
    check_compiler()
    say(f'creating {venv} with {python} ({version_of(python)})')
    run(python, '-m', 'venv', '--clear', str(venv))
    own = str(venv / 'bin/python')
    say(f'installing the packages of {LOCK.name} (torch, ROS 2 Jazzy, ...): some minutes')
    run(own, '-m', 'pip', 'install', '--progress-bar', 'off', '-r', str(LOCK))
    say('building tf2_msgs, which no wheel has')
    run(own, str(ROOT / 'tools/build_tf2_msgs.py'))
    say('installing dlcv itself, editable')
    run(own, '-m', 'pip', 'install', '--no-deps', '--no-build-isolation', '--editable', str(ROOT))


def main() -> None:
    """Make the environment unless it is there and up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv')
    parser.add_argument('--python', default=os.environ.get('PYTHON', ''))
    args = parser.parse_args()
    stamp = args.venv / 'dlcv-set-up'
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    make(args.venv, args.python)
    stamp.write_text(wanted)
    say('done')


if __name__ == '__main__':
    main()
