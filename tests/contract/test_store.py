"""The store's contract: each rule of the protocol's calls, on memory, on one server and on a cluster alike."""

from __future__ import annotations

from dataclasses import replace

from streams.protocol.places import home_shard
from streams.protocol.ports import (
    Applied,
    At,
    Begin,
    IdLog,
    Open,
    Position,
    Rebind,
    ShardCall,
    Standing,
    Store,
    Swap,
    Tp,
    Unknown,
    Unsaid,
    Verdict,
)
from streams.stores.valkey import TAKEN_KEYS
from tests.contract.stores import (
    CLICKS,
    ENTRY,
    LIMITS,
    ORDERS,
    SHARDS,
    applied,
    apply,
    bag,
    begin,
    call,
    entry,
    opened,
    proposal,
    stamped,
)  # fmt: skip

ANEW = replace(ORDERS, topic_id="another")
A, B = entry(1), entry(2)

# ---- begin


async def test_a_store_that_knows_nothing_says_so(store: Store) -> None:
    assert await begin(store, None) == Unknown()
    assert await store.empty()
    assert await store.ids(ORDERS) is None
    assert await store.verdicts(ORDERS, 0, 1) == Unsaid(0, 0)
    assert await store.where(ORDERS) == [None] * SHARDS


async def test_the_first_range_starts_at_genesis_and_nowhere_else(store: Store) -> None:
    assert await begin(store, 9, proposal(12), genesis=7) == Unknown()
    reply = await begin(store, 7, proposal(12, {8: Verdict.DEAD}), genesis=7)
    assert reply == Open(7, 12, "c1", {8: Verdict.DEAD}, b"t1", recovered=False, mine=True)
    assert not await store.empty()


async def test_an_open_range_is_handed_to_whoever_begins_and_is_not_theirs(store: Store) -> None:
    first = await opened(store, 0, 4, {2: Verdict.DUPLICATE})
    for at, offered in [(0, proposal(9)), (5, proposal(9)), (None, None)]:
        assert await begin(store, at, offered, config="c2", token=b"t2") == first._replace(mine=False)


async def test_a_range_is_closed_by_what_is_published_up_to_its_end(store: Store) -> None:
    await opened(store, 0, 4)
    assert isinstance(await begin(store, None, published=3), Open)
    assert await begin(store, None, published=4) == Position(5)
    assert await begin(store, None) == Position(5)


async def test_closing_and_opening_are_one_step(store: Store) -> None:
    await opened(store, 0, 4)
    reply = await begin(store, 5, proposal(9), published=4, config="c2", token=b"t2")
    assert reply == Open(5, 9, "c2", {}, b"t2", recovered=False, mine=True)


async def test_a_begin_from_another_place_is_told_the_position(store: Store) -> None:
    await opened(store, 0, 4)
    assert await begin(store, 0, proposal(4), published=4) == Position(5)
    assert await begin(store, 9, proposal(12), published=99) == Position(5)


async def test_a_range_that_a_row_has_passed_already_is_marked_recovered(store: Store) -> None:
    assert await begin(store, 0, proposal(4), tail=0) == Open(0, 4, "c1", {}, b"t1", recovered=True, mine=True)
    reply = await begin(store, 5, proposal(9), tail=4, published=4)
    assert isinstance(reply, Open)
    assert not reply.recovered


async def test_a_topic_made_anew_is_told_the_id_that_is_known(store: Store) -> None:
    await opened(store, 0, 4)
    await applied(store, 0, 4, call())
    assert await begin(store, 0, proposal(4), tp=ANEW) == Rebind(ORDERS.topic_id)
    assert await apply(store, 0, 4, call(), tp=ANEW) == Rebind(ORDERS.topic_id)
    assert await store.ids(ANEW) is None
    assert await store.verdicts(ANEW, 0, 4) == Unsaid(0, 0)


async def test_partitions_do_not_share_a_home_record(store: Store) -> None:
    await opened(store, 0, 4)
    assert await begin(store, None, tp=CLICKS) == Unknown()
    assert await begin(store, None, tp=replace(ORDERS, partition=2)) == Unknown()


