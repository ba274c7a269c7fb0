import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtn_hpc.config import Config, dump, load, parse
from gtn_hpc.config.families import FIXED
from gtn_hpc.core.errors import ConfigError

NAMED = "run: {name: a}\n"


def test_a_name_is_enough():
    config = parse("run: {name: digits}")
    assert config.run.name == "digits"
    assert config.search.space.name == "conv"
    assert parse("run: {name: digits}\nsearch:\nmeta:\n") == config


def test_values_are_taken_as_yaml_writes_them():
    config = parse("""
        run: {name: a}
        inner: {lr: 1e-3, learn: no}
        engine: {offload: no}
        learners:
          - {family: linear, widths: [[8, 16], 32]}
          - {weight: 2}
        meta: {clip: null, betas: [0, .5], lr: 1}
        search: {space: {name: chain, widths: [4, 8]}, score_at: [2, 4]}
    """)
    assert (config.inner.lr, config.inner.learn, config.engine.offload) == (1e-3, "no", "no")
    assert config.learners[0].widths == ((8, 16), 32)
    assert config.learners[1].weight == 2.0
    assert (config.meta.clip, config.meta.betas, config.meta.lr) == (None, (0.0, 0.5), 1.0)
    assert config.search.space.widths == (4, 8)


def test_a_section_of_another_kind_takes_the_place_of_the_one_before_and_others_are_merged():
    given = NAMED + "search: {space: {name: conv, widths: [[4, 9], [4, 9], [4, 9]]}}"
    found = parse(given, ["search.space={name: nao_cell, cells: 1}", "search.space={name: nao_cell, filters: 4}"])
    assert (found.search.space.name, found.search.space.cells, found.search.space.filters) == ("nao_cell", 1, 4)
    kept = parse("run: {name: a, seed: 7}", ["run={name: b}"])
    assert (kept.run.name, kept.run.seed) == ("b", 7)


def test_overrides_are_applied_in_order_and_may_make_sections():
    overrides = [
        "inner.lr=1e-3",
        "evaluate.real_data.tune_learners=5",
        "meta.iterations=3",
        "meta.iterations=4",
        "learners.0.weight=.5",
    ]
    config = parse(NAMED + "learners: [{family: conv5}]", [*overrides, "search.score_at=[1,2]", "run.name=x"])
    assert (config.inner.lr, config.evaluate.real_data.tune_learners, config.meta.iterations) == (1e-3, 5, 4)
    assert (config.learners[0].family, config.learners[0].weight) == ("conv5", 0.5)
    assert (config.search.score_at, config.run.name) == ((1, 2), "x")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "{name: unrolled, window: 2, memory_budget: 5, offload: host}",
            r"memory_budget, window, offload: options of the engine trajectory, not of unrolled; .*name=trajectory",
        ),
        ("{name: higher, adjoint: kit, cuda_graphs: true}", "adjoint, cuda_graphs: options of the engine trajectory"),
        ("{adjoint: compiled, cuda_graphs: true}", "cuda_graphs needs adjoint auto, traced or kit"),
    ],
)
def test_engine_options_that_would_do_nothing_are_refused(options, said):
    with pytest.raises(ConfigError, match=f"engine: .*{said}"):
        parse(NAMED + f"engine: {options}")


def test_engine_options_that_say_the_default_are_taken_by_every_engine():
    config = parse(NAMED + "engine: {name: higher, adjoint: auto, offload: no, window: null}")
    assert config.engine == parse(NAMED + "engine: {name: higher}").engine
    assert parse(NAMED + "engine: {window: 2, cuda_graphs: true}").engine.window == 2


