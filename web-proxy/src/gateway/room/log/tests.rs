use super::super::tests::{danmaku, entry, revocation, seqs};
use super::*;
use serde_json::{Value, json};

fn open(head: i64) -> RoomLog {
    let mut log = RoomLog::default();
    log.open(head, Vec::new());
    log
}

fn d(seq: i64) -> Entry {
    danmaku(seq, "x")
}

fn since(log: &RoomLog, after: i64) -> Vec<i64> {
    match log.since(after) {
        Since::Entries(entries) => seqs(&entries),
        other => panic!("{other:?}"),
    }
}

fn data(entry: &Entry) -> Value {
    serde_json::from_str::<Value>(&entry.raw).unwrap()["data"].clone()
}

#[test]
fn offers_and_what_becomes_of_them() {
    let mut log = open(10);
    let steps = [
        (11, Offer::Next, 11),
        (11, Offer::Old, 11),
        (1, Offer::Old, 11),
        (13, Offer::Gap { after: 11 }, 11),
        (14, Offer::Gap { after: 11 }, 11),
        (13, Offer::Gap { after: 11 }, 11),
        (16, Offer::Gap { after: 11 }, 11),
        (12, Offer::Next, 14),
        (14, Offer::Old, 14),
        (15, Offer::Next, 16),
    ];
    for (seq, expected, head) in steps {
        assert_eq!((log.offer(d(seq)), log.head()), (expected, head), "{seq}");
    }
    assert_eq!(log.gap(), None);
    assert_eq!(seqs(&log.take_unsent()), (11..=16).collect::<Vec<_>>());
    assert!(log.early.is_empty() && log.early_bytes == 0);
}

#[test]
fn a_gap_is_known_until_it_is_filled() {
    let mut log = open(0);
    log.head_seen(3);
    assert_eq!(log.gap(), Some(0));
    log.offer(d(5));
    log.fill([d(1), d(2), d(3)]);
    assert_eq!((log.head(), log.gap()), (3, Some(3)));
    log.fill([d(4)]);
    assert_eq!((log.head(), log.gap()), (5, None));
    log.head_seen(4);
    assert_eq!(log.gap(), None, "a head poll that is late");
    log.head_seen(i64::MAX);
    assert_eq!(log.gap(), Some(5));
}

#[test]
fn what_comes_too_early_is_bounded_and_what_did_not_fit_is_remembered() {
    let mut log = open(0);
    for seq in 2..=1000 {
        log.offer(d(seq));
    }
    assert_eq!(log.early.len(), EARLY_ENTRIES);
    log.offer(d(1));
    // 2 to 257 waited; the rest is to be read.
    assert_eq!((log.head(), log.gap()), (257, Some(257)));
    log.fill((258..=1000).map(d));
    assert_eq!((log.head(), log.gap()), (1000, None));
    assert_eq!(seqs(&log.take_unsent()), (1..=1000).collect::<Vec<_>>());

    let mut log = open(0);
    for seq in 2..=100 {
        log.offer(danmaku(seq, &"x".repeat(20_000)));
    }
    assert!(log.early_bytes <= EARLY_BYTES);
    assert_eq!(
        log.early_bytes,
        log.early.values().map(|entry| entry.raw.len()).sum::<usize>()
    );
    assert!((12..=13).contains(&log.early.len()));
}

#[test]
fn the_ring_keeps_the_newest() {
    let mut log = open(0);
    for seq in 1..=300 {
        log.offer(d(seq));
    }
    log.take_unsent();
    assert_eq!((log.ring.len(), log.ring.front().unwrap().seq), (RING_ENTRIES, 101));
    assert_eq!(since(&log, 100), (101..=300).collect::<Vec<_>>());
    assert_eq!(log.since(99), Since::TooOld);
    assert_eq!(since(&log, 299), [300]);
    assert_eq!(since(&log, 300), [0; 0]);
    assert_eq!(log.since(301), Since::Ahead);

    for seq in 301..=320 {
        log.offer(danmaku(seq, &"x".repeat(20_000)));
    }
    log.take_unsent();
    assert!(log.ring_bytes <= RING_BYTES);
    assert_eq!(
        log.ring_bytes,
        log.ring.iter().map(|entry| entry.raw.len()).sum::<usize>()
    );
    assert_eq!(since(&log, 310), (311..=320).collect::<Vec<_>>());
    assert_eq!(log.since(300), Since::TooOld);

    // One that is larger than the ring: it has been sent, and who missed it reads the record.
    log.offer(danmaku(321, &"x".repeat(RING_BYTES)));
    log.take_unsent();
    assert_eq!((log.ring_bytes, log.since(320)), (0, Since::TooOld));
    assert_eq!(since(&log, 321), [0; 0]);
}

