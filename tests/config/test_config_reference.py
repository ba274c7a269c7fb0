import re

import yaml

from gtn_hpc.config import Config, parse, reference
from gtn_hpc.config.schema import OPERATIONAL

ROWS = {row.name: row for row in reference()}


def test_every_key_has_a_meaning_and_a_type_in_words():
    assert not [row.name for row in ROWS.values() if not row.description]
    assert not [row.name for row in ROWS.values() if "class" in row.type or "typing" in row.type]


def test_it_lists_exactly_the_keys_that_are_written_out():
    def leaves(value, key):
        if isinstance(value, dict):
            return {leaf for name, item in value.items() for leaf in leaves(item, f"{key}.{name}" if key else name)}
        return {key}

    given = "run: {name: a}\nrl: {limit: 9}\nlearners: [{family: linear}]"
    config = parse(given).model_dump(mode="json")
    config["learners[]"] = config.pop("learners")[0]
    config["search"]["space[conv]"] = config["search"].pop("space")
    config["search"]["algorithm[random]"] = config["search"].pop("algorithm")
    other_variants = {name for name in ROWS if "search." in name and "[" in name and not re.search("conv|random", name)}
    assert leaves(config, "") == set(ROWS) - other_variants


def test_defaults_are_those_of_an_empty_configuration():
    config = parse("run: {name: a}").model_dump(mode="json")
    for row in ROWS.values():
        if "[" not in row.name and row.default != "required" and not row.name.startswith("rl."):
            value = config
            for part in row.name.split("."):
                value = value[part]
            written = yaml.safe_load(row.default) if row.default != "empty" else None
            assert written in (value, str(value)) or (value == "no" and written is False), row.name


def test_units_types_and_requirements_are_told():
    assert ROWS["run.name"].default == "required"
    assert ROWS["search.limits.seconds"].type == "number | empty"
    assert ROWS["search.limits.bytes"].description == "memory of one evaluation in bytes (empty: most of what is free)"
    assert ROWS["learners[].widths"].type.startswith("fixed | random | list of ")
    assert ROWS["search.space[chain].widths"].default == "[8, 16, 32, 64]"
    assert ROWS["run.seed"].default == "0"


def test_operational_keys_exist():
    present = {name for name in OPERATIONAL if any(row == name or row.startswith(name + ".") for row in ROWS)}
    assert present == OPERATIONAL
    assert {row.name for row in ROWS.values() if row.operational} >= {"run.root", "search.limits.bytes"}
    assert set(Config.model_fields) == {name.partition(".")[0].partition("[")[0] for name in ROWS}
