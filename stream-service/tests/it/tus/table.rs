//! Runs the vectors: against the plan alone, and against real sockets.

use super::{
    client::Client,
    vectors::{Field, On, Vector, all},
};
use crate::{
    app::{App, on_each_app},
    bucket::on_bucket,
    clip::clip,
};
use actix_web::{
    ResponseError,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use common::{db::Backend, ids::Id, time::Timestamp};
use serde_json::Value;
use std::time::Duration;
use stream_service::tus::{Known, Place, Protocol, Upload, answer::Terms, fields::Concat, plan};

const MAX: u64 = 10_000;
const LENGTH: usize = 5_000;

#[test]
fn there_are_vectors_and_each_has_its_own_name() {
    let mut names: Vec<_> = all().map(|vector| vector.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let draft = all().filter(|vector| vector.name.starts_with("draft: ")).count();
    assert!(
        draft >= 60 && count - draft >= 120,
        "{count}, {draft} of them of the draft"
    );
}

/// The state as a row says it.
fn known(on: On) -> Known {
    let upload = |offset, length, concat, finished| {
        Known::Is(Upload {
            offset,
            length,
            metadata: if on == On::Fresh {
                "filename ZmlsZQ==".into()
            } else {
                String::new()
            },
            concat,
            complete: finished,
            finished,
            expires: Timestamp::now() + Duration::from_secs(60),
        })
    };
    let (length, part) = (LENGTH as u64, Some(Concat::Partial));
    match on {
        On::Collection | On::Nothing => Known::Nothing,
        On::Gone => Known::Gone,
        On::Fresh => upload(0, Some(length), None, false),
        On::Half => upload(2_000, Some(length), None, false),
        On::Deferred => upload(100, None, None, false),
        On::OpenPart => upload(100, Some(300), part, false),
        On::Part => upload(300, Some(300), part, false),
        On::AllButSaid => upload(length, Some(length), None, false),
        On::Done => upload(length, Some(length), None, true),
        On::Final => upload(length, Some(length), Some(Concat::Final(vec![Id::now()])), true),
    }
}

fn headers(vector: &Vector) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in vector.head {
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    if vector.body > 0 {
        headers.insert(
            HeaderName::from_static("content-length"),
            HeaderValue::from(vector.body),
        );
    }
    headers
}

/// Whether the fields that were told are those of the vector.
fn check(vector: &Vector, status: u16, told: impl Fn(&str) -> Option<String>, skip: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    if status != vector.status {
        wrong.push(format!("{}: {status} instead of {}", vector.name, vector.status));
    }
    for (name, expected) in vector.told.iter().filter(|(name, _): &&Field| !skip.contains(name)) {
        let found = told(name);
        let good = match *expected {
            "*" => found.is_some(),
            "-" => found.is_none(),
            value => match (value.strip_suffix('*'), &found) {
                (Some(start), Some(found)) => found.starts_with(start),
                (None, Some(found)) => found == value,
                (_, None) => false,
            },
        };
        if !good {
            wrong.push(format!("{}: {name} is {found:?} instead of {expected}", vector.name));
        }
    }
    wrong
}

/// A member of a problem document, as text.
fn member(problem: &Value, name: &str) -> Option<String> {
    match &problem[name.strip_prefix("problem.")?] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// What is known only when the work is done.
fn later(status: u16, protocol: Protocol) -> &'static [&'static str] {
    match (status, protocol) {
        (201, Protocol::Tus) => &["location", "upload-expires"],
        (201, Protocol::Draft) => &[
            "location",
            "upload-limit",
            "upload-complete",
            "upload-offset",
            "repr-digest",
        ],
        (200, Protocol::Draft) => &["repr-digest"],
        _ => &[],
    }
}

#[test]
fn every_vector_holds_without_a_socket() {
    let mut wrong = Vec::new();
    for vector in all() {
        let place = if vector.on == On::Collection {
            Place::Collection
        } else {
            Place::Upload
        };
        let (method, headers) = (Method::from_bytes(vector.method.as_bytes()).unwrap(), headers(vector));
        let terms = Terms {
            protocol: Protocol::of(&headers),
            max_bytes: MAX,
            now: Timestamp::now(),
        };
        match plan(&method, place, &headers, &known(vector.on), MAX) {
            Ok(plan) => {
                let fields = terms.fields(&plan);
                let told = |wanted: &str| {
                    let found = fields.iter().find(|(name, _)| *name == wanted);
                    found.map(|(_, value)| value.clone())
                };
                let later = later(vector.status, terms.protocol);
                wrong.extend(check(vector, terms.status(&plan), told, later));
            }
            Err(error) => {
                let error = terms.refused(error);
                let (response, problem) = (error.error_response(), serde_json::to_value(error.problem()).unwrap());
                let told = |name: &str| {
                    let header = response
                        .headers()
                        .get(name)
                        .map(|value| value.to_str().unwrap().to_owned());
                    header.or_else(|| member(&problem, name))
                };
                wrong.extend(check(vector, response.status().as_u16(), told, &[]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_vector_holds_on_a_socket() {
    on_each_app(|app| async move { hold(&app).await });
}

#[test]
fn every_vector_holds_over_a_bucket() {
    on_bucket(Backend::Postgres, |app, _bucket| async move { hold(&app).await });
}

async fn hold(app: &App) {
    let mut wrong = Vec::new();
    for vector in all() {
        let client = Client::limited(app, MAX);
        let path = prepare(&client, vector.on).await;
        let start = match vector.on {
            On::Half => 2_000,
            On::Deferred | On::OpenPart => 100,
            On::AllButSaid | On::Done => 5_000,
            _ => 0,
        };
        let mut request = client.bare(vector.method, &path);
        for (name, value) in vector.head {
            request = request.header(
                *name,
                reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        if vector.body > 0 {
            let content = clip(LENGTH, 1).into_iter().chain(std::iter::repeat(7));
            request = request.body(content.skip(start).take(vector.body).collect::<Vec<_>>());
        }
        let response = request.send().await.unwrap();
        let (status, head) = (response.status().as_u16(), response.headers().clone());
        let problem = response.json().await.unwrap_or(Value::Null);
        let told = |name: &str| {
            let header = head.get(name).map(|value| value.to_str().unwrap().to_owned());
            header.or_else(|| member(&problem, name))
        };
        wrong.extend(check(vector, status, told, &[]));
        if Protocol::of(&headers(vector)) == Protocol::Tus && told("tus-resumable").as_deref() != Some("1.0.0") {
            wrong.push(format!("{}: no Tus-Resumable", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Brings an upload into its state; the path to ask for.
async fn prepare(client: &Client, on: On) -> String {
    let bytes = clip(LENGTH, 1);
    let whole = ("upload-length", "5000");
    let part = ("upload-concat", "partial");
    match on {
        On::Collection => "/uploads".into(),
        On::Nothing => format!("/uploads/{}", Id::now()),
        On::Gone => {
            let upload = client.create(&[whole]).await;
            assert_eq!(client.delete(&upload).await.status(), 204);
            upload
        }
        On::Fresh => client.create(&[whole, ("upload-metadata", "filename ZmlsZQ==")]).await,
        On::Half => sent(client, &[whole], &bytes[..2_000]).await,
        On::Deferred => sent(client, &[("upload-defer-length", "1")], &bytes[..100]).await,
        On::OpenPart => sent(client, &[("upload-length", "300"), part], &bytes[..100]).await,
        On::Part => sent(client, &[("upload-length", "300"), part], &bytes[..300]).await,
        On::AllButSaid => {
            let upload = client.create(&[whole]).await;
            client.append(&upload, 0, &bytes, false).await;
            upload
        }
        On::Done => sent(client, &[whole], &bytes).await,
        On::Final => {
            let part = sent(client, &[whole, part], &bytes).await;
            client.create(&[("upload-concat", &format!("final;{part}"))]).await
        }
    }
}

async fn sent(client: &Client, fields: &[Field], bytes: &[u8]) -> String {
    let upload = client.create(fields).await;
    client.send(&upload, 0, bytes).await;
    upload
}
