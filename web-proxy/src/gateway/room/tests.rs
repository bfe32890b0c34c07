//! The room as its shard drives it, and what the other tests of this folder make entries with.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

/// An entry of room `v`; what it says is `text`.
pub fn danmaku(seq: i64, text: &str) -> Entry {
    entry(seq, "danmaku", &json!({ "id": format!("d{seq}"), "text": text }))
}

/// The entry that takes back `target`.
pub fn revocation(seq: i64, target: i64) -> Entry {
    let data = json!({ "id": format!("d{target}"), "kind": "danmaku", "seq": target });
    entry(seq, "revoked", &data)
}

pub fn entry(seq: i64, kind: &str, data: &Value) -> Entry {
    let value = json!({ "videoID": "v", "seq": seq, "kind": kind, "at": "2026-01-01T00:00:00Z",
        "operationID": format!("op-{seq}"), "data": data });
    Entry::parse(value.to_string().as_bytes()).unwrap()
}

pub fn seqs(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.seq).collect()
}

fn entries(range: std::ops::RangeInclusive<i64>) -> Vec<Entry> {
    range.map(|seq| danmaku(seq, "x")).collect()
}

fn sent(work: &Work) -> Vec<i64> {
    work.flush.as_ref().map_or_else(Vec::new, |flush| seqs(flush.entries()))
}

fn after(after: i64) -> Option<Start> {
    Some(Start { after, upto: None })
}

/// An open room whose record ends at `head`, with the ring filled.
fn open(head: i64, now: Instant) -> Room {
    let mut room = Room::new(now);
    assert_eq!(room.poll(now).read, Some(Read::Tail));
    room.opened(head, entries((head - 199).max(1)..=head), now);
    room
}

#[test]
fn a_new_room_reads_its_tail_and_keeps_what_comes_meanwhile() {
    let now = Instant::now();
    let mut room = Room::new(now);
    assert_eq!(room.join(None), Join::NotOpen);
    assert_eq!(room.poll(now).read, Some(Read::Tail));
    assert_eq!(room.poll(now).read, None, "once");
    room.entry(danmaku(6, "x"), now);
    room.entry(danmaku(5, "x"), now);
    assert!(room.poll(now).flush.is_none());
    room.opened(5, entries(1..=5), now);
    // 5 is in the record already, 6 came after it.
    assert_eq!(sent(&room.poll(now)), [6]);
    assert_eq!(room.sent(), 6);
}

#[test]
fn a_tail_that_cannot_be_read_is_asked_for_again() {
    let now = Instant::now();
    let mut room = Room::new(now);
    assert_eq!(room.poll(now).read, Some(Read::Tail));
    room.read_failed(now);
    let later = room.due().unwrap();
    assert_eq!(later, now + repair::FIRST_RETRY);
    assert_eq!(room.poll(later).read, Some(Read::Tail));
}

#[test]
fn a_lone_entry_is_sent_at_once_and_a_burst_in_ticks() {
    let now = Instant::now();
    let mut room = open(0, now);
    let mut frames = Vec::new();
    for seq in 1..=60 {
        room.entry(danmaku(seq, "x"), now);
        frames.extend(room.poll(now).flush.map(|flush| seqs(flush.entries())));
    }
    assert_eq!(frames.len(), 20);
    assert!(frames.iter().all(|frame| frame.len() == 1));
    let due = room.due().unwrap();
    assert_eq!(due, now + pace::TICK);
    assert!(room.poll(due - Duration::from_millis(1)).flush.is_none());
    assert_eq!(sent(&room.poll(due)), (21..=60).collect::<Vec<_>>());
}

#[test]
fn what_arrives_together_goes_together() {
    let now = Instant::now();
    let mut room = open(0, now);
    assert!(room.flush(now).is_none());
    room.entry(danmaku(1, "x"), now);
    assert_eq!(sent(&room.poll(now)), [1]);
    let now = now + Duration::from_millis(10);
    for seq in 2..=60 {
        room.entry(danmaku(seq, "x"), now);
    }
    let together: Vec<i64> = (2..=60).collect();
    assert_eq!(sent(&room.poll(now)), together, "the first goes at once");
    // It was a flush: what follows waits. That nothing was flushed is none.
    let later = now + pace::TICK;
    assert!(room.flush(later).is_none());
    room.entry(danmaku(61, "x"), now);
    assert_eq!(room.due(), Some(later));
    assert_eq!(sent(&room.poll(later)), [61]);
}

