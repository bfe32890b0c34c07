//! An upload in pieces, each through another edge (tus 1.0.0).

use reqwest::Method;
use serde_json::Value;

use crate::media::Clip;
use crate::person::Person;

/// Sends `clip` in `pieces`; each is one of `people` in turn, who are the same person at different edges.
pub async fn upload(people: &[Person], ticket: &Value, clip: &Clip, pieces: usize) {
    let grant = ticket["grant"].as_str().unwrap();
    let request = |person: &Person, method: Method, path: &str| {
        person
            .http
            .request(method, format!("{}{path}", person.base))
            .bearer_auth(grant)
            .header("tus-resumable", "1.0.0")
    };
    let created = request(&people[0], Method::POST, "/uploads").header("upload-length", clip.bytes.len());
    let created = created.send().await.unwrap();
    assert_eq!(created.status(), 201);
    let location = created.headers()["location"].to_str().unwrap();
    // The path is the same at every edge.
    let path = location.find("/uploads").map(|at| location[at..].to_owned()).unwrap();
    let mut offset = 0;
    for (n, piece) in clip.bytes.chunks(clip.bytes.len().div_ceil(pieces)).enumerate() {
        let asked = request(&people[(n + 1) % people.len()], Method::HEAD, &path)
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 200);
        assert_eq!(
            asked.headers()["upload-offset"],
            offset.to_string().as_str(),
            "piece {n}"
        );
        let sent = request(&people[n % people.len()], Method::PATCH, &path)
            .header("upload-offset", offset)
            .header("content-type", "application/offset+octet-stream")
            .body(piece.to_vec());
        let sent = sent.send().await.unwrap();
        offset += piece.len();
        assert!(sent.status().is_success(), "piece {n}: {}", sent.status());
        assert_eq!(sent.headers()["upload-offset"], offset.to_string().as_str());
    }
}
