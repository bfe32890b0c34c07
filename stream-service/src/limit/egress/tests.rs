use super::*;
use crate::limit::meter::Spent;
use std::collections::HashSet;

const ANN: ClientKey = ClientKey::User(uuid::Uuid::from_u128(1));
const BOB: ClientKey = ClientKey::User(uuid::Uuid::from_u128(2));
const SOMEBODY: ClientKey = ClientKey::V4([192, 0, 2, 1]);

fn egress(user: u64) -> Egress {
    let egress = Egress::new(Budgets { user, address: 50 }, 100);
    // Tests begin at noon of a day of their own.
    egress.set_clock(Timestamp(1_000 * DAY_MS + DAY_MS / 2));
    egress
}

fn today(egress: &Egress) -> Day {
    Day::of(egress.now())
}

fn open(egress: &Egress, client: ClientKey, used: u64) -> Arc<Account> {
    egress.open(client, Some((today(egress), used)))
}

#[test]
fn a_day_is_one_of_utc() {
    let noon = Timestamp(DAY_MS * 20_000 + DAY_MS / 2);
    assert_eq!(Day::of(noon), Day(20_000));
    assert_eq!(until_tomorrow(noon), Duration::from_secs(12 * 3600));
    assert_eq!(Day::of(Timestamp(DAY_MS - 1)), Day(0));
    assert_eq!(Day::of(Timestamp(-1)), Day(-1));
    assert_eq!(until_tomorrow(Timestamp(DAY_MS)), Duration::from_secs(86_400));
}

#[test]
fn users_and_addresses_have_budgets_of_their_own() {
    let egress = egress(100);
    assert_eq!((egress.most(ANN), egress.most(SOMEBODY)), (100, 50));
    let (ann, somebody) = (open(&egress, ANN, 60), open(&egress, SOMEBODY, 60));
    assert_eq!((ann.left(), somebody.left()), (Ok(40), Err(60)));
    egress.set_budgets(Budgets { user: 0, address: 61 });
    assert_eq!((ann.left(), somebody.left()), (Ok(u64::MAX), Ok(1)));
}

#[test]
fn when_the_budget_is_used_up_one_stream_goes_on_and_the_others_end() {
    let egress = egress(100);
    let ann = open(&egress, ANN, 0);
    for stream in 1..=3 {
        ann.sent(33);
        assert_eq!(ann.go_on(stream), Ok(()));
    }
    ann.sent(1);
    assert_eq!(ann.go_on(2), Ok(()), "the first that asks goes on");
    for _ in 0..3 {
        assert_eq!((ann.go_on(1), ann.go_on(3)), (Err(Spent), Err(Spent)));
        ann.sent(1_000);
        assert_eq!(ann.go_on(2), Ok(()));
    }
    assert_eq!(ann.left(), Err(3_100));
    assert_eq!(open(&egress, BOB, 0).left(), Ok(100), "bob is not ann");
    // More budget: all go on, and when that is used up it is one again.
    egress.set_budgets(Budgets {
        user: 4_000,
        address: 0,
    });
    assert_eq!((ann.go_on(1), ann.go_on(3)), (Ok(()), Ok(())));
    ann.sent(900);
    assert_eq!((ann.go_on(3), ann.go_on(2)), (Ok(()), Err(Spent)));
}