def test_a_name_that_leaves_the_keys_of_another_kind_is_told_how_to_replace_them():
    given = NAMED + "search: {space: {name: conv, widths: [[2, 33], [2, 49], [4, 97]]}}"
    with pytest.raises(ConfigError, match=r"search\.space\.widths\.0: has to be an integer") as caught:
        parse(given, ["search.space.name=chain"])
    said = "search.space.name=chain keeps the other keys of search.space; "
    assert caught.value.remedy == f"{said}the whole section is search.space={{name: chain}}."
    with pytest.raises(ConfigError, match=r"search\.space\.cells: unknown key") as caught:
        parse(NAMED + "search: {space: {name: nao_cell, cells: 2}}", ["search.space.name=conv"])
    assert "search.space={name: conv}" in str(caught.value.remedy)
    for overrides in (["search.space.name=conv", "search.space.cells=2"], ["search.space.name=chian"]):
        with pytest.raises(ConfigError) as caught:
            parse(given, overrides)
        assert caught.value.remedy is None
    with pytest.raises(ConfigError, match=r"search: has to be a section"):
        parse(NAMED + "search: 5", ["search.space.name=chain", "search=5"])
    kept = parse(NAMED + "search: {space: {name: nao_cell, cells: 2}}", ["search.space.name=nasbench201"])
    assert kept.search.space.cells == 2