# ---- verdicts and ids


async def test_verdicts_are_those_of_the_offsets_asked_for(store: Store) -> None:
    await opened(store, 0, 4, {1: Verdict.DEAD, 4: Verdict.FUTURE})
    await opened(store, 5, 9)
    await opened(store, 10, 14, {10: Verdict.TOO_LATE, 13: Verdict.CONFLICT})
    assert await store.verdicts(ORDERS, 0, 3) == {1: Verdict.DEAD}
    assert await store.verdicts(ORDERS, 2, 10) == {4: Verdict.FUTURE, 10: Verdict.TOO_LATE}
    assert await store.verdicts(ORDERS, 5, 9) == {}
    assert await store.verdicts(ORDERS, 0, 14) == {
        1: Verdict.DEAD, 4: Verdict.FUTURE, 10: Verdict.TOO_LATE, 13: Verdict.CONFLICT,
    }  # fmt: skip


async def test_verdicts_beyond_the_position_are_not_said(store: Store) -> None:
    await opened(store, 3, 4, genesis=3)
    assert await store.verdicts(ORDERS, 4, 5) == Unsaid(floor=3, position=5)
    assert await store.verdicts(ORDERS, 2, 4) == Unsaid(floor=3, position=5)


async def test_verdicts_below_the_depth_of_the_log_are_forgotten(store: Store) -> None:
    for first in range(0, 300, 50):
        await opened(store, first, first + 49, {first: Verdict.DEAD, first + 49: Verdict.DEAD})
    floor = 300 - LIMITS.verdict_offsets
    assert await store.verdicts(ORDERS, floor - 1, 299) == Unsaid(floor, 300)
    said = await store.verdicts(ORDERS, floor, 299)
    assert said == {offset: Verdict.DEAD for first in range(floor, 300, 50) for offset in (first, first + 49)}


async def test_ids_are_read_oldest_first_with_position_and_clock(store: Store) -> None:
    await opened(store, 0, 4, ids=b"first", clock_s=10)
    await opened(store, 5, 9, ids=b"second", clock_s=20)
    assert await store.ids(ORDERS) == IdLog(0, 10, 20, [b"first", b"second"])


async def test_a_range_without_fresh_ids_moves_the_clock_alone(store: Store) -> None:
    await opened(store, 0, 4, ids=b"first", clock_s=10)
    await opened(store, 5, 9, clock_s=30)
    assert await store.ids(ORDERS) == IdLog(0, 10, 30, [b"first"])


async def test_the_clock_of_a_partition_never_goes_back(store: Store) -> None:
    await opened(store, 0, 4, clock_s=30)
    await opened(store, 5, 9, ids=b"x", clock_s=10)
    assert await store.ids(ORDERS) == IdLog(0, 10, 30, [b"x"])


async def test_ids_leave_the_window_by_offsets(store: Store) -> None:
    n = LIMITS.dedup_offsets
    await opened(store, 0, 4, ids=b"0-4")
    await opened(store, 5, 9, ids=b"5-9")
    await opened(store, 10, n + 3)
    assert await store.ids(ORDERS) == IdLog(0, n + 4, 0, [b"0-4", b"5-9"])  # 4 is n offsets before the next record
    await opened(store, n + 4, n + 4)
    assert await store.ids(ORDERS) == IdLog(0, n + 5, 0, [b"5-9"])


async def test_ids_leave_the_window_by_the_clock(store: Store) -> None:
    await opened(store, 0, 4, ids=b"old", clock_s=100)
    await opened(store, 5, 9, ids=b"young", clock_s=100 + LIMITS.dedup_s)
    assert await store.ids(ORDERS) == IdLog(0, 10, 160, [b"old", b"young"])
    await opened(store, 10, 14, ids=b"new", clock_s=101 + LIMITS.dedup_s)
    assert await store.ids(ORDERS) == IdLog(0, 15, 161, [b"young", b"new"])


# ---- apply


