import json
import time

from gtn_hpc.core.events import EventLog, read_events


def test_events_come_back_in_order(tmp_path):
    before = time.time()
    with EventLog(tmp_path / "events" / "train.r0.jsonl") as log:
        log.write("step", iteration=1, loss=0.5)
        log.write("step", iteration=2, loss=0.25)
    with EventLog(tmp_path / "events" / "train.r1.jsonl") as log:
        log.write("end")
    events = list(read_events(tmp_path / "events"))
    assert [(event["kind"], event.get("iteration")) for event in events] == [("step", 1), ("step", 2), ("end", None)]
    assert all(before <= event["time"] <= time.time() for event in events)


def test_a_line_is_readable_before_the_log_is_closed(tmp_path):
    log = EventLog(tmp_path / "log.jsonl")
    log.write("start", text="two\nlines \u2028 and more")
    assert [event["text"] for event in read_events(tmp_path / "log.jsonl")] == ["two\nlines \u2028 and more"]
    log.close()


def test_a_torn_line_costs_itself_only(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"kind": "first"}\n{"kind": "to')
    with EventLog(path) as log:
        log.write("next")
    assert [event["kind"] for event in read_events(path)] == ["first", "next"]


def test_numbers_that_are_not_finite_stay_readable_everywhere(tmp_path):
    path = tmp_path / "log.jsonl"
    with EventLog(path) as log:
        log.write("step", loss=float("nan"), per_replica=[1.0, float("inf")], by={"a": (float("-inf"), 2)})
    event = json.loads(path.read_text(), parse_constant=lambda name: 1 / 0)
    assert (event["loss"], event["per_replica"], event["by"]) == (None, [1.0, None], {"a": [None, 2]})
