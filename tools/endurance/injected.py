"""The tests that inject a fault or a bad input each, run and counted."""

import collections
import pathlib
import subprocess
import sys
import xml.etree.ElementTree
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
BAD_INPUTS = "tests/bad_input/test_table.py::test_bad_input_is_refused_in_one_line"


class Fault(NamedTuple):
    """A kind of fault that tests inject.

    Attributes:
        name: what happens.
        gives: what comes of it.
        tests: test functions, as module::function.
    """

    name: str
    gives: str
    tests: tuple[str, ...]


def _tests(module, *functions):
    return tuple(f"tests/{module}.py::test_{function}" for function in functions)


FAULTS = (
    Fault(
        "flipped, truncated, emptied, missing or exchanged file of a checkpoint",
        "the checkpoint before, said in one line; where none is whole, one line that names it",
        _tests(
            "training/test_checksums",
            "damaged_checkpoint_gives_way_to_the_one_before_and_that_is_said",
            "no_whole_checkpoint_is_an_error_that_names_the_newest",
            "older_state_does_not_pass_for_the_finished_one",
        ),
    ),
    Fault(
        "checkpoint of another network; files of a half-written one",
        "the checkpoint before; not taken for one, and gone with the next save",
        _tests(
            "training/test_checksums",
            "checkpoint_of_another_network_gives_way_too",
            "what_a_kill_left_half_written_is_no_checkpoint_and_goes",
        ),
    ),
    Fault(
        "full disk under a checkpoint, its checksums, a record, TensorBoard; a file in the way",
        "one line that names the file; the folder as it was before",
        _tests(
            "training/test_failed_writes",
            "full_disk_leaves_the_checkpoint_before_whole",
            "disk_that_is_full_at_the_checksums_leaves_no_half_checkpoint",
            "folder_that_cannot_be_written_is_named",
            "record_on_a_full_disk_is_one_line_that_names_the_file",
            "full_disk_under_tensorboard_is_one_line",
        ),
    ),
    Fault(
        "no memory for a step or for a batch of an evaluation",
        "one line with batch size, width and what to lower",
        (
            *_tests("training/test_failed_writes", "lack_of_memory_says_what_to_lower"),
            *_tests(
                "evaluation/test_memory",
                "lack_of_memory_says_what_to_lower",
                "programs_say_what_to_lower",
                "run_names_its_width",
            ),
        ),
    ),
    Fault(
        "second run in a work directory, at each stage",
        "refused, naming process and host of the first; nothing changed",
        _tests(
            "training/test_run_lock",
            "second_run_is_refused_and_told_who_is_first",
            "every_stage_is_refused_while_another_run_is_at_work",
        ),
    ),
    Fault(
        "lock of a killed process, of another host, unreadable",
        "taken over, and that is said; respected; taken over",
        _tests(
            "training/test_run_lock",
            "lock_of_a_killed_run_is_taken_over_and_its_leftovers_go",
            "lock_of_a_living_process_of_another_host_is_respected",
            "unreadable_lock_is_taken_over",
        ),
    ),
    Fault(
        "SIGTERM, SIGINT: in a step, at an epoch's end, in imports, AutoAttack, a figure; twice",
        "the step is saved; one line says how to go on; 143 and 130",
        (
            *_tests(
                "training/test_signals",
                "signal_saves_the_step_and_one_line_says_how_to_go_on",
                "run_stopped_by_a_signal_goes_on_bit_for_bit",
                "second_signal_does_not_wait",
                "signal_outside_of_training_ends_at_once_and_handlers_go_back",
                "signal_while_libraries_are_imported_is_one_line",
                "program_ends_with_the_status_of_its_signal",
            ),
            *_tests(
                "test_evaluate_autoattack",
                "sigterm_says_the_command_that_goes_on_to_the_same_record",
            ),
            *_tests("test_analyze_program", "ctrl_c_is_one_line_that_repeats_the_command"),
        ),
    ),
    Fault(
        "NaN in a loss, a weight, statistics; four times; before any checkpoint",
        "stop with step, term and last good checkpoint, or rollback",
        _tests(
            "training/test_not_finite",
            "run_stops_and_names_step_term_and_last_good_checkpoint",
            "weight_that_no_loss_shows_is_found_before_it_is_saved",
            "rollback_goes_on_from_the_last_checkpoint_behind_the_bad_step",
            "rollback_over_the_end_of_an_epoch_begins_its_means_anew",
            "run_stopped_after_a_rollback_continues_bit_for_bit",
            "fourth_rollback_is_refused",
            "rollback_without_a_checkpoint_stops",
        ),
    ),
    Fault(
        "collapse of the projections; catastrophic overfitting of an attack of one step",
        "a warning that names the metric, on screen, in TensorBoard and the record; the guard",
        _tests(
            "training/test_run_warnings",
            "collapsed_projection_head_is_warned_of_once_per_occurrence",
            "lost_robustness_warns_and_the_guard_switches",
            "guarded_run_stopped_after_the_switch_continues_bit_for_bit",
        ),
    ),
    Fault(
        "clock that goes back, other working directory, long and foreign paths, no home, 40 "
        "columns, a user without rights, read-only package",
        "all stages run; paths that TensorFlow takes for patterns are refused",
        _tests(
            "training/test_odd_places",
            "all_stages_in_a_long_path_without_a_home_on_forty_columns_while_the_clock_goes_back",
            "changed_working_directory_changes_nothing",
            "path_that_tensorflow_would_take_for_a_pattern_is_refused",
            "user_without_rights_or_home_runs_a_read_only_package",
        ),
    ),
    Fault(
        "model or numbers that would deceive: one for each check; test images seen in training",
        "named and explained, on screen and in the record",
        (
            *_tests(
                "evaluation/test_checks",
                "broken_model_is_named_and_explained",
                "numbers_that_contradict_each_other_are_found",
                "epsilon_in_another_unit_is_found",
                "perturbation_out_of_the_ball_is_found",
                "square_that_does_better_than_gradients_is_found",
            ),
            *_tests(
                "evaluation/test_black_box",
                "model_that_others_fool_more_often_than_itself_is_reported",
            ),
            *_tests("training/test_run_data", "test_images_that_training_has_seen_are_counted"),
            *_tests(
                "evaluation/test_masked_gradients",
                "quantised_input_keeps_pgds_number_high_and_squares_low",
            ),
        ),
    ),
)


