"""Java on virtual files: the machine's Java with a virtual jar, javac, and a Java that is itself in the repository.

The launcher of Java finds its libraries by the canonical name of its own executable, and executes itself again.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.launches import quiet
from tests.helpers.programs import Pair

MAIN = """
package org.example;

import java.nio.file.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class Main {
    static String digest(Path path) throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(path));
        return String.format("%s %d %s", HexFormat.of().formatHex(hash), Files.size(path), path);
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println(Helper.resource() + " " + System.getProperty("java.home"));
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<String>> answers = new ArrayList<>();
        try (Stream<Path> paths = Files.walk(Path.of(arguments[0]))) {
            for (Path path : paths.filter(Files::isRegularFile).sorted().collect(Collectors.toList()))
                answers.add(pool.submit(() -> digest(path)));
        }
        for (Future<String> answer : answers)
            System.out.println(answer.get());
        pool.shutdown();
        try {
            Files.writeString(Path.of(arguments[0], "new"), "x");
        } catch (FileSystemException error) {
            System.out.println(error.getReason());
        }
        Path real = Path.of(arguments[0], "..", "text").toRealPath();
        Process child = new ProcessBuilder("cat", real + "/a.txt").redirectErrorStream(true).start();
        System.out.print(new String(child.getInputStream().readAllBytes()));
        System.out.println(child.waitFor());
    }
}
"""
HELPER = """
package org.example;

public class Helper {
    static String resource() throws Exception {
        try (var in = Helper.class.getResourceAsStream("/note.txt")) {
            return new String(in.readAllBytes()).strip();
        }
    }
}
"""


def build(tree: Path) -> None:
    """app.jar, its sources, texts, and a small Java of its own (jlink)."""
    place = tree.parent
    (tree / "src/org/example").mkdir(parents=True)
    (tree / "src/org/example/Main.java").write_text(MAIN)
    (tree / "src/org/example/Helper.java").write_text(HELPER)
    (tree / "text").mkdir()
    for name in "abcdefghij":
        (tree / "text" / f"{name}.txt").write_text(f"{name}\n" * 1000)
    (place / "classes").mkdir()
    (place / "classes/note.txt").write_text("a resource of the jar\n")
    sources = [str(path) for path in (tree / "src").rglob("*.java")]
    modules = ["--add-modules", "java.base", "--strip-debug", "--no-header-files", "--no-man-pages"]
    for command in (
        ["javac", "-d", str(place / "classes"), *sources],
        ["jar", "-c", "-f", str(tree / "app.jar"), "-C", str(place / "classes"), "."],
        ["jlink", *modules, "--output", str(tree / "java")],
    ):
        needs.program(command[0], "openjdk-17-jdk-headless")
        subprocess.run(command, check=True, capture_output=True, timeout=100)


published = publishes("java.hep.example", build)
java = pairs()


@pytest.mark.parametrize("program", ["java", "{top}/java/bin/java"], ids=["of the machine", "of the repository"])
def test_java_runs_a_virtual_jar_on_virtual_files(java: Pair, program: str) -> None:
    words = [
        program,
        "-Xshare:auto",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        "{top}/app.jar",
        "org.example.Main",
        "{top}/text",
    ]
    native, wrapped = java.native(words), java.wrapped(words)
    assert quiet(wrapped).splitlines()[1:11] == quiet(native).splitlines()[1:11]
    lines = wrapped.stdout.splitlines()
    assert lines[0].startswith(b"a resource of the jar ")
    assert (lines[0].endswith(b" TOP/java")) == program.startswith("{top}")
    assert lines[11] == b"Read-only file system"
    assert lines[12:] == [b"a"] * 1000 + [b"0"]


def test_javac_compiles_virtual_sources(java: Pair, desk: Path) -> None:
    quiet(java.wrapped(["javac", "-d", str(desk), "-sourcepath", "{top}/src", "{top}/src/org/example/Main.java"]))
    assert (desk / "org/example/Main.class").exists()
    assert (desk / "org/example/Helper.class").exists()
