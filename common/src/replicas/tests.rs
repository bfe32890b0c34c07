use std::collections::HashMap;

use super::*;

fn replicas(count: usize) -> Replicas {
    let bases: Vec<String> = (0..count).map(|number| format!("http://h{number}:80")).collect();
    Replicas::new("proxy.api", &bases).unwrap()
}

/// How often each is asked in `count` requests that are over at once.
fn asked(replicas: &Replicas, count: usize) -> HashMap<String, usize> {
    let mut asked = HashMap::new();
    for _ in 0..count {
        *asked.entry(replicas.next(&[]).unwrap().base().to_owned()).or_default() += 1;
    }
    asked
}

#[test]
fn copies_that_have_nothing_to_do_take_turns() {
    for count in 1..6 {
        let asked = asked(&replicas(count), 60);
        assert_eq!(asked.len(), count);
        assert!(asked.values().all(|turns| *turns == 60 / count), "{asked:?}");
    }
}

#[test]
fn a_slow_copy_gets_less() {
    let three = replicas(3);
    let held: Vec<Turn> = (0..300)
        .filter_map(|_| {
            let turn = three.next(&[]).unwrap();
            (turn.base() == "http://h1:80").then_some(turn)
        })
        .collect();
    assert!(held.len() <= 2, "one that never ends is enough: {}", held.len());
    drop(held);
    assert_eq!(asked(&three, 30)["http://h1:80"], 10);
}

#[test]
fn those_that_are_left_alone_or_were_tried_come_last() {
    let three = replicas(3);
    let turn = |base: &str| {
        let all = three.all();
        let replica = all.iter().find(|replica| replica.base() == base).unwrap();
        Turn::begin(replica.clone(), three.clone(), now_ms())
    };
    turn("http://h1:80").unreachable("refused");
    assert_eq!(asked(&three, 30).get("http://h1:80"), None);
    let mut tried = vec![turn("http://h0:80")];
    for _ in 0..5 {
        assert_eq!(three.next(&tried).unwrap().base(), "http://h2:80");
    }
    tried.push(turn("http://h2:80"));
    assert_eq!(three.next(&tried).unwrap().base(), "http://h1:80", "better than nobody");
    for base in ["http://h0:80", "http://h2:80"] {
        turn(base).unreachable("refused");
    }
    drop(tried);
    assert_eq!(asked(&three, 30).len(), 3, "all are tried rather than none");
    // The first answer brings it back.
    turn("http://h2:80").answered();
    let asked = asked(&three, 30);
    assert_eq!((asked.len(), asked.get("http://h2:80")), (1, Some(&30)), "{asked:?}");
}

#[test]
fn one_on_trial_gets_one_request_at_a_time() {
    let two = replicas(2);
    let all = two.all();
    all[0].standing.unreachable(&all[0].base, now_ms(), "refused");
    all[0].standing.well(now_ms());
    let held: Vec<Turn> = (0..20).map(|_| two.next(&[]).unwrap()).collect();
    let trials = held.iter().filter(|turn| turn.number() == all[0].number()).count();
    assert_eq!(trials, 1);
}

#[test]
fn no_address_is_nobody() {
    assert!(replicas(0).next(&[]).is_none());
    let error = Replicas::new("proxy.api", &["ftp://x".to_owned()]).unwrap_err();
    assert!(error.to_string().starts_with("proxy.api: `ftp://x`"), "{error}");
}

#[tokio::test]
async fn who_waits_for_a_copy_that_is_found_silent_is_told() {
    let two = replicas(2);
    let turn = two.next(&[]).unwrap();
    let waiting = turn.found_silent();
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    turn.silent("no answer");
    assert!(futures_util::poll!(&mut waiting).is_pending());
    turn.silent("no answer");
    waiting.await;
}
