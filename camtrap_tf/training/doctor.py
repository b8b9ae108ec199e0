"""`camtrap train doctor`: looks at a training before it runs, with its own settings, data and model. Writes nothing.

What can be known without TensorFlow is looked at first; where that is not well, it is not loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from camtrap_tf.config.doctor import DoctorConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.training import checkups
from camtrap_tf.training.checkups import Finding
from camtrap_tf.training.inputs import gather
from camtrap_tf.training.observations import never_several
from camtrap_tf.training.recipes import with_recipe

EXIT_ILL = 2
_SIGNS = {"ok": "ok  ", "note": "note", "fail": "FAIL"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the doctor says.

    Attributes:
        findings: in the order in which things were looked at.
    """

    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """0, or 2 where the model would not learn."""
        return EXIT_ILL if any(finding.level == "fail" for finding in self.findings) else 0

    def text(self) -> str:
        """Returns all findings, the verdict last."""
        lines = [f"{_SIGNS[finding.level]}  {finding.text}" for finding in self.findings]
        bad = sum(finding.level == "fail" for finding in self.findings)
        verdict = f"{bad} things to mend before training" if bad > 1 else "one thing to mend before training"
        return "\n".join([*lines, verdict if bad else "nothing stands in the way of learning"])


def examine(config: DoctorConfig) -> Diagnosis:
    """Looks at a training; where its inputs cannot be used, at these alone.

    Raises:
        CamtrapError: a setting cannot be.
    """
    given = {key: getattr(config, key) for key in config.model_fields_set if key in TrainConfig.model_fields}
    places = {"run_outputs_dir": config.run_outputs_dir, "model_save_dir": config.model_save_dir}
    settings = with_recipe(TrainConfig(**{**given, **places})).model_copy(update={"resume": "off"})
    inputs = gather(settings, to_the_end=False)
    findings = [Finding("note", warning) for warning in (*inputs.warnings, *never_several(inputs))]
    findings += [Finding("fail", text) for text in dict.fromkeys(str(problem) for problem in inputs.problems)]
    if inputs.mapping is not None and inputs.counts.get("training"):
        for label in inputs.mapping.label_types:
            findings += checkups.coverage(label, inputs.mapping, inputs.counts)
    if not inputs.problems:
        from camtrap_tf.input_pipeline.failures import plain_failures
        from camtrap_tf.training.patient import Patient

        with plain_failures():
            findings += Patient(settings, inputs).findings(steps=config.doctor_steps, examples=config.doctor_examples)
    return Diagnosis(findings)
