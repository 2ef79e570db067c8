"""What the kernel tells of a running program, and what lies on its disk. Descriptors, threads and
files of a program at work come and go while they are listed: one that has gone is passed over, it is
no error."""

import os
import pathlib


def bytes_of(path):
    """The file's content; None where it has gone in the meantime."""
    try:
        return pathlib.Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None


def files_below(*folders):
    """path -> bytes of every file there."""
    found = {}
    for top in folders:
        for folder, _, names in os.walk(top):
            for path in (pathlib.Path(folder, name) for name in sorted(names)):
                if path.is_file() and (data := bytes_of(path)) is not None:
                    found[path] = data
    return found


def disk_of(*folders):
    """The bytes of every file there, one after the other."""
    return b"".join(files_below(*folders).values())


def descriptors(pid):
    """fd -> what it leads to."""
    folder, found = f"/proc/{pid}/fd", {}
    for fd in os.listdir(folder):
        try:
            found[int(fd)] = os.readlink(f"{folder}/{fd}")
        except FileNotFoundError:
            continue
    return found


def statuses_of_threads(pid):
    """The status text of each thread; a program has one at least."""
    tasks = os.listdir(f"/proc/{pid}/task")
    texts = [bytes_of(f"/proc/{pid}/task/{task}/status") for task in tasks]
    found = [text.decode() for text in texts if text]
    assert found, f"no thread of {pid} is left"
    return found


def memory(pid):
    """All that the program can read of its own memory, region by region; what can't be had is left out."""
    for line in (bytes_of(f"/proc/{pid}/maps") or b"").decode().splitlines():
        region, rights = line.split()[:2]
        if not rights.startswith("r"):
            continue
        first, last = (int(at, 16) for at in region.split("-"))
        try:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
                file.seek(first)
                yield file.read(last - first)
        except (FileNotFoundError, ProcessLookupError, OSError, OverflowError, ValueError):
            continue


def remembers(pid, texts):
    """Which of the texts stand in its memory."""
    found = set()
    for part in memory(pid):
        found.update(text for text in texts if text in part)
    return found
