"""`camtrap train`: looks at settings and inputs, and only when all is well loads TensorFlow and trains."""

from __future__ import annotations

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.files import check_writable, locked_folder, writable_folder
from camtrap_tf.logs import keep_logs, logger
from camtrap_tf.training.checkpoints import listed
from camtrap_tf.training.earlier import nothing_to_do, require_work
from camtrap_tf.training.inputs import Inputs, gather
from camtrap_tf.training.loggers import check_services
from camtrap_tf.training.observations import never_several
from camtrap_tf.training.plan import Plan, make_plan
from camtrap_tf.training.recipes import with_recipe
from camtrap_tf.training.results import Stopped, TrainResult, leftovers
from camtrap_tf.training.signals import SignalWatch, StopSignal, watched_signals
from camtrap_tf.training.start_rule import starting_epoch, starts_by_flag

_LOG = logger(__name__)


def train(config: TrainConfig) -> TrainResult | Stopped | Plan:
    """Trains a model and writes run folder and bundle; with `dry_run` returns the plan and writes nothing.

    Raises:
        CamtrapError: something cannot be used; before any long work wherever that can be known before.
    """
    config = with_recipe(config)
    if config.dry_run:
        return make_plan(config)
    with watched_signals() as watch:
        try:
            return _begin(config, watch)
        except StopSignal as stop:
            return _stopped(config, stop)


def _stopped(config: TrainConfig, stop: StopSignal) -> Stopped:
    """Says what a training that a signal stopped has kept, and how to go on."""
    newest = next(iter(listed(config.run_outputs_dir)), None)
    if newest is None:
        rest = "nothing is lost, training had not begun; the same command begins again"
    else:
        again = "the same command with --resume auto" if starts_by_flag(config) else "the same command"
        rest = f"the checkpoint of {newest.text} is in {config.run_outputs_dir}; {again} goes on from there"
    ending = f"stopped by {stop.signal.name}: {rest}"
    return Stopped(ending, 0 if config.exit_zero_on_signal else stop.exit_code)


def _begin(config: TrainConfig, watch: SignalWatch) -> TrainResult:
    """Looks at everything that is needed, then trains."""
    check_services(config.log_to)
    inputs = gather(config, to_the_end=False)
    if inputs.problems:
        raise inputs.problems[0]
    for warning in (*inputs.warnings, *never_several(inputs)):
        _LOG.warning("%s", warning)
    finished = _already_finished(config, inputs)
    if finished is not None:
        return finished
    behind = starting_epoch(config, inputs.start, inputs.source)
    if behind >= config.max_epochs and not inputs.start.resumes:
        reason = require_work(config, behind=behind, loaded=inputs.source.digest if inputs.source else None)
        return TrainResult(reason, config.run_outputs_dir)
    folders = {"--run-outputs-dir": config.run_outputs_dir, "--model-save-dir": config.model_save_dir}
    for flag, folder in folders.items():
        check_writable(folder, flag)
    from camtrap_tf.input_pipeline.failures import plain_failures
    from camtrap_tf.training.run import run_training

    for flag, folder in folders.items():
        writable_folder(folder, flag)
    keep_logs()
    with locked_folder(config.run_outputs_dir), plain_failures():
        return run_training(config, inputs, behind, watch)


def _already_finished(config: TrainConfig, inputs: Inputs) -> TrainResult | None:
    """Returns the result of an earlier training with these settings that left nothing to do, if there is one."""
    earlier = inputs.start.earlier
    if earlier is None or earlier.finished is None:
        return None
    ending, said = nothing_to_do(earlier, config), earlier.finished
    if ending is None:
        return None
    left = leftovers(config.run_outputs_dir)
    return TrainResult(ending, config.run_outputs_dir, config.model_save_dir, said["best_epoch"], said["scores"], left)