def start(report):
    """Starts all these tests in a process of its own; `report` is the XML file it writes."""
    nodes = [test for fault in FAULTS for test in fault.tests] + [BAD_INPUTS]
    # Slow ones too.
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, *nodes]
    with open(pathlib.Path(report).with_suffix(".log"), "wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def read(report):
    """Returns what an XML report says: (faults, bad inputs), a dictionary for each kind.

    Each has `name`, `gives`, `cases` and `passed`, how many of them gave that.
    """
    outcomes = collections.defaultdict(list)
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        module = case.get("classname").replace(".", "/")
        function, _, parameter = case.get("name").partition("[")
        if case.find("skipped") is None:
            is_passed = case.find("failure") is None and case.find("error") is None
            outcomes[f"{module}.py::{function}"].append((parameter.rstrip("]"), is_passed))
    faults = [
        _counted(fault, [o for test in fault.tests for o in outcomes[test]]) for fault in FAULTS
    ]
    return faults, _count_bad_inputs(outcomes[BAD_INPUTS])


def _counted(fault, outcomes):
    return {
        "name": fault.name,
        "gives": fault.gives,
        "cases": len(outcomes),
        "passed": sum(is_passed for _, is_passed in outcomes),
        "tests": sorted({test.partition("::")[0] for test in fault.tests}),
    }


def _count_bad_inputs(outcomes):
    groups = collections.defaultdict(list)
    for parameter, is_passed in outcomes:
        groups[parameter.rpartition("-")[0].replace("_", " ")].append(is_passed)
    gives = "one line, exit status 2 or 1, nothing changed on disk"
    return [
        {"name": name, "gives": gives, "cases": len(found), "passed": sum(found)}
        for name, found in groups.items()
    ]
