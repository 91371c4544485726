//! Exit codes, and how an error is told on a terminal.

use std::{io::Write as _, process::ExitCode};

use serde::{Deserialize, Serialize};

/// Why a command ends with something else than success; documented in `imagesearch --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The work is done as far as possible, but something of it failed.
    Partial = 1,
    // 2 is clap's own: the command line is not understood.
    /// The server can't be reached or is not ready.
    Unreachable = 3,
    /// A key is needed, or it may not do this.
    Forbidden = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// A model can't be used, however often it is tried.
    UnusableModel = 6,
}

impl Failure {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<CommandError>().map_or(Self::Partial, |known| known.failure)
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure as u8)
    }
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CommandError {
    pub failure: Failure,
    pub message: String,
}

impl CommandError {
    pub(crate) fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into() }
    }
}

/// Prints the error with its causes, once, to standard error: as text, or as JSON for programs.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let failure = Failure::of(error);
    // Who closed standard error wants to hear nothing; the exit code still tells.
    let mut stderr = std::io::stderr().lock();
    let _ = if json {
        let told = serde_json::json!({ "error": format!("{error:#}"), "exit_code": failure as u8 });
        writeln!(stderr, "{told}")
    } else {
        writeln!(stderr, "{} {error:#}", console::style("error:").red().bold().for_stderr())
    };
    failure.into()
}
