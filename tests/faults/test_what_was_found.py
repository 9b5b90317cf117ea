"""What an adversary found in storage, in words, and the tests that hold it since: each of them is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROOFS, DAMAGED = "tests/storage/test_proofs.py::", "tests/storage/test_damaged_spools.py::"
LATE, ODD = "tests/storage/test_late_effects.py::", "tests/storage/test_odd_answers.py::"
RECOVERY, CLOCK = "tests/recorder/test_recovery.py::", "tests/recorder/test_clock_watch.py::"
STORES = "tests/recorder/test_named_stores.py::"

FOUND = {
    "a spool that came back from a backup replaced a complete, longer object with a shorter one": [
        PROOFS + "test_a_spool_from_the_past_does_not_replace_a_longer_object",
        PROOFS + "test_a_longer_object_with_other_contents_stays_and_so_does_the_spool",
    ],
    "a part, or a whole object, that arrived with a flipped bit was called verified": [
        PROOFS + "test_a_part_that_arrived_with_a_flipped_bit_is_sent_again",
        PROOFS + "test_a_whole_that_arrived_with_a_flipped_bit_is_sent_again",
        PROOFS + "test_a_store_that_keeps_no_mark_keeps_the_spool",
    ],
    "one damaged small file stopped the server, or moved an object to another key": [
        DAMAGED + "test_a_server_starts_and_others_are_stored_whatever_one_spool_is_like",
        DAMAGED + "test_one_damaged_copy_of_a_small_file_costs_nothing",
        DAMAGED + "test_a_flipped_bit_in_the_facts_never_moves_the_object",
        RECOVERY + "test_damaged_facts_are_written_down_again_from_the_database",
    ],
    "a spool that shrank was shipped as whole": [
        PROOFS + "test_a_spool_that_shrank_is_not_shipped_as_whole",
        PROOFS + "test_what_was_acknowledged_in_parts_is_kept_when_the_spool_shrinks_meanwhile",
        RECOVERY + "test_a_recording_that_lost_media_is_available_and_says_so",
    ],
    "a spool without media or index was called a recording without media, though the bucket held it": [
        DAMAGED + "test_what_a_spool_lost_comes_back_from_the_bucket",
        PROOFS + "test_lost_media_is_not_called_a_recording_without_media",
    ],
    "slow uplinks never finished": [
        "tests/storage/test_outgoing.py::test_a_body_takes_as_long_as_the_link_needs",
        ODD + "test_a_body_gets_on_over_a_slow_link",
        "tests/storage/test_slots.py::test_time_outs_halve_the_number_and_successes_bring_it_back",
        "tests/storage/test_slots.py::test_who_has_the_least_left_goes_first",
    ],
    "an answer of success that says nothing ended an upload": [
        "tests/storage/test_s3_wire.py::test_a_success_that_says_nothing_is_asked_after",
        ODD + "test_a_gateways_page_is_no_success",
        ODD + "test_what_cannot_be_read_is_an_error_with_a_code",
        ODD + "test_a_redirection_to_itself_ends",
    ],
    "what was given up and stored later by the same server stayed FAILED": [
        RECOVERY + "test_one_that_was_given_up_and_is_stored_later_by_the_same_server_becomes_available",
    ],
    "an upload that began anew forgot the events": [
        PROOFS + "test_an_upload_that_begins_anew_stores_the_events_again",
        PROOFS + "test_events_that_are_gone_before_the_end_are_stored_again",
    ],
    "storage that moved to a directory on another disk was never copied": [
        PROOFS + "test_storage_that_moved_to_another_disk_gets_a_copy",
    ],
    "an upload that was gone was asked for again for ever": [
        PROOFS + "test_an_upload_that_is_gone_is_noticed_whatever_the_store_calls_it",
    ],
    "a completion slower than its answer sent everything again": [
        LATE + "test_an_object_whose_joining_takes_longer_than_its_answer_is_waited_for",
    ],
    "media stayed in the old store after the settings named another": [
        STORES + "test_a_recording_is_read_and_deleted_where_it_lies_after_the_settings_changed",
        STORES + "test_a_recording_goes_to_the_store_that_it_began_for",
    ],
    "a mount point that had vanished was made again and recorded into": [
        STORES + "test_a_directory_that_vanished_is_not_made_again",
    ],
    "a spool's directory that was removed was a disk that fails, for ever": [
        PROOFS + "test_a_spool_directory_that_was_removed_ends_the_upload_with_its_own_code",
    ],
    "a clock that jumped forward deleted everything": [
        CLOCK + "test_a_jump_stops_deleting_until_a_day_has_passed",
        CLOCK + "test_a_restart_with_another_clock_is_noticed",
    ],
    "an old receipt that could not be removed failed another recording": [
        LATE + "test_a_receipt_that_cannot_be_removed_is_no_failure_of_another_recording",
    ],
    "journals that were switched off left pages with media in the bucket": [
        LATE + "test_journals_that_were_switched_off_leave_nothing_behind",
    ],
    "a list of claims that was behind let two nodes take up one upload": [
        "tests/storage/test_lease.py::test_who_does_not_see_its_own_claim_withdraws",
    ],
    "an upload that a restored backup could not know of dangled beside the whole object": [
        PROOFS + "test_a_spool_from_the_past_leaves_no_upload_that_it_cannot_know",
    ],
    "a damaged receipt hid a recording that is stored": [
        "tests/storage/test_reading.py::test_a_damaged_receipt_hides_no_stored_recording",
    ],
}


@pytest.mark.parametrize("found", FOUND)
def test_it_is_held(found: str) -> None:
    assert FOUND[found]
    for named in FOUND[found]:
        path, _, test = named.partition("::")
        assert re.search(rf"\bdef {test}\b", (ROOT / path).read_text()), named
