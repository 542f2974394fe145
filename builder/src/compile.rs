use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why there is no binary.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// cargo cannot be run.
    #[error("cannot run {cargo}: {source}")]
    Run {
        /// The program.
        cargo: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// cargo failed, and has said why.
    #[error("failed to compile the distribution: see what {cargo} said above")]
    Failed {
        /// The program.
        cargo: String,
    },
    /// cargo made no binary.
    #[error("cargo named no binary")]
    NoBinary,
    /// The binary cannot be put in its place.
    #[error("cannot copy {} to {}: {source}", .from.display(), .to.display())]
    Copy {
        /// Where it is.
        from: PathBuf,
        /// Where it belongs.
        to: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// How to compile.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    /// The program; `cargo` where it is empty.
    pub cargo: String,
    /// The profile; `release` where it is empty.
    pub profile: String,
    /// The target triple; the machine's own where it is empty.
    pub target: String,
    /// Whether cargo may not use the network.
    pub offline: bool,
    /// Whether cargo says every command.
    pub verbose: bool,
}

impl Compiler {
    fn cargo(&self) -> String {
        match self.cargo.as_str() {
            "" => std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
            cargo => cargo.to_owned(),
        }
    }

    fn command(&self, subcommand: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.cargo());
        command.arg(subcommand).arg("--manifest-path").arg(folder.join("Cargo.toml"));
        if self.offline {
            command.arg("--offline");
        }
        if self.verbose {
            command.arg("--verbose");
        }
        // What an outer cargo says of the package that it runs is nothing for this one: build scripts that look at
        // it would compile their crates anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let of_package =
                ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
            if of_package.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    fn status(&self, mut command: Command) -> Result<(), CompileError> {
        let cargo = self.cargo();
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(CompileError::Failed { cargo }),
            Err(source) => Err(CompileError::Run { cargo, source }),
        }
    }

    /// Gets the crates that the package needs.
    ///
    /// # Errors
    /// Where cargo fails.
    pub fn fetch(&self, folder: &Path) -> Result<(), CompileError> {
        self.status(self.command("fetch", folder))
    }

    /// Compiles the package in `folder`, and puts the binary there under `name`.
    ///
    /// # Errors
    /// Where cargo fails, or the binary cannot be put there.
    pub fn compile(&self, folder: &Path, name: &str) -> Result<PathBuf, CompileError> {
        let cargo = self.cargo();
        let mut command = self.command("build", folder);
        let profile = if self.profile.is_empty() { "release" } else { &self.profile };
        command.args(["--profile", profile, "--message-format", "json-render-diagnostics"]);
        if !self.target.is_empty() {
            command.args(["--target", &self.target]);
        }
        let run = |source| CompileError::Run { cargo: cargo.clone(), source };
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(run)?;
        let mut binary = None;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                binary = executable(&line).or(binary);
            }
        }
        if !child.wait().map_err(run)?.success() {
            return Err(CompileError::Failed { cargo });
        }
        let from = binary.ok_or(CompileError::NoBinary)?;
        let to = folder.join(name);
        // A binary that runs cannot be written to, but it can be replaced.
        let new = folder.join(format!(".{name}.new"));
        match std::fs::copy(&from, &new).and_then(|_| std::fs::rename(&new, &to)) {
            Ok(()) => Ok(to),
            Err(source) => Err(CompileError::Copy { from, to, source }),
        }
    }
}

/// The binary that a message of cargo names.
fn executable(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    message.get("executable")?.as_str().map(PathBuf::from)
}