async def test_apply_returns_the_bags_of_before_and_appends_stamped_entries(store: Store) -> None:
    one = await applied(store, 0, 4, call(user_a=A, user_b=B))
    two = await applied(store, 5, 9, call(user_a=B))
    assert (one.bags, one.flag, one.repeat) == ([None, None], False, False)
    assert two.bags == [stamped(one.number, 1)]
    assert await bag(store, call(user_a=b"")) == stamped(one.number, 1) + stamped(two.number, 2)


async def test_take_opens_a_range_and_applies_it(store: Store) -> None:
    asked = Begin(-1, proposal(4, {2: Verdict.DEAD}), 0, 0, "c1", b"t1")
    begun, replies = await store.take(ORDERS, asked, [call(user_a=A, user_b=B), ShardCall(1, (), (), ())])
    assert begun == Open(0, 4, "c1", {2: Verdict.DEAD}, b"t1", recovered=False, mine=True)
    assert [(type(each), getattr(each, "bags", None)) for each in replies or ()] == [
        (Applied, [None, None]), (Applied, [])
    ]  # fmt: skip
    assert (await applied(store, 0, 4, call(user_a=A, user_b=B))).repeat
    assert await begin(store, None) == begun._replace(mine=False)


async def test_take_of_a_range_that_is_not_opened_as_offered_applies_nothing(store: Store) -> None:
    first = await opened(store, 0, 4)
    another = Begin(-1, proposal(9), 0, 0, "c2", b"t2")
    assert await store.take(ORDERS, another, [call(user_a=A)]) == (first._replace(mine=False), None)
    beyond = Begin(4, proposal(9), 7, 0, "c2", b"t2")
    assert await store.take(ORDERS, beyond, [call(user_a=A)]) == (Position(5), None)
    assert await bag(store, call(user_a=b"")) is None


async def test_take_tells_of_a_shard_that_stands_elsewhere(store: Store) -> None:
    await applied(store, 0, 4, call(user_a=A))
    _, replies = await store.take(ORDERS, Begin(-1, proposal(2), 0, 0, "c1", b"t1"), [call(user_a=A)])
    assert replies == [At(5)]


async def test_a_long_range_is_taken_like_a_short_one(store: Store) -> None:
    names = [b"{0}user:%d" % number for number in range(2 * TAKEN_KEYS)]
    long = ShardCall(0, names, [A] * len(names), [ENTRY] * len(names))
    begun, replies = await store.take(ORDERS, Begin(-1, proposal(4), 0, 0, "c1", b"t1"), [long])
    assert isinstance(begun, Open)
    assert [len(each.bags) for each in replies or () if isinstance(each, Applied)] == [len(names)]


async def test_every_entry_of_a_bag_gets_its_own_stamp(store: Store) -> None:
    done = await applied(store, 0, 4, call(user_a=A + B, user_b=A, user_c=B + A + B))
    assert await store.read([call(user_a=b"", user_b=b"", user_c=b"")]) == [
        [stamped(done.number, 1, 2), stamped(done.number, 1), stamped(done.number, 2, 1, 2)]
    ]


async def test_entries_of_different_sizes_share_a_call(store: Store) -> None:
    mixed = ShardCall(0, [b"{0}user:a", b"{0}x:b", b"{0}user:c"], [A, b"short" * 2, A + B], [ENTRY, 5, ENTRY])
    number = (await applied(store, 0, 4, mixed)).number
    stamp = number.to_bytes(8, "big")
    assert await store.read([mixed]) == [
        [stamped(number, 1), stamp + b"short" + stamp + b"short", stamped(number, 1, 2)]
    ]


async def test_a_bag_that_is_only_read_stays_as_it_is(store: Store) -> None:
    one = await applied(store, 0, 4, call(user_a=A))
    two = await applied(store, 5, 9, call(user_a=b"", user_b=b""))
    assert two.bags == [stamped(one.number, 1), None]
    assert await store.read([call(user_a=b"", user_b=b"")]) == [[stamped(one.number, 1), None]]


