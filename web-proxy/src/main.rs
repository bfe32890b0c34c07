//! web-proxy alone, configured by `SLUICE_CONFIG` and the environment. `sluice proxy` is the same with a command line.

use std::process::ExitCode;

use common::process::{Process, main as process_main, run_one};
use web_proxy::Mode;

fn main() -> ExitCode {
    process_main(|config| {
        run_one(config, "proxy", false, async |process: Process| {
            let service = web_proxy::start(&process.config, &process.platform, Mode::Edge).await?;
            let headers = web_proxy::security_headers(&process.config);
            process.serve("proxy", vec![service], &headers).await
        })
    })
}
