//! The JavaScript client (sdk/js) in Node against the real binary, driven by its own script.

use std::path::Path;
use std::process::Command;

use crate::media;
use crate::site::Home;

#[tokio::test]
async fn the_javascript_client_in_node() {
    let Some(folder) = media::folder() else {
        eprintln!("skipped: ../shared/media is absent, there is no real file to upload");
        return;
    };
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("sdk/js");
    assert!(
        sdk.join("dist/index.js").exists() && sdk.join("node_modules/ws").exists(),
        "sdk/js is not built: make sdk"
    );
    let home = Home::new();
    let site = home.serve(&[]);
    let mut command = Command::new("node");
    command
        .arg(sdk.join("tests/against.mjs"))
        .arg(&site.base)
        .arg(folder.join("ordinary/bear-1280x720.mp4"));
    // The script bounds its own waits; it runs on another thread so that nothing here blocks the runtime.
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    site.stop();
}