async def test_a_range_applied_again_gets_its_number_and_adds_nothing(store: Store) -> None:
    one = await applied(store, 0, 4, call(user_a=A))
    again = await applied(store, 0, 4, call(user_a=A))
    assert (again.number, again.flag, again.repeat) == (one.number, False, True)
    assert again.bags == [stamped(one.number, 1)]
    assert await bag(store, call(user_a=b"")) == stamped(one.number, 1)


async def test_a_range_applied_again_under_another_token_is_flagged(store: Store) -> None:
    await applied(store, 0, 4, call(), token=b"t1")
    assert (await applied(store, 0, 4, call(), token=b"t2")).flag


async def test_a_shard_that_stands_elsewhere_says_where_and_changes_nothing(store: Store) -> None:
    await applied(store, 0, 4, call(user_a=A))
    before = await bag(store, call(user_a=b""))
    for first, last in [(0, 3), (0, 5), (4, 9), (6, 9), (1, 4)]:
        assert await apply(store, first, last, call(user_a=B)) == At(5)
    assert await bag(store, call(user_a=b"")) == before


async def test_a_shard_that_never_heard_of_the_partition_takes_only_genesis(store: Store) -> None:
    assert await apply(store, 9, 12, call(user_a=A), genesis=7) == At(7)
    await applied(store, 7, 12, call(user_a=A), genesis=7)


async def test_a_range_caught_up_is_flagged_and_so_is_the_one_after_it(store: Store) -> None:
    assert (await applied(store, 0, 4, call(), catchup=True)).flag
    assert (await applied(store, 5, 9, call())).flag
    assert (await applied(store, 5, 9, call())).flag
    assert not (await applied(store, 10, 14, call())).flag


async def test_numbers_grow_whatever_partition_they_are_given_to(store: Store) -> None:
    taken = [(first, tp) for first in range(0, 50, 5) for tp in (ORDERS, CLICKS)]
    numbers = [(await applied(store, first, first + 4, call(), tp=tp)).number for first, tp in taken]
    assert numbers == sorted(set(numbers))


async def test_an_empty_call_moves_the_position(store: Store) -> None:
    empties = [ShardCall(shard, [], [], []) for shard in range(SHARDS)]
    replies = await store.apply(ORDERS, 0, 0, 4, b"t", empties)
    assert all(not isinstance(reply, At | Rebind) and reply.bags == [] for reply in replies)
    assert await store.where(ORDERS) == [Standing(ORDERS.topic_id, 0, 5)] * SHARDS


async def test_a_call_may_touch_ten_thousand_bags(store: Store) -> None:
    keys = [b"{3}user:%d" % i for i in range(10_000)]
    many = ShardCall(3, keys, [entry(i) for i in range(10_000)], [ENTRY] * 10_000)
    number = (await applied(store, 0, 9, many)).number
    again = await applied(store, 10, 19, many)
    assert again.bags == [stamped(number, i) for i in range(10_000)]


async def test_replies_come_in_the_order_of_the_calls(store: Store) -> None:
    places = [7, 0, 15, 3]
    for first, mark in [(0, 1), (5, 2)]:
        calls = [call(shard, user_a=entry(mark + shard)) for shard in places]
        replies = await store.apply(ORDERS, 0, first, first + 4, b"t", calls)
    numbers = [reply.number for reply in replies if not isinstance(reply, At | Rebind)]
    bags = await store.read(calls)
    for shard, number, (found,) in zip(places, numbers, bags, strict=True):
        assert found is not None
        assert found.endswith(stamped(number, 2 + shard))


async def test_reading_nothing_is_allowed(store: Store) -> None:
    assert await store.read([ShardCall(0, [], [], []), call(user_a=b"")]) == [[], [None]]


# ---- where


async def test_each_shard_stands_where_its_own_last_range_ended(store: Store) -> None:
    await applied(store, 0, 4, call(2))
    await applied(store, 0, 4, call(3))
    await applied(store, 5, 9, call(3))
    standings = await store.where(ORDERS)
    assert standings[2:4] == [Standing(ORDERS.topic_id, 0, 5), Standing(ORDERS.topic_id, 0, 10)]
    assert [s for i, s in enumerate(standings) if i not in (2, 3)] == [None] * (SHARDS - 2)


