//! The client of the protocol.

use bytes::Bytes;
use common::config::Secret;
use s3_server::{Effect, Fault, Options, Server};
use std::time::Duration;
use stream_service::store::s3::client::{Client, MIN_PART, Reading, S3Error, Settings};

/// A client of this server's bucket.
pub fn client_of(server: &Server) -> Client {
    Client::new(settings(server)).unwrap()
}

pub fn settings(server: &Server) -> Settings {
    Settings {
        endpoint: server.endpoint().parse().unwrap(),
        bucket: server.options.buckets[0].clone(),
        region: "us-east-1".into(),
        access_key: server.options.access_key.clone(),
        secret_key: Secret::from(server.options.secret_key.as_str()),
        path_style: true,
        ca_file: None,
    }
}

fn started() -> (Server, Client) {
    let server = Server::spawn().unwrap();
    let client = client_of(&server);
    (server, client)
}

/// Bytes that tell where they are from.
fn bytes(size: usize) -> Bytes {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

async fn whole(reading: &mut Reading) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = reading.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

#[tokio::test]
async fn objects_are_put_read_listed_and_deleted() {
    let (server, client) = started();
    let content = bytes(100_000);
    for key in ["p/ab/one", "p/ab/two words+ü", "p/cd/three", "q"] {
        client.put(key, content.clone()).await.unwrap();
    }
    assert_eq!(client.head("p/ab/two words+ü").await, Ok(Some(100_000)));
    assert_eq!(client.head("p/none").await, Ok(None));
    let mut reading = client.get("p/ab/one", 10..50_000).await.unwrap();
    assert_eq!(reading.size(), 100_000);
    assert_eq!(whole(&mut reading).await.unwrap(), content[10..50_000]);
    assert_eq!(client.get("p/none", 0..1).await.err(), Some(S3Error::Missing));

    let all = client.list("p/", "", None).await.unwrap();
    let keys: Vec<_> = all
        .objects
        .iter()
        .map(|object| (object.key.as_str(), object.bytes))
        .collect();
    assert_eq!(
        keys,
        [
            ("p/ab/one", 100_000),
            ("p/ab/two words+ü", 100_000),
            ("p/cd/three", 100_000)
        ]
    );
    assert!(all.next.is_none() && all.prefixes.is_empty());
    let age = common::time::Timestamp::now().0 - all.objects[0].modified_ms;
    assert!((-5_000..60_000).contains(&age), "{age} ms");
    let grouped = client.list("p/", "/", None).await.unwrap();
    assert_eq!(
        (grouped.prefixes.join(" "), grouped.objects.len()),
        ("p/ab/ p/cd/".to_owned(), 0)
    );

    let keys: Vec<String> = keys.into_iter().map(|(key, _)| key.to_owned()).collect();
    client.delete_all(&keys).await.unwrap();
    client.delete("p/none").await.unwrap();
    let left = client.list("", "", None).await.unwrap();
    assert_eq!(left.objects.len(), 1);
    drop(server);
}

#[tokio::test]
async fn lists_of_more_than_a_page_come_in_pages() {
    let (server, client) = started();
    for number in 0..1005 {
        let name = format!("a%2F{number:04}");
        std::fs::write(server.folder().join("media").join(name), b"x").unwrap();
    }
    let first = client.list("a/", "", None).await.unwrap();
    let second = client.list("a/", "", first.next.as_deref()).await.unwrap();
    assert_eq!(
        (first.objects.len(), second.objects.len(), second.next),
        (1000, 5, None)
    );
    assert_eq!(second.objects[0].key, "a/1000");
}

#[tokio::test]
async fn a_multipart_upload_with_gaps_in_its_numbers() {
    let (_server, client) = started();
    let (one, two) = (bytes(MIN_PART as usize), bytes(1000));
    let id = client.create_multipart("v/object").await.unwrap();
    let listed = client.list_multiparts("v/").await.unwrap();
    assert_eq!(
        (listed.len(), listed[0].key.as_str(), &listed[0].id),
        (1, "v/object", &id)
    );
    let first = client.upload_part("v/object", &id, 3, one.clone()).await.unwrap();
    let replaced = client.upload_part("v/object", &id, 17, one.clone()).await.unwrap();
    let last = client.upload_part("v/object", &id, 17, two.clone()).await.unwrap();
    let parts = client.list_parts("v/object", &id).await.unwrap();
    let numbers: Vec<_> = parts.iter().map(|part| (part.number, part.bytes, &part.etag)).collect();
    assert_eq!(numbers, [(3, MIN_PART, &first.etag), (17, 1000, &last.etag)]);
    assert_eq!(client.head("v/object").await, Ok(None), "not there before it is whole");

    let wrong = client
        .complete("v/object", &id, &[(3, first.clone()), (17, replaced)])
        .await;
    assert!(matches!(wrong, Err(S3Error::InvalidPart(_))), "{wrong:?}");
    client
        .complete("v/object", &id, &[(3, first), (17, last)])
        .await
        .unwrap();
    let size = MIN_PART + 1000;
    let mut reading = client.get("v/object", 0..size).await.unwrap();
    assert_eq!(whole(&mut reading).await.unwrap(), [&one[..], &two[..]].concat());
    assert_eq!(client.list_multiparts("").await, Ok(Vec::new()));
    assert_eq!(client.list_parts("v/object", &id).await, Err(S3Error::NoSuchUpload));
    assert_eq!(client.abort("v/object", &id).await, Ok(false));
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let (_server, client) = started();
    let id = client.create_multipart("v/object").await.unwrap();
    client.upload_part("v/object", &id, 1, bytes(10)).await.unwrap();
    assert_eq!(client.abort("v/object", &id).await, Ok(true));
    assert_eq!(client.abort("v/object", &id).await, Ok(false));
    let late = client.upload_part("v/object", &id, 2, bytes(10)).await;
    assert_eq!(late, Err(S3Error::NoSuchUpload));
    assert_eq!(client.list_multiparts("").await, Ok(Vec::new()));
}

#[tokio::test]
async fn wrong_settings_are_told_apart() {
    let (server, _) = started();
    let failing = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&server);
        change(&mut settings);
        Client::new(settings).unwrap()
    };
    let denied = |result: Result<_, S3Error>| match result {
        Err(S3Error::Denied { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    let secret = failing(&|settings| settings.secret_key = Secret::from("another"));
    assert_eq!(denied(secret.put("a", bytes(1)).await), "SignatureDoesNotMatch");
    let key = failing(&|settings| settings.access_key = "nobody".into());
    assert_eq!(denied(key.list("", "", None).await.map(drop)), "InvalidAccessKeyId");
    let bucket = failing(&|settings| settings.bucket = "another".into());
    assert_eq!(bucket.put("a", bytes(1)).await, Err(S3Error::NoBucket));
    assert_eq!(bucket.list("", "", None).await.err(), Some(S3Error::NoBucket));
    assert_eq!(bucket.create_multipart("a").await, Err(S3Error::NoBucket));
    // Nobody listens on a port that was just free.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let away = failing(&|settings| settings.endpoint = format!("http://127.0.0.1:{port}").parse().unwrap());
    let error = away.head("a").await.unwrap_err();
    assert!(
        matches!(&error, S3Error::Away(text) if text.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn what_may_be_repeated_is() {
    let (server, client) = started();
    client.put("key", bytes(1000)).await.unwrap();
    for effect in [
        Effect::Answer(503, "SlowDown"),
        Effect::Answer(500, "InternalError"),
        Effect::Drop,
        Effect::Lose,
    ] {
        server.requests();
        server.fail(Fault::new("", effect).times(2));
        client.put("key", bytes(1000)).await.unwrap();
        assert_eq!(server.requests().len(), 3, "{effect:?}");
    }
    // Of an answer that was lost the repetition says that there is no upload.
    let id = client.create_multipart("whole").await.unwrap();
    let part = client.upload_part("whole", &id, 1, bytes(1000)).await.unwrap();
    server.fail(Fault::new("POST", Effect::Lose).times(1));
    client.complete("whole", &id, &[(1, part.clone())]).await.unwrap();
    assert_eq!(client.head("whole").await, Ok(Some(1000)));
    assert_eq!(
        client.complete("whole", &id, &[(1, part)]).await,
        Err(S3Error::NoSuchUpload)
    );
    // What is denied is not asked again.
    server.requests();
    server.fail(Fault::new("PUT", Effect::Answer(403, "AccessDenied")));
    assert!(matches!(client.put("key", bytes(1)).await, Err(S3Error::Denied { .. })));
    server.fail(Fault::new("PUT", Effect::Answer(507, "Full")));
    server.heal();
    server.fail(Fault::new("PUT", Effect::Answer(507, "Full")));
    assert!(matches!(client.put("key", bytes(1)).await, Err(S3Error::Full(_))));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_store_that_restarts_is_waited_for() {
    let (server, client) = started();
    client.put("key", bytes(1000)).await.unwrap();
    server.stop();
    let putting = tokio::spawn({
        let client = client.clone();
        async move { client.put("other", bytes(1000)).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.start_again().unwrap();
    putting.await.unwrap().unwrap();
    assert_eq!(client.head("other").await, Ok(Some(1000)));
}

#[tokio::test]
async fn a_body_that_breaks_is_continued() {
    let (server, client) = started();
    let content = bytes(3_000_000);
    client.put("key", content.clone()).await.unwrap();
    server.requests();
    server.fail(Fault::new("GET", Effect::Cut(700_000)).times(3));
    let mut reading = client.get("key", 5..3_000_000).await.unwrap();
    assert_eq!(whole(&mut reading).await.unwrap(), content[5..]);
    assert_eq!(server.requests().len(), 4);

    // Nothing but breaks: given up.
    server.fail(Fault::new("GET", Effect::Cut(1000)));
    let mut reading = client.get("key", 0..3_000_000).await.unwrap();
    let error = whole(&mut reading).await.unwrap_err();
    assert!(error.to_string().contains("away"), "{error}");
    assert_eq!(server.requests().len(), 5);
    assert!(reading.next().await.is_none(), "nothing comes after an error");
    server.heal();

    // Replaced by another in the middle: its rest is not the rest of this one.
    server.fail(Fault::new("GET", Effect::Cut(1000)).times(1));
    let mut reading = client.get("key", 0..3_000_000).await.unwrap();
    reading.next().await.unwrap().unwrap();
    client.put("key", bytes(3_000_000)).await.unwrap();
    let error = whole(&mut reading).await.unwrap_err();
    assert!(error.to_string().contains("another one"), "{error}");

    // Deleted in the middle.
    server.fail(Fault::new("GET", Effect::Cut(1000)).times(1));
    let mut reading = client.get("key", 0..3_000_000).await.unwrap();
    reading.next().await.unwrap().unwrap();
    client.delete("key").await.unwrap();
    assert!(whole(&mut reading).await.is_err());
}

#[tokio::test]
async fn an_object_that_is_shorter_than_the_range_is_told() {
    let (_server, client) = started();
    client.put("key", bytes(10)).await.unwrap();
    let mut reading = client.get("key", 5..100).await.unwrap();
    assert_eq!((reading.size(), whole(&mut reading).await.unwrap().len()), (10, 5));
    let beyond = client.get("key", 10..20).await.err();
    assert!(matches!(beyond, Some(S3Error::Other { status: 416, .. })), "{beyond:?}");
}

#[tokio::test]
async fn https_with_an_authority_of_ones_own() {
    let server = Server::start(Options {
        https: true,
        ..Options::default()
    })
    .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), server.authority().unwrap()).unwrap();
    let mut settings = settings(&server);
    settings.ca_file = Some(file.path().to_owned());
    let trusting = Client::new(settings.clone()).unwrap();
    trusting.put("key", bytes(300_000)).await.unwrap();
    let mut reading = trusting.get("key", 0..300_000).await.unwrap();
    assert_eq!(whole(&mut reading).await.unwrap(), bytes(300_000));

    std::fs::write(file.path(), "no certificate").unwrap();
    let error = Client::new(settings.clone()).unwrap_err();
    assert_eq!(error.key, "store.ca_file");
    settings.ca_file = None;
    // A machine without any authorities says so at once; on others this one is not among them.
    match Client::new(settings) {
        Err(error) => assert_eq!(error.key, "store.endpoint"),
        Ok(doubting) => assert!(matches!(doubting.head("key").await, Err(S3Error::Away(_)))),
    }
}

/// Callers are workers whose runtimes end, and threads that have none.
#[test]
fn connections_outlive_the_runtimes_of_callers() {
    let (_server, client) = started();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(client.put("key", bytes(1000))).unwrap();
    }
    assert_eq!(client.wait(client.head("key")), Ok(Some(1000)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move { drop(client) });
}
