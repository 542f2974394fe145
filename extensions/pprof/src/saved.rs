//! A CPU profile from the start to the end, into a file.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use phoenix_component::StartError;
use phoenix_profiling::Capture;

/// The capture of one extension, which goes on over changes of the configuration: the last instance that was
/// started writes it.
#[derive(Default)]
pub struct SavedProfile(Mutex<State>);

#[derive(Default)]
struct State {
    instances: u64,
    capture: Option<Capture>,
}

impl std::fmt::Debug for SavedProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SavedProfile(running: {})", self.state().capture.is_some())
    }
}

impl SavedProfile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins, or goes on with what a former instance began. The number is for [`SavedProfile::finish`].
    pub(crate) fn begin(&self, path: &Path) -> Result<u64, StartError> {
        // Here and not at the end: then it would be too late to say that it cannot be written.
        std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            StartError::new(format!("cannot write `save_to_file` {}: {error}", path.display()))
        })?;
        let mut state = self.state();
        if state.capture.is_none() {
            state.capture = Some(Capture::start().map_err(StartError::because)?);
        }
        state.instances += 1;
        Ok(state.instances)
    }

    /// Writes the file, unless a later instance goes on. Blocks.
    pub(crate) fn finish(&self, instance: u64, path: &Path) {
        let capture = {
            let mut state = self.state();
            if state.instances != instance {
                return;
            }
            state.capture.take()
        };
        let Some(capture) = capture else { return };
        let written = capture
            .profile()
            .map_err(|error| error.to_string())
            .and_then(|profile| std::fs::write(path, profile).map_err(|error| error.to_string()));
        match written {
            Ok(()) => tracing::info!(file = %path.display(), "CPU profile saved"),
            Err(error) => {
                tracing::error!(file = %path.display(), error, "the CPU profile could not be saved")
            }
        }
    }
}