#[test]
fn many_threads_at_once_overshoot_by_one_response_and_no_more() {
    const PIECE: u64 = 64;
    const RESPONSE: u64 = 2_000 * PIECE;
    for _ in 0..50 {
        let egress = egress(10_000 * PIECE);
        let ann = open(&egress, ANN, 0);
        let ended: usize = std::thread::scope(|scope| {
            let send = |number: u64| {
                let (egress, ann) = (egress.clone(), ann.clone());
                move || {
                    let mut ended = 0;
                    for stream in 0..20_u64 {
                        if egress.find(ANN).unwrap().left().is_err() {
                            break;
                        }
                        let mut sent = 0;
                        while sent < RESPONSE {
                            if ann.go_on(number * 100 + stream + 1).is_err() {
                                ended += 1;
                                break;
                            }
                            ann.sent(PIECE);
                            sent += PIECE;
                        }
                    }
                    ended
                }
            };
            let threads: Vec<_> = (0..8_u64).map(|number| scope.spawn(send(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // A piece of each thread may be on its way when the budget ends.
        let most = 10_000 * PIECE + RESPONSE + 8 * PIECE;
        assert!(
            (10_000 * PIECE..=most).contains(&ann.used()),
            "{} of {most}",
            ann.used()
        );
        assert!(ended <= 7);
    }
}

#[test]
fn what_is_written_is_the_whole_count_and_only_when_it_changed() {
    let egress = egress(100);
    let ann = open(&egress, ANN, 7);
    assert!(egress.due(10).rows.is_empty());
    ann.sent(5);
    let first = egress.due(10).rows;
    assert_eq!(
        first.iter().map(|row| (row.client, row.bytes)).collect::<Vec<_>>(),
        [(ANN, 5)]
    );
    ann.sent(6);
    egress.written(&first);
    let second = egress.due(10).rows;
    assert_eq!((second[0].bytes, &second[0].part), (11, &first[0].part));
    egress.written(&second);
    assert!(egress.due(10).rows.is_empty());
    // The sum holds our own rows: they are not counted twice.
    egress.told(today(&egress), ANN, 11 + 40);
    assert_eq!(ann.used(), 51);
    ann.sent(1);
    egress.told(today(&egress), ANN, 11 + 41);
    assert_eq!(ann.used(), 53);
    egress.told(Day(1), ANN, 1_000_000);
    assert_eq!(ann.used(), 53, "the sum of another day says nothing");
}

#[test]
fn a_change_of_other_limits_lets_no_other_stream_go_on() {
    let egress = egress(100);
    let ann = open(&egress, ANN, 100);
    assert_eq!((ann.go_on(1), ann.go_on(2)), (Ok(()), Err(Spent)));
    egress.set_budgets(egress.budgets());
    assert_eq!((ann.go_on(2), ann.go_on(1)), (Err(Spent), Ok(())));
}

#[test]
fn everybody_is_written_in_turn_when_there_are_more_than_fit() {
    let egress = egress(100);
    let client = |number: u32| ClientKey::V4(number.to_be_bytes());
    let accounts: Vec<_> = (0..10).map(|number| open(&egress, client(number), 0)).collect();
    let mut written = HashSet::new();
    for _ in 0..4 {
        for account in &accounts {
            account.sent(1);
        }
        let rows = egress.due(3).rows;
        assert_eq!(rows.len(), 3);
        written.extend(rows.iter().map(|row| row.client));
        egress.written(&rows);
    }
    assert_eq!(written.len(), 10);
}

#[test]
fn midnight_begins_anew_for_streams_that_run_and_writes_down_what_was() {
    let egress = egress(100);
    let (ann, day) = (open(&egress, ANN, 0), today(&egress));
    open(&egress, BOB, 0);
    ann.sent(150);
    assert_eq!(ann.go_on(1), Ok(()));
    assert_eq!(ann.go_on(2), Err(Spent));
    egress.set_clock(day.ends());
    let due = egress.due(10);
    let rows: Vec<_> = due.rows.iter().map(|row| (row.day, row.client, row.bytes)).collect();
    assert_eq!(rows, [(day, ANN, 150)]);
    assert_eq!((due.day, due.unknown), (Day(day.0 + 1), vec![ANN]));
    assert_eq!(egress.len(), 1, "who watches nothing is forgotten");
    assert_eq!((ann.used(), ann.go_on(2)), (0, Ok(())));
    ann.sent(10);
    let again = egress.due(10).rows;
    assert_eq!(again.iter().map(|row| row.bytes).collect::<Vec<_>>(), [150, 10]);
    assert_ne!(again[0].part, again[1].part);
    egress.written(&again);
    assert!(egress.due(10).rows.is_empty());
    egress.told(today(&egress), ANN, 10 + 3);
    assert!(egress.due(10).unknown.is_empty());
    assert_eq!(ann.used(), 13);
    // What was asked before midnight is not taken for today's.
    assert_eq!(egress.open(BOB, Some((day, 99))).used(), 0);
    assert_eq!(egress.due(10).unknown, [BOB]);
}

#[test]
fn a_clock_that_goes_back_asks_for_the_day_before_again() {
    let egress = egress(100);
    let (ann, day) = (open(&egress, ANN, 0), today(&egress));
    ann.sent(30);
    egress.set_clock(day.ends());
    egress.written(&egress.due(10).rows);
    egress.set_clock(Timestamp(day.ends().millis() - 1_000));
    let due = egress.due(10);
    assert_eq!((due.day, due.unknown), (day, vec![ANN]));
    egress.told(day, ANN, 30);
    ann.sent(1);
    assert_eq!(ann.used(), 31);
    assert_eq!(egress.due(10).rows[0].bytes, 1, "under a part of its own");
}

#[test]
fn accounts_are_bounded_and_the_written_ones_go_first() {
    let egress = egress(100);
    let running = open(&egress, ANN, 0);
    let client = |number: u32| ClientKey::V4(number.to_be_bytes());
    let mut parts = HashSet::new();
    for number in 0..1_000 {
        let account = open(&egress, client(number), 0);
        account.sent(1);
        drop(account);
        for row in egress.due(10_000).rows {
            parts.insert(row.part.clone());
            egress.written(&[row]);
        }
        assert!(egress.len() <= 100);
    }
    assert_eq!(parts.len(), 1_000, "every count was written");
    assert_eq!(egress.due(10).lost, 0);
    // The database is away: what can't be kept is counted as lost; what runs stays.
    for number in 0..1_000 {
        open(&egress, client(number), 0).sent(1);
        assert!(egress.len() <= 101);
    }
    running.sent(1);
    let due = egress.due(10_000);
    assert!(
        due.lost >= 900 && due.rows.iter().any(|row| row.client == ANN),
        "{}",
        due.lost
    );
}
