"""What comes of a training, to be told to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.errors import shortened
from camtrap_tf.training.checkpoints import CHECKPOINTS


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a training.

    Attributes:
        ending: why it ended.
        run: run folder.
        bundle: folder of the bundle; None where nothing was trained.
        best_epoch: counted from 1.
        scores: `validation`, `test` → label type → accuracy and more; with `baseline`, the accuracy of always answering
            the class most frequent there.
        leftovers: a line about what earlier attempts left in the run folder; empty where they left nothing.
    """

    ending: str
    run: Path
    bundle: Path | None = None
    best_epoch: int | None = None
    scores: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    leftovers: str = ""

    def text(self) -> str:
        """Returns the summary for people."""
        if self.bundle is None:
            return f"nothing trained: {self.ending}"
        lines = [self.ending, f"best epoch: {self.best_epoch}"]
        for part, heads in self.scores.items():
            for label, values in heads.items():
                accuracy, baseline = values["accuracy"], values["baseline"]
                if accuracy is None:
                    lines.append(f"{part} {label}: nothing labelled")
                else:
                    beside = "" if baseline is None else f" (always the most frequent class: {baseline:.1%})"
                    found = ""
                    if "macro_f1" in values:
                        found = f" of records right in all classes, macro F1 {values['macro_f1'] or 0:.3f}"
                    elif values.get("bin_error") is not None:
                        found = f", {values['bin_error']:.2f} bins from the truth"
                    lines.append(f"{part} {label}: accuracy {accuracy:.1%}{found}{beside}")
        lines += [f"bundle: {self.bundle}", f"run folder: {self.run}"]
        return "\n".join(lines + ([self.leftovers] if self.leftovers else []))


def leftovers(run: Path) -> str:
    """Returns a line about what earlier attempts left in a run folder that nothing reads any more; empty: nothing.

    These are `previous_<n>` and damaged checkpoints.
    """
    found = [path for path in run.glob("previous_*") if path.is_dir()] + list((run / CHECKPOINTS).glob("*.damaged"))
    if not found:
        return ""
    files = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path])]
    size = sum(file.stat().st_size for file in files if file.is_file())
    names = shortened(sorted(str(path.relative_to(run)) for path in found), most=6)
    return f"left by earlier attempts in {run}: {names} ({size / 1e6:.1f} MB); nothing uses them, they can be removed"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A training that a signal stopped.

    Attributes:
        ending: what stopped it, and where it stands.
        exit_code: what the process returns.
    """

    ending: str
    exit_code: int

    def text(self) -> str:
        """Returns the summary for people."""
        return self.ending