def test_references_are_resolved():
    config = parse(
        "run: {name: a, seed: 7}\nmeta: {batch: '${teacher.curriculum.batch}'}\nteacher: {curriculum: {batch: 9}}"
    )
    assert config.meta.batch == 9


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("data: {name: digits}", [], r"run\.name: needs a value"),
        (NAMED + "meta: {iteratoins: 5}", [], r"meta\.iteratoins: unknown key\. Did you mean 'iterations'\?"),
        (NAMED + "iterations: 5", [], r"iterations: unknown key\. Did you mean meta\.iterations\?"),
        (NAMED, ["search.space.name=chain", "search.space.layers=3"], r"search\.space\.layers: .*'max_layers'"),
        (NAMED, ["search.space.name=chian"], r"search\.space\.name: .*Did you mean 'chain'\?.*given: 'chian'"),
        (NAMED + "search: {space: {widths: [1]}}", [], r"search\.space\.name: .*Valid: chain, conv, nao_cell, nasb"),
        (NAMED + "learners: [{famly: conv5}]", [], r"learners\.0\.famly: unknown key\. Did you mean 'family'\?"),
        (NAMED, ["meta.iterations=-3"], r"meta\.iterations: .*greater than or equal to 1 \(given: -3\)"),
        (NAMED, ["meta.iterations=2.5"], r"meta\.iterations: has to be an integer .*2\.5"),
        (NAMED, ["meta.replicas='3'"], r"meta\.replicas: has to be an integer \(given: '3'\)"),
        (NAMED, ["meta.batch=true"], r"meta\.batch: has to be an integer \(given: True\)"),
        (NAMED, ["meta.lr=nan"], r"meta\.lr: has to be a number"),
        (NAMED, ["meta.lr=.nan"], r"meta\.lr: has to be a finite number"),
        (NAMED, ["meta.clip=.inf"], r"meta\.clip: has to be a finite number"),
        (NAMED, ["run.name=../up"], r"run\.name: may hold letters"),
        (NAMED, ["run.device=tpu"], r"run\.device: has to be auto"),
        (NAMED, ["data.validation=2.5"], r"data\.validation: a value of 1 or more counts images"),
        (NAMED, ["learners=[]"], r"learners: needs more items"),
        (NAMED, ["learners=[{widths: [[8, 4]]}]"], r"learners\.0\.widths: .*needs low < high, not \[8, 4\]"),
        (NAMED, ["learners=[{widths: [8, x]}]"], r"learners\.0\.widths\.1: has to be an integer"),
        (NAMED + "learners: {family: linear}", [], r"learners: has to be a list"),
        (NAMED, ["data.validation=1.0"], r"data\.validation: one image is none .*share is below 1.*given: 1\.0"),
        (NAMED, ["data.test=1"], r"data\.test: one image is none"),
        (NAMED, ["learners=[{widths: [[9, 16]]}]"], r"learners\.0: no multiple of width_quantum = 8 .*\[9, 16\]"),
        (NAMED, ["learners=[{widths: [8, 8]}]"], r"learners\.0: the family conv2-fc has 3 hidden layers, widths has 2"),
        (NAMED, ["search.algorithm={name: evolution, population: 9}"], r"search\.algorithm: sample is 10, more than"),
        (NAMED, ["search.shard=0/2"], r"search: shard is 0/2, but with pool=auto .*search\.pool=shards, or leave"),
        (NAMED, ["search.shard=0/2", "search.pool=shared"], r"search: .*pool=shared"),
        (NAMED, ["search.isolate=false", "search.limits.bytes=9"], r"search: limits\.bytes is 9, but .*=true, or give"),
        (NAMED + "meta: 5", [], r"meta: has to be a section"),
        (NAMED + "3: 4", [], r"3: unknown key"),
        (NAMED, ["meta"], r"'meta' is not an override\.\n.*look like meta\.iterations=500"),
        (NAMED, ["=3"], r"'=3' is not an override"),
        (NAMED, ["meta.iterations=[1"], r"'meta\.iterations=\[1' cannot be applied"),
        (NAMED + "learners: [{weight: 1}]", ["learners.4.weight=1"], r"'learners\.4\.weight=1' cannot be applied"),
        (NAMED + "data: {root: '${nowhere}'}", [], r"nowhere.*\n?.*Mend the reference"),
        ("run: {name: a", [], r"here\.yaml is not YAML.*line"),
        ("run: {name: a, name: b}", [], r"duplicate key name"),
        ("- run", [], r"is not a mapping of sections"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_key(text, overrides, expected):
    with pytest.raises(ConfigError) as caught:
        parse(text, overrides, where="here.yaml")
    message = str(caught.value)
    assert re.search(expected, message, re.DOTALL), message
    assert caught.value.exit_code == 2
    assert len(message) < 1200
    assert "pydantic" not in message.lower()


def test_all_errors_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        parse(NAMED, ["meta.lr=0", "inner.momentum=1", "final.top_k=0"])
    assert len(str(caught.value).splitlines()) == 4


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.yaml").write_text("\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"Cannot read .*missing\.yaml: No such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match=r"empty\.yaml is empty.\n.*run: {name: NAME}"):
        load(tmp_path / "empty.yaml")
    with pytest.raises(ConfigError, match=r"binary\.yaml: it is not UTF-8"):
        load(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_a_run_directory_stands_for_its_configuration(tmp_path):
    (tmp_path / "config.yaml").write_text("run: {name: before}")
    assert load(tmp_path, ["run.seed=3"]).run.seed == 3


def written(place, text):
    place.mkdir(parents=True)
    (place / "config.yaml").write_text(text)
    return place


def test_a_run_that_was_copied_or_is_named_from_elsewhere_is_the_one_that_is_meant(tmp_path, monkeypatch):
    written(tmp_path / "runs" / "first", "run: {name: first, root: runs, seed: 4}")
    copy = written(tmp_path / "kept" / "copy", f"run: {{name: first, root: {tmp_path / 'runs'}}}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("runs/first").run == parse("run: {name: first, root: runs, seed: 4}").run
    assert load("kept/copy").run.directory.path == load(copy).run.directory.path == copy
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = load("../runs/first").run
    assert (run.directory.path, run.seed) == (tmp_path / "runs" / "first", 4)
    monkeypatch.chdir(copy)
    assert load(".").run.directory.path == copy
    assert load(tmp_path / "elsewhere" / ".." / "runs" / "first").run.name == "first"


def test_places_at_home_are_where_a_shell_has_them_and_others_stay_as_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = ["run.root=~/runs", "search.curriculum=~/teacher.h5", "search.algorithm={name: list, path: ~/list}"]
    found = parse(NAMED, at_home)
    assert found.run.directory.path == tmp_path / "runs" / "a"
    assert (found.search.curriculum, found.search.algorithm.path) == (f"{tmp_path}/teacher.h5", f"{tmp_path}/list")
    assert found == parse(NAMED, [text.replace("~", str(tmp_path)) for text in at_home])
    assert parse(NAMED, ["run.root=../~/runs"]).run.root == "../~/runs"


def test_a_run_at_home_is_the_one_that_is_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "runs" / "first", "run: {name: first, root: ~/runs}")
    written(tmp_path / "~" / "runs" / "first", "run: {name: first, root: ~/runs}")
    assert load("runs/first").run.root == f"{tmp_path}/runs"
    assert load("~/runs/first").run.root == f"{tmp_path}/~/runs"


def test_overrides_win_over_where_a_run_directory_is(tmp_path):
    copy = written(tmp_path / "copy", "run: {name: first, root: runs}")
    run = load(copy, ["run.name=again"]).run
    assert (run.root, run.name) == (str(tmp_path), "again")
    assert load(copy, ["run.root=other"]).run.directory.path == Path("other/copy")


def test_a_directory_whose_name_no_run_can_have_is_refused(tmp_path):
    copy = written(tmp_path / "my copy", "run: {name: first, root: runs}")
    with pytest.raises(ConfigError, match=r"my copy cannot be a run's: .* may hold letters.*\n.*Rename it"):
        load(copy)
    assert load(copy, ["run.name=first"]).run.directory.path == tmp_path / "first"
    link = tmp_path / "the last"
    link.symlink_to(written(tmp_path / "runs" / "first", f"run: {{name: first, root: {tmp_path / 'runs'}}}"))
    assert load(link).run.directory.path == tmp_path / "runs" / "first"


positive = st.floats(min_value=1e-300, max_value=1e300)
counts = st.integers(min_value=1, max_value=10**12)


def learners_of(family):
    own = st.lists(counts, min_size=len(FIXED[family]), max_size=len(FIXED[family]))
    widths = st.sampled_from(["fixed", "random"]) | own
    return st.fixed_dictionaries({"family": st.just(family), "widths": widths, "weight": positive})


trees = st.fixed_dictionaries(
    {"run": st.fixed_dictionaries({"name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)})},
    optional={
        "meta": st.fixed_dictionaries(
            {}, optional={"lr": positive, "iterations": counts, "clip": st.none() | positive}
        ),
        "inner": st.fixed_dictionaries({}, optional={"learn": st.sampled_from(["per_step", "no"]), "eps": positive}),
        "data": st.fixed_dictionaries(
            {}, optional={"name": st.text(max_size=20), "root": st.none() | st.text(max_size=9)}
        ),
        "learners": st.lists(st.sampled_from(sorted(FIXED)).flatmap(learners_of), min_size=1, max_size=3),
        "search": st.sampled_from([{"space": {"name": "nao_cell", "nodes": 3}}, {"space": {"name": "chain"}}]),
    },
)


def test_a_generator_needs_two_images_for_its_batch_norm():
    with pytest.raises(ConfigError, match="batch is 1, but the generator's batch norm needs 2 images or more"):
        parse("run: {name: a}", ["teacher.curriculum.batch=1"])
    alone = parse("run: {name: a}", ["teacher.curriculum={batch: 1, arm: distilled_pixels}"])
    assert alone.teacher.curriculum.batch == 1


def test_real_data_need_two_images_for_batch_norm():
    with pytest.raises(ConfigError, match=r"final\.recipe\.batch: .*greater than or equal to 2 \(given: 1\)"):
        parse("run: {name: a}", ["final.recipe.batch=1"])


@given(trees)
def test_what_is_dumped_is_read_back(tree):
    config = Config.model_validate(tree)
    assert parse(dump(config)) == config


def test_a_section_that_may_be_left_out_stays_out():
    config = parse("run: {name: a}\nrl:\nmeta:")
    assert config.rl is None
    assert parse(dump(config)) == config
    assert parse("run: {name: a}\nrl: {copies: 4}\nlearners: [{family: linear}]").rl.copies == 4


def test_a_configuration_of_an_older_file_is_read_where_what_is_gone_was_off():
    older = (
        dump(parse(NAMED))
        .replace("  iterations:", "  grow: null\n  iterations:")
        .replace("  adjoint:", "  random_window: false\n  adjoint:")
    )
    assert "grow" in older and "random_window" in older
    assert parse(older) == parse(NAMED)
    for option in ("meta.grow.every=5", "engine.random_window=true"):
        with pytest.raises(ConfigError, match="unknown key"):
            parse(older, [option])
