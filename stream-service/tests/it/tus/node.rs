//! tus-js-client against the real service: `tests/tus/run.mjs` with the packages of its lock file.

use super::client::Client;
use crate::{
    app::on_each_app,
    clip::{clip, sha256},
};
use std::{path::Path, process::Command};

#[test]
fn tus_js_client_sends_breaks_off_resumes_and_sends_in_parallel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tus");
    if !folder.join("node_modules/tus-js-client").is_dir() {
        eprintln!("SKIPPED: `npm ci` in stream-service/tests/tus installs tus-js-client");
        return;
    }
    let folder = &folder;
    on_each_app(|app| async move {
        for mode in ["plain", "chunks", "creation", "deferred", "resume", "parallel", "abort"] {
            let (client, bytes) = (Client::new(&app), clip(3_000_000, 9));
            let file = app.dir.path().join("to-send.mp4");
            std::fs::write(&file, &bytes).unwrap();
            let mut node = Command::new("node");
            node.current_dir(folder)
                .args(["run.mjs", mode, &format!("{}/uploads/", app.running.public)])
                .arg(&file)
                .env("GRANT", &client.token);
            let output = tokio::task::spawn_blocking(move || node.output())
                .await
                .unwrap()
                .unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{mode}: {said}");
            std::fs::remove_file(&file).unwrap();
            if mode == "abort" {
                assert!(app.rows().await.len() == 6, "an upload that was ended leaves nothing");
                continue;
            }
            let response = app.get(&client.video).await;
            assert_eq!(
                response.headers()["etag"],
                format!("\"{}\"", sha256(&bytes)),
                "{mode}: {said}"
            );
        }
    });
}
