"""The files that are read, on desk's disk. Each kind is made only if a work needs it."""
import os
import shutil

SEED_SIZE = 1 << 20


def make(kinds, home, elsewhere, sizes):
    """home: desk's; elsewhere: a directory of lap's, not in a mount."""
    content = os.urandom(SEED_SIZE)
    if "big" in kinds:
        with open(f"{home}/big", "wb") as file:
            for _ in range(sizes.mib):
                file.write(content)
    if "small" in kinds:
        for i in range(sizes.small):
            os.makedirs(f"{home}/small/d{i // 100:03}", exist_ok=True)
            with open(f"{home}/small/d{i // 100:03}/f{i:05}", "wb") as file:
                file.write(content[i:i + 4096])
    if "listing" in kinds:
        os.mkdir(f"{home}/listing")
        for i in range(sizes.listing):
            os.close(os.open(f"{home}/listing/entry-{i:06}", os.O_CREAT | os.O_WRONLY, 0o644))
    if "repository" in kinds or "tar" in kinds:
        make_sources(f"{home}/repository", sizes.repository)
    if "tar" in kinds:
        shutil.make_archive(f"{elsewhere}/sources", "tar", home, "repository")


def make_sources(path, n):
    """Text, most of it small: 80 bytes to 80 KiB."""
    for i in range(n):
        folder = f"{path}/d{i // 310:02}/e{i // 31:03}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/f{i:05}.txt", "w", encoding="utf-8") as file:
            file.write(f"line of file {i}\n" * ((i % 400 + 5) * (12 if i % 40 == 0 else 1)))


def make_repositories(desk, names):
    """A repository of the sources for each, as after a clone."""
    desk.sh("cd repository && git init -q && git config gc.auto 0 && git add . && "
            "git -c user.name=t -c user.email=t@t commit -q -m all && git gc -q", timeout=300)
    for name in names:
        desk.sh('cp -a repository repository-"$1"', name, timeout=300)
