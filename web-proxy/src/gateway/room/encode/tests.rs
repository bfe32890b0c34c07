use super::super::tests::{danmaku, entry, revocation, seqs};
use super::*;
use serde_json::{Value, json};

/// Taken apart by hand, so that it is not the encoder that vouches for the encoder.
fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 0x81, "a whole text frame");
        let (length, head) = match bytes[1] {
            short @ 0..=125 => (short as usize, 2),
            126 => (u16::from_be_bytes([bytes[2], bytes[3]]) as usize, 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
            masked => panic!("{masked}: servers don't mask"),
        };
        payloads.push(&bytes[head..head + length]);
        bytes = &bytes[head + length..];
    }
    payloads
}

/// The frames as clients see them, data decoded.
pub fn events(frames: &[u8], form: DataForm) -> Vec<Value> {
    let decode = |payload: &[u8]| {
        let mut event: Value = serde_json::from_slice(payload).unwrap();
        let object = event.as_object().unwrap();
        assert_eq!(object.len(), 5);
        assert_eq!((&object["errCode"], &object["errMsg"]), (&json!(0), &json!("")));
        if form == DataForm::Text {
            event["data"] = serde_json::from_str(event["data"].as_str().expect("a string")).unwrap();
        } else {
            assert!(!event["data"].is_string());
        }
        event
    };
    payloads(frames).into_iter().map(decode).collect()
}

pub const FORMS: [DataForm; 2] = [DataForm::Object, DataForm::Text];

fn value(entry: &Entry) -> Value {
    serde_json::from_str(&entry.raw).unwrap()
}

/// One of each kind, with everything that needs care in a string.
fn one_of_each() -> Vec<Entry> {
    let nasty = "\"quotes\" \\ back\u{0}\u{1f}\n\t</script> \u{2028} ü 弾幕 \u{1f600} {\"event\":\"X\"}";
    vec![
        danmaku(1, nasty),
        entry(2, "comment", &json!({ "text": nasty })),
        revocation(3, 1),
        entry(4, "info", &json!({ "title": nasty, "visibility": "public" })),
        entry(5, "closed", &json!({ "reason": "trashed" })),
        danmaku(1, "secret").blanked(),
    ]
}

#[test]
fn one_by_one_each_kind_has_its_event() {
    let entries = one_of_each();
    let flush = Flush::new(entries.clone());
    for data in FORMS {
        let events = events(flush.frames(Form { data, batch: false }), data);
        let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        let expected = [
            "OnRecvDanmaku",
            "OnRecvComment",
            "OnMessageRevoked",
            "OnRoomInfoChanged",
            "OnRoomClosed",
            "OnRecvDanmaku",
        ];
        assert_eq!(names, expected);
        for (event, entry) in events.iter().zip(&entries) {
            assert_eq!(event["data"], value(entry));
            assert_eq!(event["operationID"].as_str(), entry.operation.as_deref());
        }
    }
}

#[test]
fn a_batch_holds_all_kinds_in_order() {
    let entries = one_of_each();
    let flush = Flush::new(entries.clone());
    for data in FORMS {
        let events = events(flush.frames(Form { data, batch: true }), data);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["event"], "OnRecvNewMessages");
        assert_eq!(events[0]["data"], Value::Array(entries.iter().map(value).collect()));
        assert_eq!(events[0]["operationID"], "op-1", "that of the last");
    }
}

#[test]
fn an_entry_passes_through_byte_for_byte() {
    let text = r#"{ "videoID":"v", "seq":1,"kind":"danmaku","at":"t","data":{"n":1.50e3,"u":"\u00e4\ud83d\ude00","lone":"\ud800"}}"#;
    let flush = Flush::new(vec![Entry::parse(text.as_bytes()).unwrap()]);
    for batch in [false, true] {
        let frames = flush.frames(Form {
            data: DataForm::Object,
            batch,
        });
        assert!(std::str::from_utf8(payloads(frames)[0]).unwrap().contains(text));
    }
    let frame = flush.frames(Form {
        data: DataForm::Text,
        batch: false,
    });
    let event: Value = serde_json::from_slice(payloads(frame)[0]).unwrap();
    assert_eq!(event["data"], text);
    assert_eq!(event["operationID"], "", "none is empty");
    let frame = flush.frames(Form {
        data: DataForm::Text,
        batch: true,
    });
    let event: Value = serde_json::from_slice(payloads(frame)[0]).unwrap();
    assert_eq!(event["data"].as_str().unwrap(), format!("[{text}]"));
}

/// The numbers in each frame of a batch, and the size of its payload.
fn frames_of(entries: &[Entry], data: DataForm) -> Vec<(Vec<i64>, usize)> {
    let flush = Flush::new(entries.to_vec());
    let frames = flush.frames(Form { data, batch: true });
    let sizes = payloads(frames).into_iter().map(<[u8]>::len);
    let numbers = events(frames, data).into_iter().map(|event| {
        let entries = event["data"].as_array().unwrap();
        let last = entries.last().unwrap()["seq"].as_i64().unwrap();
        assert_eq!(event["operationID"], format!("op-{last}"));
        entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect()
    });
    numbers.zip(sizes).collect()
}