#[test]
fn memory_gives_only_what_was_sent() {
    let mut log = open(0);
    log.fill((1..=3).map(d));
    assert_eq!((log.sent(), log.head()), (0, 3));
    assert_eq!(since(&log, 0), [0; 0]);
    assert_eq!(log.since(1), Since::Ahead);
    log.take_unsent();
    log.offer(d(4));
    assert_eq!((log.sent(), since(&log, 1)), (3, vec![2, 3]));
}

#[test]
fn a_log_opens_with_the_end_of_its_record() {
    // tail, head as told, head then, what memory gives after `head - 2`
    let cases: [(&[i64], i64, i64, Since); 6] = [
        (&[1, 2, 3], 3, 3, Since::Entries(vec![d(2), d(3)])),
        (&[3, 1, 2], 3, 3, Since::Entries(vec![d(2), d(3)])),
        (&[1, 2, 3, 4], 3, 4, Since::Entries(vec![d(3), d(4)])),
        (&[1, 2], 3, 3, Since::TooOld),
        (&[1, 3], 3, 3, Since::TooOld),
        (&[], 3, 3, Since::TooOld),
    ];
    for (tail, told, head, expected) in cases {
        let mut log = RoomLog::default();
        assert_eq!(log.since(0), Since::NotOpen);
        assert_eq!(log.offer(d(6)), Offer::NotOpen);
        assert_eq!(log.gap(), None);
        log.offer(d(head));
        log.open(told, tail.iter().copied().map(d).collect());
        assert_eq!((log.head(), log.gap()), (head, Some(head)), "{tail:?}");
        assert_eq!(log.since(head - 2), expected, "{tail:?}");
        assert!(!log.has_unsent());
        log.open(99, vec![d(99)]);
        assert_eq!(log.head(), head, "once is enough");
        log.fill((head + 1..6).map(d));
        assert_eq!((log.head(), log.gap()), (6, None), "{tail:?}");
    }
    let mut log = RoomLog::default();
    log.open(-5, Vec::new());
    assert_eq!((log.head(), log.offer(d(1))), (0, Offer::Next));
}

#[test]
fn a_long_tail_does_not_overfill_the_ring() {
    let mut log = RoomLog::default();
    log.open(500, (1..=500).map(d).collect());
    assert_eq!(log.ring.len(), RING_ENTRIES);
    assert_eq!(since(&log, 300).len(), 200);
}

#[test]
fn what_was_taken_back_is_not_handed_out_from_memory() {
    let mut log = open(0);
    log.fill([danmaku(1, "secret"), danmaku(2, "fine")]);
    log.take_unsent();
    log.fill([danmaku(3, "secret"), revocation(4, 1), revocation(5, 3)]);
    let sent = log.take_unsent();
    assert!(data(&sent[0]).is_null(), "it was not sent yet either");
    let Since::Entries(entries) = log.since(0) else {
        panic!()
    };
    assert_eq!(seqs(&entries), [1, 2, 3, 4, 5]);
    assert!(data(&entries[0]).is_null() && data(&entries[2]).is_null());
    assert_eq!(data(&entries[1])["text"], "fine");
    assert_eq!(data(&entries[3])["seq"], 1);
    assert_eq!(
        (entries[0].kind, entries[0].operation.as_deref()),
        (RoomEntryKind::Danmaku, Some("op-1"))
    );
    assert_eq!(
        log.ring_bytes,
        entries.iter().map(|entry| entry.raw.len()).sum::<usize>()
    );
    // What is not here can't be blanked: gone, not here yet, nonsense.
    for (seq, target) in [(6, 0), (7, -1), (8, i64::MIN), (9, i64::MAX), (10, 11)] {
        assert_eq!(log.offer(revocation(seq, target)), Offer::Next);
    }
}

