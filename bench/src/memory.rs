//! Memory while large uploads run: it must not grow with the size of a file.

use futures_util::future::join_all;

use crate::http::Person;
use crate::server::Server;
use crate::table::{self, mib};
use crate::video;

pub async fn measure() {
    let clip = video::clip();
    let mut rows = Vec::new();
    for (name, count, size, goal) in [
        ("1 upload of 2 GB", 1, 2_000_000_000u64, "≤ 32 MB"),
        ("16 uploads of 200 MB at once", 16, 200_000_000, "≤ 128 MB"),
    ] {
        let server = Server::fresh(&["stream.max_uploads_per_user=16".into()]);
        let person = Person::register(&server.base, "ann").await;
        // The first sign-in's argon2 memory is not the upload's.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        server.reset_peak();
        let (before, cpu) = (server.memory("VmRSS"), server.cpu_seconds());
        let began = std::time::Instant::now();
        let uploads = (0..count).map(|n| {
            let (person, body) = (person.clone(), video::padded(&clip, size));
            async move { person.upload(&format!("Large {n}"), body, size).await }
        });
        join_all(uploads).await;
        let (elapsed, cpu) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
        let grown = server.memory("VmHWM").saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let gigabytes = (count * size) as f64 / 1e9;
        rows.push(vec![
            name.into(),
            mib(before),
            format!("+{}", mib(grown)),
            goal.into(),
            format!("{:.0} MB/s", gigabytes * 1000.0 / elapsed),
            format!("{:.2} s/GB", cpu / gigabytes),
        ]);
    }
    table::print(
        "Uploads with SHA-256 and fdatasync",
        &["what", "before", "peak", "goal", "rate", "server CPU"],
        &rows,
    );
}
