//! The program `ringtalk`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringtalk::cli::main()
}