#[test]
fn a_frame_of_a_batch_has_at_most_50_entries() {
    for data in FORMS {
        for (count, expected) in [(1, vec![1]), (50, vec![50]), (51, vec![50, 1]), (101, vec![50, 50, 1])] {
            let entries: Vec<Entry> = (1..=count).map(|seq| danmaku(seq, "x")).collect();
            let frames = frames_of(&entries, data);
            assert_eq!(frames.iter().map(|(seqs, _)| seqs.len()).collect::<Vec<_>>(), expected);
            assert_eq!(
                frames.into_iter().flat_map(|(seqs, _)| seqs).collect::<Vec<_>>(),
                seqs(&entries)
            );
        }
    }
}

#[test]
fn a_frame_of_a_batch_has_at_most_16_kib() {
    for data in FORMS {
        // Quotes are two bytes as text and four as text in text: it is the bytes sent that count.
        for text in ["x".repeat(1000), "\"".repeat(1000), "x".repeat(5000)] {
            let entries: Vec<Entry> = (1..=60).map(|seq| danmaku(seq, &text)).collect();
            let frames = frames_of(&entries, data);
            assert!(frames.iter().all(|(_, size)| *size <= BATCH_BYTES), "{frames:?}");
            for pair in frames.windows(2) {
                let per_entry = pair[0].1 / pair[0].0.len();
                assert!(
                    pair[0].1 + per_entry + 200 > BATCH_BYTES,
                    "no frame is cut short: {frames:?}"
                );
            }
            assert_eq!(
                frames.into_iter().flat_map(|(seqs, _)| seqs).collect::<Vec<_>>(),
                seqs(&entries)
            );
        }
    }
}

#[test]
fn the_16_kib_are_met_to_the_byte() {
    let frames = |pad: usize| frames_of(&[danmaku(1, "x"), danmaku(2, &"x".repeat(pad))], DataForm::Object);
    let base = frames(0)[0].1;
    let fitting = frames(BATCH_BYTES - base);
    assert_eq!((fitting.len(), fitting[0].1), (1, BATCH_BYTES));
    assert_eq!(frames(BATCH_BYTES - base + 1).len(), 2);
}

#[test]
fn an_entry_larger_than_a_frame_goes_alone() {
    let entries = [
        danmaku(1, "x"),
        danmaku(2, &"y".repeat(70_000)),
        danmaku(3, "x"),
        danmaku(4, "x"),
    ];
    for data in FORMS {
        let numbers: Vec<Vec<i64>> = frames_of(&entries, data).into_iter().map(|(seqs, _)| seqs).collect();
        assert_eq!(numbers, [vec![1], vec![2], vec![3, 4]]);
        assert_eq!(frames_of(&entries[1..], data).len(), 2, "nothing goes before it");
    }
}

#[test]
fn a_flush_is_encoded_once_for_all() {
    let flush = Flush::new(vec![danmaku(1, "x")]);
    let mut seen = Vec::new();
    for data in FORMS {
        for batch in [false, true] {
            let form = Form { data, batch };
            let frames = flush.frames(form).clone();
            assert!(Arc::ptr_eq(&frames, flush.frames(form)));
            assert!(!seen.contains(&frames), "each form is its own");
            seen.push(frames);
        }
    }
}

#[test]
fn nothing_to_send_is_no_frame() {
    let flush = Flush::new(Vec::new());
    for (data, batch) in [
        (DataForm::Object, true),
        (DataForm::Text, true),
        (DataForm::Object, false),
    ] {
        assert!(flush.frames(Form { data, batch }).is_empty());
    }
    assert!(!flush.closes());
}

#[test]
fn the_member_count_says_how_far_the_room_is() {
    let video: VideoId = "0123456789ab".parse().unwrap();
    for form in FORMS {
        let frames = member_count(&video, 17, 4, form);
        let expected = json!({ "event": "OnRoomMemberCount", "errCode": 0, "errMsg": "", "operationID": "",
            "data": { "videoID": "0123456789ab", "count": 17, "seq": 4 } });
        assert_eq!(events(&frames, form), [expected]);
    }
}

#[test]
fn an_event_of_any_name() {
    for form in FORMS {
        let frames = event("OnVideoReady", r#"{"videoID":"v"}"#, "op \"1\"", form);
        let events = events(&frames, form);
        assert_eq!(
            (&events[0]["event"], &events[0]["data"]),
            (&json!("OnVideoReady"), &json!({ "videoID": "v" }))
        );
        assert_eq!(events[0]["operationID"], "op \"1\"");
    }
}

#[test]
fn the_entries_of_a_join_are_one_array() {
    let entries = one_of_each();
    let array: Value = serde_json::from_str(&array(&entries)).unwrap();
    assert_eq!(array, Value::Array(entries.iter().map(value).collect()));
    assert_eq!(super::array(&[]), "[]");
}