#[test]
fn many_members_slow_the_pace_down() {
    let now = Instant::now();
    let mut room = open(0, now);
    room.set_members(20_000);
    for seq in 1..=6 {
        room.entry(danmaku(seq, "x"), now);
        let at_once = room.poll(now).flush.is_some();
        assert_eq!(at_once, seq < 6, "{seq}");
    }
    assert_eq!(room.due(), Some(now + pace::BUSY_TICK));
}

#[test]
fn many_bytes_do_not_wait_for_the_tick() {
    let now = Instant::now();
    let mut room = open(0, now);
    let mut flushes = Vec::new();
    for seq in 1..=40 {
        room.entry(danmaku(seq, &"x".repeat(10_000)), now);
        flushes.extend(room.poll(now).flush.map(|flush| flush.entries().len()));
    }
    assert_eq!(flushes[20..], [7, 7], "more than 64 KiB go at once");
}

#[test]
fn a_gap_is_read_after_a_moment_unless_it_closes() {
    let now = Instant::now();
    let mut room = open(0, now);
    room.entry(danmaku(2, "x"), now);
    assert_eq!(room.due(), Some(now + repair::GRACE));
    room.entry(danmaku(1, "x"), now);
    let work = room.poll(now);
    assert_eq!((sent(&work), work.read), (vec![1, 2], None));
    assert_eq!(room.poll(now + repair::GRACE).read, None);

    room.entry(danmaku(5, "x"), now);
    let later = now + repair::GRACE;
    assert_eq!(room.poll(later).read, Some(Read::After(2)));
    room.entry(danmaku(6, "x"), later);
    assert_eq!(room.poll(later).read, None, "one read at a time");
    room.page(entries(3..=5), 6, later);
    let work = room.poll(later);
    assert_eq!((sent(&work), work.read), (vec![3, 4, 5, 6], None));
}

#[test]
fn a_page_that_is_not_enough_is_followed_by_the_next() {
    let now = Instant::now();
    let mut room = open(0, now);
    room.head(250, now);
    let now = now + repair::GRACE;
    assert_eq!(room.poll(now).read, Some(Read::After(0)));
    room.page(entries(1..=100), 250, now);
    assert_eq!(room.poll(now).read, Some(Read::After(100)));
    room.page(Vec::new(), 250, now);
    assert_eq!(
        room.poll(now).read,
        None,
        "a page that brings nothing is not asked for in a loop"
    );
    let later = now + repair::FIRST_RETRY;
    assert_eq!(room.poll(later).read, Some(Read::After(100)));
    room.page(entries(101..=250), 250, later);
    let flushed: Vec<i64> = std::iter::from_fn(|| room.flush(later))
        .flat_map(|flush| seqs(flush.entries()))
        .collect();
    assert_eq!(flushed.last(), Some(&250));
    assert_eq!(room.poll(later).read, None);
}

#[test]
fn messages_the_bus_lost_are_looked_for() {
    let now = Instant::now();
    let mut room = open(3, now);
    room.missed(now);
    // What comes in order says nothing about what was lost after it.
    room.entry(danmaku(4, "x"), now);
    assert_eq!(room.poll(now).read, Some(Read::After(4)));
    // Lost while the read was under way: it may have been too early.
    room.missed(now);
    room.page(Vec::new(), 4, now);
    assert_eq!(room.poll(now).read, Some(Read::After(4)));
    room.read_failed(now);
    room.entry(danmaku(5, "x"), now);
    let later = now + repair::FIRST_RETRY;
    assert_eq!(room.poll(later).read, Some(Read::After(5)), "failed is not found");
    room.page(Vec::new(), 5, later);
    assert_eq!(room.poll(later + Duration::from_secs(60)).read, None);
}