async def test_a_closed_range_is_forgotten_but_not_that_it_was_caught_up(store: Store) -> None:
    await applied(store, 0, 4, call(), catchup=True)
    await store.where(ORDERS, closed=4)
    assert (await applied(store, 0, 4, call())).repeat  # 4 is not below 4
    await store.where(ORDERS, closed=5)
    assert await apply(store, 0, 4, call()) == At(5)
    assert (await applied(store, 5, 9, call())).flag


async def test_a_topic_made_anew_closes_nothing_of_the_old_one(store: Store) -> None:
    await applied(store, 0, 4, call())
    assert (await store.where(ANEW, closed=99))[0] == Standing(ORDERS.topic_id, 0, 5)
    assert (await applied(store, 0, 4, call())).repeat


# ---- compaction


def swap_all(content: bytes | None, newest: int, key: bytes = b"{0}user:a") -> Swap:
    assert content is not None
    return Swap(0, key, content, b"tiles", newest)


async def moved_on(store: Store, first: int = 5) -> None:
    """The partition's next range, on another bag: what it noted before may no longer be asked for."""
    await applied(store, first, first + 4, call(user_z=A))


async def test_a_swap_replaces_the_prefix_and_keeps_what_follows(store: Store) -> None:
    one = await applied(store, 0, 4, call(user_a=A))
    two = await applied(store, 5, 9, call(user_a=B))
    await moved_on(store, 10)
    assert await store.swap([swap_all(stamped(one.number, 1), one.number)]) == 1
    assert await bag(store, call(user_a=b"")) == b"tiles" + stamped(two.number, 2)


async def test_a_swap_of_another_prefix_is_refused(store: Store) -> None:
    one = await applied(store, 0, 4, call(user_a=A))
    await moved_on(store)
    for prefix in (stamped(one.number, 2), stamped(one.number, 1) + b"x", b"x"):
        assert await store.swap([swap_all(prefix, one.number)]) == 0
    assert await bag(store, call(user_a=b"")) == stamped(one.number, 1)


async def test_a_bag_that_is_not_there_is_not_made_by_a_swap(store: Store) -> None:
    assert await store.swap([swap_all(b"", 0), swap_all(stamped(1, 1), 1)]) == 0
    assert await bag(store, call(user_a=b"")) is None


async def test_entries_of_a_range_that_may_be_asked_for_again_are_not_compacted(store: Store) -> None:
    one = await applied(store, 0, 4, call(user_a=A))
    other = await applied(store, 0, 4, call(user_a=B), tp=CLICKS)
    whole = await bag(store, call(user_a=b""))
    await moved_on(store)
    assert await store.swap([swap_all(whole, other.number)]) == 0  # the clicks' range stamped an entry inside
    assert await store.swap([swap_all(stamped(one.number, 1), one.number)]) == 1  # before it: nobody needs it apart


async def test_a_quiet_partition_does_not_hold_up_bags_that_it_did_not_touch(store: Store) -> None:
    await applied(store, 0, 4, call(user_b=B), tp=CLICKS)
    one = await applied(store, 0, 4, call(user_a=A))
    await moved_on(store)
    assert await store.swap([swap_all(stamped(one.number, 1), one.number)]) == 1


async def test_a_range_that_only_read_a_bag_still_needs_it_as_it_was(store: Store) -> None:
    await applied(store, 0, 4, call(user_a=b""), tp=CLICKS)
    one = await applied(store, 0, 4, call(user_a=A))
    await moved_on(store)
    assert await store.swap([swap_all(stamped(one.number, 1), one.number)]) == 0
    await store.where(CLICKS, closed=5)
    assert await store.swap([swap_all(stamped(one.number, 1), one.number)]) == 1


