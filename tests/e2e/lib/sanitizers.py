"""Sanitizers of a build: its programs write what they find into files of the host, and a test whose
host has such a file fails."""
import glob
import json
import os


def sanitizer_of(build):
    """`none`, `address` or `thread`: the build's -Dsanitize."""
    try:
        with open(os.path.join(build, "meson-info/intro-buildoptions.json"), encoding="utf-8") as file:
            options = {option["name"]: option["value"] for option in json.load(file)}
    except OSError:
        return "none"
    return options.get("sanitize", "none")


def environment(directory):
    """What programs need in their environment to report into that directory. Leaks are looked for
    when a program ends in order."""
    ours = {
        "ASAN_OPTIONS": f"log_path={directory}/report:log_exe_name=1:detect_leaks=1",
        "UBSAN_OPTIONS": f"log_path={directory}/report:log_exe_name=1:print_stacktrace=1",
        "TSAN_OPTIONS": f"log_path={directory}/report:log_exe_name=1:second_deadlock_stack=1",
        "LSAN_OPTIONS": "print_suppressions=0",
    }
    return {key: ":".join(filter(None, (os.environ.get(key), value))) for key, value in ours.items()}


def reports(directory):
    """What was found: a list of (file name, text)."""
    found = []
    for path in sorted(glob.glob(directory + "/report.*")):
        with open(path, encoding="utf-8", errors="replace") as file:
            found.append((os.path.basename(path), file.read()))
    return found