#[test]
fn who_joins_gets_what_was_sent_and_then_what_the_others_get() {
    let now = Instant::now();
    let mut room = open(0, now);
    for seq in 1..=30 {
        room.entry(danmaku(seq, "x"), now);
        room.poll(now);
    }
    assert_eq!(room.sent(), 20, "ten wait for the tick");
    let joined = |join| match join {
        Join::Joined(Paged {
            entries,
            complete: true,
        }) => seqs(&entries),
        other => panic!("{other:?}"),
    };
    assert_eq!(joined(room.join(after(15))), [16, 17, 18, 19, 20]);
    assert_eq!(joined(room.join(None)), [0; 0]);
    assert_eq!(joined(room.join(after(-7))).len(), 20);
    assert_eq!(
        joined(room.join(Some(Start {
            after: 15,
            upto: Some(17)
        }))),
        [16, 17]
    );
    // One who saw more, through another gateway, waits for the flush: it must not see 21 again.
    assert_eq!(room.join(after(21)), Join::FlushFirst);
    assert_eq!(seqs(room.flush(now).unwrap().entries()), (21..=30).collect::<Vec<_>>());
    assert_eq!(joined(room.join(after(21))), (22..=30).collect::<Vec<_>>());
}

#[test]
fn who_is_ahead_of_this_process_makes_it_catch_up() {
    let now = Instant::now();
    let mut room = open(10, now);
    assert_eq!(room.join(after(12)), Join::ReadAfter(10));
    let start = after(12).unwrap();
    assert_eq!(room.join_with_page(start, entries(11..=13), 13, now), Join::FlushFirst);
    assert_eq!(seqs(room.flush(now).unwrap().entries()), [11, 12, 13]);
    assert_eq!(
        room.join(after(12)),
        Join::Joined(Paged {
            entries: entries(13..=13),
            complete: true
        })
    );
    // The record doesn't know that number either.
    assert_eq!(room.join(after(99)), Join::ReadAfter(13));
    let start = after(99).unwrap();
    assert_eq!(room.join_with_page(start, Vec::new(), 13, now), Join::Unknown);
}

#[test]
fn who_was_away_long_pages() {
    let now = Instant::now();
    let mut room = open(2000, now);
    assert_eq!(room.join(after(5)), Join::ReadAfter(5));
    let start = after(5).unwrap();
    let Join::Joined(first) = room.join_with_page(start, entries(6..=1005), 2000, now) else {
        panic!()
    };
    assert_eq!((seqs(&first.entries), first.complete), ((6..=1005).collect(), false));
    let upto = Some(room.sent());
    // It is a member now and gets this one live, not once more with the next page.
    room.entry(danmaku(2001, "x"), now);
    assert_eq!(sent(&room.poll(now)), [2001]);
    let start = Start { after: 1005, upto };
    assert_eq!(room.join(Some(start)), Join::ReadAfter(1005));
    let Join::Joined(second) = room.join_with_page(start, entries(1006..=2001), 2001, now) else {
        panic!()
    };
    assert_eq!(
        (seqs(&second.entries), second.complete),
        ((1006..=2000).collect(), true)
    );
}

#[test]
fn a_closed_room_ends_the_flush() {
    let now = Instant::now();
    let mut room = open(0, now);
    room.head(3, now);
    let now = now + repair::GRACE;
    assert_eq!(room.poll(now).read, Some(Read::After(0)));
    let closed = entry(2, "closed", &json!({ "reason": "trashed" }));
    let info = entry(3, "info", &json!({ "title": "t", "visibility": "public" }));
    room.page(vec![danmaku(1, "x"), closed, info], 3, now);
    let first = room.poll(now);
    assert_eq!(sent(&first), [1, 2]);
    assert!(first.flush.unwrap().closes());
    let second = room.poll(now);
    assert_eq!(sent(&second), [3]);
    assert!(!second.flush.unwrap().closes());
}

#[test]
fn the_count_is_told_with_what_was_sent() {
    let now = Instant::now();
    let mut room = open(0, now);
    assert!(!room.poll(now).count);
    room.count_changed(now);
    assert!(room.poll(now).count);
    room.count_changed(now);
    assert!(!room.poll(now).count);
    let due = room.due().unwrap();
    assert!(room.poll(due).count);
    // Then the heartbeat, while something is said.
    let due = room.due().unwrap();
    assert_eq!(due, now + count::AT_MOST_EVERY + count::HEARTBEAT);
    assert!(room.poll(due).count);
}
