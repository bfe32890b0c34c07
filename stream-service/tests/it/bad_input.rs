//! Input of the wrong kind: named in the answer, and nothing of it left behind.

use crate::{
    app::{App, SOON, on_each_app},
    clip::clip,
    upload::{connect, form, post_form, put_head, read_head},
};
use common::{ids::VideoId, testing::eventually};
use std::path::PathBuf;
use tokio::io::AsyncWriteExt;

#[test]
fn what_is_not_a_video_is_named_and_leaves_nothing() {
    on_each_app(|app| async move {
        let check = async |bytes: Vec<u8>, found: &str| {
            let (status, code, problem) = App::problem(app.put(&VideoId::random(), bytes).await).await;
            assert_eq!(
                (status, code.as_str(), problem["found"].as_str().unwrap()),
                (415, "unsupported_media", found)
            );
            assert!(problem["detail"].as_str().unwrap().contains(found));
        };
        check(Vec::new(), "an empty file").await;
        check(b"\x89PNG\r\n\x1a\n0000".to_vec(), "a PNG image").await;
        check(b"<html><script>alert(1)</script>".to_vec(), "an HTML page").await;
        check(vec![0; 300_000], "only zero bytes").await;
        check(
            clip(400_000, 1)[..300_000].to_vec(),
            "an MP4 whose pictures or sound lie beyond its end: it is cut off",
        )
        .await;
        app.nothing_is_left().await;
        assert!(
            app.told.lock().unwrap().failed.is_empty(),
            "the client may try again: api-service is told nothing"
        );
        let video = VideoId::random();
        app.put(&video, "text").await;
        assert_eq!(
            app.put(&video, clip(5_000, 1)).await.status(),
            201,
            "a video after a mistake is taken"
        );
    });
}

#[test]
fn every_file_that_is_no_video_is_refused_over_http() {
    let Some(folder) = crate::probe::media("every_file_that_is_no_video_is_refused_over_http") else {
        return;
    };
    let files: Vec<PathBuf> = ["not-video", "audio"]
        .iter()
        .flat_map(|dir| crate::app::files(&folder.join(dir)))
        .collect();
    let files = &files;
    on_each_app(|app| async move {
        for path in files {
            let response = app.put(&VideoId::random(), std::fs::read(path).unwrap()).await;
            assert_eq!(response.status(), 415, "{}", path.display());
        }
        app.nothing_is_left().await;
    });
}

#[test]
fn bad_input_a_lying_content_length_or_a_cut_upload_leaves_nothing() {
    on_each_app(|app| async move {
        for sent in [0, 1, 100, 4_999, 300_000] {
            let video = VideoId::random();
            let mut socket = connect(&app).await;
            let head = put_head(&app, &video, &app.upload_token(&video), "Content-Length: 400000\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            socket.write_all(&clip(400_000, 1)[..sent]).await.unwrap();
            if sent % 2 == 0 {
                socket.shutdown().await.unwrap();
                let answer = read_head(&mut socket).await;
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
            }
            drop(socket);
        }
        let (video, mut chunked) = (VideoId::random(), connect(&app).await);
        let head = put_head(
            &app,
            &video,
            &app.upload_token(&video),
            "Transfer-Encoding: chunked\r\n",
        );
        chunked
            .write_all(format!("{head}1000\r\nonly this").as_bytes())
            .await
            .unwrap();
        drop(chunked);
        app.nothing_is_left().await;
    });
}

#[test]
fn bad_input_more_bytes_than_declared_are_not_part_of_the_file() {
    on_each_app(|app| async move {
        let (video, bytes) = (VideoId::random(), clip(5_000, 1));
        let mut socket = connect(&app).await;
        let head = put_head(&app, &video, &app.upload_token(&video), "Content-Length: 5000\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
            .write_all(&[&bytes[..], b"GARBAGE THAT IS NO REQUEST\r\n\r\n"].concat())
            .await
            .unwrap();
        // The framework ends such a connection, perhaps before the answer; then the upload may have been whole or not.
        let answer = read_head(&mut socket).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 201"), "{answer}");
        eventually("all of it or nothing", SOON, || async {
            let kept = app.files().len() == 1 && app.get(&video).await.bytes().await.unwrap() == bytes;
            (kept || (app.files().is_empty() && app.rows().await.is_empty())).then_some(())
        })
        .await;
    });
}

#[test]
fn bad_input_names_of_files_are_not_looked_at() {
    on_each_app(|app| async move {
        let before = crate::app::files(app.dir.path()).len();
        let long = "x".repeat(300);
        let names = [
            "../../../../tmp/evil.mp4",
            "/etc/passwd",
            "..\\..\\evil.mp4",
            "a\0b.mp4",
            "%00",
            "-rf",
            "\u{202e}4pm.exe",
            "|id",
            "CON",
            long.as_str(),
            "",
            "\u{202e}\u{200f}",
        ];
        for name in names {
            let video = VideoId::random();
            let response = post_form(&app, &video, form(&[("file", Some(name), b"no video")])).await;
            assert!(
                matches!(response.status().as_u16(), 400 | 415),
                "{name:?}: {}",
                response.status()
            );
        }
        // A name that breaks out of its header line.
        let broken = form(&[(
            "file",
            Some("a\r\nContent-Type: text/html\r\n\r\n<script>"),
            b"no video",
        )]);
        assert!(matches!(
            post_form(&app, &VideoId::random(), broken).await.status().as_u16(),
            400 | 415
        ));
        app.nothing_is_left().await;
        assert_eq!(
            crate::app::files(app.dir.path()).len(),
            before,
            "something was written outside of the media folder"
        );
        let video = VideoId::random();
        let response = post_form(&app, &video, form(&[("file", Some("../../evil.mp4"), &clip(5_000, 1))])).await;
        assert_eq!(response.status(), 201);
        let path = app.files().remove(0);
        assert!(
            path.starts_with(app.media_dir().join(&video.as_str()[..2]).join(video.as_str())),
            "{}",
            path.display()
        );
    });
}

#[test]
fn bad_input_forms_that_are_not_quite_forms() {
    on_each_app(|app| async move {
        let bytes = clip(5_000, 1);
        let whole = form(&[("file", Some("a.mp4"), &bytes)]);
        let check = async |what: &str, body: Vec<u8>| {
            let (status, code, _) = App::problem(post_form(&app, &VideoId::random(), body).await).await;
            assert_eq!((status, code.as_str()), (400, "bad_request"), "{what}");
        };
        check("no field `file`", form(&[("video", Some("a.mp4"), &bytes)])).await;
        check(
            "two files",
            form(&[("file", Some("a.mp4"), &bytes), ("file", Some("b.mp4"), &bytes)]),
        )
        .await;
        check("cut before the end", whole[..whole.len() - 20].to_vec()).await;
        check("cut in the file", whole[..3_000].to_vec()).await;
        check(
            "a large other field",
            form(&[("x", None, &vec![1; 100_000]), ("file", Some("a.mp4"), &bytes)]),
        )
        .await;
        check("no form at all", b"hello".to_vec()).await;
        check("nothing", Vec::new()).await;
        let video = VideoId::random();
        let response = app
            .http
            .post(app.put_url(&video))
            .bearer_auth(app.upload_token(&video))
            .body(whole)
            .send()
            .await;
        assert_eq!(App::problem(response.unwrap()).await.0, 400, "no Content-Type");
        app.nothing_is_left().await;
    });
}
