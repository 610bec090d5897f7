"""Voucher codes: 77 bits, check letters, stored as a hash, one answer to every failure, ten tries an hour."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.audit.models import Record
from tests import make
from vouchers.wallets import codes, redeeming, rules, services
from vouchers.wallets.models import RedemptionAttempt, VoucherCode

KEY = b"k" * 32
CONTEXTS = [("p", "2026"), ("q", "2025")]


def coded(seed=1, programme="p", batch="2026"):
    return codes.make(programme=programme, batch=batch, key=KEY, choose=random.Random(seed).choice)


class TestPure:
    def test_the_alphabet_has_28_signs_and_the_payload_16(self):
        assert len(set(codes.ALPHABET)) == len(codes.ALPHABET) == 28
        assert not set("01ILOQSV") & set(codes.ALPHABET)
        assert [len(group) for group in codes.pretty(coded()).split("-")] == [4] * 5

    @given(st.integers())
    def test_a_code_is_read_however_it_is_typed(self, seed):
        code = coded(seed)
        assert codes.canonical(f"  {codes.pretty(code).lower().replace('-', ' - ')} ") == code
        assert codes.is_genuine(code, contexts=CONTEXTS, key=KEY)

    @given(st.integers(), st.integers(0, 19), st.sampled_from(codes.ALPHABET))
    def test_one_wrong_letter_is_noticed_before_any_lookup(self, seed, at, letter):
        code = coded(seed)
        wrong = code[:at] + letter + code[at + 1 :]
        if wrong != code and at >= 16:
            assert not codes.is_genuine(wrong, contexts=[("p", "2026")], key=KEY)

    def test_guesses_pass_the_check_about_once_in_614656(self):
        dice = random.Random(5)
        guesses = ("".join(dice.choice(codes.ALPHABET) for _ in range(20)) for _ in range(3000))
        assert not any(codes.is_genuine(guess, contexts=CONTEXTS, key=KEY) for guess in guesses)

    def test_programme_batch_and_key_are_in_the_check_letters(self):
        code = coded()
        assert not codes.is_genuine(code, contexts=[("q", "2026"), ("p", "2027")], key=KEY)
        assert not codes.is_genuine(code, contexts=CONTEXTS, key=b"x" * 32)
        assert codes.digest(code, key=KEY) != codes.digest(code, key=b"x" * 32)

    @pytest.mark.parametrize("text", ["", "ABCD", "0" * 20, "2" * 19, "2" * 21, "令" * 20])
    def test_what_cannot_be_a_code_is_none(self, text):
        assert codes.canonical(text) == ""


@pytest.mark.django_db
class TestAtTheCounter:
    @pytest.fixture
    def w(self):
        return make.world()

    @pytest.fixture
    def voucher(self, w):
        return make.voucher(w)

    def look(self, actor, code, *, service="compute", now=make.NOW):
        return redeeming.look_up(actor=actor, text=code, service=service, now=now)

    def test_says_what_it_is_good_for_and_nothing_else(self, w, voucher):
        code = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        shown = self.look(w.keeper, code.lower())
        assert (shown.service, str(shown.share), shown.most.fen) == ("compute", "1/2", 10_000_000)
        assert set(shown.__slots__) == {"service", "share", "most"}
        [attempt] = RedemptionAttempt.objects.all()
        assert (attempt.outcome, attempt.voucher, attempt.organisation) == ("shown", voucher, w.lab)

    def test_is_stored_as_a_hash_with_its_last_four_letters(self, w, voucher):
        code = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        kept = VoucherCode.objects.get()
        assert kept.last4 == code[-4:]
        plain = code.replace("-", "")
        assert plain not in str(VoucherCode.objects.values().get())
        assert all(plain not in str(row) and code not in str(row) for row in Record.objects.values())

    def test_a_new_code_ends_the_earlier_one(self, w, voucher):
        old = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        new = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        with pytest.raises(rules.CodeRefused):
            self.look(w.keeper, old)
        assert self.look(w.keeper, new)

    def test_every_failure_gives_one_answer_and_its_cause_is_on_record(self, w, voucher):
        code = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
        services.freeze(actor=w.approver, voucher=voucher, reason="核查", now=make.NOW)
        frozen = [(w.keeper, code, "not_usable"), (stranger, code, "foreign"), (w.keeper, "AAAA", "malformed")]
        answers = set()
        for actor, text, outcome in frozen:
            with pytest.raises(rules.CodeRefused) as refused:
                self.look(actor, text)
            answers.add((str(refused.value), refused.value.field))
            assert RedemptionAttempt.objects.first().outcome == outcome
        VoucherCode.objects.all().delete()
        with pytest.raises(rules.CodeRefused) as refused:
            self.look(w.keeper, code)
        answers.add((str(refused.value), refused.value.field))
        assert RedemptionAttempt.objects.first().outcome == "unknown"
        assert len(answers) == 1

    def test_the_wrong_service_and_the_wrong_time_are_refused_the_same_way(self, w, voucher):
        code = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        with pytest.raises(rules.CodeRefused):
            self.look(w.keeper, code, service="corpus")
        with pytest.raises(rules.CodeRefused):
            self.look(w.keeper, code, now=voucher.valid_until)

    def test_ten_failures_within_an_hour_lock_out_even_the_right_code(self, w, voucher):
        code = redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)
        for minute in range(10):
            with pytest.raises(rules.CodeRefused):
                self.look(w.keeper, "WRONG", now=make.NOW + timedelta(minutes=minute))
        with pytest.raises(rules.CodeLocked):
            self.look(w.keeper, code, now=make.NOW + timedelta(minutes=10))
        assert Record.objects.filter(action="voucher.code_locked").count() == 1
        assert self.look(w.operator, code, now=make.NOW + timedelta(minutes=10))
        with pytest.raises(rules.CodeLocked):
            self.look(w.keeper, code, now=make.NOW + timedelta(minutes=59, seconds=59))
        assert self.look(w.keeper, code, now=make.NOW + timedelta(minutes=60))
        assert RedemptionAttempt.objects.count() == 14
