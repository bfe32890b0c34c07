//! Uploads of the page in a real browser, with everything that may happen in their middle. The script has a server of its own,
//! because it kills and restarts it.

use std::path::Path;
use std::process::Command;

use crate::media;

#[tokio::test]
async fn the_page_uploads_through_reload_offline_and_restart() {
    let Some(folder) = media::folder() else {
        eprintln!("skipped: ../shared/media is absent, there is no real file to upload");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let shots = root.join("test-results/uploads");
    let mut command = Command::new("node");
    command
        .arg(root.join("web-proxy/ui/e2e/uploads.mjs"))
        .arg(env!("CARGO_BIN_EXE_sluice"))
        .arg("--media")
        .arg(folder)
        .arg("--shots")
        .arg(shots);
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
}