#[test]
fn an_older_title_is_not_handed_out_from_memory() {
    let mut log = open(0);
    let info = |seq, title: &str| entry(seq, "info", &json!({ "title": title, "visibility": "public" }));
    log.fill([info(1, "old"), d(2), info(3, "new")]);
    let sent = log.take_unsent();
    assert_eq!(data(&sent[0])["title"], "old", "who is there is told each");
    let Since::Entries(entries) = log.since(0) else {
        panic!()
    };
    assert_eq!(data(&entries[0]), Value::Null);
    assert_eq!(data(&entries[2])["title"], "new");
    assert_ne!(data(&entries[1]), Value::Null);
}

#[test]
fn a_tail_read_before_the_revocation_is_blanked_when_opened() {
    let mut log = RoomLog::default();
    log.offer(revocation(3, 1));
    log.open(2, vec![danmaku(1, "secret"), danmaku(2, "fine")]);
    let Since::Entries(entries) = log.since(0) else {
        panic!()
    };
    assert!(data(&entries[0]).is_null());
    let mut log = RoomLog::default();
    log.open(3, vec![danmaku(1, "secret"), danmaku(2, "fine"), revocation(3, 1)]);
    let Since::Entries(entries) = log.since(0) else {
        panic!()
    };
    assert!(data(&entries[0]).is_null());
}

#[test]
fn the_end_of_a_room_is_the_end_of_what_is_sent_together() {
    let mut log = open(0);
    log.fill([d(1), entry(2, "closed", &json!({ "reason": "private" })), d(3), d(4)]);
    assert_eq!(seqs(&log.take_unsent()), [1, 2]);
    assert_eq!(log.sent(), 2);
    assert_eq!(seqs(&log.take_unsent()), [3, 4]);
    assert_eq!((log.take_unsent(), log.unsent_bytes()), (Vec::new(), 0));
}

#[test]
fn a_page_is_continued_from_the_ring() {
    let mut log = open(0);
    log.fill((1..=300).map(d));
    log.take_unsent();
    log.offer(d(301));
    // after, upto, page → last, complete
    let cases = [
        (10, 300, 11..=110, 300, true),
        (10, 300, 11..=100, 100, false),
        (10, 300, 11..=101, 300, true),
        (10, 300, 11..=301, 300, true),
        (10, 50, 11..=110, 50, true),
        (10, 50, 11..=40, 40, false),
        (10, 300, 13..=20, 10, false),
        (-3, 300, 1..=5, 5, false),
        (300, 300, 301..=301, 300, true),
    ];
    for (after, upto, page, last, complete) in cases {
        let page: Vec<Entry> = page.map(d).collect();
        let paged = log.since_page(after, upto, &page);
        assert_eq!(
            seqs(&paged.entries),
            (after.max(0) + 1..=last).collect::<Vec<_>>(),
            "after {after} upto {upto}"
        );
        assert_eq!(paged.complete, complete, "after {after} upto {upto}");
    }
}

#[test]
fn an_answer_to_a_join_is_bounded() {
    let log = open(5000);
    let page: Vec<Entry> = (1..=1500).map(d).collect();
    let paged = log.since_page(0, 5000, &page);
    assert_eq!((paged.entries.len(), paged.complete), (page::JOIN_ENTRIES, false));
    let page: Vec<Entry> = (1..=100).map(|seq| danmaku(seq, &"x".repeat(10_000))).collect();
    let paged = log.since_page(0, 5000, &page);
    let bytes: usize = paged.entries.iter().map(|entry| entry.raw.len()).sum();
    assert!(
        bytes <= page::JOIN_BYTES && bytes > page::JOIN_BYTES - 11_000,
        "{bytes}"
    );
    let huge = [danmaku(1, &"x".repeat(page::JOIN_BYTES)), d(2)];
    assert_eq!(seqs(&log.since_page(0, 5000, &huge).entries), [1], "one always fits");
}

#[test]
fn a_page_read_before_a_revocation_is_blanked_too() {
    let mut log = open(300);
    log.offer(revocation(301, 2));
    let page = [
        danmaku(1, "secret"),
        danmaku(2, "secret"),
        revocation(3, 1),
        danmaku(4, "fine"),
    ];
    let paged = log.since_page(0, 300, &page);
    let shown: Vec<bool> = paged.entries.iter().map(|entry| !data(entry).is_null()).collect();
    assert_eq!(shown, [false, false, true, true]);
}