async def test_swaps_of_several_shards_travel_together(store: Store) -> None:
    numbers = [(await applied(store, 0, 4, call(shard, user_a=A))).number for shard in range(SHARDS)]
    for shard in range(SHARDS):
        await applied(store, 5, 9, call(shard))
    swaps = [Swap(shard, b"{%d}user:a" % shard, stamped(n, 1), b"T", n) for shard, n in enumerate(numbers)]
    assert await store.swap([*swaps, *swaps]) == SHARDS
    assert await store.read([call(shard, user_a=b"") for shard in range(SHARDS)]) == [[b"T"]] * SHARDS
    assert await store.swap([]) == 0


# ---- rebase

HOME = home_shard(ORDERS.topic, ORDERS.partition, SHARDS)
OTHER = (HOME + 1) % SHARDS


async def old_topic(store: Store) -> Standing:
    await opened(store, 0, 4, {2: Verdict.DEAD}, ids=b"old", clock_s=50)
    for shard in (HOME, OTHER):
        await applied(store, 0, 4, call(shard, user_a=A))
    return Standing(ORDERS.topic_id, 0, 5)


async def test_a_rebase_puts_a_shard_on_the_new_topic_and_keeps_its_bags(store: Store) -> None:
    old = await old_topic(store)
    before = await bag(store, call(OTHER, user_a=b""))
    for _ in "twice":
        assert await store.rebase(ANEW, OTHER, old, 30, None)
    assert (await store.where(ANEW))[OTHER] == Standing("another", 30, 30, (ORDERS.topic_id, 5))
    assert await bag(store, call(OTHER, user_a=b"")) == before
    assert isinstance(await apply(store, 0, 4, call(OTHER), tp=ORDERS), Rebind)
    assert (await applied(store, 30, 34, call(OTHER, user_a=B), tp=ANEW, genesis=30)).bags == [before]


async def test_home_is_rebased_when_nothing_is_open_and_keeps_ids_but_no_verdicts(store: Store) -> None:
    old = await old_topic(store)
    assert not await store.rebase(ANEW, HOME, old, 30, [b"carried"])  # the range is open
    await begin(store, None, published=4)
    assert not await store.rebase(ANEW, HOME, old, 30, None)  # home must be given its new id log
    assert not await store.rebase(ANEW, HOME, replace(old, position=4), 30, [b"carried"])
    assert not await store.rebase(ANEW, HOME, replace(old, topic_id="third"), 30, [b"carried"])
    assert await store.rebase(ANEW, HOME, old, 30, [b"carried", b"over"])
    assert await store.ids(ANEW) == IdLog(30, 30, 50, [b"carried", b"over"])
    assert await store.verdicts(ANEW, 2, 4) == Unsaid(30, 30)
    await opened(store, 30, 34, tp=ANEW, genesis=30, ids=b"new", clock_s=60)
    assert await store.ids(ANEW) == IdLog(30, 35, 60, [b"carried", b"over", b"new"])


async def test_ids_carried_over_stay_as_long_as_if_they_ended_before_genesis(store: Store) -> None:
    old = await old_topic(store)
    await begin(store, None, published=4)
    await store.rebase(ANEW, HOME, old, 0, [b"carried"])
    n = LIMITS.dedup_offsets
    await opened(store, 0, n - 2, tp=ANEW)
    assert await store.ids(ANEW) == IdLog(0, n - 1, 50, [b"carried"])
    await opened(store, n - 1, n - 1, tp=ANEW)
    assert await store.ids(ANEW) == IdLog(0, n, 50, [])


async def test_a_shard_without_the_partition_is_not_rebased(store: Store) -> None:
    assert not await store.rebase(ANEW, 1, Standing(ORDERS.topic_id, 0, 0), 0, None)


async def test_a_partition_is_known_by_topic_and_number(store: Store) -> None:
    await opened(store, 0, 4)
    assert await begin(store, None, tp=Tp("orders", 11, "x")) == Unknown()


async def test_a_range_without_a_single_offset_founds_home_at_genesis(store: Store) -> None:
    assert isinstance(await begin(store, 40, proposal(39), genesis=40), Open)
    assert await begin(store, None, published=39) == Position(40)
    known = await store.ids(ORDERS)
    assert known is not None
    assert (known.genesis, known.position) == (40, 40)
    assert isinstance(await begin(store, 40, proposal(44), genesis=40), Open)
