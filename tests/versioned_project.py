"""A finished run in git and DVC."""

from __future__ import annotations

import hashlib
import json

from small_project import Project

IDENTITY = {f"GIT_{who}_{what}": "apsam@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
RESULTS = "results/small"


class VersionedProject(Project):
    """A finished run in git and DVC."""

    def start(self, cache: str) -> None:
        """Put the finished run under git and DVC, with a cache of a kind: copy, hardlink, symlink."""
        self.git("init", "--quiet")
        self.dvc("config", "cache.type", cache)
        self.dvc("commit", "--force", "--quiet")
        self.dvc("checkout", "--relink", "--quiet")
        self.record("threshold 120")

    def git(self, *arguments: str) -> str:
        """Run git here."""
        return self.run("git", *arguments, **IDENTITY)

    def dvc(self, *arguments: str) -> str:
        """Run DVC here."""
        return self.run("dvc", *arguments, **IDENTITY)

    def record(self, message: str) -> None:
        """Commit everything that git keeps."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def thresholds(self) -> set[int]:
        """The thresholds of the prompts in the view."""
        files = sorted((self.folder / RESULTS / "prompts").glob("*.json"))
        assert len(files) == 3, "the view shows the prompts of all scenes"
        return {json.loads(file.read_text())["settings"]["threshold"] for file in files}

    def log_dates(self) -> dict[str, int]:
        """When each job last ran."""
        files = (file for file in (self.folder / "logs").rglob("*.log") if file.parent.name != "view")
        return {str(file): file.stat().st_mtime_ns for file in files}

    def jobs_since(self, before: dict[str, int]) -> list[str]:
        """The jobs that ran since `log_dates` gave `before`."""
        return sorted(file for file, date in self.log_dates().items() if before.get(file) != date)

    def cache_is_sound(self) -> bool:
        """Whether every file in DVC's cache still matches its name: no program wrote through a link."""
        files = [file for file in (self.folder / ".dvc/cache/files/md5").rglob("*") if file.is_file()]
        assert files
        return all(
            hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == "".join(file.parts[-2:])[:32]
            for file in files
        )

    def disk_bytes(self) -> int:
        """Space of store, views and DVC's cache, files with several names counted once."""
        inodes = {}
        for folder in ("results", ".dvc/cache"):
            for file in (self.folder / folder).rglob("*"):
                if file.is_file() and not file.is_symlink():
                    inodes[file.stat().st_ino] = file.stat().st_size
        return sum(inodes.values())
