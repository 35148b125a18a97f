//! Diagnostics on stderr: `RINGTALK_LOG` in `env_logger`'s form, or `-v`.

use super::shown::shown;
use std::io::Write;

/// Begins to log. What is logged may hold text from others and is shown accordingly.
pub(crate) fn begin(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        (_, 2) => "debug",
        _ => "trace",
    };
    let environment = env_logger::Env::new().filter_or("RINGTALK_LOG", level).write_style("RINGTALK_LOG_STYLE");
    let mut builder = env_logger::Builder::from_env(environment);
    builder.format(|out, record| {
        let at = out.timestamp_millis();
        writeln!(out, "{at} {:5} {}: {}", record.level(), record.target(), shown(&record.args().to_string()))
    });
    // A second start in one process, as in tests, keeps the first logger.
    let _ = builder.try_init();
}
