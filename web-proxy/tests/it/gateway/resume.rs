//! Coming back with `afterSeq`: from memory, from a page of the log, over many pages; and numbers nobody has given out.

use serde_json::{Value, json};

use super::client::{Client, seqs};
use super::rooms::expect_entries;
use super::site::Site;

async fn join_after(client: &mut Client, room: &common::ids::VideoId, after: i64) -> Value {
    client
        .call("JoinRoom", json!({"videoID": room, "afterSeq": after}))
        .await
}

fn events(joined: &Value) -> &[Value] {
    joined["events"].as_array().unwrap()
}

#[actix_web::test]
async fn who_was_cut_off_comes_back_and_misses_nothing_and_sees_nothing_twice() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut stays = site.member(&site.api.user("bob"), &room).await;
    let mut last = 0;
    for _ in 0..4 {
        let mut client = site.logged_in(&ann).await;
        let joined = join_after(&mut client, &room, last).await;
        let mut seen = seqs(events(&joined));
        assert_eq!(
            (&joined["complete"], &joined["seq"]),
            (&json!(true), &json!(last + seen.len() as i64))
        );
        for number in 0..10 {
            site.danmaku(&room, &number.to_string());
        }
        while seen.len() < 5 {
            seen.extend(seqs(&client.entries().await));
        }
        let expected: Vec<i64> = (last + 1..=last + seen.len() as i64).collect();
        assert_eq!(seen, expected);
        last += seen.len() as i64;
        // Cut off without a word, with entries on their way.
        drop(client);
        site.danmaku(&room, "meanwhile");
    }
    expect_entries(&mut stays, 1, 44).await;
    stays.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn without_after_seq_it_is_live_from_now_on() {
    let site = Site::new().await;
    let room = site.api.room();
    for _ in 0..3 {
        site.unpublished(&room, "before");
    }
    let mut client = site.logged_in(&site.api.user("ann")).await;
    let joined = client.join(&room).await;
    assert_eq!(
        joined,
        json!({"videoID": room, "seq": 3, "events": [], "complete": true, "memberCount": 1})
    );
    site.danmaku(&room, "now");
    expect_entries(&mut client, 4, 4).await;
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_short_absence_costs_api_service_nothing_and_a_long_one_a_page() {
    let site = Site::new().await;
    let room = site.api.room();
    for number in 0..700 {
        site.unpublished(&room, &number.to_string());
    }
    let pages = format!("/internal/videos/{room}/events?afterSeq=");
    let mut client = site.logged_in(&site.api.user("ann")).await;
    for (after, from_memory) in [(700, true), (699, true), (500, true), (100, false), (0, false)] {
        let before = site.api.count(&pages);
        let joined = join_after(&mut client, &room, after).await;
        assert_eq!(seqs(events(&joined)), (after + 1..=700).collect::<Vec<_>>());
        assert_eq!((&joined["complete"], &joined["seq"]), (&json!(true), &json!(700)));
        assert_eq!(
            site.api.count(&pages) - before,
            usize::from(!from_memory),
            "after {after}"
        );
    }
    site.danmaku(&room, "live");
    expect_entries(&mut client, 701, 701).await;
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn more_than_a_thousand_come_in_pages_while_live_ones_go_on() {
    let site = Site::new().await;
    let room = site.api.room();
    for number in 0..2500 {
        site.unpublished(&room, &number.to_string());
    }
    let mut client = site.logged_in(&site.api.user("ann")).await;
    let mut seen: Vec<i64> = Vec::new();
    let (mut pages, mut head) = (0, 0);
    loop {
        let after = seen.last().copied().unwrap_or(0);
        let joined = join_after(&mut client, &room, after).await;
        assert!(events(&joined).len() <= 1000 && !events(&joined).is_empty());
        seen.extend(seqs(events(&joined)));
        if pages == 0 {
            head = joined["seq"].as_i64().unwrap();
        }
        pages += 1;
        site.danmaku(&room, "meanwhile");
        if joined["complete"] == true {
            break;
        }
    }
    assert!(pages >= 3, "{pages}");
    let last = 2500 + pages;
    // The pages end where pushing began; what was pushed meanwhile follows without a gap, and each comes once.
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
    expect_entries(&mut client, head + 1, last).await;
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_number_this_process_has_not_seen_makes_it_catch_up_and_one_nobody_gave_out_is_1001() {
    // One thread: the others hear of it in the same way as another process would.
    let site = Site::with(|config| config.gateway.workers = 1).await;
    let room = site.api.room();
    site.unpublished(&room, "1");
    let mut stays = site.member(&site.api.user("bob"), &room).await;
    let mut client = site.logged_in(&site.api.user("ann")).await;
    // Written through another process; this one has heard nothing.
    for number in 2..=5 {
        site.unpublished(&room, &number.to_string());
    }
    assert_eq!(
        client
            .refused("JoinRoom", json!({"videoID": room, "afterSeq": 99}))
            .await,
        1001
    );
    let joined = join_after(&mut client, &room, 4).await;
    assert_eq!((seqs(events(&joined)), &joined["seq"]), (vec![5], &json!(5)));
    expect_entries(&mut stays, 2, 5).await;
    assert_eq!(
        client.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        2
    );
    client.leave().await;
    stays.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_login_resumes_rooms_and_says_of_each_what_became_of_it() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let (room, other, private) = (site.api.room(), site.api.room(), site.api.private_room(&bob));
    for _ in 0..3 {
        site.unpublished(&room, "x");
    }
    let mut client = site.enter(&ann).await;
    let rooms = json!({"rooms": [{"videoID": room, "afterSeq": 1}, {"videoID": private}, {"videoID": other}]});
    let answer = client.call("Login", rooms).await;
    let [first, second, third] = &answer["rooms"].as_array().unwrap()[..] else {
        panic!("{answer}")
    };
    assert_eq!(
        (seqs(events(first)), &first["errCode"], &first["seq"]),
        (vec![2, 3], &json!(0), &json!(3))
    );
    assert_eq!(
        (&second["errCode"], &second["videoID"]),
        (&json!(2004), &json!(private))
    );
    assert!(second.get("events").is_none());
    assert_eq!(
        (&third["seq"], &third["complete"], &third["errMsg"]),
        (&json!(0), &json!(true), &json!(""))
    );
    site.danmaku(&other, "y");
    assert_eq!(client.entries().await[0]["videoID"], json!(other));
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_login_to_many_rooms_far_behind_is_bounded_and_each_goes_on_from_where_it_is() {
    let site = Site::new().await;
    let rooms: Vec<_> = (0..12).map(|_| site.api.room()).collect();
    for room in &rooms {
        for _ in 0..1000 {
            site.unpublished(room, &"z".repeat(60));
        }
    }
    let mut client = site.enter(&site.api.user("ann")).await;
    let asked: Vec<Value> = rooms
        .iter()
        .map(|room| json!({"videoID": room, "afterSeq": 0}))
        .collect();
    let answer = client.ask("Login", json!({"rooms": asked})).await;
    assert!(answer.to_string().len() < 1024 * 1024, "{}", answer.to_string().len());
    assert!(site.api.count("afterSeq=0&limit=1000") <= 4);
    let mut put_off = 0;
    for (room, joined) in rooms.iter().zip(answer["data"]["rooms"].as_array().unwrap()) {
        assert_eq!(
            (&joined["errCode"], &joined["seq"]),
            (&json!(0), &json!(1000)),
            "{}",
            joined["errMsg"]
        );
        let mut seen = seqs(events(joined));
        let mut complete = joined["complete"] == true;
        put_off += usize::from(seen.is_empty());
        // Said while it pages: pushed, and in no page.
        site.danmaku(room, "live");
        while !complete {
            let joined = join_after(&mut client, room, seen.last().copied().unwrap_or(0)).await;
            seen.extend(seqs(events(&joined)));
            complete = joined["complete"] == true;
        }
        assert_eq!(seen, (1..=1000).collect::<Vec<_>>());
        assert_eq!(seqs(&client.entries().await), [1001]);
    }
    assert!(put_off >= 8, "{put_off}");
    client.leave().await;
    site.stop().await;
}

/// The cheapest way to ask for much: one room, a hundred times.
#[actix_web::test]
async fn a_login_that_names_one_room_a_hundred_times_costs_a_few_readings() {
    let site = Site::new().await;
    let room = site.api.room();
    for _ in 0..1000 {
        site.unpublished(&room, &"z".repeat(300));
    }
    let mut client = site.enter(&site.api.user("ann")).await;
    let asked = vec![json!({"videoID": room, "afterSeq": 0}); 100];
    let answer = client.ask("Login", json!({"rooms": asked})).await;
    assert_eq!(answer["errCode"], 0);
    assert!(
        site.api.count("afterSeq=0&limit=1000") <= 4,
        "{}",
        site.api.count("afterSeq=0")
    );
    assert!(answer.to_string().len() < 1024 * 1024, "{}", answer.to_string().len());
    assert_eq!(
        client.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        1
    );
    client.leave().await;
    site.stop().await;
}
