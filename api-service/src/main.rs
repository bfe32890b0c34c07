//! api-service alone, configured by `SLUICE_CONFIG` and the environment. `sluice api` is the same with a command line.

use std::process::ExitCode;

use common::process::{Process, main as process_main, run_one};

fn main() -> ExitCode {
    process_main(|config| {
        run_one(config, "api", true, async |process: Process| {
            let service = api_service::start(&process.config, &process.platform).await?;
            process.serve("api", vec![service], &[]).await
        })
    })
}
