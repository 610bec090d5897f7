"""Reading sbatch scripts: nothing is lost in silence, nothing raises, and what is sent is what was shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs import directives, rules, slurmwords
from scheduler.jobs.directives import DirectiveRule, Form, Treatment, compare
from scheduler.jobs.models import Job
from tests import make
from tests.calling import Caller

SHEBANG = "#!/bin/bash\n"
A8 = f"{SHEBANG}#SBATCH --gres=gpu:8 --time=10:00:00 --mail-user=x --wrap\npython3 train.py\n"
SMALL = Form(partition="gpu", cards=1, cpus=4, memory_mb=4000, time_limit_s=3600)

WORDS = st.sampled_from(
    [
        *("#SBATCH", "--time", "=", "-t", "--gres=gpu:", "--mem=", "-a", "0-9", "%", "-", ":", "1", "'", '"', "\\"),
        *("\n", " ", "--export=", "ALL", "afterok:", "-d", "#", "\r", "\0", "\x85", "\u2028", "x=1", ",", "--"),
        "99999999999",
    ]
)


def script(*options: str) -> str:
    return SHEBANG + "".join(f"#SBATCH {option}\n" for option in options) + "echo ok\n"


class TestReading:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("90", 5400),
            ("1:30", 120),
            ("1:30:00", 5400),
            ("2-12", 216000),
            ("1-0:30", 88200),
            ("1-00:00:01", 86460),
            ("0:1", 60),
        ],
    )
    def test_reads_every_form_of_a_time_limit(self, text, seconds):
        assert slurmwords.time_s(text) == seconds

    @pytest.mark.parametrize("text", ["0", "00:00:00", "UNLIMITED", "-1", "", "1h", "1:2:3:4", "1-", "9" * 9])
    def test_refuses_a_time_without_an_end(self, text):
        with pytest.raises(slurmwords.Unread):
            slurmwords.time_s(text)

    @pytest.mark.parametrize(("text", "mb"), [("4G", 4096), ("500", 500), ("1024K", 1), ("1k", 1), ("1T", 1048576)])
    def test_reads_memory_with_its_suffix(self, text, mb):
        assert slurmwords.memory_mb(text) == mb

    @pytest.mark.parametrize("text", ["0", "-1", "4.5G", "all", "", "9999T"])
    def test_refuses_memory_without_a_number(self, text):
        with pytest.raises(slurmwords.Unread):
            slurmwords.memory_mb(text)

    @pytest.mark.parametrize(
        ("options", "fields"),
        [
            (["--gres=gpu:a100:2"], {"cards": 2}),
            (["--gres=gpu"], {"cards": 1}),
            (["-G 4"], {"cards": 4}),
            (["--gpus-per-node=a100:3"], {"cards": 3}),
            (["-n 2", "--gpus-per-task=2"], {"cards": 4, "cpus": 2}),
            (["-c 4 -n2"], {"cpus": 8}),
            (["--ntasks 3"], {"cpus": 3}),
            (["-c 4", "--mem-per-cpu=2G"], {"cpus": 4, "memory_mb": 8192}),
            (["-G 2", "--mem-per-gpu=10G"], {"cards": 2, "memory_mb": 20480}),
            (["-J 'my run' # remark"], {"title": "my run"}),
            (["--array=9,0-7:7%2"], {"array": "0,7,9%2"}),
            (["--dependency=afterok:J2026112500001"], {"after": (("ok", "J2026112500001"),)}),
            (["--export=ALL,EPOCHS=3"], {"environment": {"EPOCHS": "3"}}),
            (["--requeue"], {"requeue": True}),
            (["-p cpu", "--partition=gpu"], {"partition": "gpu"}),
            (["-N 1", "--nodes=1"], {}),
        ],
    )
    def test_turns_options_into_fields(self, options, fields):
        diff = compare(script(*options), Form())
        assert diff.sent.as_json() == fields
        assert diff.of(Treatment.CONFLICTS, Treatment.INVALID, Treatment.UNSUPPORTED) == []

    @pytest.mark.parametrize(
        ("option", "field"),
        [
            ("--array=-1", "array"),
            ("-a -1", "array"),
            ("-a 5-2", "array"),
            ("--time=0", "time_limit_min"),
            ("--mem=0", "memory_mb"),
            ("-c 0", "cpus"),
            ("--gres=gpu:x:y:z", "cards"),
            ("--dependency=afterok:12345", "after"),
            ("--export=HOME_DIR", "environment"),
            ("-p a,b", "partition"),
        ],
    )
    def test_says_at_the_field_what_it_cannot_read(self, option, field):
        (item,) = compare(script(option), Form()).invalid
        assert item.field == field
        assert item.message

    @pytest.mark.parametrize(
        "option", ["--mail-type=END", "-o log.txt", "-N 2", "-q high", "--nonsense", "loose", "-w n1"]
    )
    def test_names_what_cannot_be_sent(self, option):
        assert compare(script(option), Form()).unsupported[0].written.startswith(option.split()[0])

    def test_reads_only_what_sbatch_would(self):
        text = f"{SHEBANG}# note\n\n  #SBATCH -c 2\n#SBATCH -c 3\necho\n#SBATCH -c 4\n"
        diff = compare(text, Form())
        assert [item.outcome for item in diff.items] == [Treatment.LATE, Treatment.AGREES, Treatment.LATE]
        assert diff.sent.cpus == 3

    def test_a_later_option_wins(self):
        diff = compare(script("-t 10", "-t 20"), SMALL)
        assert [item.outcome for item in diff.items] == [Treatment.OVERRIDDEN, Treatment.CONFLICTS]
        assert diff.sent.time_limit_s == 1200

    def test_another_card_type_than_the_partitions_is_a_conflict(self):
        (item,) = compare(script("--gres=gpu:h100:1"), SMALL, card_type="a100").conflicts
        assert (item.field, item.params) == ("partition", {"form": "a100", "script": "h100"})

    def test_what_the_cluster_does_not_offer_is_unsupported(self):
        diff = compare(script("-a 0-3", "--requeue", "--no-requeue"), Form(), offered=frozenset())
        assert [item.outcome for item in diff.items] == [Treatment.UNSUPPORTED, Treatment.UNSUPPORTED, Treatment.AGREES]


class TestSettling:
    def test_lists_two_conflicts_and_two_unsupported(self):
        with pytest.raises(directives.DirectivesDiffer) as differ:
            directives.settle(A8, SMALL, rule=DirectiveRule.REFUSE)
        assert [(reason.code.rpartition("_")[2], reason.field) for reason in differ.value.reasons] == [
            ("conflict", "cards"),
            ("conflict", "time_limit_min"),
            ("unsupported", "script"),
            ("unsupported", "script"),
        ]

    def test_takes_the_form_or_the_script_when_told(self):
        by_script = directives.settle(A8, SMALL, rule=DirectiveRule.SCRIPT)
        by_form = directives.settle(A8, SMALL, rule=DirectiveRule.FORM)
        assert (by_script.sent.cards, by_script.sent.time_limit_s) == (8, 36000)
        assert by_form.sent == SMALL
        assert by_form.script == by_script.script == A8.replace("#SBATCH", "##SBATCH")
        assert rules.script_refusals(by_form.script) == []

    def test_does_not_take_a_script_it_cannot_read(self):
        with pytest.raises(directives.DirectivesDiffer):
            directives.settle(script("--time=0"), SMALL, rule=DirectiveRule.SCRIPT)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map("".join)))
def test_reads_any_text_without_an_exception(text):
    for form in (Form(), SMALL):
        diff = compare(f"{SHEBANG}#SBATCH {text}", form)
        assert not directives.has_any(diff.script)
        assert diff.script.count("\n") == rules.normalised(f"{SHEBANG}#SBATCH {text}").count("\n")
        assert compare(diff.script, form).items == ()
        assert diff.sent.time_limit_s is None or diff.sent.time_limit_s >= 60


@pytest.mark.parametrize(
    "text", ["", "\0", "\r\n#SBATCH -n 1\r\n", "#SBATCH " * 3, f"{SHEBANG}#SBATCH -c 2\n" + "x" * 5_000_000]
)
def test_reads_odd_and_huge_scripts(text):
    assert not directives.has_any(compare(text, SMALL).script)


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestOverHttp:
    def body(self, partition, **more):
        return {
            "cluster": partition.cluster.code,
            "partition": partition.name,
            "cards": 1,
            "cpus": 4,
            "memory_mb": 4000,
            "time_limit_s": 3600,
            "script": A8,
            **more,
        }

    def test_shows_the_difference(self, w):
        answer = Caller(w.researcher).post("/jobs/directives", self.body(make.partition(w)))
        assert (answer.status, answer.body["conflicts"], answer.body["unsupported"]) == (200, 2, 2)
        assert (answer.body["sent"]["cards"], answer.body["sent"]["time_limit_s"]) == (8, 36000)

    def test_refuses_then_sends_what_was_shown(self, w):
        caller, partition = Caller(w.researcher), make.partition(w)
        body = self.body(partition, title="训练")
        refused = caller.post("/jobs", body, key="job-key-1")
        assert (refused.status, len(refused.body["reasons"])) == (422, 4)
        assert not Job.objects.exists()

        shown = caller.post("/jobs/directives", self.body(partition)).body
        sent = caller.post("/jobs", {**body, "directives": "script"}, key="job-key-2")

        assert sent.status == 201, sent
        assert sent.body["script"] == shown["script"]
        assert {name: sent.body[name] for name in shown["sent"]} == shown["sent"]

    def test_lays_a_wish_on_every_partition(self, w):
        dear, cheap = make.partition(w, rate="9"), make.partition(w, rate="6")
        answer = Caller(w.researcher).post("/jobs/choices", {"cards": 2, "time_limit_s": 3600})
        rows = {row["cluster"]: row for row in answer.body}
        assert [rows[at.cluster.code]["price"]["yuan"] for at in (dear, cheap)] == ["18.00", "12.00"]
        assert [rows[at.cluster.code]["cheapest"] for at in (dear, cheap)] == [False, True]
        assert rows[dear.cluster.code]["wait"] == {"sample": 0, "p50_s": None, "p90_s": None}


@pytest.mark.parametrize(
    "option", ["--array=" + "0-1000," * 140_000 + "1", "-J " * 340_000, "--mem=" + "9" * 1_000_000, "-d " + "afterok:J1," * 90_000]
)  # fmt: skip
def test_a_script_made_to_be_slow_to_read_is_not(option):
    began = time.process_time()
    diff = compare(f"#!/bin/sh\n#SBATCH {option}\n", Form())
    assert time.process_time() - began < 1
    assert [item.outcome for item in diff.items] == [Treatment.INVALID]
