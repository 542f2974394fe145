//! Where the text goes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use phoenix_component::StartError;
use phoenix_pdata::{Payload, Signal};

use crate::summary::Summary;
use crate::{Verbosity, render};

/// Text is passed on in pieces of this many bytes, so that a large request does not become one large text.
const PIECE_BYTES: usize = 64 * 1024;

/// One of `output_paths`.
#[derive(Debug)]
pub(crate) enum Target {
    Stdout,
    Stderr,
    File(File),
}

impl Target {
    pub(crate) fn open(path: &str) -> Result<Target, StartError> {
        Ok(match path {
            "stdout" => Target::Stdout,
            "stderr" => Target::Stderr,
            path => {
                Target::File(OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                    StartError::new(format!(
                        "cannot open {path:?} of output_paths: {error}; the folder must exist and be writable"
                    ))
                })?)
            }
        })
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text).and_then(|()| stdout.flush())
            }
            Target::Stderr => io::stderr().lock().write_all(text),
            Target::File(file) => {
                let mut file = file;
                file.write_all(text)
            }
        }
    }
}

/// Writes to all targets, in pieces; keeps the first failure and goes on with the others.
struct Pieces<'a> {
    targets: &'a [Target],
    piece: String,
    outcome: io::Result<()>,
}

impl Pieces<'_> {
    fn flush(&mut self) {
        for target in self.targets {
            let written = target.write(self.piece.as_bytes());
            if self.outcome.is_ok() {
                self.outcome = written;
            }
        }
        self.piece.clear();
    }
}

impl fmt::Write for Pieces<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.piece.push_str(text);
        if self.piece.len() >= PIECE_BYTES {
            self.flush();
        }
        Ok(())
    }
}

/// Writes a request to `targets`, as zap's console encoder without time and level does. Blocks.
pub(crate) fn write(
    targets: &[Target],
    verbosity: Verbosity,
    signal: Signal,
    payload: &Payload,
) -> io::Result<()> {
    let mut pieces = Pieces { targets, piece: String::new(), outcome: Ok(()) };
    render(&mut pieces, verbosity, signal, payload).map_err(io::Error::other)?;
    pieces.flush();
    pieces.outcome
}

/// Writes a request to the collector's own log. Blocks as long as that does.
pub(crate) fn log(id: &str, verbosity: Verbosity, signal: Signal, payload: &Payload) {
    macro_rules! record {
        ([$($fields:tt)*] $($message:tt)+) => {
            tracing::event!(
                target: "debug exporter",
                tracing::Level::INFO,
                {
                    "otelcol.component.id" = id,
                    "otelcol.component.kind" = "exporter",
                    "otelcol.signal" = signal.name(),
                    $($fields)*
                },
                $($message)+
            )
        };
    }
    match Summary::of(signal, payload) {
        Summary::Traces { resource_spans, spans } => {
            record!(["resource spans" = resource_spans as u64, "spans" = spans] "Traces");
        }
        Summary::Metrics { resource_metrics, metrics, data_points } => record!(
            [
                "resource metrics" = resource_metrics as u64,
                "metrics" = metrics as u64,
                "data points" = data_points
            ]
            "Metrics"
        ),
        Summary::Logs { resource_logs, log_records } => {
            record!(["resource logs" = resource_logs as u64, "log records" = log_records] "Logs");
        }
    }
    let mut text = String::new();
    if verbosity != Verbosity::Basic && crate::render_details(&mut text, verbosity, signal, payload).is_ok() {
        record!([] "{text}");
    }
}
