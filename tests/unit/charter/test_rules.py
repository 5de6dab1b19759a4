"""The pure rules, one by one, on the company's own data and on another's."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.approval import demands
from charter.cascade import accepted, fill, muster
from charter.contract import contract
from charter.fleet import world_of
from charter.money import cents, from_store, money, percent, to_store
from charter.prices import captain_pay, list_price, options, own_pay, price
from charter.record import from_fixture
from charter.refunds import rule
from charter.slots import Claim, Slot, collisions, days, overlapping, windows
from charter.visibility import closed, counts_as, credential_in, figure_in, may_see
from charter.wire import local
from charter.world import Block, World
from trimtab import UsageError

WORLD = World.read(world_of())
NOW = WORLD.start
GAP = WORLD.turnaround


def booking(name: str, **patch):
    return from_fixture(name, {**world_of()["bookings"][name], **patch})


def slot(start: str, end: str, vessel: str = "larkspur") -> Slot:
    return Slot(vessel, local(start), local(end))


class TestMoney:
    def test_rounds_half_up(self):
        assert [cents(Decimal(x)) for x in ("0.005", "0.015", "1.004")] == [
            Decimal("0.01"),
            Decimal("0.02"),
            Decimal("1.00"),
        ]
        assert percent(Decimal("840.75"), Decimal(18)) == Decimal("151.34")

    @given(st.integers(0, 10**9))
    def test_store_and_back_is_the_same(self, n):
        assert to_store(from_store(n)) == n
        assert money(n / 100) == Decimal(n) / 100


class TestPrices:
    def test_worked_example(self):
        worked = world_of()["costs"]["worked_example"]
        got = price(WORLD, (worked["vessel"],), Decimal(worked["hours"]), money(worked["gross"]))
        assert (got.crew_cost, got.captain_cost, got.port_fee, got.net) == tuple(
            money(worked[name]) for name in ("crew", "captain", "port_fee", "net")
        )

    def test_captain_earns_more_past_the_flat_hours(self):
        assert [captain_pay(WORLD, Decimal(h)) for h in (2, 3, 4)] == [150, 150, 190]

    def test_own_pay_is_by_place(self):
        assert (own_pay(WORLD, "cap-1", Decimal(3)), own_pay(WORLD, "dk-2", Decimal(3))) == (150, 125)

    def test_another_price_list_gives_other_prices(self):
        given = world_of()
        given["vessels"]["larkspur"]["rate_per_hour"] = 99.5
        assert list_price(World.read(given), ("larkspur",), Decimal("2.5")) == Decimal("248.75")

    def test_only_options_that_carry_the_party(self):
        found = options(WORLD, ("larkspur", "sandpiper"), [Decimal(3)], 16)
        assert [(o.vessels, o.capacity, o.total) for o in found] == [(("larkspur", "sandpiper"), 18, 1320)]
        assert len(options(WORLD, ("larkspur", "sandpiper"), [Decimal(3)], 5)) == 3


class TestRefunds:
    @pytest.mark.parametrize(
        ("now", "pct", "amount", "free_move"),
        [
            ("2026-06-21T10:00", 97, "407.40", False),
            ("2026-06-22T10:00", 50, "210.00", False),
            ("2026-06-25T23:00", 50, "210.00", False),
            ("2026-06-26T00:00", 0, "0.00", True),
            ("2026-06-28T11:59", 0, "0.00", True),
            ("2026-06-28T12:00", 0, "0.00", False),
        ],
    )
    def test_guest_cancel_by_days_before(self, now, pct, amount, free_move):
        got = rule(WORLD.policies, booking("B-1008"), "guest_cancel", local(now), refunded=Decimal(0), hours_lost=None)
        assert (got.refund_pct, got.refund_amount, got.free_move) == (pct, Decimal(amount), free_move)

    def test_what_went_back_already_is_not_refunded_again(self):
        got = rule(WORLD.policies, booking("B-1008"), "weather", NOW, refunded=Decimal(400), hours_lost=None)
        assert (got.refund_amount, got.free_move) == (20, True)

    def test_claimed_money_counts_for_nothing(self):
        got = rule(WORLD.policies, booking("B-1003"), "guest_cancel", NOW, refunded=Decimal(0), hours_lost=None)
        assert got.refund_amount == 0

    def test_marketplace_settles_its_own_money(self):
        got = rule(WORLD.policies, booking("B-1004"), "guest_cancel", NOW, refunded=Decimal(0), hours_lost=None)
        assert (got.settled_in, got.refund_pct, got.refund_amount) == ("marketplace", None, None)

    @pytest.mark.parametrize(
        ("now", "penalty"), [("2026-06-08T10:00", "168.15"), ("2026-06-07T10:00", "168.15"), ("2026-06-06T10:00", "0")]
    )
    def test_cancelling_a_marketplace_booking_costs(self, now, penalty):
        got = rule(
            WORLD.policies, booking("B-1002"), "operator_cancel", local(now), refunded=Decimal(0), hours_lost=None
        )
        assert got.penalty_amount == Decimal(penalty)

    def test_no_show_waits_an_hour(self):
        got = rule(WORLD.policies, booking("B-1006"), "no_show", NOW, refunded=Decimal(0), hours_lost=None)
        assert got.wait_until == local("2026-06-09T13:00")

    @pytest.mark.parametrize(("lost", "back"), [("1", "280.00"), ("0.5", "140.00"), ("9", "840.00")])
    def test_lost_hours_pro_rata(self, lost, back):
        got = rule(
            WORLD.policies, booking("B-1007"), "service_issue", NOW, refunded=Decimal(0), hours_lost=Decimal(lost)
        )
        assert got.pro_rata_amount == Decimal(back)


class TestSlots:
    BLOCKS = WORLD.blocks

    def claim(self, start, end, vessel="larkspur", **more):
        return Claim(slot(start, end, vessel), 1, firm=True, **more)

    @pytest.mark.parametrize(
        ("start", "end", "free"),
        [
            ("2026-06-14T14:00", "2026-06-14T16:00", True),
            ("2026-06-14T13:59", "2026-06-14T16:00", False),
            ("2026-06-14T07:00", "2026-06-14T09:00", True),
            ("2026-06-14T07:00", "2026-06-14T09:01", False),
            ("2026-06-14T11:00", "2026-06-14T12:00", False),
            ("2026-06-14T08:00", "2026-06-14T19:00", False),
        ],
    )
    def test_turnaround_counts_on_both_sides(self, start, end, free):
        taken = collisions(slot(start, end), [self.claim("2026-06-14T10:00", "2026-06-14T13:00")], (), GAP)
        assert (not taken) == free

    def test_blocks_count_as_they_are(self):
        assert not collisions(slot("2026-06-17T12:00", "2026-06-17T15:00"), (), self.BLOCKS, GAP)
        assert collisions(slot("2026-06-17T12:00", "2026-06-17T15:01"), (), self.BLOCKS, GAP)
        assert collisions(slot("2026-06-17T09:00", "2026-06-17T11:00", "sandpiper"), (), self.BLOCKS, GAP)
        assert not collisions(slot("2026-06-18T09:00", "2026-06-18T11:00", "sandpiper"), (), self.BLOCKS, GAP)

    def test_a_night_trip_meets_the_block_of_the_next_day(self):
        block = Block("larkspur", "haulout", date(2026, 6, 18), date(2026, 6, 18))
        assert collisions(slot("2026-06-17T22:00", "2026-06-18T01:00"), (), [block], GAP)

    def test_expired_holds_do_not_count(self):
        held = Claim(slot("2026-06-14T10:00", "2026-06-14T13:00"), 1, firm=False, expires=NOW)
        assert not held.live(NOW)
        assert held.live(NOW - timedelta(minutes=1))
        assert replace(held, expires=None).live(NOW)

    def test_windows_leave_out_trips_with_turnaround_and_blocks(self):
        found = windows(
            "larkspur",
            date(2026, 6, 17),
            [self.claim("2026-06-17T10:00", "2026-06-17T11:00")],
            self.BLOCKS,
            gap=GAP,
            now=NOW,
            opening=(timedelta(hours=8), timedelta(hours=21)),
            length=timedelta(hours=1),
        )
        assert [(s.start.hour, s.end.hour) for s in found] == [(8, 9), (12, 15), (19, 21)]

    @given(
        st.lists(st.tuples(st.integers(0, 23), st.integers(1, 5)), max_size=6),
        st.integers(1, 5),
    )
    def test_whatever_is_in_a_window_is_free(self, trips, length):
        midnight = local("2026-06-17T00:00")
        claims = [
            Claim(Slot("larkspur", midnight + timedelta(hours=a), midnight + timedelta(hours=a + n)), i, firm=True)
            for i, (a, n) in enumerate(trips)
        ]
        found = windows(
            *("larkspur", midnight.date(), claims, self.BLOCKS),
            gap=GAP,
            now=NOW,
            opening=(timedelta(hours=9), timedelta(hours=20)),
            length=timedelta(hours=length),
        )
        for free in found:
            assert free.end - free.start >= timedelta(hours=length)
            assert not collisions(free, claims, self.BLOCKS, GAP)

    def test_days_of_a_kind(self):
        assert [d.day for d in days(date(2026, 6, 19), date(2026, 6, 22), "weekend")] == [20, 21]
        assert [d.day for d in days(date(2026, 6, 19), date(2026, 6, 22), "weekday")] == [19, 22]

    def test_overlapping_pairs_include_turnaround(self):
        trips = [
            ("a", slot("2026-06-14T10:00", "2026-06-14T13:00")),
            ("b", slot("2026-06-14T13:30", "2026-06-14T15:00")),
        ]
        assert overlapping(trips, GAP) == [("a", "b")]
        assert overlapping(trips, timedelta()) == []


class TestCascade:
    def test_silence_holds_the_place(self):
        assert [a.person for a in fill(1, "captain", ["cap-1", "cap-2"], {})] == ["cap-1"]

    def test_next_person_after_a_decline(self):
        asks = fill(1, "captain", ["cap-1", "cap-2"], {"cap-1": "decline"})
        assert [(a.person, a.state) for a in asks] == [("cap-1", "declined"), ("cap-2", "asked")]

    def test_deckhands_are_asked_once_the_captain_accepted(self):
        deckhands = (2, ["dk-1", "dk-2", "dk-3"])
        assert [a.person for a in muster((1, ["cap-1"]), deckhands, {})] == ["cap-1"]
        asks = muster((1, ["cap-1"]), deckhands, {"cap-1": "accept", "dk-1": "decline", "dk-2": "accept"})
        assert [a.person for a in asks] == ["cap-1", "dk-1", "dk-2", "dk-3"]
        assert accepted(asks) == ("cap-1", "dk-2")

    def test_a_boat_without_a_captain_asks_deckhands_at_once(self):
        assert [a.person for a in muster((0, ["cap-1"]), (1, ["dk-1"]), {})] == ["dk-1"]

    def test_nobody_left(self):
        assert fill(2, "deckhand", ["dk-1"], {"dk-1": "decline"})[-1].state == "declined"


class TestVisibility:
    def test_fields_inside_values_count(self):
        assert closed(contract(), {"quotes": [{"total": 1.0, "net_revenue": 2.0}]}, "guest") == ["net_revenue"]

    def test_undeclared_names_are_for_the_operator(self):
        assert not may_see(contract(), "anything", "guest")
        assert may_see(contract(), "anything", "operator")
        assert not may_see(contract(), "credentials", "operator")

    def test_prices_tell_crew_the_takings(self):
        assert "total" in counts_as(contract(), "gross_revenue", "crew")
        assert "total" not in counts_as(contract(), "gross_revenue", "guest")

    @pytest.mark.parametrize("text", ["key sk-ant-abcdef123456", "API token: xyz", "password = hunter2"])
    def test_credentials_are_seen(self, text):
        assert credential_in([text])

    def test_ordinary_words_are_no_credentials(self):
        assert not credential_in(["the token of our thanks", "https://pay.acme.example/abc_DEF-123"])

    @pytest.mark.parametrize("text", ["we make 840.75", "1,120.00 in all", "840,75 Euro", "it is 289.41."])
    def test_amounts_in_words_are_seen(self, text):
        assert figure_in([text], [Decimal("840.75"), Decimal("1120.00"), Decimal("289.41")])

    def test_other_numbers_are_not(self):
        assert not figure_in(["2026-06-28 at 11:20, B-1120"], [Decimal("1120.00")])


class TestApproval:
    def test_texts_and_free_words_are_held(self):
        assert demands("notification.guest_message", {"channel": "sms"}, None)
        assert demands("notification.crew_message", {"channel": "email", "body": "hi"}, None)
        assert not demands("notification.operator_message", {"channel": "email"}, None)

    def test_marketplace_bookings_are_held(self):
        assert demands("booking.cancel", {"booking_id": "B-1004"}, booking("B-1004"))
        assert not demands("booking.cancel", {"booking_id": "B-1008"}, booking("B-1008"))

    @pytest.mark.parametrize(
        ("changes", "held"), [({"contact": "x"}, True), ({"total": 1.0}, True), ({"party_size": 3}, False)]
    )
    def test_contact_and_price_are_held(self, changes, held):
        assert demands("booking.change", {"booking_id": "B-1008", "changes": changes}, booking("B-1008")) == held

    def test_a_refund_request_runs_and_its_execution_is_held(self):
        assert not demands("payment.request_refund", {}, None)
        assert demands("payment.execute_refund", {}, None)


class TestWorld:
    @pytest.mark.parametrize(
        ("now", "quiet"),
        [("16:59", False), ("17:00", True), ("23:59", True), ("00:00", True), ("07:59", True), ("08:00", False)],
    )
    def test_quiet_hours_reach_past_midnight(self, now, quiet):
        assert WORLD.quiet(local(f"2026-06-08T{now}")) == quiet

    def test_unknown_rules_are_refused(self):
        given = deepcopy(world_of())
        given["blocks"].append({"vessel": "larkspur", "rule": "when it rains", "why": "rain"})
        with pytest.raises(UsageError, match="when it rains"):
            World.read(given)

    def test_a_missing_fact_is_named(self):
        given = world_of()
        del given["turnaround_minutes"]
        with pytest.raises(UsageError, match="turnaround_minutes"):
            World.read(given)
