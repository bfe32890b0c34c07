//! The journey in a real browser: headless Chromium driven by the page's own end-to-end script.

use std::path::Path;
use std::process::Command;

use crate::media;
use crate::site::Home;

#[tokio::test]
async fn the_page_in_chromium() {
    let Some(folder) = media::folder() else {
        eprintln!("skipped: ../shared/media is absent, there is no real file to play");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let shots = root.join("test-results/browser");
    std::fs::create_dir_all(&shots).unwrap();
    let home = Home::new();
    let site = home.serve(&[]);
    let script = root.join("web-proxy/ui/e2e/journey.mjs");
    let mut command = Command::new("node");
    command
        .arg(script)
        .arg(&site.base)
        .arg("--media")
        .arg(folder)
        .arg("--shots")
        .arg(&shots);
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
    assert!(
        std::fs::read_dir(&shots).unwrap().count() > 0,
        "screenshots are kept in {}",
        shots.display()
    );
    site.stop();
}
